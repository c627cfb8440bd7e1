/**
 * The microphone as the Realtime API wants it: 24 kHz mono PCM16, in messages of 20–50 ms.
 *
 * The browser's echo cancellation, noise suppression and automatic gain are asked for. The browser also resamples,
 * where it lets a 24 kHz AudioContext take a microphone; where it does not (Firefox), the worklet resamples itself.
 */

/* global PCM_RATE_HZ, Resampler, toMono, loadWorklet */

const FRAME_SECONDS = 0.05;
const AUDIO_STARTS_MS = 8000;

/** Runs in the audio thread; its text is sent there, so it uses nothing from outside but its arguments. */
function microphoneProcessor(ResamplerThere, toMonoThere) {
  registerProcessor(
    "rtnb-microphone",
    class extends AudioWorkletProcessor {
      constructor({ processorOptions: { rateHz, samples } }) {
        super();
        this.resampler = sampleRate === rateHz ? null : new ResamplerThere(sampleRate, rateHz);
        this.samples = samples;
        this.begin();
        this.ended = false;
        this.port.onmessage = () => (this.ended = true);
      }

      process([channels]) {
        if (this.ended) return false;
        if (!channels?.length) return true; // no source connected (yet)
        const mono = toMonoThere(channels);
        for (const sample of this.resampler?.push(mono) ?? mono) {
          this.squares += sample * sample;
          this.frame[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
          if (this.filled === this.samples) {
            const level = Math.sqrt(this.squares / this.filled);
            this.port.postMessage({ pcm: this.frame.buffer, level }, [this.frame.buffer]);
            this.begin(); // the old one was given away
          }
        }
        return true;
      }

      begin() {
        this.frame = new Int16Array(this.samples);
        this.filled = this.squares = 0;
      }
    },
  );
}

/** The reason why there is no microphone: one of those in microphone_problems.js. */
export class MicrophoneError extends Error {
  /** @param {string} reason @param {unknown} [cause] */
  constructor(reason, cause) {
    super(reason, { cause });
    this.reason = reason;
  }
}

/** The reason why there can be no microphone, before the user is asked. Null where there may be one. */
export function microphoneHindrance() {
  // VS Code's web views have no microphone, whatever a user allows.
  if ([location.protocol, String(globalThis.origin)].some((it) => it.startsWith("vscode-webview:"))) return "vscode";
  if (!globalThis.isSecureContext) return "insecure";
  if (!navigator.mediaDevices?.getUserMedia || !globalThis.AudioWorkletNode) return "unsupported";
  const policy = document.permissionsPolicy ?? document.featurePolicy;
  return policy?.allowsFeature("microphone") === false ? "policy" : null;
}

const REASONS = {
  SecurityError: "policy", NotFoundError: "missing", OverconstrainedError: "missing", NotReadableError: "busy", AbortError: "busy",
};

/** The reason of what `getUserMedia` threw. @param {any} error */
function whyNoMicrophone(error) {
  if (error?.name !== "NotAllowedError") return REASONS[error?.name] ?? "other";
  const words = String(error.message).toLowerCase();
  // Chromium: "Permission denied by system", "Permission dismissed".
  const asked = words.includes("system") ? "system" : words.includes("dismiss") ? "dismissed" : "denied";
  return microphoneHindrance() ?? asked;
}

/**
 * Take what a node brings, 50 ms of s16le mono 24 kHz at a time, and its level (RMS, 0–1).
 * @param {AudioNode} source @param {(audio: {pcm: ArrayBuffer, level: number}) => void} onAudio @returns what ends it
 */
export async function listenTo24kHz(source, onAudio) {
  const { context } = source;
  await loadWorklet(context, "microphone", `(${microphoneProcessor})(${Resampler},${toMono})`);
  const processorOptions = { rateHz: PCM_RATE_HZ, samples: PCM_RATE_HZ * FRAME_SECONDS };
  const node = new AudioWorkletNode(context, "rtnb-microphone", { numberOfOutputs: 0, processorOptions });
  node.port.onmessage = ({ data }) => onAudio(data);
  source.connect(node);
  return () => {
    node.port.postMessage("end");
    node.port.onmessage = null;
    source.disconnect(node);
  };
}

/**
 * Open the microphone. Call it in the handler of a click, so that the browser lets audio start.
 *
 * @param {object} options
 * @param {(audio: {pcm: ArrayBuffer, level: number}) => void} options.onAudio as above
 * @param {() => void} [options.onEnd] the device went away (unplugged, permission taken back)
 * @param {AudioContext} [options.context] to share a context; its rate may be any
 * @param {string} [options.deviceId] which microphone; "" leaves it to the browser
 * @returns {Promise<{close: () => void, deviceId: string}>} and which one it is
 * @throws {MicrophoneError}
 */
export async function openMicrophone({ onAudio, onEnd, context, deviceId }) {
  const hindrance = microphoneHindrance();
  if (hindrance && hindrance !== "policy") throw new MicrophoneError(hindrance);
  const wish = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
  if (deviceId) wish.deviceId = { exact: deviceId };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: wish }).catch((error) => {
    throw new MicrophoneError(whyNoMicrophone(error), error);
  });
  const [track] = stream.getTracks();
  let own = null; // a context of ours, to be closed by us
  try {
    let taking = context ?? (own = new AudioContext({ sampleRate: PCM_RATE_HZ, latencyHint: "interactive" }));
    let source;
    try {
      source = taking.createMediaStreamSource(stream);
    } catch (error) {
      // Firefox: NotSupportedError, "AudioNodes from AudioContexts with different sample-rate".
      if (error?.name !== "NotSupportedError") throw error;
      await own?.close();
      taking = own = new AudioContext({ latencyHint: "interactive" });
      source = taking.createMediaStreamSource(stream);
    }
    await wake(taking);
    const end = await listenTo24kHz(source, onAudio);
    const close = () => {
      if (!track.onended) return;
      track.onended = null;
      end();
      track.stop();
      own?.close();
    };
    track.onended = () => {
      close();
      onEnd?.();
    };
    return { close, deviceId: track.getSettings().deviceId };
  } catch (error) {
    track.stop();
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
  const late = new Promise((_, fail) => setTimeout(fail, AUDIO_STARTS_MS, new MicrophoneError("soundless")));
  await Promise.race([context.resume(), late]);
}

/** The level of the microphone as a widget shows it: a CSS variable, and a meter for screen readers. */
export class LevelMeter {
  /** @param {HTMLElement} root @param {HTMLElement} meter */
  constructor(root, meter) {
    Object.assign(this, { root, meter, shown: 0, saidAt: 0 });
  }

  /** Once a frame. @param {number} level  0 … 1 @returns {boolean} whether half a second has passed */
  draw(level) {
    // -60 dB … -10 dB over the width, as loudness is heard
    const wanted = Math.max(0, Math.min(1, (20 * Math.log10(level + 1e-6) + 60) / 50));
    this.shown = Math.max(wanted, this.shown * 0.9);
    this.root.style.setProperty("--rtnb-level", this.shown.toFixed(3));
    const now = performance.now();
    if (now - this.saidAt <= 500) return false;
    this.saidAt = now;
    this.meter.setAttribute("aria-valuenow", String(Math.round(this.shown * 100)));
    return true;
  }
}
