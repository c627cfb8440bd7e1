/* global element */

/** Every event of a call in one view: a table that follows while it is open, and waits while an event of it is unfolded. */
class CallEvents {
  /** @param {any} engine @param {HTMLDetailsElement} box */
  constructor(engine, box) {
    Object.assign(this, { engine, box, list: element("div", {}) });
    box.append(element("summary", { textContent: engine.say("Events") }), this.list);
    box.ontoggle = () => this.ask();
  }

  ask() {
    clearTimeout(this.later);
    if (!this.box.open || !this.box.isConnected) return;
    this.engine.link.send("events");
    this.later = setTimeout(() => this.ask(), 1000);
  }

  /** @param {string} html  the table as the kernel makes it */
  show(html) {
    const rows = this.list.querySelector("tbody");
    if (!rows) this.list.innerHTML = html;
    else if (!rows.querySelector("details[open]")) {
      const made = element("template", { innerHTML: html });
      for (const part of ["tbody", "caption"]) this.list.querySelector(part).replaceWith(made.content.querySelector(part));
      this.list.querySelector("select")?.onchange(); // what was chosen stays
    }
  }
}
