/* global ROLES */

/** The captions of a call in one view: a row for each turn. */
class CallCaptions {
  constructor(engine, box) {
    this.engine = engine;
    this.box = box;
    this.rows = new Map();
  }

  /** Show a turn, new or changed. @param {string} item */
  update(item) {
    const { engine, box } = this;
    const turn = engine.turns.byItem.get(item);
    if (!turn) return;
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
    box.hidden = false;
    let row = this.rows.get(item);
    if (!row) {
      row = document.createElement("div");
      row.innerHTML = `<span class="rtnb-call-name"></span><span class="rtnb-call-text"><span class="rtnb-call-heard"></span><span
        class="rtnb-call-coming"></span><span class="rtnb-call-mark"></span></span>`;
      this.rows.set(item, row);
    }
    row.className = `rtnb-call-line rtnb-call-${turn.role}`;
    row.dataset.item = item;
    row.dataset.role = turn.role;
    row.dataset.open = turn.open;
    row.querySelector(".rtnb-call-name").textContent = engine.say(ROLES[turn.role]);
    const { order } = engine.turns;
    const next = order.slice(order.indexOf(item) + 1).map((id) => this.rows.get(id)).find(Boolean) ?? null;
    if (row.nextSibling !== next || row.parentNode !== box) box.insertBefore(row, next);
    this.updateSpoken(item);
    if (atEnd) box.scrollTop = box.scrollHeight;
  }

  /** Show how much of a turn was played. @param {string} item */
  updateSpoken(item) {
    const { engine } = this;
    const turn = engine.turns.byItem.get(item);
    const row = this.rows.get(item);
    if (!turn || !row) return;
    const heard = engine.turns.lettersHeard(turn, engine.inCall);
    const cut = turn.played_ms !== null && turn.played_ms !== undefined && heard < turn.text.length;
    let mark = "";
    if (cut) mark = engine.say("interrupted");
    else if (turn.role === "user" && !turn.text) {
      mark = turn.open && engine.setup.captions ? engine.say("being transcribed …") : engine.say("(no words)");
    }
    const key = `${heard}|${turn.text.length}|${mark}`;
    if (row.dataset.key === key && row.dataset.text === turn.text) return;
    row.dataset.key = key;
    row.dataset.text = turn.text;
    row.classList.toggle("rtnb-call-cut", cut);
    row.querySelector(".rtnb-call-heard").textContent = turn.text.slice(0, heard);
    row.querySelector(".rtnb-call-coming").textContent = turn.text.slice(heard);
    row.querySelector(".rtnb-call-mark").textContent = mark;
  }
}
