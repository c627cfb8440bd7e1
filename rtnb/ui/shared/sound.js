// Recordings in the page: their waveform, a file of them, and the element in which `rtnbPlayer` builds its controls.

/* global element, PCM_RATE_HZ */

const LEVEL_BYTES = 96; // 2 ms

/** The loudness of a recording that may still grow. */
export class Levels {
  constructor() {
    this.peaks = [];
    this.rest = new Uint8Array();
  }

  /** @param {Uint8Array} bytes  s16le mono; a piece may end in the middle of a sample */
  push(bytes) {
    const all = new Uint8Array(this.rest.length + bytes.length);
    all.set(this.rest);
    all.set(bytes, this.rest.length);
    const whole = all.length - (all.length % LEVEL_BYTES);
    const samples = new Int16Array(all.buffer, 0, whole / 2);
    for (let at = 0; at < samples.length; at += LEVEL_BYTES / 2) {
      const loud = samples.subarray(at, at + LEVEL_BYTES / 2).reduce((peak, it) => Math.max(peak, Math.abs(it)), 0);
      this.peaks.push(loud / 32768);
    }
    this.rest = all.slice(whole);
  }

  /** Its waveform, as `html.waveform` in Python draws it of `Clip.peaks()`. */
  svg() {
    const edge = (bar) => Math.floor((bar * this.peaks.length) / 96);
    const bars = Array.from({ length: 96 }, (_, bar) => {
      const peak = Math.max(0, ...this.peaks.slice(edge(bar), Math.max(edge(bar) + 1, edge(bar + 1))));
      const height = Math.max(1, Math.round(36 * Math.sqrt(peak)));
      return `M${4 * bar + 2} ${20 - height / 2}v${height}`;
    });
    return `<svg viewBox="0 0 384 40" preserveAspectRatio="none"><path d="${bars.join("")}" stroke-width="2.4" fill="none"/></svg>`;
  }
}

/** A recording as a file. @param {BlobPart[]} chunks  s16le mono, 24 kHz */
export function wavOf(chunks) {
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  const format = [0x20746d66, 16, 0x10001, PCM_RATE_HZ, 2 * PCM_RATE_HZ, 0x100002]; // "fmt ": PCM, mono, 16 bits
  const head = Uint32Array.of(0x46464952, 36 + bytes, 0x45564157, ...format, 0x61746164, bytes);
  return new Blob([head, ...chunks], { type: "audio/wav" });
}

/**
 * The element of a player. @param {import("./words.js").Say} say @param {string} name  what it plays
 * @param {{compact?: boolean, file?: Blob, caption?: (Node | string)[]}} [options]  `file`: an audio element plays it
 */
export function playerFigure(say, name, { compact, file, caption = [] } = {}) {
  const figure = element("figure", { className: compact ? "rtnb-audio one" : "rtnb-audio" });
  figure.append(element("figcaption", {}, element("span", { textContent: name }), ...caption));
  figure.setAttribute("role", "group");
  figure.setAttribute("aria-label", name);
  const names = [say("Play {name}", { name }), say("Pause {name}", { name }), say("Position in {name}", { name })];
  figure.dataset.say = JSON.stringify([...names, say("Speed"), say("Download {name}", { name })]);
  if (!file) return figure;
  const ending = { "audio/wav": ".wav", "audio/ogg": ".ogg" }[file.type] ?? "";
  figure.dataset.file = name.replace(/\.\w+$/, "") + ending;
  figure.append(element("audio", { src: URL.createObjectURL(file) }));
  return figure;
}

/** Take the players out of an element, and give back what they play; the page would keep it. @param {Element} root */
export function giveBack(root) {
  for (const { src } of root.querySelectorAll("audio")) URL.revokeObjectURL(src);
  root.replaceChildren();
}
