/* global lettersHeard, PCM_BYTES_PER_MS */

/** The turns of a call, and how much of each answer was played. */
class Turns {
  constructor() {
    /** @type {Map<string, any>} by item id; the order is in `order` */
    this.byItem = new Map();
    this.order = [];
    this.playedMs = new Map();
    this.receivedBytes = new Map();
    this.audioEnded = new Set();
  }

  clear() {
    this.byItem.clear();
    this.order = [];
  }

  /** Take a turn, new or changed. */
  put(turn) {
    const { item, after } = turn;
    this.byItem.set(item, { ...this.byItem.get(item), ...turn });
    const at = this.order.indexOf(item);
    if (at === this.order.indexOf(after) + 1) return;
    if (at >= 0) this.order.splice(at, 1);
    const before = this.order.indexOf(after);
    // Its neighbour has not been shown (yet): to the end, where new turns belong.
    this.order.splice(after !== null && before < 0 ? this.order.length : before + 1, 0, item);
  }

  received(item, bytes) {
    this.receivedBytes.set(item, (this.receivedBytes.get(item) ?? 0) + bytes);
  }

  /** The number of letters of a spoken turn that have been played. */
  lettersHeard(turn, inCall) {
    const { text, item } = turn;
    if (turn.role !== "assistant" || !turn.spoken) return text.length;
    const cut = turn.played_ms ?? null;
    const played_ms = cut ?? this.playedMs.get(item);
    const total_ms = Math.max(turn.audio_ms ?? 0, (this.receivedBytes.get(item) ?? 0) / PCM_BYTES_PER_MS);
    if (played_ms === undefined) return this.receivedBytes.has(item) || (inCall && turn.open) ? 0 : text.length;
    const whole = this.audioEnded.has(item) || cut !== null || !turn.open;
    return lettersHeard(text, { played_ms, total_ms, whole });
  }

  /** What was not played to its end, as the kernel takes it. @param {(item: string) => number} playedMs */
  unplayed(playedMs) {
    const played = (item, bytes) => this.audioEnded.has(item) && playedMs(item) >= bytes / PCM_BYTES_PER_MS - 60;
    const cut = [...this.receivedBytes].filter(([item, bytes]) => !played(item, bytes));
    return cut.map(([item]) => ({ item, played_ms: Math.floor(playedMs(item)) }));
  }
}
