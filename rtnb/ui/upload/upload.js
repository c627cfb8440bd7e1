// The upload box: drop, paste or choose recordings; they go to the kernel in small pieces.
//
// To the kernel: {kind: "hello"}   {kind: "begin", id, name, bytes}   {kind: "piece", id, sha256 | crc32} + buffer
//                {kind: "end", id}   {kind: "remove", id}   {kind: "listen", id}   {kind: "goon"}
//                {kind: "bye", files: [{id, name, bytes}]}, of files on their way when the page goes away
// From the kernel: {kind: "taken", id}   {kind: "failed", id, why, problem}   {kind: "audio", id} + buffer;
//                  and the trait `state`: what is there, for every page alike.
//
// The kernel answers only while it is idle. So a few pieces are on their way at a time, and the next ones are read when
// it has answered.

/* global TEXTS, wordsIn, whenLeaving, KernelLink, ON_THEIR_WAY_BYTES, Sending, smallIcon, clock, element, listenTo, named */
/* global partsOf, whenChosen, widgetRoot, write, playerFigure, giveBack, rtnbPlayer, placed */

const FAILURES = {
  file: "Your browser could not read “{name}”: {problem}. Choose the file again.",
  lost: "The kernel knows nothing of “{name}” any more. Add the file once more.",
  short: "Part of “{name}” was lost on the way: {problem}. Add the file once more.",
  disk: "The kernel could not keep “{name}”: {problem}. Free some space there, then add the file once more.",
  reload: "The page was closed or reloaded while this was on its way. Add the file once more.",
};

/** @param {number} bytes */
const size = (bytes) =>
  bytes < 1e3 ? `${bytes} B` : bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

/** @param {number} seconds */
const length = (seconds) => (seconds < 60 ? `${seconds.toFixed(1)} s` : `${clock(seconds)} min`);

const MARKUP = `
  <div class="rtnb-drop">
    <span class="rtnb-up">${smallIcon("up")}</span>
    <div>
      <div class="rtnb-ask"><span></span> <button type="button" class="rtnb-main"></button></div>
      <div class="rtnb-dim rtnb-kinds"></div>
    </div>
    <input type="file" hidden>
  </div>
  <ul class="rtnb-files"></ul>
  <p class="rtnb-note" role="status"></p>
  <button type="button" class="rtnb-goon" hidden></button>`;

/** One view of the box in one output. */
class UploadView {
  constructor(model, el) {
    this.model = model;
    this.say = wordsIn(TEXTS, model.get("language"));
    this.many = model.get("setup").multiple;
    /** @type {Sending[]} */
    this.sending = [];
    this.busy = false;
    this.note = "";
    /** @type {{id: string, figure: HTMLElement} | null} the recording that is listened to, and its player */
    this.playing = null;
    this.build();
    this.listenToBox();
    this.openLink();
    el.append(this.root);
    this.draw();
    this.link.send("hello");
  }

  build() {
    const { say, many } = this;
    const root = (this.root = widgetRoot("rtnb-upload", say("Your recording"), say, MARKUP));
    root.tabIndex = -1;
    const p = (this.parts = partsOf(root, "rtnb", "drop ask main kinds files note goon"));
    this.input = root.querySelector("input");
    this.invite();
    p.main.textContent = many ? say("choose files") : say("choose a file");
    p.kinds.textContent = say("wav, mp3, m4a, ogg, flac, webm, video with sound …");
    p.files.setAttribute("aria-label", say("Chosen recordings"));
    // No `accept`: it hides files whose ending the system does not know, and the content decides anyway.
    this.input.multiple = many;
    this.input.setAttribute("aria-label", p.main.textContent);
  }

  /** Say what to do here. @param {boolean} [over]  a file is being dragged over it */
  invite(over = false) {
    const { say, many, parts } = this;
    const words = many ? say("Drop recordings here, paste them, or") : say("Drop a recording here, paste it, or");
    parts.ask.firstChild.textContent = over ? say("Let go to upload") : words;
    parts.drop.classList.toggle("rtnb-over", over);
  }

  listenToBox() {
    const { root, input, parts: { drop, main, goon } } = this;
    main.onclick = () => input.click();
    goon.onclick = () => this.link.send("goon");
    whenChosen(input, (files) => this.add(files));
    drop.ondragover = (event) => {
      event.preventDefault();
      this.invite(true);
    };
    drop.ondragleave = (event) => drop.contains(event.relatedTarget) || this.invite();
    drop.ondrop = (event) => {
      event.preventDefault();
      event.stopPropagation();
      this.invite();
      this.add([...(event.dataTransfer?.files ?? [])]);
    };
    // A paste goes to whatever has the focus; a click anywhere in the box gives it the focus.
    drop.onclick = (event) => event.target.closest?.("button") || root.focus();
    root.onpaste = (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (!files.length) return;
      event.preventDefault();
      event.stopPropagation();
      this.add(files);
    };
  }

  openLink() {
    this.link = new KernelLink(this.model, {
      inFlightBytes: ON_THEIR_WAY_BYTES,
      onMessage: (message, buffers) => this.receive(message, buffers),
      onBusy: () => this.drawNote(),
      onAnswer: () => {
        this.current?.pump();
        this.draw();
      },
      onLost: () => this.endAll(),
    });
    const unlisten = listenTo(this.model, { "change:state": () => this.draw() });
    const stay = whenLeaving({ busy: () => Boolean(this.current), leave: () => this.leave() });
    this.forget = () => {
      stay();
      unlisten();
      this.link.close();
    };
  }

  /** The file on its way. @returns {Sending | undefined} */
  get current() {
    return this.sending.find((it) => !it.over);
  }

  async add(files) {
    if (this.link.lost || !files.length) return;
    this.note = "";
    const chosen = this.many ? files : files.slice(0, 1);
    this.sending.push(...chosen.map((file) => new Sending(this.link, file)));
    this.draw();
    if (this.busy) return;
    this.busy = true;
    for (let next; (next = this.current); ) {
      await next.run();
      if (next.taken) this.note = this.say("{name} is uploaded", { name: next.file.name });
      this.draw();
    }
    this.busy = false;
  }

  receive(message, buffers) {
    if (message.kind === "audio") this.play(message.id, new Blob([buffers[0]]));
    else this.sending.find((it) => it.id === message.id && !it.over)?.receive(message);
    this.draw();
  }

  endAll(failure) {
    for (const it of this.sending) it.end(failure);
    this.draw();
  }

  leave() {
    const under_way = this.sending.filter((it) => !it.over);
    const files = under_way.map(({ id, file }) => ({ id, name: file.name, bytes: file.size }));
    if (files.length) this.link.bye({ files });
    this.endAll({ why: "reload", problem: "" });
  }

  listen(id) {
    const here = this.sending.find((it) => it.id === id); // a file of this page is there without asking the kernel
    if (here) this.play(id, here.file);
    else this.link.send("listen", { id });
  }

  play(id, file) {
    this.quiet();
    const { name } = this.rows.find((row) => row.id === id) ?? {};
    const figure = playerFigure(this.say, name ?? file.name, { compact: true, file });
    const audio = figure.querySelector("audio");
    rtnbPlayer(figure, audio);
    this.playing = { id, figure };
    audio.onerror = () => this.quiet();
    this.draw();
    audio.play().catch(() => {}); // it is to be started by hand then
    figure.querySelector("button").focus();
  }

  quiet() {
    if (!this.playing) return;
    const audio = this.playing.figure.querySelector("audio");
    this.playing = audio.onerror = null;
    audio.pause();
    giveBack(audio.parentNode);
    this.draw();
  }

  draw() {
    const { say, parts: p } = this;
    const gone = Boolean(this.link.lost);
    const state = this.model.get("state");
    const good = state.files.some((file) => !file.problem && !file.failed);
    const known = state.files.map((file) => file.id);
    const sending = this.sending.filter((it) => !known.includes(it.id) && (!it.over || it.failure));
    const rows = [...state.files.map((file) => this.fileRow(file)), ...sending.map((it) => this.sendingRow(it))];
    if (!good && state.sample) {
      const { name, seconds } = state.sample;
      rows.unshift({ id: "sample", name, detail: length(seconds), used: true, audible: true });
    }
    this.drawRows((this.rows = rows));
    this.drawNote();
    p.main.disabled = gone;
    p.goon.hidden = !state.waiting || gone;
    p.goon.textContent = state.sample ? say("Go on with the sample") : say("Go on");
    this.root.classList.toggle("rtnb-gone", gone);
  }

  drawNote() {
    const { note } = this.parts;
    write(note, this.statusText(this.model.get("state")));
    note.classList.toggle("rtnb-warn", Boolean(this.link.lost || (this.current && this.link.busy)));
  }

  /** Redrawing must not take the focus from whoever works with the keyboard. */
  drawRows(rows) {
    const list = this.parts.files;
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    const key = focused && `li[data-id="${focused.closest("li").dataset.id}"] [data-do="${focused.dataset.do}"]`;
    list.replaceChildren(...rows.map((row) => this.row(row)));
    if (key) (list.contains(focused) ? focused : list.querySelector(key))?.focus();
  }

  statusText({ files, sample }) {
    const { say, current } = this;
    if (this.link.lost) return say("The kernel was restarted. Run the cell again to use this box.");
    if (current && this.link.busy) return say("Waiting: the kernel is running a cell. The upload goes on when it is free.");
    if (current?.resent) return say("A piece was lost on the way and is sent again.");
    if (current) return "";
    if (files.length) return files.at(-1).problem || files.at(-1).failed ? "" : this.note;
    if (this.note) return this.note;
    if (!sample) return say("Nothing is chosen yet.");
    const values = { name: sample.name, seconds: sample.seconds.toFixed(1) };
    return say("Until you do, the sample “{name}” ({seconds} s) stands in.", values);
  }

  fileRow({ id, name, seconds, bytes, checking, failed, problem }) {
    const facts = [seconds ? length(seconds) : "", size(bytes)].filter(Boolean).join(" · ");
    const remove = () => {
      if (this.playing?.id === id) this.quiet();
      this.link.send("remove", { id });
    };
    const detail = checking ? this.say("checking …") : facts;
    const audible = !problem && !failed && !checking;
    return { id, name, detail, problem: failed ? this.say(FAILURES[failed]) : problem, audible, remove: this.link.lost ? null : remove };
  }

  sendingRow(it) {
    const { id, share, failure, file: { name, size: bytes } } = it;
    const remove = () => {
      if (!it.over) this.link.send("remove", { id });
      it.end();
      this.sending.splice(this.sending.indexOf(it), 1);
      this.draw();
    };
    const problem = failure && this.say(FAILURES[failure.why], { name, problem: failure.problem });
    if (it.over) return { id, name, detail: "", problem, remove };
    const detail = this.say("{percent} % of {size}", { percent: Math.floor(100 * share), size: size(bytes) });
    return { id, name, detail, share, active: true, remove };
  }

  /** A row of the list as an element. */
  row({ id, name, detail, share, problem, used, remove, audible, active }) {
    const { say } = this;
    const item = element("li", {}, element("span", { className: "rtnb-name", textContent: name, title: name }));
    item.dataset.id = id;
    item.classList.toggle("rtnb-broken", Boolean(problem));
    const put = (tag, properties) => item.appendChild(element(tag, properties));
    const button = (what, what_for, label, onclick) => {
      const it = put("button", { type: "button", className: "rtnb-icon", innerHTML: smallIcon(what), onclick });
      it.dataset.do = what_for;
      named(it, label);
    };
    if (used) put("span", { className: "rtnb-chip", textContent: say("in use") });
    put("span", { className: "rtnb-detail rtnb-dim rtnb-num", textContent: detail });
    const on = this.playing?.id === id;
    if (audible && !on) button("play", "play", say("Listen to {name}", { name }), () => this.listen(id));
    const removing = active ? say("Stop uploading {name}", { name }) : say("Remove {name}", { name });
    if (remove) button("remove", "remove", removing, remove);
    if (share !== undefined) put("progress", { max: 1, value: share }).setAttribute("aria-label", name);
    if (on) item.append(this.playing.figure);
    if (problem) put("p", { textContent: problem }).setAttribute("role", "alert");
    return item;
  }

  remove() {
    this.quiet();
    this.forget();
    this.endAll();
    this.root.remove();
  }
}

export default placed({
  render({ model, el }) {
    const view = new UploadView(model, el);
    return () => view.remove();
  },
});
