/**
 * The live call, in the page: one engine a widget (microphone, playback, line to the kernel), any number of views of it.
 *
 * The kernel's end is `call.py`. It says what the server says; this side knows what was really played.
 */

/* global TEXTS, wordsIn, microphoneSentences, MicrophoneError, openMicrophone, microphoneHindrance, wake */
/* global Line, openAudioContext, createPlayback, whenLeaving, lettersHeard */

const CALL_ICONS = {
  phone: '<path d="M6.6 10.8a15 15 0 0 0 6.6 6.6l2.2-2.2c.3-.3.7-.4 1-.2 1.2.4 2.4.6 3.6.6.6 0 1 .4 1 1V20c0 .6-.4 1-1 1A17 17 0 0 1 3 4c0-.6.4-1 1-1h3.5c.6 0 1 .4 1 1 0 1.3.2 2.5.6 3.6.1.4 0 .7-.3 1z"/>',
  hangup: '<path d="M12 9c-1.6 0-3.2.3-4.6.7v3.1c0 .4-.2.7-.6.9-1 .5-1.9 1.1-2.7 1.9-.2.2-.4.3-.7.3-.3 0-.5-.1-.7-.3L.3 13.1a1 1 0 0 1-.3-.7c0-.3.1-.5.3-.7A17 17 0 0 1 12 7c4.5 0 8.7 1.8 11.7 4.7.2.2.3.4.3.7 0 .3-.1.5-.3.7l-2.5 2.5a1 1 0 0 1-.7.3c-.3 0-.5-.1-.7-.3-.8-.7-1.7-1.4-2.7-1.9a1 1 0 0 1-.6-.9V10C15.2 9.3 13.6 9 12 9z"/>',
  microphone: '<path d="M12 14.5a3.5 3.5 0 0 0 3.5-3.5V5.5a3.5 3.5 0 0 0-7 0V11a3.5 3.5 0 0 0 3.5 3.5z"/><path d="M18.5 10.5V11a6.5 6.5 0 0 1-13 0v-.5M12 17.5V21.5M8.5 21.5h7" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"/>',
  muted: '<path d="M15.5 11V5.5a3.5 3.5 0 0 0-6.8-1.2zM8.5 9.7V11a3.5 3.5 0 0 0 4.7 3.3z"/><path d="M3.5 3.5l17 17M18.5 11a6.5 6.5 0 0 1-.8 3.1M5.5 11a6.5 6.5 0 0 0 9.5 5.8M12 17.5V21.5M8.5 21.5h7" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"/>',
  stop: '<rect x="6" y="6" width="12" height="12" rx="2"/>',
  keyboard: '<path d="M4 12h13M12 6.5l6 5.5-6 5.5" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>',
  file: '<path d="M12 15.5V5M7.5 9L12 4.5 16.5 9M5 15v3.5A1.5 1.5 0 0 0 6.5 20h11a1.5 1.5 0 0 0 1.5-1.5V15" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>',
  wait: '<path d="M12 3a9 9 0 1 0 9 9" fill="none" stroke="currentColor" stroke-width="2.5" stroke-linecap="round"/>',
};

// What the kernel has to tell, by its code.
const NOTICES = { too_short: "call.too_short", not_transcribed: "call.not_transcribed", server: "call.server" };

const callIcon = (name) => `<svg viewBox="0 0 24 24" aria-hidden="true" focusable="false" fill="currentColor">${CALL_ICONS[name]}</svg>`;

/** Everything of a call that outlives a view: a cell may be scrolled away, shown twice, or laid out anew. */
class CallEngine {
  constructor(model) {
    this.model = model;
    this.setup = model.get("setup");
    this.say = wordsIn(TEXTS, model.get("language"));
    this.views = new Set();
    this.state = "new"; // until the kernel's welcome: "ready", "connecting", "open", "closed"
    this.asking = false;
    this.owner = ""; // the page that talks: this one, another one, or "" while it is away
    this.away = false; // nobody talks, and the line is held open for a moment
    this.reason = "";
    this.reasonText = "";
    this.failure = null; // why there is no microphone: one of microphone.js's reasons
    this.notices = []; // {code, text, kind}
    /** @type {Map<string, any>} the lines of the conversation by item id; order is in `order` */
    this.turns = new Map();
    this.order = [];
    this.money = "";
    this.source = "";
    this.muted = false;
    this.held = false;
    this.speech = false; // the server hears the person
    this.thinking = false;
    this.played = { itemId: null, played_ms: 0, playing: false };
    this.playedMs = new Map();
    this.receivedBytes = new Map();
    this.endedSound = new Set();
    this.level = 0;
    this.busy = { busy: false, seconds: 0 };
    this.lost = false;
    this.seconds = 0;
    this.since = null;
    this.line = new Line(model, {
      onMessage: (message, buffers) => this.told(message, buffers),
      onBusy: (busy) => {
        this.busy = busy;
        this.changed();
      },
      onLost: () => this.kernelLost(),
      onFound: () => this.kernelFound(),
      onHole: (count) => this.notice("hole", this.say("call.hole", { count })),
    });
    this.stay = whenLeaving({ leave: () => this.leave(), back: () => this.line.send("hello") });
    this.beat = setInterval(() => this.inCall && !this.mic && this.line.send("here"), 2000);
    this.line.send("hello");
  }

  /** Whether there is a call, on whatever page. */
  get running() {
    return (this.state === "connecting" || this.state === "open") && !this.lost;
  }

  /** Whether this page is the one that talks. */
  get inCall() {
    return this.running && this.owner === this.line.page;
  }

  /** The one word that says what is going on. */
  get status() {
    if (this.lost) return "closed";
    if (this.asking) return "asking";
    if (this.running && !this.inCall) return this.away ? "away" : "elsewhere";
    if (this.state === "new") return "ready";
    if (this.state !== "open") return this.state;
    if (this.played.playing) return "speaking";
    if (this.setup.hold && this.held) return "sending";
    if (this.speech && !this.muted) return "hearing";
    if (this.thinking) return "thinking";
    if (!this.mic) return "typing";
    if (this.setup.hold) return "holding";
    return this.muted ? "muted" : "listening";
  }

  /** Why the call ended, where that is one of the ends we have words for; "" where the server's words stand below. */
  get endText() {
    const name = `call.end_${this.reason}`;
    return this.say.has(name) ? this.say(name) : "";
  }

  changed() {
    for (const view of this.views) view.update();
  }

  notice(code, text, kind = "warning") {
    this.notices = this.notices.filter((notice) => notice.code !== code);
    this.notices.push({ code, text, kind });
    this.changed();
    if (kind === "warning") {
      setTimeout(() => {
        this.notices = this.notices.filter((notice) => notice.text !== text);
        this.changed();
      }, 12000);
    }
  }

  // --- what the person does

  /** Start, reconnect, or take the call over from a page that is gone or elsewhere. Called in a click, so that the browser lets sound in and out. */
  async start({ microphone = true } = {}) {
    if (this.asking || this.inCall || this.lost) return;
    this.failure = null;
    this.notices = [];
    this.asking = microphone;
    this.changed();
    try {
      this.context ??= openAudioContext();
      const playing = wake(this.context).then(() => this.openPlayback());
      playing.catch(() => {}); // it is told below, when the person has answered for the microphone
      if (microphone) {
        this.mic = await openMicrophone({
          context: this.context,
          onSound: (sound) => this.heardSound(sound),
          onEnd: () => this.hangUp("microphone", "gone"),
        });
      }
      await playing;
    } catch (error) {
      this.asking = false;
      this.release();
      this.failure = error instanceof MicrophoneError ? error.reason : "other";
      console.warn("rtnb: no microphone:", error?.cause ?? error);
      this.changed();
      return;
    }
    this.asking = false;
    if (!this.views.size) return this.release(); // closed while the browser asked
    this.muted = this.held = this.speech = this.thinking = false;
    this.preroll = [];
    this.state = "connecting";
    this.owner = this.line.page;
    this.away = false;
    this.line.send("start");
    this.changed();
  }

  async openPlayback() {
    this.playback?.close();
    this.playback = await createPlayback(this.context);
    this.playback.onPlayed((played) => {
      const before = this.played;
      this.played = played;
      if (played.itemId) this.playedMs.set(played.itemId, played.played_ms);
      if (played.playing) this.thinking = false;
      if (played.playing !== before.playing || played.itemId !== before.itemId) this.changed();
      else for (const view of this.views) view.updateSpoken(played.itemId);
    });
  }

  /** 50 ms from the microphone. */
  heardSound({ pcm, level }) {
    this.level = level;
    if (!this.inCall || this.sendingRecording) return;
    if (!this.setup.hold) {
      // A server that listens for the end of a turn must go on hearing silence.
      this.line.send("sound", {}, this.muted ? new ArrayBuffer(pcm.byteLength) : pcm);
    } else if (this.held) {
      this.line.send("sound", {}, pcm);
    } else {
      // People press a button with the first word on their lips: keep the last 200 ms.
      this.preroll.push(pcm);
      if (this.preroll.length > 5) this.preroll.shift();
    }
  }

  mute(on = !this.muted) {
    if (!this.inCall || this.setup.hold || !this.mic) return;
    this.muted = on;
    this.changed();
  }

  /** Push to talk: pressed. */
  hold() {
    if (!this.inCall || !this.setup.hold || this.held || !this.mic) return;
    this.held = true;
    this.heldAt = performance.now();
    this.stopPlaying("stop");
    for (const pcm of this.preroll.splice(0)) this.line.send("sound", {}, pcm);
    this.changed();
  }

  /** Push to talk: let go. `send` false throws it away. */
  letGo(send = true) {
    if (!this.held) return;
    this.held = false;
    const heldMs = performance.now() - this.heldAt;
    if (send && heldMs > 250) {
      this.line.send("commit");
      this.thinking = true;
    } else {
      this.line.send("clear");
      if (send) this.notice("too_short", this.say("call.too_short"));
    }
    this.changed();
  }

  /** Silence the answer at once and say how much of it was played. @param {"cut" | "stop"} kind */
  async stopPlaying(kind) {
    if (!this.playback) return;
    const asked = performance.now();
    const { cut } = await this.playback.silence();
    this.silencedMs = performance.now() - asked;
    this.tellPlayed(kind, cut);
  }

  /** @param {"cut" | "stop"} kind @param {{itemId: string, played_ms: number}[]} cut */
  tellPlayed(kind, cut) {
    for (const { itemId, played_ms } of cut) this.playedMs.set(itemId, played_ms);
    this.line.send(kind, { items: cut.map(({ itemId, played_ms }) => ({ item: itemId, played_ms: Math.floor(played_ms) })) });
  }

  /** Another page has taken the call over: fall silent at once, and say how much of the answer was heard. */
  async giveUp() {
    const { playback, context } = this;
    this.playback = this.context = null;
    this.release();
    if (!playback) return;
    const { cut } = await playback.silence();
    this.tellPlayed("cut", cut);
    playback.close();
    context?.close();
  }

  /** The page goes away, and may come back in a moment: the line is held, the microphone is not. */
  leave() {
    if (!this.inCall) return this.release();
    const items = [];
    for (const [item, bytes] of this.receivedBytes) {
      const played_ms = Math.floor(this.playback?.playedMs(item) ?? 0);
      if (played_ms < bytes / 48 - 60 || !this.endedSound.has(item)) items.push({ item, played_ms });
    }
    this.release();
    this.line.forgetSound();
    this.line.bye({ items });
    this.owner = "";
    this.away = true;
    this.held = this.speech = this.thinking = false;
  }

  stop() {
    if (!this.inCall) return;
    this.thinking = false;
    this.stopPlaying("stop");
    this.changed();
  }

  type(text) {
    if (this.state !== "open" || !this.inCall || !text.trim()) return;
    if (this.played.playing) this.stopPlaying("stop");
    this.line.send("say", { text });
    this.thinking = true;
    this.changed();
  }

  /** A sound file instead of a microphone; read by the browser, sent as if it had been spoken. @param {File} file */
  async sendRecording(file) {
    if (this.state !== "open" || !this.inCall) return;
    let buffer;
    try {
      buffer = await new OfflineAudioContext(1, 1, 24000).decodeAudioData(await file.arrayBuffer());
    } catch {
      this.notice("bad_file", this.say("microphone.bad_file"));
      return;
    }
    this.sendingRecording = true;
    try {
      if (this.played.playing) await this.stopPlaying("stop");
      const pcm = new Int16Array(buffer.length);
      const channels = Array.from({ length: buffer.numberOfChannels }, (_, i) => buffer.getChannelData(i));
      for (let i = 0; i < pcm.length; i++) {
        let sum = 0;
        for (const channel of channels) sum += channel[i];
        pcm[i] = Math.max(-32768, Math.min(32767, Math.round((sum / channels.length) * 32768)));
      }
      if (this.setup.hold) this.line.send("clear");
      for (let at = 0; at < pcm.length; at += 24000) this.line.send("sound", {}, pcm.slice(at, at + 24000).buffer);
      this.line.send("recorded");
      this.thinking = true;
    } finally {
      this.sendingRecording = false;
      this.changed();
    }
  }

  /** @param {string} why @param {string} [failure] */
  hangUp(why = "person", failure) {
    const was = this.inCall || this.asking;
    this.release();
    if (failure) this.failure = failure;
    if (was) {
      this.line.forgetSound();
      this.line.send("hangup", { why });
      this.close(why === "person" ? "hung_up" : why);
    }
  }

  close(reason, text = "") {
    if (this.since !== null) this.seconds += (performance.now() - this.since) / 1000;
    this.since = null;
    this.state = "closed";
    this.reason = reason;
    this.reasonText = text;
    this.speech = this.thinking = this.held = false;
    this.changed();
  }

  /** Give the microphone and the loudspeaker back. */
  release() {
    this.mic?.close();
    this.mic = null;
    this.level = 0;
    this.playback?.close();
    this.playback = null;
    this.played = { itemId: null, played_ms: 0, playing: false };
    this.context?.close();
    this.context = null;
  }

  /** The last view is gone. */
  end() {
    this.hangUp("output");
    clearInterval(this.beat);
    this.stay();
    this.ended = true;
    // The last message needs a moment to leave.
    setTimeout(() => this.line.close(), 300);
  }

  // --- what the kernel says

  told(message, buffers) {
    switch (message.kind) {
      case "welcome":
        this.turns.clear();
        this.order = [];
        this.source = message.source;
        this.seconds = message.seconds;
        if (!this.inCall) this.standing(message); // else somebody has clicked already
        break;
      case "state":
        this.source = message.source;
        this.standing(message);
        break;
      case "turn":
        this.turn(message);
        for (const view of this.views) view.updateTurn(message.item);
        return;
      case "sound": {
        const { item } = message;
        this.receivedBytes.set(item, (this.receivedBytes.get(item) ?? 0) + buffers[0].byteLength);
        this.playback?.push(buffers[0], item);
        return;
      }
      case "sound_end":
        this.endedSound.add(message.item);
        this.playback?.end(message.item);
        return;
      case "speech":
        this.speech = message.on;
        this.thinking = !message.on; // what was said is committed next, and answered
        if (message.on && message.silence) this.stopPlaying("cut");
        break;
      case "committed":
        this.thinking = true;
        break;
      case "response":
        this.thinking = message.on;
        if (!message.on) this.responseEnded(message);
        break;
      case "money":
        this.money = message.text;
        this.source = message.source;
        break;
      case "notice":
        this.notice(message.code, this.say(NOTICES[message.code], { text: message.text ?? "" }));
        break;
    }
    this.changed();
  }

  standing({ state, owner, away, reason, text, seconds }) {
    if (this.inCall && owner !== this.line.page && state !== "closed") this.giveUp();
    this.owner = owner;
    this.away = away;
    if (state === "open" && this.state !== "open") {
      this.seconds = seconds;
      this.since = performance.now();
    }
    if (state === "closed" && this.state !== "closed") {
      this.release();
      this.seconds = seconds;
      this.since = null;
      this.speech = this.thinking = this.held = false;
    }
    this.state = state;
    this.reason = reason;
    this.reasonText = text;
  }

  responseEnded({ status, code, text }) {
    if (status === "failed") {
      if (code === "insufficient_quota") this.notice("failed", this.say("call.quota"), "error");
      else if (code.includes("rate_limit")) this.notice("failed", this.say("call.rate"), "error");
      else this.notice("failed", this.say("call.failed", { text }), "error");
    } else if (status === "incomplete") this.notice("incomplete", this.say("call.incomplete"));
  }

  turn(turn) {
    const known = this.turns.get(turn.item);
    this.turns.set(turn.item, { ...known, ...turn });
    const right = turn.after === null ? 0 : this.order.indexOf(turn.after) + 1;
    const at = this.order.indexOf(turn.item);
    if (at === right && at >= 0) return;
    if (at >= 0) this.order.splice(at, 1);
    const after = turn.after === null ? -1 : this.order.indexOf(turn.after);
    // Its neighbour has not been shown (yet): to the end, where new lines belong.
    this.order.splice(turn.after !== null && after < 0 ? this.order.length : after + 1, 0, turn.item);
  }

  /** How many letters of a spoken line have been heard. */
  lettersHeard(turn) {
    const { text, item } = turn;
    if (turn.role !== "assistant" || !turn.spoken) return text.length;
    const cut = turn.heard_ms ?? null;
    const played = cut ?? this.playedMs.get(item);
    const total = Math.max(turn.sound_ms ?? 0, (this.receivedBytes.get(item) ?? 0) / 48);
    if (played === undefined) return this.receivedBytes.has(item) || (this.inCall && turn.open) ? 0 : text.length;
    const whole = this.endedSound.has(item) || cut !== null || !turn.open;
    return lettersHeard(text, { played_ms: played, total_ms: total, whole });
  }

  kernelLost() {
    const was = this.inCall || this.asking;
    this.release();
    if (was || this.state === "connecting" || this.state === "open") this.close("lost");
    this.lost = true;
    this.busy = { busy: false, seconds: 0 };
    this.changed();
  }

  kernelFound() {
    this.lost = false;
    this.line.send("hangup", { why: "silent" });
    this.close("silent");
    this.changed();
  }
}

/** One view of a call in one output. */
class CallView {
  constructor(engine, el) {
    this.engine = engine;
    this.say = engine.say;
    this.el = el;
    this.lines = new Map();
    this.build();
    this.frame = requestAnimationFrame(() => this.draw());
    this.update();
    for (const item of engine.order) this.updateTurn(item);
  }

  build() {
    const { say } = this;
    const root = document.createElement("section");
    root.className = "rtnb-ui rtnb-call mathjax_ignore tex2jax_ignore";
    root.lang = say.language;
    root.setAttribute("aria-label", say("call.title"));
    root.setAttribute("data-lm-suppress-shortcuts", "true"); // Jupyter's own keys would cut cells here
    root.innerHTML = `
      <div class="rtnb-call-top">
        <button type="button" class="rtnb-call-main">
          <span class="rtnb-call-ring" aria-hidden="true"></span><span class="rtnb-call-icon"></span>
        </button>
        <div class="rtnb-call-says">
          <div class="rtnb-call-status"><span class="rtnb-call-word"></span><span class="rtnb-call-wave" aria-hidden="true"><i></i><i></i><i></i><i></i></span></div>
          <div class="rtnb-call-hint"></div>
        </div>
        <div class="rtnb-call-facts">
          <div class="rtnb-call-figures"><span class="rtnb-call-time"></span><span class="rtnb-call-money"></span></div>
          <div class="rtnb-call-who"></div>
        </div>
      </div>
      <div class="rtnb-call-notices"></div>
      <div class="rtnb-call-captions" role="log" aria-live="off" tabindex="0" hidden></div>
      <div class="rtnb-call-bar">
        <div class="rtnb-call-level" role="meter" aria-valuemin="0" aria-valuemax="100" aria-valuenow="0"><i></i></div>
        <button type="button" class="rtnb-call-mute"></button>
        <button type="button" class="rtnb-call-stop"></button>
        <button type="button" class="rtnb-call-hangup"></button>
        <form class="rtnb-call-form">
          <input type="text" class="rtnb-call-input" autocomplete="off" enterkeyhint="send">
          <button type="submit" class="rtnb-call-send"></button>
          <label class="rtnb-call-file"><input type="file" accept="audio/*,video/webm,video/mp4" class="rtnb-call-pick"></label>
        </form>
      </div>
      <div class="rtnb-call-aloud" role="status"></div>`;
    const find = (name) => root.querySelector(`.rtnb-call-${name}`);
    this.root = root;
    this.parts = Object.fromEntries(
      "main ring icon word hint time money who notices captions bar level mute stop hangup form input send file pick aloud wave figures".split(" ").map((name) => [name, find(name)]),
    );
    const p = this.parts;
    p.captions.setAttribute("aria-label", say("call.conversation"));
    p.level.setAttribute("aria-label", say("call.level"));
    p.stop.innerHTML = `${callIcon("stop")}<span>${say("call.stop")}</span>`;
    p.stop.title = say("call.stop_title");
    p.stop.setAttribute("aria-keyshortcuts", "Escape");
    p.hangup.innerHTML = `${callIcon("hangup")}<span>${say("call.hang_up")}</span>`;
    p.input.placeholder = say("call.type_here");
    p.input.setAttribute("aria-label", say("call.type_here"));
    p.send.innerHTML = callIcon("keyboard");
    p.send.title = say("call.send");
    p.send.setAttribute("aria-label", say("call.send"));
    p.file.insertAdjacentHTML("afterbegin", callIcon("file"));
    p.file.title = say("call.recording");
    p.pick.setAttribute("aria-label", say("call.recording"));
    this.listen();
    this.el.replaceChildren(root);
  }

  listen() {
    const { engine } = this;
    const p = this.parts;
    p.main.addEventListener("click", () => {
      if (engine.inCall && engine.setup.hold) return; // held, not clicked
      if (engine.inCall) engine.mute();
      else engine.start({ microphone: this.microphoneWanted() });
    });
    p.main.addEventListener("pointerdown", (event) => {
      if (!engine.inCall || !engine.setup.hold || event.button) return;
      p.main.setPointerCapture(event.pointerId);
      engine.hold();
    });
    for (const name of ["pointerup", "pointercancel"]) {
      p.main.addEventListener(name, () => engine.held && engine.letGo(name === "pointerup"));
    }
    p.mute.addEventListener("click", () => engine.mute());
    p.stop.addEventListener("click", () => engine.stop());
    p.hangup.addEventListener("click", () => {
      engine.hangUp();
      p.main.focus();
    });
    p.form.addEventListener("submit", (event) => {
      event.preventDefault();
      engine.type(p.input.value);
      if (engine.state === "open") p.input.value = "";
    });
    p.pick.addEventListener("change", () => {
      if (p.pick.files[0]) engine.sendRecording(p.pick.files[0]);
      p.pick.value = "";
    });
    this.root.addEventListener("keydown", (event) => {
      const typing = event.target === p.input;
      if (event.key === "Escape" && engine.inCall) {
        if (engine.held) engine.letGo(false);
        else engine.stop();
        event.preventDefault();
      } else if (event.key === " " && !typing && engine.inCall && engine.setup.hold && !event.target.closest(".rtnb-call-bar button, .rtnb-call-file")) {
        event.preventDefault();
        if (!event.repeat) engine.hold();
      } else if (event.key.toLowerCase() === "m" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
        engine.mute();
      }
      event.stopPropagation();
    });
    this.root.addEventListener("keyup", (event) => {
      if (event.key === " " && engine.held) {
        event.preventDefault();
        engine.letGo();
      }
      event.stopPropagation();
    });
    // A space bar that is let go elsewhere is let go all the same.
    this.root.addEventListener("focusout", (event) => {
      if (engine.held && !this.root.contains(event.relatedTarget)) engine.letGo();
    });
  }

  /** After a refusal that no second try can change, the button calls without. */
  microphoneWanted() {
    const { failure } = this.engine;
    return !["vscode", "insecure", "unsupported", "policy"].includes(failure ?? microphoneHindrance());
  }

  update() {
    const { engine, say } = this;
    const p = this.parts;
    const { status } = engine;
    const hold = engine.setup.hold;
    const before = this.root.dataset.status;
    this.root.dataset.status = status;
    this.root.dataset.incall = engine.inCall;
    this.root.classList.toggle("rtnb-call-held", engine.held);
    this.root.classList.toggle("rtnb-call-is-muted", engine.muted && engine.inCall);

    // what is going on, in one word and one line
    p.word.textContent = say(`call.is_${status}`);
    const named = [hold && `call.hint_${status}_hold`, `call.hint_${status}`].find((name) => name && say.has(name));
    let hint = named ? say(named) : "";
    if ((status === "speaking" && !engine.mic) || engine.lost) hint = "";
    else if (status === "closed" && engine.endText) hint = say.language === "en" ? `${engine.endText} ${hint}` : engine.endText + hint;
    p.hint.textContent = hint;

    // the round button
    const before_ = !engine.inCall;
    let label;
    let icon;
    if (engine.asking || status === "connecting") [icon, label] = ["wait", say(`call.is_${status}`)];
    else if (status === "away" || status === "elsewhere") [icon, label] = ["phone", say(status === "away" ? "call.goon" : "call.take_over")];
    else if (before_) [icon, label] = ["phone", say(engine.turns.size || status === "closed" ? "call.reconnect" : "call.start")];
    else if (!engine.mic) [icon, label] = ["keyboard", say("call.is_typing")];
    else if (hold) [icon, label] = ["microphone", say("call.is_holding")];
    else [icon, label] = engine.muted ? ["muted", say("call.unmute")] : ["microphone", say("call.mute")];
    if (this.iconName !== icon) p.icon.innerHTML = callIcon((this.iconName = icon));
    p.main.setAttribute("aria-label", label);
    p.main.title = label;
    if (engine.inCall && hold) p.main.setAttribute("aria-keyshortcuts", "Space");
    else if (engine.inCall && engine.mic) p.main.setAttribute("aria-keyshortcuts", "M");
    else p.main.removeAttribute("aria-keyshortcuts");
    if (engine.inCall && engine.mic && !hold) p.main.setAttribute("aria-pressed", String(engine.muted));
    else p.main.removeAttribute("aria-pressed");
    // Not `disabled`: a button that is disabled loses the focus, and with it the space bar and Esc.
    p.main.setAttribute("aria-disabled", String(engine.asking || engine.lost || (engine.inCall && !engine.mic)));

    // who, how long, how much
    const who = [engine.setup.model, engine.setup.voice].filter(Boolean);
    if (engine.source === "practice" || engine.setup.practice) who.unshift(say("call.practice"));
    p.who.textContent = who.join(" · ");
    p.money.textContent = engine.money && engine.since !== null || engine.turns.size ? engine.money : "";
    p.money.title = say(engine.source === "practice" ? "call.practice_cost" : "call.cost");
    p.money.classList.toggle("rtnb-call-free", engine.source === "practice");
    p.time.title = say("call.elapsed");
    this.drawTime();

    // the lower bar
    p.bar.hidden = !engine.inCall;
    p.mute.hidden = hold || !engine.mic;
    p.mute.innerHTML = `${callIcon(engine.muted ? "muted" : "microphone")}<span>${say(engine.muted ? "call.unmute" : "call.mute")}</span>`;
    p.mute.setAttribute("aria-pressed", String(engine.muted));
    p.level.hidden = !engine.mic;
    const answering = engine.inCall && (engine.played.playing || engine.thinking);
    p.stop.setAttribute("aria-disabled", String(!answering));
    p.input.disabled = p.send.disabled = p.pick.disabled = engine.state !== "open";
    this.updateNotices();
    if (before !== this.root.dataset.status) this.announce();
  }

  updateNotices() {
    const { engine, say } = this;
    const notices = [];
    if (engine.lost) notices.push({ kind: "error", text: say("call.lost") });
    else if (engine.state === "closed" && !engine.endText && engine.reasonText) {
      notices.push({ kind: "error", text: engine.reasonText });
    }
    if (engine.busy.busy && !engine.lost) {
      const seconds = engine.busy.seconds;
      notices.push({ kind: "busy", text: seconds >= 0.5 ? say("call.busy", { seconds: seconds.toFixed(seconds < 10 ? 1 : 0) }) : say("call.busy_click") });
    }
    const failure = engine.failure ?? (engine.state === "ready" && microphoneHindrance());
    if (failure && !engine.inCall && !engine.lost) {
      const [what, remedy] = microphoneSentences(say, failure);
      notices.push({ kind: "error", text: what, remedy, offer: true });
    }
    notices.push(...engine.notices);
    const key = JSON.stringify(notices);
    if (key === this.noticesKey) return;
    this.noticesKey = key;
    this.parts.notices.replaceChildren(
      ...notices.map(({ kind, text, remedy, offer }) => {
        const box = document.createElement("div");
        box.className = `rtnb-call-notice rtnb-call-${kind}`;
        if (kind === "error") box.setAttribute("role", "alert");
        const what = document.createElement("span");
        what.textContent = text;
        box.append(what);
        if (remedy) {
          const how = document.createElement("strong");
          how.textContent = ` ${remedy}`;
          box.append(how);
        }
        if (offer) {
          const button = document.createElement("button");
          button.type = "button";
          button.className = "rtnb-call-without";
          button.textContent = say("call.without_microphone");
          button.addEventListener("click", () => this.engine.start({ microphone: false }));
          box.append(button);
        }
        return box;
      }),
    );
  }

  /** One line of the conversation. @param {string} item */
  updateTurn(item) {
    const { engine } = this;
    const turn = engine.turns.get(item);
    if (!turn) return;
    const captions = this.parts.captions;
    const atEnd = captions.scrollHeight - captions.scrollTop - captions.clientHeight < 40;
    captions.hidden = false;
    let line = this.lines.get(item);
    if (!line) {
      line = document.createElement("div");
      line.innerHTML = '<span class="rtnb-call-name"></span><span class="rtnb-call-text"><span class="rtnb-call-heard"></span><span class="rtnb-call-coming"></span><span class="rtnb-call-mark"></span></span>';
      this.lines.set(item, line);
    }
    line.className = `rtnb-call-line rtnb-call-${turn.role}`;
    line.dataset.item = item;
    line.dataset.role = turn.role;
    line.dataset.open = turn.open;
    line.querySelector(".rtnb-call-name").textContent = this.say(`call.who_${turn.role}`);
    const at = engine.order.indexOf(item);
    const next = engine.order.slice(at + 1).map((id) => this.lines.get(id)).find(Boolean) ?? null;
    if (line.nextSibling !== next || line.parentNode !== captions) captions.insertBefore(line, next);
    this.updateSpoken(item);
    if (atEnd) captions.scrollTop = captions.scrollHeight;
  }

  updateSpoken(item) {
    const { engine } = this;
    const turn = engine.turns.get(item);
    const line = this.lines.get(item);
    if (!turn || !line) return;
    const heard = engine.lettersHeard(turn);
    const cut = turn.heard_ms !== null && turn.heard_ms !== undefined && heard < turn.text.length;
    let mark = "";
    if (cut) mark = this.say("call.interrupted");
    else if (turn.role === "user" && !turn.text) mark = this.say(turn.open && engine.setup.captions ? "call.transcribing" : "call.no_words");
    const key = `${heard}|${turn.text.length}|${mark}`;
    if (line.dataset.key === key && line.dataset.text === turn.text) return;
    line.dataset.key = key;
    line.dataset.text = turn.text;
    line.classList.toggle("rtnb-call-cut", cut);
    line.querySelector(".rtnb-call-heard").textContent = turn.text.slice(0, heard);
    line.querySelector(".rtnb-call-coming").textContent = turn.text.slice(heard);
    line.querySelector(".rtnb-call-mark").textContent = mark;
  }

  drawTime() {
    const { engine } = this;
    const seconds = engine.seconds + (engine.since !== null ? (performance.now() - engine.since) / 1000 : 0);
    const text = engine.since !== null || seconds ? `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}` : "";
    if (this.parts.time.textContent !== text) this.parts.time.textContent = text;
  }

  /** The meters, once a frame; everything else changes when something happens. */
  draw() {
    this.frame = requestAnimationFrame(() => this.draw());
    const { engine } = this;
    if (!engine.inCall) return;
    // -60 dB … -10 dB over the width, as loudness is heard
    const wanted = engine.muted || !engine.mic ? 0 : Math.max(0, Math.min(1, (20 * Math.log10(engine.level + 1e-6) + 60) / 50));
    this.shown = Math.max(wanted, (this.shown ?? 0) * 0.9);
    this.root.style.setProperty("--rtnb-level", this.shown.toFixed(3));
    const now = performance.now();
    if (now - (this.saidLevelAt ?? 0) > 500) {
      this.saidLevelAt = now;
      this.parts.level.setAttribute("aria-valuenow", String(Math.round(this.shown * 100)));
      this.drawTime();
    }
  }

  /** For screen readers: what goes on, not the words, which are heard. */
  announce() {
    const { engine } = this;
    if (["hearing", "speaking", "sending"].includes(engine.status)) return;
    this.parts.aloud.textContent = `${this.parts.word.textContent}. ${this.parts.hint.textContent}`;
  }

  remove() {
    cancelAnimationFrame(this.frame);
    if (this.engine.held) this.engine.letGo(false);
    this.engine.views.delete(this);
  }
}

const callEngines = (globalThis.__rtnbCalls ??= new Map());

export default {
  render({ model, el }) {
    const id = model.get("setup").id;
    let engine = callEngines.get(id);
    if (!engine || engine.ended || engine.model.comm_live === false) callEngines.set(id, (engine = new CallEngine(model)));
    const view = new CallView(engine, el);
    engine.views.add(view);
    return () => {
      view.remove();
      // Jupyter may lay an output out anew: only a call that nobody shows any more is over.
      setTimeout(() => {
        if (engine.views.size || engine.ended) return;
        engine.end();
        callEngines.delete(id);
      }, 600);
    };
  },
};
