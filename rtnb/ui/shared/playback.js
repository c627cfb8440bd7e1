// Audio in the page: PCM goes in as it arrives, comes out without gaps or clicks, and every sample played is counted.
//
//   const context = openAudioContext();                       // 24 kHz where the browser lets us choose
//   const playback = await createPlayback(context);           // connected to context.destination
//   playback.push(buffer, item_id);                           // DataView | ArrayBuffer | Int16Array, s16le mono; dropped
//                                                             // where `silence` stopped the item: it was on its way
//   playback.end(item_id);                                    // no more will come for this item: do not wait for it
//   playback.onPlayed(({itemId, played_ms, queued_ms, playing, ended}) => …);   // about 25 times a second
//   playback.playedMs(item_id);                               // what has left the loudspeaker, in milliseconds
//   const {itemId, played_ms, cut} = await playback.silence();  // within one audio block; the queue is thrown away
//   playback.close();                                         // the context stays yours to close
//
// Besides, `playback.now()` is the state, `playback.node` an AudioNode for a meter, and `playback.kind` "worklet", or
// "script" where the page allows no AudioWorklet.

/* global PCM_RATE_HZ, Resampler, loadWorklet */

const LEAD_MS = 30;

/**
 * @typedef {object} Played  The state of playback.
 * @property {string | null} itemId     the item now playing, or the last one played
 * @property {number} played_ms         how much of it has been played
 * @property {number} queued_ms         audio that waits to be played, over all items
 * @property {boolean} playing          false while it waits for more audio
 * @property {boolean} ended            the item was ended, and everything pushed has left the loudspeaker
 * @property {number} underruns         how often the queue ran dry in the middle of an item
 * @property {[string, number][]} counts   played_ms of each item that has moved since the last report
 *
 * @typedef {object} Silenced  What was stopped by `silence()`.
 * @property {string | null} itemId     the item that was playing (or next to play); null if there was none
 * @property {number} played_ms         how much of it was played: use it for `conversation.item.truncate`
 * @property {{itemId: string, played_ms: number}[]} cut   every item that was not played to its end, in order
 */

/**
 * The queue between the messages and the loudspeaker. It runs on the audio thread; its source text is sent there, so it
 * uses nothing from outside itself but `Resampler`.
 */
class PlaybackQueue {
  /**
   * @param {number} rate_hz  of the audio pushed @param {number} out_hz  of the audio context
   * @param {number} lead_ms  audio gathered before playing starts; grows when the queue runs dry
   */
  constructor(rate_hz, out_hz, lead_ms) {
    this.out_hz = out_hz;
    this.lead = Math.round((lead_ms / 1000) * out_hz);
    /** @type {{itemId: string, samples: Float32Array, at: number}[]} */
    this.chunks = [];
    this.queued = 0;
    this.items = new Map(); // what is known of each, see `item`
    this.current = null; // the id of the item that plays
    this.playing = false;
    this.underruns = 0;
    this.moved = new Set(); // items whose count has moved since the last report
    this.reported = ""; // what the last report said of it
    this.reportAt = 0; // when the next is due, in seconds of the context
    // A step between two neighbouring samples is heard as a click. Wherever audio is cut or set in, the step is added
    // back as an offset that dies away within a few milliseconds.
    this.offset = 0;
    this.fade = Math.exp(-1 / (0.0015 * out_hz));
    this.last = 0;
    // A short filter: a whole second may come at once, and the audio thread has milliseconds.
    this.resampler = rate_hz === out_hz ? null : new Resampler(rate_hz, out_hz, { crossings: 16, delayed: false });
  }

  /** @param {string} itemId */
  item(itemId) {
    const fresh = { played: 0, ended: false, silenced: false, odd: new Uint8Array() };
    if (!this.items.has(itemId)) this.items.set(itemId, { ...fresh, resampler: this.resampler?.another() });
    return this.items.get(itemId);
  }

  /** @param {string} itemId @param {Uint8Array} bytes  s16le mono */
  push(itemId, bytes) {
    const item = this.item(itemId);
    if (item.silenced || item.ended) return;
    const all = new Uint8Array(item.odd.length + bytes.length);
    all.set(item.odd);
    all.set(bytes, item.odd.length);
    item.odd = all.slice(all.length & ~1);
    const samples = new Float32Array(new Int16Array(all.buffer, 0, all.length >> 1)).map((sample) => sample / 32768);
    this.queue(itemId, item.resampler?.push(samples) ?? samples);
  }

  queue(itemId, samples) {
    if (!samples.length) return;
    this.queued += samples.length;
    this.chunks.push({ itemId, samples, at: 0 });
  }

  /** @param {string} itemId */
  end(itemId) {
    const item = this.item(itemId);
    if (item.resampler && !item.silenced && !item.ended) this.queue(itemId, item.resampler.end());
    item.ended = true;
  }

  silence() {
    const waiting = this.chunks.map((chunk) => chunk.itemId);
    const now = this.items.get(this.current);
    // An item between two deltas is cut as well: the user spoke into its pause.
    const underway = now && (this.playing || (!now.ended && !now.silenced));
    const ids = [...new Set(underway ? [this.current, ...waiting] : waiting)];
    for (const id of ids) this.item(id).silenced = true;
    this.chunks = [];
    this.queued = 0;
    if (this.playing) this.offset = this.last;
    this.playing = false;
    this.reportAt = 0;
    const cut = ids.map((itemId) => ({ itemId, played_ms: this.ms(this.items.get(itemId).played) }));
    return { itemId: cut[0]?.itemId ?? null, played_ms: cut[0]?.played_ms ?? 0, cut };
  }

  ms(samples) {
    return (samples * 1000) / this.out_hz;
  }

  /** Fill one block. @param {Float32Array} out */
  pull(out) {
    const last = this.chunks.at(-1);
    if (!this.playing && last && (this.queued >= this.lead || this.items.get(last.itemId).ended)) {
      this.playing = true;
      this.offset = this.last - this.chunks[0].samples[this.chunks[0].at];
    }
    for (let i = 0; i < out.length; i++) {
      const chunk = this.chunks[0];
      let sample = 0;
      if (this.playing && chunk) {
        if (this.current !== chunk.itemId || i === 0) this.moved.add((this.current = chunk.itemId));
        sample = chunk.samples[chunk.at++];
        this.items.get(chunk.itemId).played++;
        this.queued--;
        if (chunk.at === chunk.samples.length) this.chunks.shift();
      } else if (this.playing) {
        this.playing = false;
        this.offset = this.last;
        if (!this.items.get(this.current).ended) {
          this.underruns++;
          this.lead = Math.min(Math.max(this.lead * 2, 0.06 * this.out_hz), 0.3 * this.out_hz);
        }
      }
      this.last = out[i] = sample + this.offset;
      this.offset *= this.fade;
      if (Math.abs(this.offset) < 1e-5) this.offset = 0;
    }
  }

  /**
   * Fill one block that ends at a time of the context. Returned is the state where it is to be reported: whenever it
   * starts, stops or ends, and about 25 times a second while it plays. Several short items may pass between two reports.
   */
  render(out, time) {
    this.pull(out);
    const item = this.items.get(this.current);
    const { current: itemId, playing, underruns } = this;
    const ended = !playing && !this.chunks.length && (!item || item.ended || item.silenced);
    const key = `${itemId} ${playing} ${ended}`;
    if (key === this.reported && !(playing && time >= this.reportAt)) return null;
    this.reported = key;
    this.reportAt = time + 0.04;
    const counts = [...this.moved].map((id) => [id, this.ms(this.items.get(id).played)]);
    this.moved.clear();
    return { itemId, played_ms: this.ms(item?.played ?? 0), queued_ms: this.ms(this.queued), playing, ended, underruns, counts };
  }
}

const PLAYBACK_WORKLET = `
${Resampler}
${PlaybackQueue}
registerProcessor("rtnb-playback", class extends AudioWorkletProcessor {
  constructor({ processorOptions: o }) {
    super();
    this.queue = new PlaybackQueue(o.rate_hz, sampleRate, o.lead_ms);
    this.alive = true;
    this.port.onmessage = ({ data: [what, a, b] }) => {
      if (what === "silence") this.port.postMessage(["silenced", a, this.queue.silence()]);
      else if (what === "close") this.alive = false;
      else this.queue[what](a, b); // push, end
    };
  }
  process(inputs, [[out]]) {
    const time = currentTime + out.length / sampleRate;
    const state = this.queue.render(out, time);
    if (state) this.port.postMessage(["played", time, state]);
    return this.alive;
  }
});`;

/** Open an audio context at the rate of the API's audio, so that the browser resamples it for the device and not we. */
export function openAudioContext() {
  try {
    return new AudioContext({ sampleRate: PCM_RATE_HZ, latencyHint: "interactive" });
  } catch {
    return new AudioContext(); // an older browser, or a device that refuses the rate: the queue resamples
  }
}

/**
 * How late the loudspeaker is, in seconds; undefined where it cannot be asked. Firefox locks its audio graph while it asks
 * PulseAudio, which may wait for that same graph: on a busy machine the page then hangs for ever (Firefox 153 ESR).
 * @param {AudioContext} context
 */
const outputLatency = (context) => (navigator.userAgent.includes("Firefox/") ? undefined : context.outputLatency);

/**
 * Wait until what was rendered up to `time` has left the loudspeaker: only then may its context be closed.
 * @param {AudioContext} context @param {number} time  of the context, in seconds
 */
export async function leftLoudspeaker(context, time) {
  while (context.state !== "closed") {
    // 0.2 s where the browser does not know; 50 ms because it renders ahead of what it counts.
    const left_ms = (time + (outputLatency(context) || 0.2) + 0.05 - context.currentTime) * 1000;
    if (left_ms <= 0) return;
    await new Promise((done) => setTimeout(done, Math.max(20, left_ms))); // paused, it takes as long as it is
  }
}

/** Start playing into an audio context. @param {AudioContext} context @param {AudioNode} [destination] */
export async function createPlayback(context, destination = context.destination) {
  let listener = null;
  const playedOf = new Map(); // milliseconds, by item
  /** @type {Played} */
  let state = { itemId: null, played_ms: 0, queued_ms: 0, playing: false, ended: true, underruns: 0, counts: [] };
  let stateTime = 0;
  const report = async (time, played) => {
    const underway = { ...played, ended: false };
    state = underway;
    stateTime = time;
    for (const [itemId, ms] of played.counts) playedOf.set(itemId, ms);
    listener?.(underway);
    if (!played.ended) return;
    await leftLoudspeaker(context, time);
    if (state !== underway) return; // something new has been pushed meanwhile
    state = played;
    listener?.(played);
  };
  const onWorklet = workletEngine(context, report, () => state);
  const engine = await onWorklet.catch(() => scriptEngine(context, report));
  engine.node.connect(destination);
  return {
    ...engine,
    now: () => state,
    onPlayed: (it) => (listener = it),
    playedMs(itemId) {
      if (itemId !== state.itemId) return playedOf.get(itemId) ?? 0;
      const since_ms = (context.currentTime - stateTime - (outputLatency(context) || 0)) * 1000;
      return Math.max(0, state.played_ms + Math.min(since_ms, state.playing ? state.queued_ms : 0));
    },
    close() {
      listener = null;
      engine.close();
    },
  };
}

/** A copy in any case: the widget's message owns its buffer, and ours is given away to the audio thread. */
const copied = (pcm) => new Uint8Array(pcm.buffer ?? pcm, pcm.byteOffset ?? 0, pcm.byteLength).slice();

/** Playback on the audio thread. Throws where the page allows none. */
async function workletEngine(context, report, now) {
  await loadWorklet(context, "playback", PLAYBACK_WORKLET);
  const processorOptions = { rate_hz: PCM_RATE_HZ, lead_ms: LEAD_MS };
  const node = new AudioWorkletNode(context, "rtnb-playback", { numberOfInputs: 0, outputChannelCount: [1], processorOptions });
  const waiting = new Map(); // what to do with the answer, by the number of the request
  let asked = 0;
  node.port.onmessage = ({ data: [what, key, value] }) => {
    if (what === "played") report(key, value);
    else if (what === "silenced") waiting.get(key)(value);
  };
  return {
    kind: "worklet",
    node,
    push(pcm, itemId) {
      const bytes = copied(pcm);
      node.port.postMessage(["push", itemId, bytes], [bytes.buffer]);
    },
    end: (itemId) => node.port.postMessage(["end", itemId]),
    silence() {
      node.port.postMessage(["silence", ++asked]);
      // A suspended context may not answer; nothing has moved since its last report then.
      const { itemId, played_ms } = now();
      return new Promise((resolve) => {
        waiting.set(asked, resolve);
        setTimeout(resolve, 400, { itemId, played_ms, cut: itemId ? [{ itemId, played_ms }] : [] });
      });
    },
    close() {
      node.port.postMessage(["close"]);
      node.disconnect();
    },
  };
}

/** The same queue on the page's own thread, for pages that allow no AudioWorklet: a busy page may leave gaps. */
function scriptEngine(context, report) {
  const queue = new PlaybackQueue(PCM_RATE_HZ, context.sampleRate, 2 * LEAD_MS);
  const node = context.createScriptProcessor(1024, 0, 1);
  node.onaudioprocess = ({ outputBuffer, playbackTime }) => {
    const time = playbackTime + outputBuffer.duration;
    const state = queue.render(outputBuffer.getChannelData(0), time);
    if (state) report(time, state);
  };
  return {
    kind: "script",
    node,
    push: (pcm, itemId) => queue.push(itemId, copied(pcm)),
    end: (itemId) => queue.end(itemId),
    silence: async () => queue.silence(),
    close() {
      node.onaudioprocess = null;
      node.disconnect();
    },
  };
}
