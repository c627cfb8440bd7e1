/* global ROLES, element */

/** The captions of a call in one view: a row for each turn. */
class CallCaptions {
  constructor(engine, box) {
    Object.assign(this, { engine, box, rows: new Map() });
  }

  /** Show a turn, new or changed. @param {string} item */
  update(item) {
    const { engine, box, rows } = this;
    const turn = engine.turns.byItem.get(item);
    if (!turn) return;
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
    box.hidden = false;
    const innerHTML = `<span class="rtnb-call-name"></span><span class="rtnb-call-text"><span class="rtnb-call-heard"></span><span
      class="rtnb-call-coming"></span><span class="rtnb-call-mark"></span></span>`;
    const row = rows.get(item) ?? element("div", { innerHTML });
    rows.set(item, row);
    row.className = `rtnb-call-line rtnb-call-${turn.role}`;
    Object.assign(row.dataset, { item, role: turn.role, open: turn.open });
    row.querySelector(".rtnb-call-name").textContent = engine.say(ROLES[turn.role]);
    const { order } = engine.turns;
    const next = order.slice(order.indexOf(item) + 1).map((id) => rows.get(id)).find(Boolean) ?? null;
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
    const { text, role, open } = turn;
    const heard = engine.turns.lettersHeard(turn, engine.inCall);
    const cut = (turn.played_ms ?? null) !== null && heard < text.length;
    const { say, setup } = engine;
    let mark = "";
    if (cut) mark = say("interrupted");
    else if (role === "user" && !text) mark = open && setup.captions ? say("being transcribed …") : say("(no words)");
    const key = `${heard}|${mark}|${text}`;
    if (row.dataset.key === key) return;
    row.dataset.key = key;
    row.classList.toggle("rtnb-call-cut", cut);
    for (const [part, words] of Object.entries({ heard: text.slice(0, heard), coming: text.slice(heard), mark })) {
      row.querySelector(`.rtnb-call-${part}`).textContent = words;
    }
  }
}
