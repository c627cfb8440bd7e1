/**
 * The record box, in the page: record, listen, record again. The kernel's end is `widget.py`.
 *
 * Audio goes to the kernel while it is spoken; the page keeps a copy, to listen to at once.
 */

/* global TEXTS, wordsIn, microphoneSentences, MicrophoneError, openMicrophone, microphoneHindrance, LevelMeter, BAD_FILE, whenLeaving */
/* global KernelLink, pcmOfFile, PCM_BYTES_PER_MS, icon, named, partsOf, whenChosen, widgetRoot, write */
/* global Levels, wavOf, playerFigure, giveBack, rtnbPlayer, rtnbVoice, placed */

const STATES = {
  ready: "Record your voice", asking: "Waiting for the microphone", recording: "Recording", done: "Recorded",
  sending: "Sending",
};

const HINTS = {
  ready: "Press the button and speak; press it again when you are done.",
  asking: "Your browser asks whether this page may hear you.",
  recording: "Press the button or Esc when you are done.",
  done: "Listen to it, or record again.",
  sending: "The recording is on its way to the kernel.",
};

const PARTS = "main icon word hint time notice take stands forget file level aloud";

const MARKUP = `
  <div class="rtnb-recorder-top">
    <button type="button" class="rtnb-recorder-main">
      <span class="rtnb-recorder-ring" aria-hidden="true"></span><span class="rtnb-recorder-icon"></span>
    </button>
    <div class="rtnb-recorder-says"><div class="rtnb-recorder-word"></div><div class="rtnb-recorder-hint rtnb-dim"></div></div>
    <div class="rtnb-recorder-time rtnb-num"></div>
  </div>
  <div class="rtnb-recorder-notice" role="alert" hidden></div>
  <div class="rtnb-recorder-take" hidden></div>
  <div class="rtnb-recorder-foot">
    <span class="rtnb-recorder-stands rtnb-dim"></span> <button type="button" class="rtnb-link rtnb-recorder-forget"></button>
    <label class="rtnb-recorder-file" hidden><span></span><input type="file" accept="audio/*,video/webm,video/mp4"></label>
  </div>
  <div class="rtnb-recorder-level rtnb-hidden-text" role="meter" aria-valuemin="0" aria-valuemax="100" aria-valuenow="0"></div>
  <div class="rtnb-recorder-aloud rtnb-hidden-text" role="status"></div>`;

class Recorder {
  constructor(model, el) {
    this.say = wordsIn(TEXTS, model.get("language"));
    this.state = "ready"; // "ready", "asking", "recording", "done"
    /** @type {ArrayBuffer[]} the recording */
    this.chunks = [];
    this.level = this.peak = 0;
    this.failure = null;
    this.problem = "";
    this.kernel = { seconds: null, sample: null, take: 0, problem: "" };
    this.voice = { hush: () => {}, sounds: () => ["asking", "recording"].includes(this.state) }; // see texts/html.js
    this.take = 0; // which of the kernel's recordings this page has; 0 for none
    this.link = new KernelLink(model, {
      onMessage: (message, buffers) => {
        if (message.kind === "piece") this.got(message, buffers[0]);
        else this.standing(message);
        this.update();
      },
      onBusy: () => this.update(),
      onLost: () => {
        this.finish(false);
        this.update();
      },
    });
    this.stay = whenLeaving({
      busy: () => this.state === "recording" || Boolean(this.sent),
      leave: () => this.leave(),
      back: () => this.link.send("hello"),
    });
    this.build(el);
    this.link.send("hello");
    this.draw();
  }

  build(el) {
    const { say } = this;
    const root = (this.root = widgetRoot("rtnb-recorder", say("Record your voice"), say, MARKUP));
    const p = (this.p = partsOf(root, "rtnb-recorder", PARTS));
    this.meter = new LevelMeter(root, p.level);
    p.level.setAttribute("aria-label", say("Microphone level"));
    p.forget.textContent = say("Use the sample again");
    p.file.querySelector("span").textContent = say("Use a sound file");
    p.main.addEventListener("click", () => (this.state === "recording" ? this.finish() : this.record()));
    p.forget.addEventListener("click", () => {
      this.empty();
      this.take = 0;
      this.link.send("forget");
      this.update();
    });
    whenChosen(p.file.querySelector("input"), ([file]) => this.takeFile(file));
    root.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.state === "recording") this.finish();
    });
    el.replaceChildren(root);
    this.update();
  }

  get bytes() {
    return this.chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  }

  /** Take what the kernel has, also from another page or from before this one was reloaded. */
  standing(message) {
    this.kernel = message;
    if (this.sent && message.kind === "standing") {
      this.sent = false; // it is ours
      this.take = message.take;
    }
    if (this.take === message.take || this.sent || this.state === "recording" || this.state === "asking") return;
    this.take = message.take;
    if (message.take) this.link.send("fetch");
    else this.empty();
  }

  /** A piece of a recording that this page has not made. @param {any} message @param {DataView} piece */
  got({ take, at, bytes }, piece) {
    if (take !== this.take || this.state === "recording" || this.state === "asking") return;
    if (at === 0) this.fetched = [];
    this.fetched?.push(piece.buffer.slice(piece.byteOffset, piece.byteOffset + piece.byteLength));
    if (at + piece.byteLength < bytes) return;
    this.chunks = this.fetched ?? [];
    this.state = "done";
    this.update();
  }

  empty() {
    this.chunks = [];
    this.state = "ready";
  }

  /** The page goes away: the kernel keeps what was said. */
  leave() {
    this.link.bye();
    this.mic?.close();
    this.mic = null;
    if (this.state === "recording") this.state = "ready";
  }

  async record() {
    if (this.state === "asking" || this.link.lost) return;
    rtnbVoice.take(this.voice); // whatever plays would be recorded
    const before = this.state;
    Object.assign(this, { state: "asking", failure: null, problem: "" });
    this.update();
    try {
      this.mic = await openMicrophone({
        onAudio: ({ pcm, level }) => {
          this.level = level;
          if (this.state !== "recording") return;
          this.peak = Math.max(this.peak, level);
          this.chunks.push(pcm);
          this.link.send("audio", {}, pcm);
          this.update();
        },
        onEnd: () => {
          this.failure = "gone";
          this.finish();
        },
      });
    } catch (error) {
      this.failure = error instanceof MicrophoneError ? error.reason : "other";
      this.state = before;
      rtnbVoice.leave(this.voice);
      return this.update();
    }
    if (this.removed) return this.mic.close();
    this.link.send("begin");
    Object.assign(this, { state: "recording", chunks: [], peak: 0 });
    this.update();
  }

  finish(keep = true) {
    this.mic?.close();
    this.mic = null;
    this.level = 0;
    rtnbVoice.leave(this.voice);
    if (this.state !== "recording") return;
    if (keep && this.bytes) {
      if (this.peak < 0.004) this.problem = this.say("Almost nothing was heard: the microphone may be muted or the wrong one.");
      this.done();
    } else {
      this.link.send("discard");
      this.state = "ready";
      this.update();
    }
  }

  /** The recording is whole: the kernel has it as soon as it takes messages. */
  done() {
    this.sent = true;
    this.link.send("end", { bytes: this.bytes });
    this.state = "done";
    this.update();
  }

  /** An audio file in the place of a microphone. @param {File} file */
  async takeFile(file) {
    const pcm = await pcmOfFile(file).catch(() => null);
    this.problem = pcm ? "" : this.say(BAD_FILE);
    if (!pcm) return this.update();
    this.chunks = [pcm.buffer];
    this.failure = null;
    this.link.send("begin");
    this.link.sendRecording(pcm);
    this.done();
  }

  /** The player of what was recorded, built anew with each recording. */
  showPlayer() {
    const { p, say, chunks } = this;
    this.playable = this.state === "done" && chunks;
    giveBack(p.take);
    if (!this.playable) return;
    const levels = new Levels();
    for (const chunk of chunks) levels.push(new Uint8Array(chunk));
    const figure = playerFigure(say, say("your recording"), { compact: true, file: wavOf(chunks) });
    p.take.append(figure);
    rtnbPlayer(figure, figure.querySelector("audio"))(levels.svg());
  }

  update() {
    const { p, say, state } = this;
    const shown = state === "done" && this.sent ? "sending" : state;
    const changed = this.root.dataset.state !== shown;
    this.root.dataset.state = shown;
    p.word.textContent = say(STATES[shown]);
    p.hint.textContent = say(HINTS[shown]);
    this.updateMain();
    this.updateTake();
    const sentences = this.problems();
    p.notice.hidden = !sentences.length;
    write(p.notice, sentences.filter(Boolean).join(say.language === "en" ? " " : ""));
    if (changed) p.aloud.textContent = p.word.textContent;
  }

  updateMain() {
    const { p, say, state } = this;
    const name = { asking: "wait", recording: "stop" }[state] ?? "record";
    if (this.iconName !== name) p.icon.innerHTML = icon((this.iconName = name));
    named(p.main, state === "recording" ? say("Stop recording") : state === "done" ? say("Record again") : say("Record"));
    // Not `disabled`: a button that is disabled loses the focus, and with it Esc.
    p.main.setAttribute("aria-disabled", String(state === "asking" || Boolean(this.link.lost)));
  }

  /** What was recorded, and what stands in for it. */
  updateTake() {
    const { p, say, state } = this;
    const seconds = Math.round(this.bytes / PCM_BYTES_PER_MS / 100) / 10; // before the minutes are taken off: no 0:60.0
    const time = `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
    p.time.textContent = state === "recording" || state === "done" ? time : "";
    p.take.hidden = state !== "done";
    if (this.playable !== (state === "done" && this.chunks)) this.showPlayer();
    const { sample, seconds: kept } = this.kernel;
    let stands = "";
    if (kept !== null && !this.sent) stands = say("box.clip is your recording.");
    else if (state === "ready" && sample) stands = say("Until you do, the sample “{name}” ({seconds} s) stands in.", sample);
    else if (state === "ready") stands = say("Nothing is recorded yet.");
    p.stands.textContent = stands;
    p.forget.hidden = kept === null || !sample || state === "recording";
  }

  /** What is wrong, in sentences; shows the choice of a file where there is no microphone. */
  problems() {
    const { say } = this;
    const failure = this.failure ?? (this.state === "ready" ? microphoneHindrance() : null);
    this.p.file.hidden = !failure;
    if (this.link.lost) return [say("The kernel is gone. Run the cell again to record.")];
    const sentences = failure ? microphoneSentences(say, failure) : [];
    if (failure === "vscode") sentences[1] = ""; // its way out is the file, right below
    if (this.problem) sentences.push(this.problem);
    if (this.kernel.problem && !this.sent) sentences.push(say(this.kernel.problem));
    const values = { seconds: this.link.waitingSeconds.toFixed(1) };
    if (this.link.busy) sentences.push(say("The kernel is running a cell; {seconds} s wait and follow when it is free.", values));
    return sentences;
  }

  draw() {
    this.frame = requestAnimationFrame(() => this.draw());
    this.meter.draw(this.mic ? this.level : 0);
  }

  remove() {
    this.removed = true;
    this.finish(false);
    giveBack(this.p.take); // which stops it
    this.stay();
    cancelAnimationFrame(this.frame);
    setTimeout(() => this.link.close(), 300);
  }
}

export default placed({
  render({ model, el }) {
    const recorder = new Recorder(model, el);
    return () => recorder.remove();
  },
});
