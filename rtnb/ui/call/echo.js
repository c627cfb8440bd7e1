// Whether the answer comes back in the microphone: what is played against what is heard.

const ECHO_RATE_HZ = 8000; // speech has most of its energy below 4 kHz
const [ECHO_FRAME, ECHO_HOP] = [256, 128]; // 32 ms, every 16 ms
const ECHO_WINDOW = 2 * ECHO_RATE_HZ;
const ECHO_LAGS = [-0.05 * ECHO_RATE_HZ, 0.65 * ECHO_RATE_HZ]; // 0–600 ms, and 50 ms for clocks that are not quite one
const ECHO_CORRELATION = 32768; // longer than both windows without those lags: nothing comes round from the other end
const ECHO_KEPT = 4 * ECHO_RATE_HZ;
const ECHO_LEAST_PIECES = 12; // of 50 ms, that were played: two words alone may look like anything
// Over 100 mixtures of each kind a loop peaked at 10 to 55 times the noise of the correlation, headphones at 8 at most.
const ECHO_PEAK = 9.5;
const ECHO_EVERY = 0.3 * ECHO_RATE_HZ; // it is measured
const ECHO_MISSES = 10; // measurements of something that was played: after 3 s without an echo it is gone
const ECHO_LEAST_DB = -40; // loops of -30 dB measure -37 dB and more; what leaks out of headphones, less than -45 dB

/** The Fourier transform of complex numbers, in place; their count is a power of two. */
function transform(re, im, inverse = false) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [re[i], re[j], im[i], im[j]] = [re[j], re[i], im[j], im[i]];
  }
  for (let size = 2; size <= n; size *= 2) {
    const half = size / 2;
    for (let k = 0; k < half; k++) {
      const angle = ((inverse ? 2 : -2) * Math.PI * k) / size;
      const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
      for (let a = k, b = k + half; a < n; a += size, b += size) {
        const x = re[b] * cos - im[b] * sin;
        const y = re[b] * sin + im[b] * cos;
        re[b] = re[a] - x;
        im[b] = im[a] - y;
        re[a] += x;
        im[a] += y;
      }
    }
  }
}

/** One of the two signals: as it is, and with every moment and every frequency about equally loud. */
class EchoSignal {
  constructor() {
    Object.assign(this, { raw: new Float32Array(ECHO_KEPT), even: new Float32Array(ECHO_KEPT) });
    this.count = this.done = 0; // samples so far, and those of them that were evened out
    this.origin = Infinity; // when the first one was there, in seconds
    this.loud = []; // of the pieces within a window, those that are no silence
    this.shape = new Float32Array(ECHO_FRAME).map((_, i) => Math.sin((Math.PI * i) / ECHO_FRAME));
  }

  /** @param {Int16Array} pcm  at 24 kHz @param {number} at  when it was there, in seconds */
  take(pcm, at) {
    const added = Math.floor(pcm.length / 3);
    for (const all of [this.raw, this.even]) {
      all.copyWithin(0, added);
      all.fill(0, ECHO_KEPT - added);
    }
    let squares = 0;
    for (let i = 0; i < added; i++) {
      const sample = (pcm[3 * i] + pcm[3 * i + 1] + pcm[3 * i + 2]) / 98304;
      squares += sample * sample;
      this.raw[ECHO_KEPT - added + i] = sample;
    }
    this.count += added;
    this.loud = this.loud.filter((until) => until > this.count - ECHO_WINDOW);
    if (squares > 1e-5 * added) this.loud.push(this.count); // above -50 dB
    // Messages come late, never early; 1e-5 for clocks that drift apart.
    this.origin = Math.min(this.origin + 1e-5, at - this.count / ECHO_RATE_HZ);
    for (; this.done + ECHO_FRAME <= this.count; this.done += ECHO_HOP) this.evenOut(ECHO_KEPT - this.count + this.done);
  }

  /** Weigh one frame: who talks loud, or into the answer, must not outweigh what comes back of it. */
  evenOut(start) {
    const { re, im } = this.spectrum(this.raw, start);
    for (let k = 0; k < ECHO_FRAME; k++) {
      const at = Math.min(k, ECHO_FRAME - k);
      const weight = at < 6 || at > 110 ? 0 : (Math.hypot(re[k], im[k]) + 1e-3) ** -0.8;
      [re[k], im[k]] = [re[k] * weight, im[k] * weight];
    }
    transform(re, im, true);
    for (let i = 0; i < ECHO_FRAME; i++) this.even[start + i] += (re[i] * this.shape[i]) / ECHO_FRAME;
  }

  spectrum(samples, start) {
    const re = this.shape.map((weight, i) => weight * samples[start + i]);
    const im = new Float32Array(ECHO_FRAME);
    transform(re, im);
    return { re, im };
  }

  /** Samples from a number on, counted from the first; silence where there are none. */
  cut(samples, from, length) {
    const begin = ECHO_KEPT - this.count + from;
    return new Float32Array(length).map((_, i) => samples[begin + i] ?? 0);
  }
}

/** Measures, while an answer plays, whether it comes back. */
class EchoMeter {
  played = new EchoSignal();
  heard = new EchoSignal();
  found = null; // what was measured first, until it is gone
  misses = 0;

  /** Take 50 ms of the microphone. @returns how late and how loud the answer comes back; null where it does not */
  hear(pcm, at) {
    this.heard.take(pcm, at);
    const now = this.heard.count % ECHO_EVERY ? undefined : this.measure();
    if (now) Object.assign(this, { found: this.found ?? now, misses: 0 });
    else if (now === null && ++this.misses >= ECHO_MISSES) this.found = null;
    return this.found;
  }

  /** How late and how loud the answer comes back; null where it does not, undefined where too little was played lately. */
  measure() {
    const { played, heard } = this;
    if (played.loud.length < ECHO_LEAST_PIECES || heard.count < ECHO_RATE_HZ) return undefined;
    const begin = heard.done - ECHO_WINDOW;
    const same = begin + Math.round((heard.origin - played.origin) * ECHO_RATE_HZ); // the same moment in what was played
    const peak = this.peak(begin, same);
    if (peak.height < ECHO_PEAK) return null;
    const gain_db = this.gain(begin, same - peak.lag);
    return gain_db < ECHO_LEAST_DB ? null : { delay_ms: (peak.lag / ECHO_RATE_HZ) * 1000, gain_db };
  }

  /** The lag at which both are most alike, and how much more alike they are there than elsewhere. */
  peak(begin, same) {
    const [first, last] = ECHO_LAGS;
    const [re, im, product, rest] = Array.from({ length: 4 }, () => new Float32Array(ECHO_CORRELATION));
    re.set(this.played.cut(this.played.even, same - last, ECHO_WINDOW + last));
    im.set(this.heard.cut(this.heard.even, begin, ECHO_WINDOW));
    transform(re, im);
    // Both signals went through one transform, as the real and the imaginary part; their product comes out of its halves.
    for (let k = 0; k < ECHO_CORRELATION; k++) {
      const m = (ECHO_CORRELATION - k) % ECHO_CORRELATION;
      const [xr, xi] = [re[k] + re[m], im[k] - im[m]];
      const [yr, yi] = [im[k] + im[m], re[m] - re[k]];
      [product[k], rest[k]] = [yr * xr + yi * xi, yi * xr - yr * xi];
    }
    transform(product, rest, true);
    const alike = new Float32Array(last - first).map((_, i) => Math.abs(product.at(first + i - last)));
    const usual = alike.slice().sort()[alike.length >> 1] / 0.6745; // of noise, the standard deviation
    const top = alike.reduce((best, it, i) => (it > alike[best] ? i : best), 0);
    return { lag: top + first, height: alike[top] / (usual || Infinity) };
  }

  /** How much quieter than what was played that part of the heard is which goes with it, in dB. */
  gain(begin, from) {
    const x = this.played.cut(this.played.raw, from, ECHO_WINDOW);
    const y = this.heard.cut(this.heard.raw, begin, ECHO_WINDOW);
    const pairs = [];
    for (let at = 0; at + ECHO_FRAME <= ECHO_WINDOW; at += ECHO_HOP) {
      pairs.push([this.played.spectrum(x, at), this.heard.spectrum(y, at)]);
    }
    const size = ({ re, im }, k) => Math.hypot(re[k], im[k]);
    const loudest = new Float32Array(104).map((_, k) => Math.max(...pairs.map(([it]) => size(it, k + 6))));
    const least = (0.1 * loudest.reduce((sum, it) => sum + it)) / loudest.length; // below it, nothing was played
    let [power, back] = [0, 0];
    for (let k = 6; k < 110; k++) {
      let [count, re, im, ratios, energy] = [0, 0, 0, 0, 0];
      for (const [x, y] of pairs) {
        const [a, b] = [size(x, k), size(y, k)];
        if (a <= least) continue;
        count++;
        re += (x.re[k] * y.re[k] + x.im[k] * y.im[k]) / (a * b + 1e-12);
        im += (x.re[k] * y.im[k] - x.im[k] * y.re[k]) / (a * b + 1e-12);
        ratios += a / (b + 1e-6);
        energy += a * a;
      }
      // Of phases that have nothing to do with each other, `count` remains of the square; twice that is taken off.
      if (count) back += (Math.max(0, re * re + im * im - 2 * count) / ratios ** 2) * energy;
      power += energy;
    }
    return 10 * Math.log10(back / (power || Infinity) + 1e-9);
  }
}
