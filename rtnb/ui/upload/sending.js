const PIECE_BYTES = 256 * 1024; // larger messages are refused by Colab
const ON_THEIR_WAY = 8;
const SILENT_MS = 1500;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** What proves a piece: SHA-256, or CRC-32 on insecure pages, whose browsers offer no SHA-256. */
async function proof(buffer) {
  if (globalThis.crypto?.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", buffer));
    return { sha256: Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") };
  }
  let crc = 0xffffffff;
  for (const byte of new Uint8Array(buffer)) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return { crc32: (crc ^ 0xffffffff) >>> 0 };
}

/** One file on its way. */
class Sending {
  constructor(model, file, changed) {
    this.model = model;
    this.file = file;
    this.changed = changed;
    this.id = Math.random().toString(36).slice(2, 12);
    this.pieces = Math.max(1, Math.ceil(file.size / PIECE_BYTES));
    this.next = 0; // the next piece to send
    this.acked = 0; // pieces the kernel has
    this.resent = 0;
    this.asked = this.silent = this.over = this.pumping = false;
    /** @type {{why: "file" | "lost" | "short" | "disk" | "reload", problem: string} | null} */
    this.failure = null;
  }

  /** How much of it the kernel has, 0 … 1. */
  get share() {
    return Math.min(1, (this.acked * PIECE_BYTES) / Math.max(1, this.file.size));
  }

  /** Resolves when the kernel has it all, or it has failed or was stopped. */
  run() {
    return new Promise((resolve) => {
      this.resolve = resolve;
      this.model.send({ kind: "begin", id: this.id, name: this.file.name, bytes: this.file.size, pieces: this.pieces });
      this.answeredAt = performance.now();
      this.timer = setInterval(() => this.watch(), 500);
      this.pump();
    });
  }

  async pump() {
    if (this.pumping) return;
    this.pumping = true;
    try {
      while (!this.over && this.next < this.pieces && this.next - this.acked < ON_THEIR_WAY) {
        const i = this.next;
        const buffer = await this.file.slice(i * PIECE_BYTES, (i + 1) * PIECE_BYTES).arrayBuffer().catch((error) => {
          this.end({ why: "file", problem: String(error?.message ?? error) }); // deleted or changed since it was chosen
        });
        const proved = buffer && (await proof(buffer));
        if (this.over || this.next !== i) continue; // the kernel asked for an earlier one meanwhile
        this.next = i + 1;
        this.model.send({ kind: "piece", id: this.id, i, ...proved }, undefined, [buffer]);
      }
    } finally {
      this.pumping = false;
    }
  }

  watch() {
    const silent = performance.now() - this.answeredAt > SILENT_MS;
    if (silent !== this.silent) {
      this.silent = silent;
      this.changed();
    }
    if (silent && !this.asked) {
      this.asked = true;
      this.model.send({ kind: "where", id: this.id });
    }
  }

  receive(message) {
    this.answeredAt = performance.now();
    this.silent = false;
    if (message.kind === "failed") return this.end({ why: message.why, problem: message.problem });
    this.acked = Math.max(this.acked, message.next);
    if (message.answer) this.asked = false;
    if ((message.kind === "again" || message.answer) && message.next < this.next) {
      this.next = message.next;
      this.resent++;
    }
    if (this.acked >= this.pieces) this.end();
    else this.pump();
    this.changed();
  }

  end(failure = null) {
    if (this.over) return;
    this.over = true;
    this.failure = failure;
    clearInterval(this.timer);
    this.changed();
    this.resolve?.();
  }
}
