/**
 * The link between a widget's page and its kernel: numbered both ways, so that nothing is lost without being noticed.
 *
 * A kernel takes widget messages only while it is idle (before ipykernel 7.4 not even while a cell awaits). So what the
 * page sends waits here: a few messages are on their way at a time, the rest is kept, joined, and sent on as the kernel
 * answers for them. Kernel to page there is no such wait; those messages come from the I/O thread. The views of a call or
 * of a player share one link; each view of a box has its own. The other end is `kernel_link.py`.
 */

/* global PCM_RATE_HZ, PCM_BYTES_PER_MS, joined, listenTo */

const IN_FLIGHT_MESSAGES = 40; // 2 s of audio at 50 ms
const JOINED_BYTES = 96 * 1024; // 2 s of audio in one message
const BUSY_AFTER_MS = 1200;
const LOST_AFTER_MS = 6000;

const isAudio = (message) => message?.content.kind === "audio";
const bytesIn = (messages) => messages.reduce((sum, { bytes }) => sum + bytes, 0);

export class KernelLink {
  /**
   * @param {any} model anywidget's model
   * @param {object} options
   * @param {(message: any, buffers: DataView[]) => void} options.onMessage in order, each once
   * @param {() => void} [options.onBusy] the kernel does not take messages (`busy`; `waitingSeconds` of audio wait), or does again
   * @param {(why: "closed" | "silent") => void} [options.onLost] the kernel is gone
   * @param {() => void} [options.onFound] it was silent and is there again
   * @param {(count: number) => void} [options.onHole] so many messages from the kernel never came
   * @param {() => void} [options.onAnswer] the kernel has taken some of what was sent
   * @param {number} [options.inFlightBytes] so much may be on its way
   * @param {boolean} [options.fromFirst] the kernel's first message is waited for, and no welcome; it repeats what was missed unasked
   */
  constructor(model, { inFlightBytes = 512 * 1024, fromFirst = false, ...handlers }) {
    Object.assign(this, { model, inFlightBytes, fromFirst, ...handlers });
    this.page = Math.random().toString(36).slice(2, 12);
    this.sent = 0; // number of the last message given a number
    this.repeated = 0; // how often the kernel asked for messages once more
    /** @type {{n: number, content: any, buffer: ArrayBuffer | null, bytes: number, at: number}[]} on their way */
    this.flight = [];
    /** @type {{content: any, parts: ArrayBuffer[], bytes: number}[]} not sent yet */
    this.queue = [];
    this.expected = fromFirst ? 1 : null; // number of the kernel's next message; null before its welcome
    this.early = new Map();
    this.askedAt = this.probedAt = this.holeSince = 0;
    this.receivedAt = this.lookedAt = performance.now();
    this.watched = false; // whether the kernel promised to send heartbeats
    this.busy = false;
    this.open = true;
    // Jupyter's widget managers say so when a kernel restarts or dies; elsewhere the missing heartbeats do.
    const closed = () => this.lose("closed");
    const received = (content, buffers) => this.received(content, buffers);
    this.unlisten = listenTo(model, { "msg:custom": received, "comm:close": closed, comm_live_update: closed });
    this.timer = setInterval(() => this.look(), 200);
  }

  /** Bytes that the kernel has not answered for. */
  get waitingBytes() {
    return bytesIn(this.flight) + bytesIn(this.queue);
  }

  /** The same as seconds of audio. */
  get waitingSeconds() {
    return this.waitingBytes / PCM_BYTES_PER_MS / 1000;
  }

  /** Whether what is sent now waits until the kernel has taken something. */
  get full() {
    return this.flight.length >= IN_FLIGHT_MESSAGES || bytesIn(this.flight) >= this.inFlightBytes;
  }

  /** Send a message, in order with everything else. @param {string} kind @param {object} [fields] @param {ArrayBuffer} [buffer] */
  send(kind, fields = {}, buffer) {
    if (!this.open) return;
    const last = this.queue.at(-1);
    if (kind === "audio" && isAudio(last) && last.bytes + buffer.byteLength <= JOINED_BYTES) {
      last.parts.push(buffer);
      last.bytes += buffer.byteLength;
    } else {
      this.queue.push({ content: { kind, ...fields }, parts: buffer ? [buffer] : [], bytes: buffer?.byteLength ?? 0 });
    }
    this.pump();
  }

  /** Send a recording that is there already, a second a message. @param {Int16Array} pcm */
  sendRecording(pcm) {
    for (let at = 0; at < pcm.length; at += PCM_RATE_HZ) this.send("audio", {}, pcm.slice(at, at + PCM_RATE_HZ).buffer);
  }

  /** @param {boolean} [all] also what should wait for the kernel's answers */
  pump(all = false) {
    while (this.queue.length && this.open) {
      if (this.full && !all) return;
      const { content, parts, bytes } = this.queue.shift();
      const buffer = parts.length ? joined(parts).buffer : null;
      this.flight.push({ n: ++this.sent, content, buffer, bytes, at: performance.now() });
      this.transmit(this.flight.at(-1));
    }
  }

  transmit({ n, content, buffer }) {
    // The kernel answers for every control message, and for audio every 150 ms.
    const now = performance.now();
    const ack = content.kind !== "audio" || now - this.askedAt > 150;
    if (ack) this.askedAt = now;
    this.raw({ ...content, n, ...(ack && { ack }) }, buffer);
  }

  raw(content, buffer) {
    try {
      this.model.send({ ...content, page: this.page }, undefined, buffer ? [buffer] : []);
    } catch {
      this.lose("closed"); // Jupyter throws once its kernel is dead
    }
  }

  received(content, buffers) {
    if (!this.open || typeof content?.kind !== "string") return;
    const mine = !content.to || content.to === this.page;
    if (!mine && ["ack", "again", "welcome"].includes(content.kind)) return;
    this.receivedAt = performance.now();
    if (this.lost === "silent") {
      this.lost = null;
      this.onFound?.();
    }
    if (content.kind === "ack") {
      this.flight = this.flight.filter((message) => message.n > content.upto);
      // What is still on its way has been waiting for a kernel that is answering: count from now.
      for (const message of this.flight) message.at = Math.max(message.at, this.receivedAt);
      this.pump();
      this.look();
      this.onAnswer?.();
    } else if (content.kind === "again") {
      this.repeated++;
      for (const message of this.flight) if (message.n >= content.from) this.transmit(message);
    } else if (content.kind === "beat") {
      this.watched = content.on;
      if (this.expected !== null && content.last >= this.expected && !this.early.has(this.expected)) this.askAgain();
    } else if (content.kind === "welcome") {
      this.expected = content.n + 1;
      this.early.clear();
      this.onMessage(content, buffers);
    } else this.put(content, buffers, mine);
  }

  /** Take a numbered message, in its turn. */
  put(content, buffers, mine) {
    if (this.expected === null || content.n < this.expected) return; // older than this page
    this.early.set(content.n, mine ? [content, buffers] : null); // another page's messages count as well
    this.deliver();
    if (this.early.size) this.askAgain();
  }

  deliver() {
    while (this.early.has(this.expected)) {
      const message = this.early.get(this.expected);
      this.early.delete(this.expected++);
      this.holeSince = 0;
      if (message) this.onMessage(...message);
    }
  }

  askAgain() {
    if (this.fromFirst) return;
    const now = performance.now();
    if (!this.holeSince) {
      this.holeSince = now;
      this.raw({ kind: "again", from: this.expected });
    } else if (now - this.holeSince > 3000 && this.early.size) {
      // The kernel is too busy to send them again: go on with what is there, and say so.
      const next = Math.min(...this.early.keys());
      this.onHole?.(next - this.expected);
      this.expected = next;
      this.holeSince = 0;
      this.deliver();
    }
  }

  /** Five times a second and at every answer: is the kernel taking what we send, is it there at all? */
  look() {
    const now = performance.now();
    // A page that stood still (a heavy cell output, a sleeping laptop) has received nothing: that proves nothing.
    if (now - this.lookedAt > 2000) this.receivedAt = now;
    this.lookedAt = now;
    const was = this.busy;
    this.busy = now - (this.flight[0]?.at ?? now) > BUSY_AFTER_MS;
    if (this.busy || was) this.onBusy?.();
    if (this.busy && now - this.probedAt > 3000) {
      this.probedAt = now;
      this.raw({ kind: "probe", upto: this.sent }); // is it busy, or did the last message get lost?
    }
    if (this.early.size) this.askAgain();
    if (this.watched && now - this.receivedAt > LOST_AFTER_MS) this.lose("silent");
  }

  lose(why) {
    if (!this.open || this.lost) return;
    this.lost = why;
    this.watched = false;
    this.flight = [];
    this.queue = [];
    this.onLost?.(why);
  }

  /** The page goes away: what waits goes out at once, and a last message that is taken even if some of it is lost. */
  bye(fields = {}) {
    this.pump(true);
    this.raw({ kind: "bye", ...fields });
  }

  /** Throw away audio that has not been sent. */
  forgetAudio() {
    this.queue = this.queue.filter((message) => !isAudio(message));
  }

  close() {
    this.open = false;
    clearInterval(this.timer);
    this.unlisten();
  }
}
