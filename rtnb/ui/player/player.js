// The player of an answer while it is still coming: the one of `texts/html.js`, with a volume and a stop until it is over.
//
// From the kernel (a page that loads slowly misses the first ones; they are sent again):
//   {kind: "audio", item} + PCM   {kind: "words", item, start, text}   {kind: "end", item}   {kind: "over"}   {kind: "stop"}
// To the kernel: {kind: "hello"}   {kind: "held", held}   {kind: "played"}. Before ipykernel 7.4 none of these arrives
// while a cell runs, so nothing here waits for an answer, a welcome neither.

/* global TEXTS, wordsIn, openAudioContext, createPlayback, leftLoudspeaker, lettersHeard, sentencesEnd */
/* global KernelLink, PCM_BYTES_PER_MS, element, named, partsOf, widgetRoot, write */
/* global Levels, wavOf, playerFigure, giveBack, rtnbPlayer, rtnbVoice, placed */

const STATES = {
  queued: "Waits for what is speaking to end", waiting: "Waiting for sound", playing: "Speaking", paused: "Paused",
  done: "Played", blocked: "Your browser waits for a click before it plays sound.",
};

/** @type {Map<string, AnswerPlayer>} by the widget's key */
const players = new Map();

/** One answer's audio in this page, however many views show it; to `rtnbPlayer` it is like an audio element. */
class AnswerPlayer extends EventTarget {
  constructor(model) {
    super();
    this.say = wordsIn(TEXTS, model.get("language"));
    this.key = model.get("setup").key;
    /** @type {Map<string, {text: string, start: number, bytes: number, ended: boolean}>} in the order they came */
    this.items = new Map();
    /** @type {{start: number, pcm: ArrayBuffer}[]} all that came, and where it begins; numbers are bytes */
    this.pieces = [];
    this.bytes = 0;
    this.levels = new Levels();
    this.from = 0; // where the user wants to hear it from
    this.position_ms = 0;
    this.tracks = 0; // stretches that were played without a jump; the playback knows them by their number
    this.bases_ms = new Map(); // where each begins
    this.track = null; // the one that goes on
    this.over = false; // everything has been sent
    this.finished = false; // everything has been played, or was stopped
    this.held = false; // by the pause button, or by what the user started elsewhere
    this.queued = true; // until it is its turn to speak
    this.blocked = false; // by the browser, which wants a click first
    this.volume = 1;
    this.views = new Set();
    this.link = new KernelLink(model, { fromFirst: true, onMessage: (message, buffers) => this.take(message, buffers) });
    this.link.send("hello");
  }

  // --- what an audio element has

  get paused() {
    return this.held || this.queued || this.blocked || this.finished;
  }

  get duration() {
    return this.bytes / PCM_BYTES_PER_MS / 1000;
  }

  get currentTime() {
    return this.position_ms / 1000;
  }

  set currentTime(seconds) {
    if (this.finished) return;
    this.from = 2 * Math.round((seconds * 1000 * PCM_BYTES_PER_MS) / 2);
    this.position_ms = seconds * 1000;
    this.playback?.silence();
    this.cueAll();
    this.look();
    this.draw();
  }

  play() {
    rtnbVoice.take(this);
    this.start();
  }

  pause() {
    this.hush();
  }

  // --- the voice of the page

  /** Once it is shown: speak as soon as nothing else does. */
  enter() {
    if (this.entered) return;
    this.entered = true;
    rtnbVoice.wait(this);
    if (this.queued) this.link.send("held", { held: true });
  }

  start() {
    this.begun ??= this.begin();
    this.resume();
  }

  hush() {
    if (this.finished) return;
    this.held = true;
    this.blocked = false;
    this.context?.suspend();
    this.link.send("held", { held: true });
    this.draw();
  }

  /** Paused it keeps the voice: a user who wants silence does not want the next answer. */
  sounds() {
    return !this.finished;
  }

  // --- what comes

  item(id) {
    if (!this.items.has(id)) this.items.set(id, { text: "", start: this.bytes, bytes: 0, ended: false });
    return this.items.get(id);
  }

  take(message, buffers) {
    if (message.kind === "audio") {
      const [{ buffer, byteOffset, byteLength }] = buffers;
      const piece = { start: this.bytes, pcm: buffer.slice(byteOffset, byteOffset + byteLength) };
      this.item(message.item).bytes += byteLength;
      this.bytes += byteLength;
      this.pieces.push(piece);
      this.levels.push(new Uint8Array(piece.pcm));
      if (this.playback) this.cue(piece);
    } else if (message.kind === "words") {
      const item = this.item(message.item);
      item.text = item.text.slice(0, message.start) + message.text;
    } else if (message.kind === "end") {
      this.item(message.item).ended = true;
      this.endTrack();
    } else if (message.kind === "over") {
      this.over = true;
      if (this.bytes) this.look();
      else this.finish();
    } else if (message.kind === "stop") {
      this.over = true;
      this.stop();
    }
    this.draw();
  }

  // --- playing it

  cue({ start, pcm }) {
    const skipped = Math.max(0, this.from - start);
    if (skipped >= pcm.byteLength) return;
    if (this.track === null) {
      this.track = String(++this.tracks);
      this.bases_ms.set(this.track, Math.max(start, this.from) / PCM_BYTES_PER_MS);
    }
    this.playback.push(new DataView(pcm, skipped), this.track);
  }

  endTrack() {
    if (this.track !== null) this.playback.end(this.track);
    this.track = null;
  }

  cueAll() {
    this.track = null;
    this.bases_ms.clear();
    if (!this.playback) return;
    for (const piece of this.pieces) this.cue(piece);
    if (this.over || [...this.items.values()].at(-1)?.ended) this.endTrack();
  }

  async begin() {
    this.context = openAudioContext();
    this.gain = this.context.createGain();
    this.gain.gain.value = this.volume;
    this.gain.connect(this.context.destination);
    this.context.onstatechange = () => {
      this.blocked &&= this.context.state !== "running";
      this.draw();
    };
    const playback = await createPlayback(this.context, this.gain);
    if (this.finished) return playback.close();
    this.playback = playback;
    playback.onPlayed(({ counts }) => {
      for (const [track, ms] of counts) if (this.bases_ms.has(track)) this.position_ms = this.bases_ms.get(track) + ms;
      this.look();
      this.draw();
    });
    this.cueAll();
  }

  resume() {
    if (this.finished) return;
    this.link.send("held", { held: false });
    this.held = this.queued = false;
    // Where the browser waits for a click, the promise of resume() stays open for ever.
    this.context.resume().catch(() => {});
    setTimeout(() => {
      this.blocked = !this.held && !this.finished && this.context.state !== "running";
      if (this.blocked) this.link.send("held", { held: true });
      this.draw();
    }, 300);
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
    const all = this.over && this.position_ms > 1000 * this.duration - 60;
    if (all && !this.finished && this.playback?.now().ended) this.finish();
  }

  finish() {
    this.link.send("played");
    this.close();
    this.draw();
  }

  close() {
    this.finished = true;
    this.link.close();
    this.playback?.close();
    this.context?.close().catch(() => {}); // it may be closed already
    rtnbVoice.leave(this);
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

/** One view of a player in one output. */
class PlayerView {
  constructor(player, el) {
    this.player = player;
    const say = (this.say = player.say);
    const markup = '<span class="rtnb-hidden-text rtnb-aloud" aria-live="polite"></span>';
    const root = (this.root = widgetRoot("rtnb-player", say("The answer, as it is spoken"), say, markup, "div"));
    this.aloud = root.querySelector(".rtnb-aloud");
    this.state = element("span", { className: "rtnb-state" });
    this.state.setAttribute("role", "status");
    this.figure = playerFigure(say, say("the answer"), { caption: [", ", this.state] });
    const volume = element("input", { type: "range", min: 0, max: 1, step: 0.05, value: player.volume });
    named(volume, say("Volume"));
    volume.oninput = () => {
      player.volume = Number(volume.value);
      player.gain?.gain.setTargetAtTime(player.volume, player.context.currentTime, 0.02);
      player.draw();
    };
    const stop = element("button", { className: "stop", onclick: () => player.stop() });
    named(stop, say("Stop"));
    this.drawPlayer = rtnbPlayer(this.figure, player, [volume, stop]);
    root.prepend(this.figure);
    this.announced = this.later = 0; // letters; the timer that announces more
    this.announcedAt = this.drawnAt = -Infinity;
    el.append(root);
    this.draw();
    // The words stand in the answer's own output, which the kernel writes anew while they come.
    const mark = () => {
      this.frame = requestAnimationFrame(mark);
      this.mark();
    };
    mark();
  }

  /** How many letters of the words have been heard. */
  get heard() {
    const { items, position_ms, finished } = this.player;
    let letters = 0;
    for (const { text, start, bytes, ended } of items.values()) {
      const part = { played_ms: position_ms - start / PCM_BYTES_PER_MS, total_ms: bytes / PCM_BYTES_PER_MS, whole: ended };
      const heard = finished ? text.length : part.played_ms <= 0 ? 0 : lettersHeard(text, part);
      if (heard < text.length) return letters + heard;
      letters += text.length + 1; // and a line's end
    }
    return letters;
  }

  /** Dim the words that are still to be heard, in place. */
  mark() {
    const { heard } = this;
    for (const place of document.querySelectorAll(`[data-words="${this.player.key}"]`)) {
      const [before, coming] = place.querySelectorAll(".said, .coming");
      if (coming && before.textContent.length === Math.min(heard, before.textContent.length + coming.textContent.length)) continue;
      const words = before ? before.textContent + coming.textContent : place.firstChild.textContent;
      const halves = [words.slice(0, heard), words.slice(heard)];
      if (before) [before.textContent, coming.textContent] = halves;
      else {
        const [first, second] = ["said", "coming"].map((className, i) => element("span", { className, textContent: halves[i] }));
        place.firstChild.replaceWith(first, second);
      }
    }
  }

  /**
   * A screen reader that reads what is being spoken talks into it. So whole sentences are announced, once and politely,
   * where the voice cannot be heard: blocked by the browser, paused, or turned down.
   */
  announce() {
    const { player } = this;
    const text = [...player.items.values()].map((item) => item.text).join("\n");
    const end = player.over ? text.length : sentencesEnd(text);
    const audible = !player.paused && player.volume > 0;
    if (audible) this.announced = Math.max(this.announced, this.heard);
    if (audible || player.queued || player.finished || end <= this.announced || this.later) return;
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

  draw() {
    const { player } = this;
    const { finished, blocked, held, queued, position_ms, levels } = player;
    this.announce();
    const grown = levels.peaks.length !== this.drawnPeaks && performance.now() > this.drawnAt + 100;
    if (grown || (player.over && levels.peaks.length !== this.drawnPeaks)) {
      this.drawnAt = performance.now();
      this.drawnPeaks = levels.peaks.length;
      this.drawPlayer(levels.svg());
    } else this.drawPlayer();
    const underway = queued ? "queued" : position_ms ? "playing" : "waiting";
    const state = finished ? "done" : blocked ? "blocked" : held ? "paused" : underway;
    if (state === this.shown) return;
    this.shown = this.root.dataset.state = state;
    write(this.state, this.say(STATES[state]));
    if (finished && player.bytes) this.keep();
  }

  /** Its end, until the kernel puts the same player there as plain HTML: all that came, to be heard again. */
  keep() {
    const { player, say } = this;
    const file = wavOf(player.pieces.map(({ pcm }) => pcm));
    const figure = playerFigure(say, say("the answer"), { file, caption: [`, ${player.duration.toFixed(1)} s`] });
    rtnbPlayer(figure, figure.querySelector("audio"))(player.levels.svg());
    this.figure.replaceWith(figure);
  }

  remove() {
    cancelAnimationFrame(this.frame);
    for (const coming of document.querySelectorAll(`[data-words="${this.player.key}"] .coming`)) coming.className = "";
    giveBack(this.root);
    this.root.remove();
  }
}

export default placed({
  initialize({ model }) {
    playerOf(model);
    return () => forget(model);
  },
  render({ model, el }) {
    const player = playerOf(model);
    const view = new PlayerView(player, el);
    player.views.add(view);
    player.enter();
    return () => {
      view.remove();
      player.views.delete(view);
      // The output was cleared or the notebook closed: nobody can stop it any more, so it stops.
      setTimeout(() => player.views.size || forget(model), 200);
    };
  },
});
