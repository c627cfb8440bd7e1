// The player of an answer while it is still coming: pause, stop, volume, how far it is.
//
// From the kernel (a page that loads slowly misses the first ones; they are sent again):
//   {kind: "audio", item} + PCM   {kind: "words", item, start, text}   {kind: "end", item}   {kind: "over"}   {kind: "stop"}
// To the kernel: {kind: "hello"}   {kind: "held", held}   {kind: "played"}. Before ipykernel 7.4 none of these arrives
// while a cell runs, so nothing here waits for an answer, a welcome neither.

/* global TEXTS, wordsIn, openAudioContext, createPlayback, leftLoudspeaker, lettersHeard, sentencesEnd */
/* global KernelLink, PCM_BYTES_PER_MS, smallIcon, clock, named, partsOf, widgetRoot */

const STATES = {
  waiting: "Waiting for sound", playing: "Speaking", paused: "Paused", done: "Played",
  blocked: "Your browser waits for a click before it plays sound.",
};

/** @type {Map<string, AnswerPlayer>} by the widget's key */
const players = new Map();

/** One answer's audio in this page, however many views show it. */
class AnswerPlayer {
  constructor(model) {
    this.say = wordsIn(TEXTS, model.get("language"));
    this.waiting = []; // audio that came before there was anything to play it with
    /** @type {Map<string, {text: string, pushed_ms: number, played_ms: number, ended: boolean}>} in the order they came */
    this.items = new Map();
    this.over = false; // everything has been sent
    this.finished = false; // everything has been played, or was stopped
    this.held = false; // by the pause button
    this.blocked = false; // by the browser, which wants a click first
    this.volume = 1;
    this.views = new Set();
    this.ends = new AbortController();
    this.link = new KernelLink(model, { fromFirst: true, onMessage: (message, buffers) => this.take(message, buffers) });
    this.link.send("hello");
  }

  item(id) {
    if (!this.items.has(id)) this.items.set(id, { text: "", pushed_ms: 0, played_ms: 0, ended: false });
    return this.items.get(id);
  }

  /** What is being said, and how many of its letters have been played. */
  get caption() {
    const items = [...this.items.values()];
    const item = items.findLast((it) => it.played_ms) ?? items[0];
    if (!item) return { text: "", heard: 0 };
    const { text, played_ms, pushed_ms: total_ms, ended: whole } = item;
    return { text, heard: this.finished ? text.length : lettersHeard(text, { played_ms, total_ms, whole }) };
  }

  /** Whether the user hears the words now; else they are to be read. */
  get audible() {
    return !this.held && !this.blocked && !this.finished && this.volume > 0;
  }

  take(message, buffers) {
    if (message.kind === "audio") {
      this.item(message.item).pushed_ms += buffers[0].byteLength / PCM_BYTES_PER_MS;
      this.act(() => this.playback.push(buffers[0], message.item));
    } else if (message.kind === "words") {
      const item = this.item(message.item);
      item.text = item.text.slice(0, message.start) + message.text;
    } else if (message.kind === "end") {
      this.item(message.item).ended = true;
      this.act(() => this.playback.end(message.item));
    } else if (message.kind === "over") {
      this.over = true;
      if (!this.sum("pushed_ms")) this.finish();
      else this.act(() => this.look());
    } else if (message.kind === "stop") {
      this.over = true;
      this.stop();
    }
    this.draw();
  }

  act(what) {
    if (this.playback) what();
    else this.waiting.push(what);
  }

  /** Start the audio, once the player is shown. */
  async start() {
    if (this.context) return;
    this.context = openAudioContext();
    this.gain = this.context.createGain();
    this.gain.connect(this.context.destination);
    this.meter = new AnalyserNode(this.context, { fftSize: 256 });
    this.playback = await createPlayback(this.context, this.gain);
    this.playback.node.connect(this.meter);
    this.playback.onPlayed((state) => {
      for (const [itemId, ms] of state.counts) this.item(itemId).played_ms = ms;
      this.look();
      this.draw();
    });
    for (const what of this.waiting.splice(0)) what();
    // A player further down (the finished answer, say) takes over when the user starts it.
    const hush = (event) => event.target instanceof HTMLMediaElement && this.stop();
    document.addEventListener("play", hush, { capture: true, signal: this.ends.signal });
    this.context.onstatechange = () => {
      this.blocked &&= this.context.state !== "running";
      this.draw();
    };
    this.resume();
  }

  resume() {
    this.held = false;
    // Where the browser waits for a click, the promise of resume() stays open for ever.
    this.context.resume().catch(() => {});
    setTimeout(() => {
      this.blocked = !this.held && !this.finished && this.context.state !== "running";
      if (this.blocked) this.link.send("held", { held: true });
      this.draw();
    }, 300);
    this.draw();
  }

  toggle() {
    const held = (this.held = !(this.held || this.blocked));
    this.blocked = false;
    if (held) this.context.suspend();
    else this.resume();
    this.link.send("held", { held });
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
    if (this.over && !this.finished && this.playback?.now().ended && this.sum("played_ms")) this.finish();
  }

  finish() {
    this.link.send("played");
    this.close();
    this.draw();
  }

  close() {
    this.link.close();
    this.ends.abort();
    this.playback?.close();
    this.context?.close().catch(() => {}); // it may be closed already
    this.finished = true;
  }

  /** @param {"pushed_ms" | "played_ms"} key */
  sum(key) {
    return [...this.items.values()].reduce((sum, item) => sum + item[key], 0);
  }

  draw() {
    for (const view of this.views) view.draw();
  }
}

function playerOf(model) {
  const { key } = model.get("setup");
  if (!players.has(key)) players.set(key, new AnswerPlayer(model));
  return players.get(key);
}

function forget(model) {
  const { key } = model.get("setup");
  players.get(key)?.close();
  players.delete(key);
}

const MARKUP = `
  <button class="rtnb-icon rtnb-main" data-do="toggle"></button>
  <span class="rtnb-state" role="status"></span>
  <canvas width="360" height="56" aria-hidden="true"></canvas>
  <progress max="1" value="0" aria-hidden="true"></progress>
  <span class="rtnb-num rtnb-dim" data-is="time"></span>
  <input type="range" min="0" max="1" step="0.05" value="1">
  <button class="rtnb-icon" data-do="stop">${smallIcon("stop")}</button>
  <div class="rtnb-captions" role="log" aria-live="off" tabindex="0" hidden><span></span><span class="rtnb-dim"></span></div>
  <span class="rtnb-hidden-text rtnb-aloud" aria-live="polite"></span>`;

/** One view of a player in one output. */
class PlayerView {
  constructor(player, el) {
    this.player = player;
    this.say = player.say;
    const root = (this.root = widgetRoot("rtnb-player", this.say("The answer, as it is spoken"), this.say, MARKUP, "div"));
    root.setAttribute("role", "group");
    Object.assign(this, partsOf(root, "rtnb", "captions aloud"));
    [this.toggle, this.stop] = root.querySelectorAll("button");
    [this.volume, this.progress] = ["input", "progress"].map((tag) => root.querySelector(tag));
    this.captions.setAttribute("aria-label", this.say("What is being said"));
    named(this.stop, this.say("Stop"));
    named(this.volume, this.say("Volume"));
    this.volume.value = String(player.volume);
    this.toggle.onclick = () => player.toggle();
    this.stop.onclick = () => player.stop();
    this.volume.oninput = () => {
      player.volume = Number(this.volume.value);
      player.draw();
      player.gain?.gain.setTargetAtTime(player.volume, player.context.currentTime, 0.02);
    };
    this.announced = this.later = 0; // letters; the timer that announces more
    this.announcedAt = -Infinity;
    this.draw();
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const canvas = root.querySelector("canvas");
    canvas.hidden = calm;
    this.progress.hidden = !calm;
    const source = () => (player.playback?.now().playing && !player.held ? player.meter : null);
    this.stopMeter = calm ? () => {} : meter(canvas, source);
    el.append(root);
  }

  /** The words, the heard ones apart; two rows are shown, and the place of playback is always among them. */
  drawCaptions() {
    const { text, heard } = this.player.caption;
    const { captions } = this;
    const [heardWords, comingWords] = captions.children;
    captions.hidden = !text;
    const length = heardWords.textContent.length + comingWords.textContent.length;
    if (heardWords.textContent.length === heard && length === text.length) return;
    heardWords.textContent = text.slice(0, heard);
    comingWords.textContent = text.slice(heard);
    const row = parseFloat(getComputedStyle(captions).lineHeight) || 20;
    captions.scrollTop = Math.max(0, (comingWords.textContent ? comingWords.offsetTop : captions.scrollHeight) - row);
  }

  /**
   * A screen reader that reads what is being spoken talks into it. So whole sentences are announced, once and politely,
   * where the voice cannot be heard: blocked by the browser, paused, or turned down.
   */
  announce() {
    const { player } = this;
    const text = [...player.items.values()].map((item) => item.text).join("\n");
    const end = player.over ? text.length : sentencesEnd(text);
    if (player.audible) this.announced = Math.max(this.announced, player.caption.heard);
    if (player.audible || player.finished || end <= this.announced || this.later) return;
    const wait = this.announcedAt + 1000 - performance.now(); // what comes in a moment is read in one go
    if (wait > 0) {
      this.later = setTimeout(() => {
        this.later = 0;
        this.announce();
      }, wait);
      return;
    }
    this.aloud.textContent = text.slice(this.announced, end).trim();
    this.announced = end;
    this.announcedAt = performance.now();
  }

  /** A key of STATES. */
  get state() {
    const { finished, blocked, held } = this.player;
    const underway = this.player.sum("played_ms") ? "playing" : "waiting";
    return finished ? "done" : blocked ? "blocked" : held ? "paused" : underway;
  }

  draw() {
    const { player, say, state } = this;
    this.drawCaptions();
    this.announce();
    const [played_ms, pushed_ms] = [player.sum("played_ms"), player.sum("pushed_ms")];
    this.progress.value = pushed_ms ? played_ms / pushed_ms : 0;
    const time = pushed_ms ? `${clock(played_ms / 1000)} / ${clock(pushed_ms / 1000)}` : "";
    this.root.querySelector("[data-is=time]").textContent = time;
    if (state === this.shown) return;
    this.shown = this.root.dataset.state = state;
    this.root.classList.toggle("rtnb-over", player.finished);
    this.root.querySelector(".rtnb-state").textContent = say(STATES[state]);
    const still = player.held || player.blocked;
    this.toggle.innerHTML = smallIcon(still ? "play" : "pause");
    named(this.toggle, player.blocked ? say("Listen") : still ? say("Go on") : say("Pause"));
    if (player.finished) for (const control of [this.toggle, this.stop, this.volume]) control.disabled = true;
  }

  remove() {
    this.stopMeter();
    this.root.remove();
  }
}

/** Bars that follow the audio, twenty times a second while there is any. Returns what ends it. */
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
    draw(data.reduce((loud, value) => Math.max(loud, Math.abs(value)), 0));
  }, 50);
  return () => clearInterval(timer);
}

export default {
  initialize({ model }) {
    playerOf(model);
    return () => forget(model);
  },
  render({ model, el }) {
    const player = playerOf(model);
    const view = new PlayerView(player, el);
    player.views.add(view);
    player.start();
    return () => {
      view.remove();
      player.views.delete(view);
      // The output was cleared or the notebook closed: nobody can stop it any more, so it stops.
      setTimeout(() => player.views.size || forget(model), 200);
    };
  },
};
