/**
 * The microphone as the Realtime API wants it: 24 kHz mono PCM16, in messages of 20–50 ms.
 *
 * The browser's echo cancellation, noise suppression and automatic gain are asked for. The browser also resamples,
 * where it lets a 24 kHz AudioContext hear a microphone; where it does not (Firefox), the worklet resamples itself.
 */

export const MICROPHONE_RATE_HZ = 24000;

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

/** Why there is no microphone, as one of the reasons `microphoneTexts` has sentences for. */
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
export async function openMicrophone({ onSound, onEnd, context, frameSeconds = 0.04 }) {
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
    if (hearing.state === "suspended") await hearing.resume();
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
    throw new MicrophoneError("other", error);
  }
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

/** What happened and what to do, for each reason; first sentence, then the remedy. */
export const microphoneTexts = {
  en: {
    denied: [
      "This page may not use the microphone: you, or an earlier answer that the browser remembers, said no.",
      "Click the icon beside the address, allow the microphone, and press the button again.",
    ],
    dismissed: [
      "The question about the microphone was closed without an answer.",
      "Press the button again and choose Allow.",
    ],
    system: [
      "Your operating system keeps the microphone from this browser.",
      "Allow it in the system's privacy settings under Microphone, restart the browser, and press the button again.",
    ],
    policy: [
      "The page around this notebook does not let it use the microphone.",
      "Open the notebook in a tab of its own instead of embedded in another page.",
    ],
    missing: ["No microphone was found.", "Plug one in or turn it on in the system's sound settings, and press the button again."],
    busy: [
      "The microphone is there but does not answer; another program may be using it.",
      "Close other calls and recorders, and press the button again.",
    ],
    insecure: [
      "Browsers give the microphone only to pages that came over https or from this very computer; this one did not.",
      "Open the notebook through https://, or through a tunnel as http://localhost (ssh -L 8888:localhost:8888 …).",
    ],
    unsupported: ["This browser gives pages no microphone.", "Open the notebook in a current Chrome, Edge, Firefox or Safari."],
    vscode: [
      "VS Code gives notebooks no microphone, whatever you allow.",
      "Choose a recording or type below, or open this notebook in JupyterLab, Notebook or Colab to talk.",
    ],
    gone: ["The microphone went away in the middle.", "Plug it in again and press the button."],
    other: ["The microphone could not be opened.", "Reload the page, or try another browser."],
  },
  "zh-Hans": {
    denied: ["此页面不能使用麦克风：您或浏览器记住的先前选择拒绝了它。", "请点击地址栏旁的图标，允许使用麦克风，然后再按一次按钮。"],
    dismissed: ["麦克风权限的询问未作选择就关闭了。", "请再按一次按钮，并选择“允许”。"],
    system: ["操作系统不允许此浏览器使用麦克风。", "请在系统隐私设置的“麦克风”中允许它，重新启动浏览器，然后再按一次按钮。"],
    policy: ["外层页面不允许此笔记本使用麦克风。", "请在单独的标签页中打开笔记本，不要嵌在别的页面里。"],
    missing: ["没有找到麦克风。", "请接上麦克风或在系统声音设置中启用它，然后再按一次按钮。"],
    busy: ["麦克风没有响应，可能正被其他程序使用。", "请关闭其他通话或录音程序，然后再按一次按钮。"],
    insecure: [
      "浏览器只把麦克风交给通过 https 或本机打开的页面，而此页面不是。",
      "请通过 https:// 打开笔记本，或用隧道以 http://localhost 打开（ssh -L 8888:localhost:8888 …）。",
    ],
    unsupported: ["此浏览器不向页面提供麦克风。", "请用新版 Chrome、Edge、Firefox 或 Safari 打开笔记本。"],
    vscode: ["VS Code 不向笔记本提供麦克风，无论您如何设置。", "请在下方选择录音或打字；要说话，请在 JupyterLab、Notebook 或 Colab 中打开此笔记本。"],
    gone: ["麦克风中途断开了。", "请重新接上，然后按按钮。"],
    other: ["无法打开麦克风。", "请重新加载页面，或换一个浏览器。"],
  },
};
