// The strip that speaks an answer while it is still coming: pause, stop, volume, how far it is.
//
// From the kernel, numbered by `n` from 1 (a page that loads slowly misses the first ones; they are sent again):
//   {kind: "sound", n, item} + PCM   {kind: "words", n, item, from, text}   {kind: "end", n, item}   {kind: "over", n}
// To the kernel: {kind: "ready", have}   {kind: "held", held}   {kind: "played"}. Before ipykernel 7.4 none of these
// arrives while a cell runs, so nothing here waits for an answer.

/* global TEXTS, wordsIn, openAudioContext, createPlayback, leftLoudspeaker, lettersHeard, sentencesEnd */

const ICONS = {
  pause: "M4 2h3v12H4zM9 2h3v12H9z",
  play: "M4 2l10 6-10 6z",
  stop: "M3 3h10v10H3z",
};

/** One answer's sound in this page, however many views show it. @type {Map<string, Speaking>} */
const speaking = new Map();

class Speaking {
  /** @param {any} model */
  constructor(model) {
    this.model = model;
    this.say = wordsIn(TEXTS, model.get("language"));
    this.expected = 1;
    /** @type {Map<number, [any, DataView[]]>} */
    this.early = new Map();
    this.waiting = []; // sound that came before there was anything to play it with
    this.pushed_ms = 0;
    /** @type {Map<string, number>} milliseconds played, by item */
    this.played = new Map();
    /** @type {Map<string, {text: string, pushed_ms: number, ended: boolean}>} in the order they came */
    this.items = new Map();
    this.over = false; // everything has been sent
    this.finished = false; // everything has been played, or was stopped
    this.held = false; // by the pause button
    this.blocked = false; // by the browser, which wants a click first
    this.volume = 1;
    /** @type {Set<() => void>} */
    this.views = new Set();
    this.hear = this.hear.bind(this);
    model.on("msg:custom", this.hear);
    model.send({ kind: "ready", have: 0 });
  }

  hear(message, buffers) {
    if (typeof message?.n !== "number" || message.n < this.expected) return;
    this.early.set(message.n, [message, buffers]);
    while (this.early.has(this.expected)) {
      const [next, its] = this.early.get(this.expected);
      this.early.delete(this.expected++);
      this.take(next, its);
    }
  }

  /** @param {string} id */
  item(id) {
    if (!this.items.has(id)) this.items.set(id, { text: "", pushed_ms: 0, ended: false });
    return this.items.get(id);
  }

  /** What is being said, and how many of its letters have been heard. */
  get caption() {
    const id = [...this.items.keys()].reverse().find((key) => this.played.get(key)) ?? this.items.keys().next().value;
    const item = this.items.get(id);
    if (!item) return { text: "", heard: 0 };
    const sound = { played_ms: this.played.get(id) ?? 0, total_ms: item.pushed_ms, whole: item.ended };
    return { text: item.text, heard: this.finished ? item.text.length : lettersHeard(item.text, sound) };
  }

  /** Whether a person hears the words now; else they are to be read. */
  get sounds() {
    return !this.held && !this.blocked && !this.finished && this.volume > 0;
  }

  take(message, buffers) {
    if (message.kind === "sound") {
      this.pushed_ms += buffers[0].byteLength / 48;
      this.item(message.item).pushed_ms += buffers[0].byteLength / 48;
      this.act(() => this.playback.push(buffers[0], message.item));
    } else if (message.kind === "words") {
      const item = this.item(message.item);
      item.text = item.text.slice(0, message.from) + message.text;
    } else if (message.kind === "end") {
      this.item(message.item).ended = true;
      this.act(() => this.playback.end(message.item));
    } else if (message.kind === "over") {
      this.over = true;
      if (!this.pushed_ms) this.finish();
      else this.act(() => this.look());
    }
    this.draw();
  }

  act(what) {
    if (this.playback) what();
    else this.waiting.push(what);
  }

  /** Start the sound, once somebody sees the strip. */
  async start() {
    if (this.context) return;
    this.context = openAudioContext();
    this.gain = this.context.createGain();
    this.gain.connect(this.context.destination);
    this.meter = this.context.createAnalyser();
    this.meter.fftSize = 256;
    const playback = await createPlayback(this.context, { destination: this.gain });
    playback.node.connect(this.meter);
    playback.onPlayed((state) => {
      for (const [itemId, ms] of state.counts) this.played.set(itemId, ms);
      this.look();
      this.draw();
    });
    this.playback = playback;
    for (const what of this.waiting.splice(0)) what();
    // A player further down (the finished answer, say) takes over when a person starts it.
    this.hush = (event) => { if (event.target instanceof HTMLMediaElement) this.stop(); };
    document.addEventListener("play", this.hush, true);
    this.context.onstatechange = () => { this.blocked = this.blocked && this.context.state !== "running"; this.draw(); };
    this.resume();
  }

  resume() {
    this.held = false;
    // Where the browser waits for a click, the promise of resume() stays open for ever.
    this.context.resume().catch(() => {});
    setTimeout(() => {
      this.blocked = !this.held && !this.finished && this.context.state !== "running";
      if (this.blocked) this.model.send({ kind: "held", held: true });
      this.draw();
    }, 300);
    this.draw();
  }

  toggle() {
    const held = !(this.held || this.blocked);
    if (held) { this.held = true; this.context.suspend(); } else { this.blocked = false; this.resume(); }
    this.model.send({ kind: "held", held });
    this.draw();
  }

  async stop() {
    if (this.finished) return;
    this.finished = true;
    this.draw();
    await this.playback?.silence();
    // Its last samples fade out, which takes them to the loudspeaker like any others.
    if (this.context?.state === "running") await leftLoudspeaker(this.context, this.context.currentTime);
    this.finish();
  }

  look() {
    if (this.over && !this.finished && this.playback?.now().ended && this.played.size) this.finish();
  }

  finish() {
    this.finished = true;
    this.model.send({ kind: "played" });
    this.draw();
    this.close();
  }

  close() {
    this.model.off("msg:custom", this.hear);
    document.removeEventListener("play", this.hush ?? (() => {}), true);
    this.playback?.close();
    if (this.context && this.context.state !== "closed") this.context.close().catch(() => {});
    this.finished = true;
  }

  get played_ms() {
    let sum = 0;
    for (const ms of this.played.values()) sum += ms;
    return sum;
  }

  draw() {
    for (const view of this.views) view();
  }
}

const clock = (ms) => `${Math.floor(ms / 60000)}:${String(Math.floor(ms / 1000) % 60).padStart(2, "0")}`;

const icon = (name) => `<svg viewBox="0 0 16 16" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;

/** @param {any} model */
function speakingOf(model) {
  const key = model.get("key");
  let it = speaking.get(key);
  if (!it) speaking.set(key, (it = new Speaking(model)));
  return it;
}

function render({ model, el }) {
  const it = speakingOf(model);
  const say = it.say;
  const root = document.createElement("div");
  root.className = "rtnb-ui rtnb-player mathjax_ignore tex2jax_ignore";
  root.lang = say.language;
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", say("player.label"));
  root.innerHTML = `
    <button class="rtnb-icon rtnb-main" data-do="toggle"></button>
    <span class="rtnb-state" role="status"></span>
    <canvas width="360" height="56" aria-hidden="true"></canvas>
    <progress max="1" value="0" aria-hidden="true"></progress>
    <span class="rtnb-num rtnb-dim" data-is="time"></span>
    <input type="range" min="0" max="1" step="0.05" value="1">
    <button class="rtnb-icon" data-do="stop">${icon("stop")}</button>
    <div class="rtnb-captions" role="log" aria-live="off" tabindex="0" hidden><span></span><span class="rtnb-dim"></span></div>
    <span class="rtnb-hidden-text rtnb-aloud" aria-live="polite"></span>`;
  const [toggle, stop] = root.querySelectorAll("button");
  const state = root.querySelector(".rtnb-state");
  const time = root.querySelector("[data-is=time]");
  const volume = root.querySelector("input");
  const canvas = root.querySelector("canvas");
  const progress = root.querySelector("progress");
  const captions = root.querySelector(".rtnb-captions");
  const [heardWords, comingWords] = captions.children;
  captions.setAttribute("aria-label", say("player.captions"));
  stop.setAttribute("aria-label", say("player.stop"));
  stop.title = say("player.stop");
  volume.setAttribute("aria-label", say("player.volume"));
  volume.title = say("player.volume");
  volume.value = String(it.volume);
  toggle.onclick = () => it.toggle();
  stop.onclick = () => it.stop();
  volume.oninput = () => {
    it.volume = Number(volume.value);
    it.draw();
    it.gain?.gain.setTargetAtTime(it.volume, it.context.currentTime, 0.02);
  };
  /** The words, the heard ones apart; two lines are shown, and the ear's place is always among them. */
  const caption = () => {
    const { text, heard } = it.caption;
    captions.hidden = !text;
    if (heardWords.textContent.length === heard && heardWords.textContent.length + comingWords.textContent.length === text.length) return;
    heardWords.textContent = text.slice(0, heard);
    comingWords.textContent = text.slice(heard);
    const line = parseFloat(getComputedStyle(captions).lineHeight) || 20;
    captions.scrollTop = Math.max(0, (comingWords.textContent ? comingWords.offsetTop : captions.scrollHeight) - line);
  };

  // A screen reader that reads what is being spoken talks into it. So whole sentences are announced, once and politely,
  // where the voice cannot be heard: blocked by the browser, paused, or turned down.
  const aloud = root.querySelector(".rtnb-aloud");
  let announced = 0;
  let announcedAt = -Infinity;
  let later = 0;
  const announce = () => {
    const text = [...it.items.values()].map((item) => item.text).join("\n");
    const end = it.over ? text.length : sentencesEnd(text);
    if (it.sounds) announced = Math.max(announced, it.caption.heard);
    if (it.sounds || it.finished || end <= announced || later) return;
    const wait = announcedAt + 1000 - performance.now(); // what comes in a moment is read in one go
    if (wait > 0) {
      later = setTimeout(() => { later = 0; announce(); }, wait);
      return;
    }
    aloud.textContent = text.slice(announced, end).trim();
    announced = end;
    announcedAt = performance.now();
  };

  let shown = "";
  const draw = () => {
    caption();
    announce();
    progress.value = it.pushed_ms ? it.played_ms / it.pushed_ms : 0;
    const still = it.held || it.blocked;
    const what = it.finished ? "done" : it.blocked ? "blocked" : it.held ? "paused" : it.played_ms ? "playing" : "waiting";
    time.textContent = it.pushed_ms ? `${clock(it.played_ms)} / ${clock(it.pushed_ms)}` : "";
    if (what === shown) return;
    shown = what;
    root.dataset.state = what;
    root.classList.toggle("rtnb-over", it.finished);
    state.textContent = say(`player.is_${what}`);
    toggle.innerHTML = icon(still ? "play" : "pause");
    const label = say(it.blocked ? "player.listen" : still ? "player.resume" : "player.pause");
    toggle.setAttribute("aria-label", label);
    toggle.title = label;
    if (it.finished) { for (const control of [toggle, stop, volume]) control.disabled = true; }
  };
  it.views.add(draw);
  draw();
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  canvas.hidden = calm;
  progress.hidden = !calm;
  const stopMeter = calm ? () => {} : meter(canvas, () => (it.playback?.now().playing && !it.held ? it.meter : null));
  el.append(root);
  it.start();
  return () => {
    stopMeter();
    it.views.delete(draw);
    root.remove();
    // The output was cleared or the notebook closed: nobody can stop it any more, so it stops.
    setTimeout(() => { if (!it.views.size) { it.close(); speaking.delete(model.get("key")); } }, 200);
  };
}

/** Bars that follow the sound, twenty times a second while there is any. Returns what ends it. */
function meter(canvas, source) {
  const pen = canvas.getContext("2d");
  const bars = new Float32Array(40);
  const data = new Float32Array(256);
  const draw = (loud) => {
    bars.copyWithin(0, 1);
    bars[bars.length - 1] = Math.sqrt(loud);
    const { width, height } = canvas;
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = getComputedStyle(canvas).color;
    for (let i = 0; i < bars.length; i++) {
      const tall = Math.max(3, bars[i] * height);
      pen.fillRect((i * width) / bars.length, (height - tall) / 2, width / bars.length - 4, tall);
    }
  };
  draw(0);
  const timer = setInterval(() => {
    const analyser = source();
    if (!analyser || document.hidden) return;
    analyser.getFloatTimeDomainData(data);
    let loud = 0;
    for (const value of data) loud = Math.max(loud, Math.abs(value));
    draw(loud);
  }, 50);
  return () => clearInterval(timer);
}

export default {
  initialize({ model }) {
    speakingOf(model);
    return () => {
      speaking.get(model.get("key"))?.close();
      speaking.delete(model.get("key"));
    };
  },
  render,
};
