// The upload box: drop, paste or choose recordings; they go to the kernel in small numbered pieces.
//
// To the kernel: {kind: "begin", id, name, bytes, pieces}   {kind: "piece", id, i, sha256 | crc32} + buffer
//                {kind: "hello"}   {kind: "where", id}   {kind: "remove", id}   {kind: "listen", id}   {kind: "goon"}
//                {kind: "bye", files: [{id, name, bytes}]}, of files on their way when the page goes away
// From the kernel: {kind: "ack", id, next}   {kind: "again", id, next}   {kind: "failed", id, why, problem}
//                  {kind: "sound", id} + buffer;   and the trait `state`: what is there, for every page alike.
//
// The kernel answers only while it is idle. So a few pieces are on their way at a time and the next ones wait for its
// answer; `where`, sent when it has long been silent, is answered after everything sent before it, which tells a busy
// kernel from a lost piece.

/* global TEXTS, wordsIn, whenLeaving */

const PIECE_BYTES = 256 * 1024; // larger messages are refused by Colab
const ON_THEIR_WAY = 8;
const SILENT_MS = 1500;

const UPLOAD_ICONS = {
  up: "M8 2 3.5 6.5l1.1 1.1L7.2 5v7h1.6V5l2.6 2.6 1.1-1.1zM2 13h12v1.5H2z",
  play: "M4 2l10 6-10 6z",
  stop: "M3 3h10v10H3z",
  remove: "M3.6 2.5 8 6.9l4.4-4.4 1.1 1.1L9.1 8l4.4 4.4-1.1 1.1L8 9.1l-4.4 4.4-1.1-1.1L6.9 8 2.5 3.6z",
};

const drawing = (name) => `<svg viewBox="0 0 16 16" aria-hidden="true"><path d="${UPLOAD_ICONS[name]}"/></svg>`;

/** @param {number} bytes */
const size = (bytes) =>
  bytes < 1e3 ? `${bytes} B` : bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

/** @param {number} seconds */
const length = (seconds) =>
  seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)}:${String(Math.floor(seconds) % 60).padStart(2, "0")} min`;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** What proves a piece: SHA-256, or CRC-32 on insecure pages, whose browsers give no SHA-256. */
async function proof(buffer) {
  if (globalThis.crypto?.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", buffer));
    return { sha256: Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") };
  }
  let crc = 0xffffffff;
  for (const byte of new Uint8Array(buffer)) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return { crc32: (crc ^ 0xffffffff) >>> 0 };
}

/** One file on its way. */
class Sending {
  constructor(model, file, changed) {
    this.model = model;
    this.file = file;
    this.changed = changed;
    this.id = Math.random().toString(36).slice(2, 12);
    this.pieces = Math.max(1, Math.ceil(file.size / PIECE_BYTES));
    this.next = 0; // the next piece to send
    this.acked = 0; // pieces the kernel has
    this.heardAt = performance.now();
    this.asked = false;
    this.silent = false;
    this.resent = 0;
    /** @type {{why: "file" | "lost" | "short" | "disk" | "reload", problem: string} | null} */
    this.failure = null;
    this.over = false;
    this.pumping = false;
  }

  /** Resolves when the kernel has it all, or it has failed or was stopped. */
  run() {
    return new Promise((resolve) => {
      this.resolve = resolve;
      this.model.send({ kind: "begin", id: this.id, name: this.file.name, bytes: this.file.size, pieces: this.pieces });
      this.heardAt = performance.now();
      this.timer = setInterval(() => this.watch(), 500);
      this.pump();
    });
  }

  async pump() {
    if (this.pumping) return;
    this.pumping = true;
    try {
      while (!this.over && this.next < this.pieces && this.next - this.acked < ON_THEIR_WAY) {
        const i = this.next;
        let buffer;
        try {
          buffer = await this.file.slice(i * PIECE_BYTES, (i + 1) * PIECE_BYTES).arrayBuffer();
        } catch (error) {
          this.end({ why: "file", problem: String(error?.message ?? error) }); // deleted or changed since it was chosen
          return;
        }
        const proved = await proof(buffer);
        if (this.over || this.next !== i) continue; // the kernel asked for an earlier one meanwhile
        this.next = i + 1;
        this.model.send({ kind: "piece", id: this.id, i, ...proved }, undefined, [buffer]);
      }
    } finally {
      this.pumping = false;
    }
  }

  watch() {
    const silent = performance.now() - this.heardAt > SILENT_MS;
    if (silent !== this.silent) { this.silent = silent; this.changed(); }
    if (silent && !this.asked) {
      this.asked = true;
      this.model.send({ kind: "where", id: this.id });
    }
  }

  hear(message) {
    this.heardAt = performance.now();
    this.silent = false;
    if (message.kind === "failed") return this.end({ why: message.why, problem: message.problem });
    this.acked = Math.max(this.acked, message.next);
    const lost = message.kind === "again" || (message.answer && message.next < this.next);
    if (message.answer) this.asked = false;
    if (lost && message.next < this.next) {
      this.next = message.next;
      this.resent++;
    }
    if (this.acked >= this.pieces) this.end();
    else this.pump();
    this.changed();
  }

  end(failure = null) {
    if (this.over) return;
    this.over = true;
    this.failure = failure;
    clearInterval(this.timer);
    this.changed();
    this.resolve?.();
  }
}

function render({ model, el }) {
  const say = wordsIn(TEXTS, model.get("language"));
  const many = model.get("multiple");
  const asks = say(many ? "upload.drop" : "upload.drop_one");
  const browses = say(many ? "upload.browse" : "upload.browse_one");
  /** @type {Sending[]} */
  const sending = [];
  /** @type {Map<string, File>} the files of this page, to listen to without asking the kernel */
  const here = new Map();
  let busy = false;
  let gone = false;
  let note = "";
  /** @type {{id: string, audio: HTMLAudioElement, url: string} | null} */
  let playing = null;

  const root = document.createElement("section");
  root.className = "rtnb-ui rtnb-upload mathjax_ignore tex2jax_ignore";
  root.lang = say.language;
  root.setAttribute("aria-label", say("upload.title"));
  root.tabIndex = -1;
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take keys typed in here for its own
  root.innerHTML = `
    <div class="rtnb-drop">
      <span class="rtnb-up">${drawing("up")}</span>
      <div>
        <div class="rtnb-ask"><span></span> <button type="button" class="rtnb-main"></button></div>
        <div class="rtnb-dim rtnb-kinds"></div>
      </div>
      <input type="file" hidden>
    </div>
    <ul class="rtnb-files"></ul>
    <p class="rtnb-note" role="status"></p>
    <button type="button" class="rtnb-goon" hidden></button>`;
  const drop = root.querySelector(".rtnb-drop");
  const input = root.querySelector("input");
  const list = root.querySelector("ul");
  const status = root.querySelector(".rtnb-note");
  const browse = root.querySelector(".rtnb-ask button");
  const goon = root.querySelector(".rtnb-goon");
  const invitation = root.querySelector(".rtnb-ask span");
  invitation.textContent = asks;
  browse.textContent = browses;
  root.querySelector(".rtnb-kinds").textContent = say("upload.kinds");
  list.setAttribute("aria-label", say("upload.list"));
  input.multiple = many;
  // No `accept`: it hides files whose ending the system does not know, and the content decides anyway.
  input.setAttribute("aria-label", browses);

  const add = async (files) => {
    if (gone || !files.length) return;
    note = "";
    for (const file of many ? files : files.slice(0, 1)) sending.push(new Sending(model, file, draw));
    draw();
    if (busy) return;
    busy = true;
    for (;;) {
      const next = sending.find((it) => !it.over);
      if (!next) break;
      here.set(next.id, next.file);
      await next.run();
      if (next.acked >= next.pieces) note = say("upload.done", { name: next.file.name });
    }
    busy = false;
    draw();
  };

  browse.onclick = () => input.click();
  goon.onclick = () => model.send({ kind: "goon" });
  input.onchange = () => { add([...input.files]); input.value = ""; };
  drop.ondragover = (event) => { event.preventDefault(); drop.classList.add("rtnb-over"); invitation.textContent = say("upload.let_go"); };
  const left = () => { drop.classList.remove("rtnb-over"); invitation.textContent = asks; };
  drop.ondragleave = (event) => { if (!drop.contains(event.relatedTarget)) left(); };
  drop.ondrop = (event) => { event.preventDefault(); event.stopPropagation(); left(); add([...(event.dataTransfer?.files ?? [])]); };
  // A paste goes to whatever has the focus; a click anywhere in the box gives it the focus.
  drop.onclick = (event) => { if (event.target === drop || drop.contains(event.target)) if (!event.target.closest?.("button")) root.focus(); };
  root.onpaste = (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) { event.preventDefault(); event.stopPropagation(); add(files); }
  };

  const quiet = () => {
    if (!playing) return;
    playing.audio.pause();
    URL.revokeObjectURL(playing.url);
    playing = null;
    draw();
  };
  const play = (id, blob) => {
    quiet();
    const url = URL.createObjectURL(blob);
    const audio = new Audio(url);
    playing = { id, audio, url };
    audio.onended = quiet;
    audio.onerror = quiet;
    audio.play().catch(quiet);
    draw();
  };
  const listen = (id) => {
    if (playing?.id === id) quiet();
    else if (here.has(id)) play(id, here.get(id));
    else model.send({ kind: "listen", id });
  };

  /** A line of the list. */
  const line = ({ id, name, detail, share, problem, used, removable, audible, active }) => {
    const item = document.createElement("li");
    item.dataset.id = id;
    if (problem) item.classList.add("rtnb-broken");
    item.innerHTML = `<span class="rtnb-name"></span><span class="rtnb-detail rtnb-dim rtnb-num"></span>`;
    item.querySelector(".rtnb-name").textContent = name;
    item.querySelector(".rtnb-name").title = name;
    item.querySelector(".rtnb-detail").textContent = detail;
    const button = (what, label, act) => {
      const it = document.createElement("button");
      it.type = "button";
      it.className = "rtnb-icon";
      it.innerHTML = drawing(what);
      it.setAttribute("aria-label", label);
      it.title = label;
      it.dataset.do = what === "stop" ? "play" : what;
      it.onclick = act;
      item.append(it);
    };
    if (used) {
      const chip = document.createElement("span");
      chip.className = "rtnb-chip";
      chip.textContent = say("upload.in_use");
      item.querySelector(".rtnb-name").after(chip);
    }
    if (audible) {
      const on = playing?.id === id;
      button(on ? "stop" : "play", say(on ? "upload.stop" : "upload.listen", { name }), () => listen(id));
    }
    if (removable) button("remove", say(active ? "upload.cancel" : "upload.remove", { name }), () => removable());
    if (share !== undefined) {
      const bar = document.createElement("progress");
      bar.max = 1;
      bar.value = share;
      bar.setAttribute("aria-label", name);
      item.append(bar);
    }
    if (problem) {
      const why = document.createElement("p");
      why.setAttribute("role", "alert");
      why.textContent = problem;
      item.append(why);
    }
    return item;
  };

  function draw() {
    const state = model.get("state");
    const known = new Set(state.files.map((file) => file.id));
    const lines = [];
    for (const file of state.files) {
      lines.push(line({
        id: file.id,
        name: file.name,
        detail: file.checking ? say("upload.checking") : [file.seconds ? length(file.seconds) : "", size(file.bytes)].filter(Boolean).join(" · "),
        problem: file.failed ? say(`upload.failed_${file.failed}`) : file.problem,
        used: false,
        audible: !file.problem && !file.failed && !file.checking,
        removable: gone ? null : () => { if (playing?.id === file.id) quiet(); model.send({ kind: "remove", id: file.id }); },
      }));
    }
    for (const it of sending) {
      if (known.has(it.id) || (it.over && !it.failure)) continue;
      const share = Math.min(1, (it.acked * PIECE_BYTES) / Math.max(1, it.file.size));
      lines.push(line({
        id: it.id,
        name: it.file.name,
        detail: it.over ? "" : say("upload.sending", { percent: Math.floor(100 * share), size: size(it.file.size) }),
        share: it.over ? undefined : share,
        problem: it.failure && say(`upload.failed_${it.failure.why}`, { name: it.file.name, problem: it.failure.problem }),
        active: !it.over,
        removable: () => {
          if (!it.over) model.send({ kind: "remove", id: it.id });
          it.end();
          sending.splice(sending.indexOf(it), 1);
          draw();
        },
      }));
    }
    if (!state.files.some((file) => !file.problem && !file.failed) && state.sample) {
      lines.unshift(line({ id: "sample", name: state.sample.name, detail: length(state.sample.seconds), used: true, audible: true }));
    }
    // Redrawing must not take the focus from whoever works with the keyboard.
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    const key = focused && [focused.closest("li")?.dataset.id, focused.dataset.do];
    list.replaceChildren(...lines);
    if (key) list.querySelector(`li[data-id="${key[0]}"] [data-do="${key[1]}"]`)?.focus();

    const current = sending.find((it) => !it.over);
    const sample = state.sample && { name: state.sample.name, seconds: state.sample.seconds.toFixed(1) };
    const text = gone ? say("upload.gone")
      : current?.silent ? say("upload.waiting")
      : current?.resent ? say("upload.resent")
      : current ? ""
      : state.files.length ? (state.files.at(-1).problem || state.files.at(-1).failed ? "" : note)
      : note || (sample ? say("upload.sample", sample) : say("upload.no_sample"));
    if (status.textContent !== text) status.textContent = text;
    status.classList.toggle("rtnb-warn", gone || Boolean(current?.silent));
    browse.disabled = gone;
    goon.hidden = !state.waiting || gone;
    goon.textContent = say(state.sample ? "upload.goon" : "upload.goon_none");
    root.classList.toggle("rtnb-gone", gone);
  }

  const hear = (message, buffers) => {
    if (message.kind === "sound") play(message.id, new Blob([buffers[0]], { type: "audio/ogg" }));
    else sending.find((it) => it.id === message.id && !it.over)?.hear(message);
  };
  const lose = () => {
    // "comm_live_update" is also said when a line comes alive again.
    if (model.get("comm_live") === true) return;
    gone = true;
    for (const it of sending) it.end();
    draw();
  };
  const stay = whenLeaving({
    busy: () => sending.some((it) => !it.over),
    leave: () => {
      const files = sending.filter((it) => !it.over).map((it) => ({ id: it.id, name: it.file.name, bytes: it.file.size }));
      if (files.length) model.send({ kind: "bye", files });
      for (const it of sending) it.end({ why: "reload", problem: "" });
    },
  });
  model.on("msg:custom", hear);
  model.on("change:state", draw);
  model.on("comm:close", lose);
  model.on("comm_live_update", lose);
  el.append(root);
  draw();
  model.send({ kind: "hello" });
  return () => {
    quiet();
    stay();
    for (const it of sending) it.end();
    model.off("msg:custom", hear);
    model.off("change:state", draw);
    model.off("comm:close", lose);
    model.off("comm_live_update", lose);
    root.remove();
  };
}

export default { render };
