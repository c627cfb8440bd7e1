/* global KernelLink */

const PIECE_BYTES = 256 * 1024; // larger messages are refused by Colab
const ON_THEIR_WAY_BYTES = 8 * PIECE_BYTES;

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
  /** @param {KernelLink} link @param {File} file */
  constructor(link, file) {
    Object.assign(this, { link, file });
    this.id = Math.random().toString(36).slice(2, 12);
    this.sent = 0; // bytes given to the link
    this.taken = this.over = this.reading = false;
    /** @type {{why: "file" | "lost" | "short" | "disk" | "reload", problem: string} | null} */
    this.failure = null;
    this.done = new Promise((resolve) => (this.resolve = resolve));
  }

  /** How much of it the kernel has, 0 … 1. */
  get share() {
    return Math.max(0, this.sent - this.link.waitingBytes) / Math.max(1, this.file.size);
  }

  /** Whether the kernel had to ask for a piece once more. */
  get resent() {
    return this.link.repeated > this.repeatedBefore;
  }

  /** Resolves when the kernel has it all, or it has failed or was stopped. */
  run() {
    this.repeatedBefore = this.link.repeated;
    this.link.send("begin", { id: this.id, name: this.file.name, bytes: this.file.size });
    this.pump();
    return this.done;
  }

  /** Read and send as much as may be on its way; to be called again whenever the kernel has answered. */
  async pump() {
    if (this.reading) return;
    this.reading = true;
    const { file, id } = this;
    while (!this.over && this.sent < file.size && !this.link.full) {
      const buffer = await file.slice(this.sent, this.sent + PIECE_BYTES).arrayBuffer().catch((error) => {
        this.end({ why: "file", problem: String(error?.message ?? error) }); // deleted or changed since it was chosen
      });
      const proved = buffer && (await proof(buffer));
      if (this.over) return;
      this.sent = Math.min(file.size, this.sent + PIECE_BYTES);
      this.link.send("piece", { id, ...proved }, buffer);
    }
    if (this.sent < file.size) this.reading = false;
    else this.link.send("end", { id });
  }

  receive({ kind, why, problem }) {
    this.taken = kind === "taken";
    this.end(this.taken ? null : { why, problem });
  }

  end(failure = null) {
    if (this.over) return;
    this.over = true;
    this.failure = failure;
    this.resolve();
  }
}
