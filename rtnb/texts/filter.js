// Put a choice in place of a picture that has loaded: which rows of the table beside it are shown, by their third cell.
// Where handlers are taken away, as of an untrusted notebook, all rows stay and no choice stands there.
const table = this.parentNode;
const rows = () => [...table.querySelector("tbody").rows];
const kind = (row) => (row.cells[2].querySelector("summary") || row.cells[2]).textContent.split(" × ")[0];
const choice = document.createElement("select");
choice.setAttribute("aria-label", this.title);
choice.add(new Option(this.title, ""));
choice.onfocus = () => {
  const there = [...choice.options].map((option) => option.value);
  for (const name of new Set(rows().map(kind))) if (!there.includes(name)) choice.add(new Option(name, name));
};
choice.onfocus();
choice.onchange = () => rows().forEach((row) => (row.hidden = choice.value !== "" && kind(row) !== choice.value));
this.replaceWith(choice);
