/**
 * The record box, in the page: record, listen, record again. The kernel's end is `recorder.py`.
 *
 * Sound goes to the kernel while it is spoken; the page keeps a copy, to listen to at once.
 */

/* global TEXTS, wordsIn, microphoneSentences, MicrophoneError, openMicrophone, microphoneHindrance */
/* global Line, whenLeaving */

const RECORDER_ICONS = {
  record: '<circle cx="12" cy="12" r="7"/>',
  stop: '<rect x="6" y="6" width="12" height="12" rx="2"/>',
  play: '<path d="M8 5.5v13l10.5-6.5z"/>',
  wait: '<path d="M12 3a9 9 0 1 0 9 9" fill="none" stroke="currentColor" stroke-width="2.5" stroke-linecap="round"/>',
  file: '<path d="M12 15.5V5M7.5 9L12 4.5 16.5 9M5 15v3.5A1.5 1.5 0 0 0 6.5 20h11a1.5 1.5 0 0 0 1.5-1.5V15" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>',
};

const recorderIcon = (name) => `<svg viewBox="0 0 24 24" aria-hidden="true" focusable="false" fill="currentColor">${RECORDER_ICONS[name]}</svg>`;

class Recorder {
  constructor(model, el) {
    this.say = wordsIn(TEXTS, model.get("language"));
    this.state = "ready"; // "ready", "asking", "recording", "done"
    this.chunks = [];
    this.bytes = 0;
    this.level = 0;
    this.peak = 0;
    this.failure = null;
    this.problem = "";
    this.kernel = { seconds: null, sample: null, take: 0, problem: "" };
    this.take = 0; // which of the kernel's recordings this page has; 0 for none
    this.busy = { busy: false, seconds: 0 };
    this.line = new Line(model, {
      onMessage: (message, buffers) => {
        if (message.kind === "piece") this.got(message, buffers[0]);
        else this.standing(message);
        this.update();
      },
      onBusy: (busy) => {
        this.busy = busy;
        this.update();
      },
      onLost: () => {
        this.lost = true;
        if (this.state === "recording") this.finish(false);
        this.update();
      },
    });
    this.stay = whenLeaving({
      busy: () => this.state === "recording" || Boolean(this.sent),
      leave: () => this.leave(),
      back: () => this.line.send("hello"),
    });
    this.build(el);
    this.line.send("hello");
    this.draw();
  }

  build(el) {
    const root = document.createElement("section");
    root.className = "rtnb-ui rtnb-recorder mathjax_ignore tex2jax_ignore";
    root.lang = this.say.language;
    root.setAttribute("aria-label", this.say("record.title"));
    root.setAttribute("data-lm-suppress-shortcuts", "true");
    root.innerHTML = `
      <div class="rtnb-recorder-top">
        <button type="button" class="rtnb-recorder-main"><span class="rtnb-recorder-ring" aria-hidden="true"></span><span class="rtnb-recorder-icon"></span></button>
        <div class="rtnb-recorder-says">
          <div class="rtnb-recorder-word"></div>
          <div class="rtnb-recorder-hint rtnb-dim"></div>
        </div>
        <div class="rtnb-recorder-time rtnb-num"></div>
      </div>
      <div class="rtnb-recorder-notice" role="alert" hidden></div>
      <div class="rtnb-recorder-take" hidden>
        <button type="button" class="rtnb-icon rtnb-recorder-play"></button>
        <canvas class="rtnb-recorder-wave" height="44" role="img"></canvas>
      </div>
      <div class="rtnb-recorder-foot"><span class="rtnb-recorder-stands rtnb-dim"></span><button type="button" class="rtnb-link rtnb-recorder-forget"></button><label class="rtnb-recorder-file" hidden><span></span><input type="file" accept="audio/*,video/webm,video/mp4"></label></div>
      <div class="rtnb-recorder-level rtnb-hidden-text" role="meter" aria-valuemin="0" aria-valuemax="100" aria-valuenow="0"></div>
      <div class="rtnb-recorder-aloud rtnb-hidden-text" role="status"></div>`;
    this.root = root;
    this.p = Object.fromEntries(
      "main ring icon word hint time notice take play wave stands forget file level aloud".split(" ").map((name) => [name, root.querySelector(`.rtnb-recorder-${name}`)]),
    );
    const { p } = this;
    p.level.setAttribute("aria-label", this.say("record.level"));
    p.wave.setAttribute("aria-label", this.say("record.wave"));
    p.forget.textContent = this.say("record.forget");
    p.file.querySelector("span").textContent = this.say("record.file");
    p.main.addEventListener("click", () => (this.state === "recording" ? this.finish() : this.record()));
    p.play.addEventListener("click", () => this.listen());
    p.forget.addEventListener("click", () => {
      this.empty();
      this.take = 0;
      this.line.send("forget");
      this.update();
    });
    p.file.querySelector("input").addEventListener("change", (event) => {
      const [file] = event.target.files;
      event.target.value = "";
      if (file) this.takeFile(file);
    });
    root.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.state === "recording") this.finish();
      event.stopPropagation();
    });
    el.replaceChildren(root);
    this.update();
  }

  /** What the kernel has, also from another page or from before this one was reloaded. */
  standing(message) {
    this.kernel = message;
    if (this.sent && message.kind === "standing") {
      this.sent = false; // it is ours
      this.take = message.take;
    }
    if (this.take === message.take || this.sent || this.state === "recording" || this.state === "asking") return;
    this.take = message.take;
    if (message.take) this.line.send("fetch");
    else this.empty();
  }

  /** A piece of a recording that this page has not made. @param {any} message @param {DataView} piece */
  got({ take, at, bytes }, piece) {
    if (take !== this.take || this.state === "recording" || this.state === "asking") return;
    if (at === 0) this.fetched = [];
    this.fetched?.push(new Int16Array(piece.buffer.slice(piece.byteOffset, piece.byteOffset + piece.byteLength)));
    if (at + piece.byteLength < bytes) return;
    this.stopListening();
    this.chunks = this.fetched;
    this.bytes = bytes;
    this.state = "done";
    this.update(); // which gives the picture its width
    this.drawWave();
  }

  empty() {
    this.stopListening();
    this.chunks = [];
    this.bytes = 0;
    this.state = "ready";
  }

  /** The page goes away: the kernel keeps what was said. */
  leave() {
    this.line.bye();
    this.mic?.close();
    this.mic = null;
    if (this.state === "recording") this.state = "ready";
  }

  async record() {
    if (this.state === "asking" || this.lost) return;
    this.stopListening();
    const before = this.state;
    this.state = "asking";
    this.failure = null;
    this.problem = "";
    this.update();
    const begun = { chunks: [], bytes: 0 };
    try {
      this.mic = await openMicrophone({
        onSound: ({ pcm, level }) => {
          this.level = level;
          if (this.state !== "recording") return;
          this.peak = Math.max(this.peak, level);
          this.chunks.push(new Int16Array(pcm));
          this.bytes += pcm.byteLength;
          this.line.send("sound", {}, pcm.slice(0));
          this.update();
        },
        onEnd: () => {
          this.failure = "gone";
          this.finish();
        },
      });
    } catch (error) {
      this.failure = error instanceof MicrophoneError ? error.reason : "other";
      this.state = before === "recording" ? "ready" : before;
      this.update();
      return;
    }
    if (this.removed) return this.mic.close();
    Object.assign(this, begun, { peak: 0 });
    this.line.send("begin");
    this.state = "recording";
    this.update();
  }

  /** @param {boolean} keep */
  finish(keep = true) {
    this.mic?.close();
    this.mic = null;
    this.level = 0;
    if (this.state !== "recording") return;
    if (keep && this.bytes) {
      this.sent = true;
      this.line.send("end", { bytes: this.bytes });
      if (this.peak < 0.004) this.problem = this.say("record.silent");
    } else this.line.send("discard");
    this.state = this.bytes && keep ? "done" : "ready";
    this.drawWave();
    this.update();
  }

  /** A sound file in the place of a microphone. @param {File} file */
  async takeFile(file) {
    try {
      const buffer = await new OfflineAudioContext(1, 1, 24000).decodeAudioData(await file.arrayBuffer());
      const pcm = new Int16Array(buffer.length);
      const channels = Array.from({ length: buffer.numberOfChannels }, (_, i) => buffer.getChannelData(i));
      for (let i = 0; i < pcm.length; i++) {
        let sum = 0;
        for (const channel of channels) sum += channel[i];
        pcm[i] = Math.max(-32768, Math.min(32767, Math.round((sum / channels.length) * 32768)));
      }
      this.chunks = [pcm];
      this.bytes = pcm.byteLength;
    } catch {
      this.problem = this.say("microphone.bad_file");
      this.update();
      return;
    }
    this.failure = null;
    this.problem = "";
    this.line.send("begin");
    const [pcm] = this.chunks;
    for (let at = 0; at < pcm.length; at += 24000) this.line.send("sound", {}, pcm.slice(at, at + 24000).buffer);
    this.sent = true;
    this.line.send("end", { bytes: this.bytes });
    this.state = "done";
    this.drawWave();
    this.update();
  }

  async listen() {
    if (this.playing) return this.stopListening();
    const context = new AudioContext();
    const samples = this.joined();
    const buffer = context.createBuffer(1, samples.length, 24000);
    buffer.copyToChannel(samples, 0);
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    // Told when the last sample is rendered; a second takes it to any loudspeaker.
    source.onended = () => this.stopListening(1000);
    await context.resume();
    source.start();
    this.playing = { context, began: context.currentTime, seconds: buffer.duration };
    this.update();
  }

  stopListening(after_ms = 0) {
    const { context } = this.playing ?? {};
    setTimeout(() => context?.close(), after_ms);
    this.playing = null;
    if (this.state === "done") this.drawWave();
    this.update();
  }

  joined() {
    const all = new Float32Array(this.bytes / 2);
    let at = 0;
    for (const chunk of this.chunks) for (const sample of chunk) all[at++] = sample / 32768;
    return all;
  }

  drawWave(heard = 0) {
    const { wave } = this.p;
    const width = Math.max(120, Math.round(wave.clientWidth || 480));
    const scale = window.devicePixelRatio || 1;
    wave.width = width * scale;
    wave.height = 44 * scale;
    const pen = wave.getContext("2d");
    pen.scale(scale, scale);
    const samples = (this.samples = this.samplesOf === this.chunks ? this.samples : this.joined());
    this.samplesOf = this.chunks;
    const bars = Math.floor(width / 4);
    const style = getComputedStyle(this.root);
    let top = 0.02;
    for (const sample of samples) top = Math.max(top, Math.abs(sample));
    for (let bar = 0; bar < bars; bar++) {
      const from = Math.floor((bar * samples.length) / bars);
      const to = Math.floor(((bar + 1) * samples.length) / bars);
      let peak = 0;
      for (let i = from; i < to; i++) peak = Math.max(peak, Math.abs(samples[i]));
      const height = Math.max(2, (peak / top) * 40);
      pen.fillStyle = style.getPropertyValue(bar / bars < heard ? "--rtnb-accent" : "--rtnb-dim");
      pen.globalAlpha = bar / bars < heard ? 1 : 0.55;
      pen.fillRect(bar * 4, 22 - height / 2, 2.5, height);
    }
  }

  update() {
    if (!this.root) return;
    const { p, state } = this;
    const shown = state === "done" && this.sent ? "sending" : state;
    const before = this.root.dataset.state;
    this.root.dataset.state = shown;
    p.word.textContent = this.say(`record.is_${shown}`);
    p.hint.textContent = this.say(`record.hint_${shown}`);
    const recording = state === "recording";
    const icon = state === "asking" ? "wait" : recording ? "stop" : "record";
    if (this.iconName !== icon) p.icon.innerHTML = recorderIcon((this.iconName = icon));
    const label = this.say(recording ? "record.finish" : state === "done" ? "record.again" : "record.start");
    p.main.title = label;
    p.main.setAttribute("aria-label", label);
    // Not `disabled`: a button that is disabled loses the focus, and with it Esc.
    p.main.setAttribute("aria-disabled", String(state === "asking" || Boolean(this.lost)));
    const seconds = this.bytes / 48000;
    p.time.textContent = recording || state === "done" ? `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}` : "";
    p.take.hidden = state !== "done";
    const playIcon = this.playing ? "stop" : "play";
    if (this.playIcon !== playIcon) p.play.innerHTML = recorderIcon((this.playIcon = playIcon));
    p.play.title = this.say(this.playing ? "record.stop_listening" : "record.listen");
    p.play.setAttribute("aria-label", p.play.title);
    const { sample } = this.kernel;
    p.stands.textContent = this.kernel.seconds !== null && !this.sent ? this.say("record.kept") : state === "ready" ? (sample ? this.say("record.sample", sample) : this.say("record.none")) : "";
    p.forget.hidden = !(this.kernel.seconds !== null && sample) || state === "recording";
    const failure = this.failure ?? (state === "ready" ? microphoneHindrance() : null);
    p.file.hidden = !failure;
    const sentences = failure ? microphoneSentences(this.say, failure) : [];
    if (failure === "vscode") sentences[1] = ""; // its way out is the file, right below
    if (this.problem) sentences.push(this.problem);
    if (this.kernel.problem && !this.sent) sentences.push(this.say(`record.problem_${this.kernel.problem}`));
    if (this.busy.busy) sentences.push(this.say("record.waiting", { seconds: this.busy.seconds.toFixed(1) }));
    if (this.lost) sentences.splice(0, 9, this.say("record.lost"));
    p.notice.hidden = !sentences.length;
    const text = sentences.filter(Boolean).join(this.say.language === "en" ? " " : "");
    if (p.notice.textContent !== text) p.notice.textContent = text;
    if (before !== shown) p.aloud.textContent = p.word.textContent;
  }

  draw() {
    this.frame = requestAnimationFrame(() => this.draw());
    const wanted = Math.max(0, Math.min(1, (20 * Math.log10(this.level + 1e-6) + 60) / 50));
    this.shown = Math.max(this.mic ? wanted : 0, (this.shown ?? 0) * 0.9);
    this.root.style.setProperty("--rtnb-level", this.shown.toFixed(3));
    if (this.playing) {
      const { context, began, seconds } = this.playing;
      this.drawWave((context.currentTime - began) / seconds);
    }
    const now = performance.now();
    if (this.mic && now - (this.saidAt ?? 0) > 500) {
      this.saidAt = now;
      this.p.level.setAttribute("aria-valuenow", String(Math.round(this.shown * 100)));
    }
  }

  remove() {
    this.removed = true;
    this.finish(false);
    this.stopListening();
    this.stay();
    cancelAnimationFrame(this.frame);
    setTimeout(() => this.line.close(), 300);
  }
}

export default {
  render({ model, el }) {
    const recorder = new Recorder(model, el);
    return () => recorder.remove();
  },
};
