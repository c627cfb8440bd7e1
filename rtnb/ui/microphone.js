/**
 * The microphone as the Realtime API wants it: 24 kHz mono PCM16, in messages of 20–50 ms.
 *
 * The browser's echo cancellation, noise suppression and automatic gain are asked for. The browser also resamples,
 * where it lets a 24 kHz AudioContext hear a microphone; where it does not (Firefox), the worklet resamples itself.
 */

export const MICROPHONE_RATE_HZ = 24000;
const SOUND_STARTS_MS = 8000;

/**
 * A band-limited resampler that is fed block by block: a windowed sinc (Kaiser), one row of taps per output phase.
 * Stop band below -80 dB; passes what is under 0.9 of the lower Nyquist frequency.
 */
export class Resampler {
  /** @param {number} fromHz @param {number} toHz both whole numbers */
  constructor(fromHz, toHz) {
    const gcd = (a, b) => (b ? gcd(b, a % b) : a);
    const common = gcd(fromHz, toHz);
    this.up = toHz / common;
    this.down = fromHz / common;
    const beta = 8.5; // Kaiser window, side lobes about -88 dB
    const widest = Math.min(1, toHz / fromHz);
    const cutoff = 0.95 * widest; // as a share of the input's Nyquist frequency
    this.half = Math.ceil(56 / widest); // a transition of 0.1 of the band needs about 5.3 / 0.05 taps
    const bessel = (x) => {
      let sum = 1;
      let term = 1;
      for (let k = 1; k < 40; k++) {
        term *= (x / (2 * k)) ** 2;
        sum += term;
      }
      return sum;
    };
    const top = bessel(beta);
    this.taps = [];
    for (let phase = 0; phase < this.up; phase++) {
      const row = new Float32Array(2 * this.half);
      let sum = 0;
      for (let i = 0; i < row.length; i++) {
        const at = i - this.half + 1 - phase / this.up; // distance from the output's instant, in input samples
        const inside = 1 - (at / this.half) ** 2;
        const window = inside > 0 ? bessel(beta * Math.sqrt(inside)) / top : 0;
        const sinc = at === 0 ? 1 : Math.sin(Math.PI * cutoff * at) / (Math.PI * cutoff * at);
        row[i] = sinc * window;
        sum += row[i];
      }
      for (let i = 0; i < row.length; i++) row[i] /= sum; // unity at 0 Hz in every phase, so that no phase hums
      this.taps.push(row);
    }
    this.past = new Float32Array(2 * this.half - 1); // as if silence came before
    this.phase = 0;
    this.next = this.half - 1; // where in `past + block` the next output's instant lies
  }

  /** @param {Float32Array} block @returns {Float32Array} what can be told by now */
  push(block) {
    const all = new Float32Array(this.past.length + block.length);
    all.set(this.past);
    all.set(block, this.past.length);
    const out = [];
    while (this.next + this.half < all.length) {
      const row = this.taps[this.phase];
      const from = this.next - this.half + 1;
      let sum = 0;
      for (let i = 0; i < row.length; i++) sum += row[i] * all[from + i];
      out.push(sum);
      this.phase += this.down;
      this.next += Math.floor(this.phase / this.up);
      this.phase %= this.up;
    }
    const keep = Math.min(all.length, 2 * this.half - 1 + Math.max(0, all.length - 1 - this.next));
    const cut = Math.min(all.length - keep, this.next - this.half + 1);
    this.past = all.slice(cut);
    this.next -= cut;
    return Float32Array.from(out);
  }
}

/** Runs in the audio thread; its text is sent there, so it may use nothing from outside but its arguments. */
function inAudioThread(ResamplerThere) {
  registerProcessor(
    "rtnb-microphone",
    class extends AudioWorkletProcessor {
      constructor({ processorOptions: { rateHz, samples } }) {
        super();
        this.resampler = sampleRate === rateHz ? null : new ResamplerThere(sampleRate, rateHz);
        this.samples = samples;
        this.frame = new Int16Array(samples);
        this.filled = 0;
        this.squares = 0;
        this.ended = false;
        this.port.onmessage = () => (this.ended = true);
      }

      process([channels]) {
        if (this.ended) return false;
        if (!channels?.length) return true; // no source connected (yet)
        let mono = channels[0];
        if (channels.length > 1) {
          mono = new Float32Array(mono.length);
          for (const channel of channels) {
            for (let i = 0; i < mono.length; i++) mono[i] += channel[i] / channels.length;
          }
        }
        if (this.resampler) mono = this.resampler.push(mono);
        for (const sample of mono) {
          this.squares += sample * sample;
          this.frame[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
          if (this.filled === this.samples) {
            const level = Math.sqrt(this.squares / this.filled);
            const pcm = this.frame.buffer;
            this.port.postMessage({ pcm, level, seconds: currentTime }, [pcm]);
            this.frame = new Int16Array(this.samples); // the old one was given away
            this.filled = 0;
            this.squares = 0;
          }
        }
        return true;
      }
    },
  );
}

/** Why there is no microphone, as one of the reasons there are sentences for (`microphone.is_…` in texts.json). */
export class MicrophoneError extends Error {
  /** @param {string} reason @param {unknown} [cause] */
  constructor(reason, cause) {
    super(reason, { cause });
    this.reason = reason;
  }
}

/** Is this page a VS Code notebook? Its web views have no microphone, whatever a person allows. */
export function inVSCode() {
  return location.protocol === "vscode-webview:" || String(globalThis.origin).startsWith("vscode-webview:");
}

/** Tell, before anybody is asked, why it cannot work. Null where it may. */
export function microphoneHindrance() {
  if (inVSCode()) return "vscode";
  if (!globalThis.isSecureContext) return "insecure";
  if (!navigator.mediaDevices?.getUserMedia || !globalThis.AudioWorkletNode) return "unsupported";
  const policy = document.permissionsPolicy ?? document.featurePolicy;
  if (policy && !policy.allowsFeature("microphone")) return "policy";
  return null;
}

/** Name the reason of what `getUserMedia` threw. @param {any} error */
export async function whyNoMicrophone(error) {
  const words = String(error?.message ?? "").toLowerCase();
  switch (error?.name) {
    case "NotAllowedError":
    case "PermissionDeniedError": {
      const hindrance = microphoneHindrance();
      if (hindrance) return hindrance;
      if (words.includes("system")) return "system"; // Chromium: "Permission denied by system"
      if (words.includes("dismiss")) return "dismissed"; // Chromium: "Permission dismissed"
      return "denied";
    }
    case "SecurityError":
      return "policy";
    case "NotFoundError":
    case "DevicesNotFoundError":
    case "OverconstrainedError":
      return "missing";
    case "NotReadableError":
    case "TrackStartError":
    case "AbortError":
      return "busy";
    default:
      return "other";
  }
}

/**
 * Open the microphone. Call it in the handler of a click, so that the browser lets sound start.
 *
 * @param {object} options
 * @param {(sound: {pcm: ArrayBuffer, level: number, seconds: number}) => void} options.onSound s16le mono 24 kHz of
 *   `frameSeconds`, with its level (root mean square, 0–1) and the audio clock's time
 * @param {() => void} [options.onEnd] the device went away (unplugged, permission taken back)
 * @param {AudioContext} [options.context] to share a context; its rate may be any
 * @param {number} [options.frameSeconds] 0.02–0.05
 * @returns {Promise<{close: () => void, rateHz: number, label: string, deviceRateHz: number | undefined}>}
 * @throws {MicrophoneError}
 */
export async function openMicrophone({ onSound, onEnd, context, frameSeconds = 0.05 }) {
  const hindrance = microphoneHindrance();
  if (hindrance && hindrance !== "policy") throw new MicrophoneError(hindrance);
  const wish = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: wish });
  } catch (error) {
    throw new MicrophoneError(await whyNoMicrophone(error), error);
  }
  const [track] = stream.getAudioTracks();
  let own = null; // a context of ours, to be closed by us
  try {
    let hearing = context ?? (own = new AudioContext({ sampleRate: MICROPHONE_RATE_HZ, latencyHint: "interactive" }));
    let source;
    try {
      source = hearing.createMediaStreamSource(stream);
    } catch (error) {
      // Firefox: NotSupportedError, "AudioNodes from AudioContexts with different sample-rate".
      if (error?.name !== "NotSupportedError") throw error;
      await own?.close();
      hearing = own = new AudioContext({ latencyHint: "interactive" });
      source = hearing.createMediaStreamSource(stream);
    }
    await loadWorklet(hearing, inAudioThread, Resampler);
    await wake(hearing);
    const node = new AudioWorkletNode(hearing, "rtnb-microphone", {
      numberOfOutputs: 0,
      processorOptions: {
        rateHz: MICROPHONE_RATE_HZ,
        samples: Math.round(MICROPHONE_RATE_HZ * Math.min(0.05, Math.max(0.02, frameSeconds))),
      },
    });
    let open = true;
    node.port.onmessage = (event) => open && onSound(event.data);
    source.connect(node);
    const close = () => {
      if (!open) return;
      open = false;
      track.onended = null;
      node.port.postMessage("end");
      node.port.onmessage = null;
      source.disconnect();
      for (const each of stream.getTracks()) each.stop();
      own?.close();
    };
    track.onended = () => {
      close();
      onEnd?.();
    };
    const settings = track.getSettings?.() ?? {};
    return { close, rateHz: hearing.sampleRate, label: track.label, deviceRateHz: settings.sampleRate };
  } catch (error) {
    for (const each of stream.getTracks()) each.stop();
    own?.close();
    throw error instanceof MicrophoneError ? error : new MicrophoneError("other", error);
  }
}

/**
 * Let a context run. Where a computer has no loudspeaker, Firefox waits for one without end.
 * @param {AudioContext} context @throws {MicrophoneError}
 */
export async function wake(context) {
  if (context.state === "running") return;
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new MicrophoneError("soundless")), SOUND_STARTS_MS);
  });
  await Promise.race([context.resume(), late]).finally(() => clearTimeout(timer));
}

/** Load a worklet given as a function, once a context. */
async function loadWorklet(context, body, ...needs) {
  const loaded = (context.__rtnbWorklets ??= new Map());
  if (!loaded.has(body.name)) {
    const text = `(${body})(${needs.join(",")})`;
    const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    loaded.set(body.name, context.audioWorklet.addModule(url).finally(() => URL.revokeObjectURL(url)));
  }
  await loaded.get(body.name);
}

/**
 * What happened and what to do about it.
 * @param {import("./words.js").Say} say @param {string} reason @returns {[string, string]}
 */
export function microphoneSentences(say, reason) {
  const known = say.has(`microphone.is_${reason}`) ? reason : "other";
  return [say(`microphone.is_${known}`), say(`microphone.do_${known}`)];
}
