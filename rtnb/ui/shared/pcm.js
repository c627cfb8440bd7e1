// PCM as the Realtime API wants it: 24 kHz mono, 16-bit little-endian.

export const PCM_RATE_HZ = 24000;
export const PCM_BYTES_PER_MS = 48;

/** Join buffers. @param {ArrayBuffer[]} parts @returns {Uint8Array} */
export function joined(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(new Uint8Array(part), at);
    at += part.byteLength;
  }
  return all;
}

/** Mix channels to one. @param {Float32Array[]} channels @returns {Float32Array} */
export function toMono(channels) {
  if (channels.length === 1) return channels[0];
  const mono = new Float32Array(channels[0].length);
  for (const channel of channels) for (let i = 0; i < mono.length; i++) mono[i] += channel[i] / channels.length;
  return mono;
}

/** An audio file, read by the browser. @param {File} file @returns {Promise<Int16Array>} */
export async function pcmOfFile(file) {
  const buffer = await new OfflineAudioContext(1, 1, PCM_RATE_HZ).decodeAudioData(await file.arrayBuffer());
  const mono = toMono(Array.from({ length: buffer.numberOfChannels }, (_, i) => buffer.getChannelData(i)));
  return Int16Array.from(mono, (sample) => Math.max(-32768, Math.min(32767, Math.round(sample * 32768))));
}

/**
 * A band-limited resampler that takes block by block: a windowed sinc (Kaiser), one row of taps per output phase. With
 * 56 zero crossings the stop band is below -80 dB, and what is under 0.9 of the lower Nyquist frequency passes. It runs
 * in the audio thread as well, where its text is sent, so it uses nothing from outside itself.
 */
export class Resampler {
  /**
   * @param {number} fromHz @param {number} toHz both whole numbers
   * @param {{crossings?: number, delayed?: boolean}} [options] `delayed`: as much comes out as goes in, so that the first
   *   samples are the silence before; else the first sample comes out first, and the last ones with `end`
   */
  constructor(fromHz, toHz, { crossings = 56, delayed = true } = {}) {
    const gcd = (a, b) => (b ? gcd(b, a % b) : a);
    const common = gcd(fromHz, toHz);
    this.up = toHz / common;
    this.down = fromHz / common;
    const beta = 8.5; // Kaiser window, side lobes about -88 dB
    const widest = Math.min(1, toHz / fromHz);
    const cutoff = 0.95 * widest; // as a share of the input's Nyquist frequency
    this.half = Math.ceil(crossings / widest); // a transition of 0.1 of the band needs about 5.3 / 0.05 taps
    const bessel = (x) => {
      let sum = 1;
      for (let k = 1, term = 1; k < 40; k++) sum += term *= (x / (2 * k)) ** 2;
      return sum;
    };
    const top = bessel(beta);
    this.taps = [];
    for (let phase = 0; phase < this.up; phase++) {
      const row = new Float32Array(2 * this.half).map((_, i) => {
        const at = i - this.half + 1 - phase / this.up; // distance from the output's instant, in input samples
        const inside = 1 - (at / this.half) ** 2;
        const window = inside > 0 ? bessel(beta * Math.sqrt(inside)) / top : 0;
        const sinc = at === 0 ? 1 : Math.sin(Math.PI * cutoff * at) / (Math.PI * cutoff * at);
        return sinc * window;
      });
      const sum = row.reduce((all, tap) => all + tap, 0);
      this.taps.push(row.map((tap) => tap / sum)); // unity at 0 Hz in every phase, so that no phase hums
    }
    this.first = delayed ? this.half - 1 : 2 * this.half - 1;
    this.restart();
  }

  restart() {
    this.past = new Float32Array(2 * this.half - 1); // as if silence came before
    this.phase = 0;
    this.next = this.first; // where in `past + block` the next output's instant lies
  }

  /** One of the same rates for another stream. */
  another() {
    const it = Object.assign(Object.create(Object.getPrototypeOf(this)), this);
    it.restart();
    return it;
  }

  /** @param {Float32Array} block @returns {Float32Array} what is complete by now */
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

  /** The rest, when no more comes. @returns {Float32Array} */
  end() {
    return this.push(new Float32Array(this.half));
  }
}
