/**
 * The engine of the live call in the page: microphone, playback, link to the kernel; any number of views show it.
 *
 * The kernel's end is `engine.py`. It sends what the server says; this side knows what was really played.
 */

/* global TEXTS, ENDS, NOTICES, FAILURES, Turns, wordsIn, MicrophoneError, openMicrophone, wake, BAD_FILE, pcmOfFile */
/* global KernelLink, openAudioContext, createPlayback, whenLeaving, listenTo24kHz, EchoMeter, CallView, element, rtnbVoice */

const NOTHING_PLAYED = { itemId: null, played_ms: 0, playing: false };
const NOTICE_MS = 12000;
const TAIL_MS = 300; // so long the microphone stays silent after an answer, besides what the echo needs

/** Everything of a call that outlives a view: a cell may be scrolled away, shown twice, or laid out anew. */
class CallEngine {
  constructor(model) {
    this.model = model;
    this.setup = model.get("setup");
    this.say = wordsIn(TEXTS, model.get("language"));
    this.views = new Set();
    this.state = "new"; // until the kernel's welcome: "ready", "connecting", "open", "closed"
    this.owner = ""; // the page that talks: this one, another one, or "" while it is away
    this.away = false; // nobody talks, and the call is held open for a moment
    this.reason = this.reasonText = ""; // why it ended: a key of ENDS, or the server's words
    this.failure = null; // why there is no microphone: one of microphone.js's reasons
    this.notices = []; // {code, text, kind}
    this.turns = new Turns();
    this.playedMs = this.turns.playedMs;
    this.money = this.source = "";
    this.speech = false; // the server detects speech of the user
    this.asking = this.muted = this.held = this.thinking = this.sendingRecording = false;
    this.played = NOTHING_PLAYED;
    this.level = this.seconds = this.quietUntil = 0;
    this.echo = null; // how late and how loud the answer comes back in the microphone, once that is measured
    // Half duplex: the microphone waits for the end of an answer; null where nobody has decided.
    Object.assign(this, { deviceId: "", sinkId: "", volume: 1, halfDuplex: null, onHold: false });
    this.approvals = []; // {id, text} of MCP tools that wait to be allowed
    this.since = null;
    this.link = new KernelLink(model, {
      onMessage: (message, buffers) => this.received(message, buffers),
      onBusy: () => this.changed(),
      onLost: () => this.kernelLost(),
      onFound: () => {
        this.link.send("hangup", { why: "silent" });
        this.close("silent");
      },
      onHole: (count) => this.notice("hole", this.say(NOTICES.hole, { count })),
    });
    this.devicesChanged = () => this.measureAnew();
    navigator.mediaDevices?.addEventListener("devicechange", this.devicesChanged);
    this.stay = whenLeaving({ leave: () => this.leave(), back: () => this.link.send("hello") });
    this.heartbeat = setInterval(() => this.inCall && !this.mic && this.link.send("here"), 2000);
    this.link.send("hello");
  }

  /** Whether there is a call, on whatever page. */
  get running() {
    return (this.state === "connecting" || this.state === "open") && !this.link.lost;
  }

  /** Whether this page is the one that talks. */
  get inCall() {
    return this.running && this.owner === this.link.page;
  }

  /** The one word that says what is going on: a key of STATUSES. */
  get status() {
    if (this.link.lost) return "closed";
    if (this.asking) return "asking";
    if (this.onHold) return "onhold";
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

  /** How long the call has lasted. */
  get secondsNow() {
    return this.seconds + (this.since === null ? 0 : (performance.now() - this.since) / 1000);
  }

  /** Why the call ended, where that is one of the ends we have words for; "" where the server's words stand below. */
  get endText() {
    return this.reason in ENDS ? this.say(ENDS[this.reason]) : "";
  }

  changed() {
    for (const view of this.views) view.update();
  }

  notice(code, text, kind = "warning") {
    this.notices = [...this.notices.filter((notice) => notice.code !== code), { code, text, kind }];
    this.changed();
    if (kind !== "warning") return;
    setTimeout(() => {
      this.notices = this.notices.filter((notice) => notice.text !== text);
      this.changed();
    }, NOTICE_MS);
  }

  // --- what the user does

  /** Start, reconnect, or take the call over from another page. Called in a click: browsers let audio in and out then. */
  async start({ microphone = true } = {}) {
    if (this.asking || this.inCall || this.link.lost) return;
    Object.assign(this, { asking: microphone, failure: null, notices: [] });
    this.changed();
    const error = await this.openAudio(microphone).then(() => null, (it) => it);
    this.asking = false;
    if (error) {
      this.release();
      this.failure = error instanceof MicrophoneError ? error.reason : "other";
      console.warn("rtnb: no microphone:", error.cause ?? error);
      return this.changed();
    }
    if (!this.views.size) return this.release(); // closed while the browser asked
    rtnbVoice.take(this);
    this.muted = this.held = this.speech = this.thinking = false;
    Object.assign(this, { state: "connecting", owner: this.link.page, away: false, preroll: [] });
    this.link.send("start");
    this.changed();
  }

  async openAudio(microphone) {
    this.context ??= openAudioContext();
    const playing = wake(this.context).then(() => this.openPlayback());
    playing.catch(() => {}); // it is shown below, when the user has answered for the microphone
    if (microphone) await this.openMicrophone();
    await playing;
  }

  async openMicrophone() {
    const { context, deviceId, mic: before } = this;
    const onAudio = (audio) => this.heard(audio);
    const onEnd = () => this.hangUp("microphone", "gone");
    const open = (deviceId) => openMicrophone({ context, deviceId, onAudio, onEnd });
    this.mic = await open(deviceId).catch((error) => (deviceId ? open("") : Promise.reject(error))); // it may be unplugged
    before?.close();
    this.deviceId = this.mic.deviceId;
  }

  /** Take over what the user has chosen: `deviceId`, `sinkId`, `volume` or `halfDuplex`. */
  async choose(chosen) {
    const endsTurns = this.halfDuplex && chosen.halfDuplex === false;
    Object.assign(this, chosen);
    const unusable = () => this.notice("device", this.say(NOTICES.device));
    if (this.loudness) this.loudness.gain.value = this.volume;
    if ("sinkId" in chosen) await this.context?.setSinkId(this.sinkId).catch(unusable);
    if ("deviceId" in chosen && this.mic) await this.openMicrophone().catch(unusable);
    if (endsTurns || "sinkId" in chosen || "deviceId" in chosen) this.measureAnew();
    this.changed();
  }

  /** Without turns, or with other devices, the answer may come back or no longer: what was left so held for those before. */
  measureAnew() {
    Object.assign(this, { meter: this.meter && new EchoMeter(), echo: null, halfDuplex: this.halfDuplex || null });
    this.changed();
  }

  async openPlayback() {
    this.playback?.close();
    if (this.sinkId) await this.context.setSinkId(this.sinkId).catch(() => {});
    this.loudness = new GainNode(this.context, { gain: this.volume });
    this.loudness.connect(this.context.destination);
    this.playback = await createPlayback(this.context, this.loudness);
    if (!this.setup.hold) {
      this.meter = new EchoMeter();
      const take = ({ pcm }) => this.meter?.played.take(new Int16Array(pcm), performance.now() / 1000);
      await listenTo24kHz(this.loudness, take).catch(() => {}); // then nothing is measured, and the call goes on
    }
    this.playback.onPlayed((played) => {
      const before = this.played;
      this.played = played;
      if (played.itemId) this.playedMs.set(played.itemId, played.played_ms);
      const quietUntil = performance.now() + TAIL_MS + (this.echo?.delay_ms ?? 200);
      if (played.playing) Object.assign(this, { thinking: false, quietUntil });
      if (played.playing !== before.playing || played.itemId !== before.itemId) this.changed();
      else for (const view of this.views) view.captions.updateSpoken(played.itemId);
    });
  }

  /** 50 ms from the microphone. */
  heard({ pcm, level }) {
    this.level = level;
    if (!this.inCall || this.sendingRecording) return;
    const echo = this.meter?.hear(new Int16Array(pcm), performance.now() / 1000) ?? null;
    if (echo !== this.echo) Object.assign(this, { echo }).changed();
    if (!this.setup.hold || this.held) {
      // A server that detects the end of a turn must go on getting silence.
      const silent = this.muted || (this.halfDuplex && performance.now() < this.quietUntil);
      this.link.send("audio", {}, silent ? new ArrayBuffer(pcm.byteLength) : pcm);
    } else {
      // People press a button with the first word on their lips: keep the last 250 ms.
      this.preroll = [...this.preroll, pcm].slice(-5);
    }
  }

  mute() {
    if (!this.inCall || this.setup.hold || !this.mic) return;
    this.muted = !this.muted;
    this.changed();
  }

  /** Whether it has the voice of the page: whatever else the user starts takes it, and `hush` follows. */
  sounds() {
    return this.inCall && !this.onHold;
  }

  /** On hold: the microphone is given back and the answer paused, until the user takes the call back. */
  hush() {
    if (!this.sounds()) return;
    this.letGo(false);
    this.hadMicrophone = Boolean(this.mic);
    this.mic?.close();
    Object.assign(this, { mic: null, level: 0, onHold: true });
    this.context?.suspend();
    this.changed();
  }

  async takeBack() {
    rtnbVoice.take(this);
    this.onHold = false;
    await wake(this.context);
    if (this.hadMicrophone) await this.openMicrophone().catch(() => this.hangUp("microphone", "gone"));
    this.changed();
  }

  /** Push to talk: pressed. */
  hold() {
    if (!this.inCall || !this.setup.hold || this.held || !this.mic) return;
    this.held = true;
    this.heldAt = performance.now();
    this.stopPlaying("stop");
    for (const pcm of this.preroll.splice(0)) this.link.send("audio", {}, pcm);
    this.changed();
  }

  /** Push to talk: let go. `send` false throws it away. */
  letGo(send = true) {
    if (!this.held) return;
    this.held = false;
    const held_ms = performance.now() - this.heldAt;
    if (send && held_ms > 250) {
      this.link.send("commit");
      this.thinking = true;
    } else {
      this.link.send("clear");
      if (send) this.notice("too_short", this.say(NOTICES.too_short));
    }
    this.changed();
  }

  /** Silence the answer at once and say how much of it was played. @param {"cut" | "stop"} kind */
  async stopPlaying(kind) {
    if (!this.playback) return;
    const asked = performance.now();
    const { cut } = await this.playback.silence();
    this.silencedMs = performance.now() - asked;
    this.sendPlayed(kind, cut);
  }

  /** @param {"cut" | "stop"} kind @param {{itemId: string, played_ms: number}[]} cut */
  sendPlayed(kind, cut) {
    for (const { itemId, played_ms } of cut) this.playedMs.set(itemId, played_ms);
    this.link.send(kind, { items: cut.map(({ itemId, played_ms }) => ({ item: itemId, played_ms: Math.floor(played_ms) })) });
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
    this.link.send("say", { text });
    this.thinking = true;
    this.changed();
  }

  /** An audio file instead of a microphone; read by the browser, sent as if it had been spoken. @param {File} file */
  async sendRecording(file) {
    if (this.state !== "open" || !this.inCall) return;
    const pcm = await pcmOfFile(file).catch(() => null);
    if (!pcm) return this.notice("bad_file", this.say(BAD_FILE));
    this.sendingRecording = true;
    if (this.played.playing) await this.stopPlaying("stop");
    if (this.setup.hold) this.link.send("clear");
    this.link.sendRecording(pcm);
    this.link.send("recorded");
    this.thinking = true;
    this.sendingRecording = false;
    this.changed();
  }

  // --- how it ends

  /** @param {string} why @param {string} [failure] */
  hangUp(why = "person", failure = this.failure) {
    const was = this.inCall || this.asking;
    this.release();
    this.failure = failure;
    if (!was) return;
    this.link.forgetAudio();
    this.link.send("hangup", { why });
    this.close(why === "person" ? "hung_up" : why);
  }

  close(reason) {
    Object.assign(this, { seconds: this.secondsNow, since: null, state: "closed", reason, reasonText: "" });
    this.speech = this.thinking = this.held = false;
    this.changed();
  }

  /** Give the microphone and the loudspeaker back, and say how much of the answer was played. */
  release() {
    const items = this.playback ? this.turns.unplayed((item) => this.playback.playedMs(item)) : [];
    if (items.length) this.link.send("cut", { items });
    for (const it of [this.mic, this.playback, this.context]) it?.close();
    this.mic = this.playback = this.context = this.meter = this.loudness = null;
    Object.assign(this, { level: 0, onHold: false });
    rtnbVoice.leave(this);
    this.played = NOTHING_PLAYED;
  }

  /** Another page has taken the call over: fall silent at once, and say how much of the answer was played. */
  async giveUp() {
    const { playback, context } = this;
    this.playback = this.context = null; // so that they are not closed before they have said it
    this.release();
    if (!playback) return;
    this.sendPlayed("cut", (await playback.silence()).cut);
    playback.close();
    context?.close();
  }

  /** The page goes away, and may come back in a moment: the call is held, the microphone is not. */
  leave() {
    if (!this.inCall) return this.release();
    this.link.forgetAudio();
    this.release();
    this.link.bye();
    Object.assign(this, { owner: "", away: true, held: false, speech: false, thinking: false });
  }

  /** Above the record of a call that is over, its view: one click goes on. @param {HTMLElement} record */
  showOver(record) {
    if (this.running || this.ended) return;
    const el = element("div", { className: "rtnb-call-over" });
    record.before(el);
    for (const line of record.querySelectorAll(":scope > p")) line.hidden = true; // the view says the same
    const view = new CallView(this, el);
    view.overRecord = true;
    this.views.add(view);
    if (this.focused) view.parts.main.focus({ preventScroll: true }); // the view before it took the focus away with it
  }

  /** The last view is gone. */
  end() {
    this.hangUp("output");
    clearInterval(this.heartbeat);
    navigator.mediaDevices?.removeEventListener("devicechange", this.devicesChanged);
    this.stay();
    this.ended = true;
    // The last message needs a moment to leave.
    setTimeout(() => this.link.close(), 300);
  }

  // --- what the kernel says

  received(message, buffers) {
    const { kind, item } = message;
    if (kind === "turn") {
      this.turns.put(message);
      for (const view of this.views) view.captions.update(item);
    } else if (kind === "audio") {
      this.turns.received(item, buffers[0].byteLength);
      this.playback?.push(buffers[0], item);
    } else if (kind === "audio_end") {
      this.turns.audioEnded.add(item);
      this.playback?.end(item);
    } else if (kind === "events") {
      for (const view of this.views) view.events.show(new TextDecoder().decode(buffers[0]));
    } else {
      this.receivedState(message);
      this.changed();
    }
  }

  /** What changes more than one part of a view. */
  receivedState(message) {
    const { kind, on } = message;
    if (["welcome", "state", "money"].includes(kind)) this.source = message.source;
    if (kind === "welcome") {
      this.turns.clear();
      this.seconds = message.seconds;
      if (!this.inCall) this.standing(message); // else the user has clicked already
    } else if (kind === "state") this.standing(message);
    else if (kind === "money") this.money = message.captions ? this.say("{text} (captions {captions})", message) : message.text;
    else if (kind === "approvals") this.approvals = message.waiting;
    else if (kind === "notice") this.notice(message.code, this.say(NOTICES[message.code], { text: message.text ?? "" }));
    else if (kind === "committed") this.thinking = true;
    else if (kind === "speech") {
      this.speech = on;
      this.thinking = !on; // what was said is committed next, and answered
      if (on && message.silence) this.stopPlaying("cut");
    } else if (kind === "response") {
      this.thinking = on;
      if (!on) this.responseEnded(message);
    }
  }

  standing({ state, owner, away, reason, text, seconds }) {
    if (this.inCall && owner !== this.link.page && state !== "closed") this.giveUp();
    if (state === "open" && this.state !== "open") Object.assign(this, { seconds, since: performance.now() });
    if (state === "closed" && this.state !== "closed") {
      this.release();
      Object.assign(this, { seconds, since: null, speech: false, thinking: false, held: false });
    }
    Object.assign(this, { owner, away, state, reason, reasonText: text });
  }

  responseEnded({ status, code, text }) {
    if (status === "incomplete") this.notice("incomplete", text || this.say("The answer was cut off by the server."));
    if (status !== "failed") return;
    const known = code.includes("rate_limit") ? FAILURES.rate_limit : FAILURES[code];
    this.notice("failed", this.say(known ?? FAILURES.other, { text }), "error");
  }

  kernelLost() {
    this.release();
    if (this.asking || this.state === "connecting" || this.state === "open") this.close("lost");
    this.changed();
  }
}
