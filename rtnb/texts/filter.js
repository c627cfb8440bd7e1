// Put a choice in place of a picture that has loaded: which rows of the table beside it are shown, by their third cell.
// Where handlers are taken away, as of an untrusted notebook, all rows stay and no choice stands there.
const rows = [...this.parentNode.querySelector("tbody").rows];
const kind = (row) => (row.cells[2].querySelector("summary") || row.cells[2]).textContent.split(" × ")[0];
const choice = document.createElement("select");
choice.setAttribute("aria-label", this.alt || this.title);
choice.add(new Option(this.title, ""));
for (const name of [...new Set(rows.map(kind))].sort()) choice.add(new Option(name, name));
choice.onchange = () => rows.forEach((row) => (row.hidden = choice.value !== "" && kind(row) !== choice.value));
this.replaceWith(choice);
