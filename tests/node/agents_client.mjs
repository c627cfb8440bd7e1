// `@openai/agents` realtime talks to the practice server: node agents_client.mjs WS_URL SLOW_WS_URL SPEECH.pcm
import assert from 'node:assert/strict';
import { setTracingDisabled, tool } from '@openai/agents';
import { RealtimeAgent, RealtimeSession } from '@openai/agents/realtime';
import { z } from 'zod';
import { answer, fast, heard, hello, model, play, silence, speech, unhurried, Waiting } from './stage.mjs';

setTracingDisabled(true);
const spokenTurn = arrayBuffer(Buffer.concat([speech, silence]));
const push = { audio: { input: { turnDetection: null } } };
const written = { outputModalities: ['text'] };

function arrayBuffer(bytes) {
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

/** A session whose server events are kept, and what it sent, and what it told of tools, sound and agents. */
class Talk extends Waiting {
  events = [];
  sent = [];
  told = [];
  errors = [];
  soundBytes = 0;
  #parsed = new Map(); // type → how many the SDK has parsed as its own type
  #read = 0;

  constructor({ config, agent, ...options } = {}) {
    super();
    this.agent = agent ?? new RealtimeAgent({ name: 'Teacher', instructions: 'Be brief.' });
    this.session = new RealtimeSession(this.agent, { transport: 'websocket', model, config, ...options });
    const { session } = this;
    const { transport } = session;
    session.on('transport_event', (event) => {
      // The SDK tells everything here first, and then under its type what it could parse.
      if (!this.#parsed.has(event.type)) {
        this.#parsed.set(event.type, 0);
        transport.on(event.type, () => this.#parsed.set(event.type, this.#parsed.get(event.type) + 1));
      }
      if (event.type === 'response.output_audio.delta') this.firstDelta ??= Date.now();
      this.events.push(event);
      this.came();
    });
    session.on('error', (error) => (this.errors.push(error), this.came()));
    session.on('audio', (event) => {
      this.soundSince ??= Date.now();
      this.soundBytes += event.data.byteLength;
      this.came();
    });
    const kinds = ['audio_interrupted', 'agent_tool_end', 'agent_handoff', 'guardrail_tripped', 'history_updated'];
    for (const kind of kinds) {
      session.on(kind, (...what) => (this.told.push([kind, ...what]), this.came()));
    }
    const send = transport.sendEvent.bind(transport);
    transport.sendEvent = (event) => (this.sent.push(event), send(event));
  }

  static async open(options, address = fast) {
    const talk = new Talk(options);
    await talk.session.connect({ apiKey: 'practice', url: `${address}?model=${model}` });
    await talk.next('session.updated');
    return talk;
  }

  /** The next server event of a type. */
  next(type) {
    return this.until(type, () => {
      assert.deepEqual(this.errors, []);
      while (this.#read < this.events.length) {
        const event = this.events[this.#read++];
        if (event.type === type) return event;
      }
    });
  }

  /** Wait until the session's history says this: [role, words] or [tool, arguments, output]. */
  async history(...lines) {
    const shown = () => JSON.stringify(this.session.history.map(line));
    await this.until(`the history ${JSON.stringify(lines)}`, () => {
      assert.deepEqual(this.errors, []);
      return shown() === JSON.stringify(lines);
    }).catch((error) => {
      throw new Error(`${error.message}, but ${shown()}`);
    });
  }

  tells(kind) {
    return this.told.filter(([told]) => told === kind);
  }

  truncates() {
    const sent = this.sent.filter((event) => event.type === 'conversation.item.truncate');
    return sent.map((event) => [event.item_id, event.audio_end_ms]);
  }

  types() {
    return this.events.map((event) => event.type);
  }

  close() {
    this.session.close();
    assert.deepEqual(this.errors, []);
    for (const [type, parsed] of this.#parsed) {
      const came = this.types().filter((each) => each === type).length;
      assert.equal(parsed, came, `${type}: ${came} came, ${parsed} were parsed`);
    }
    return this.events;
  }
}

function line(item) {
  if (item.type === 'function_call') return [item.name, item.arguments, item.output];
  const [part] = item.content;
  return [item.role, part?.transcript ?? part?.text ?? ''];
}

const forecast = (called) =>
  tool({
    name: 'get_weather',
    description: 'The weather of a city.',
    parameters: z.object({ city: z.string() }),
    execute: async ({ city }) => {
      called.push(city);
      return `foggy in ${city}`;
    },
  });

await play({
  async voice_activity() {
    const talk = await Talk.open(); // the SDK asks for semantic_vad and a transcription
    talk.session.sendAudio(spokenTurn);
    await talk.next('input_audio_buffer.speech_started');
    await talk.next('input_audio_buffer.speech_stopped');
    await talk.next('input_audio_buffer.committed');
    const { response } = await talk.next('response.done');
    assert.equal(response.status, 'completed');
    // One token is 50 ms, rounded down: the session handed on all of what was said.
    assert.equal(response.usage.output_token_details.audio_tokens, Math.floor(talk.soundBytes / 2_400));
    await talk.history(['user', heard], ['assistant', answer]);
    return talk.close();
  },

  async push_to_talk() {
    const talk = await Talk.open({ config: push });
    talk.session.sendAudio(arrayBuffer(speech.subarray(0, 24_000)));
    talk.session.sendAudio(arrayBuffer(speech.subarray(24_000)), { commit: true });
    await talk.next('input_audio_buffer.committed');
    talk.session.transport.sendEvent({ type: 'response.create' });
    assert.equal((await talk.next('response.done')).response.status, 'completed');
    await talk.history(['user', heard], ['assistant', answer]);
    assert.ok(!talk.types().includes('input_audio_buffer.speech_started'));
    return talk.close();
  },

  async text() {
    const talk = await Talk.open({ config: written });
    talk.session.sendMessage('Hello.');
    const { response } = await talk.next('response.done');
    assert.deepEqual(response.output[0].content, [{ type: 'output_text', text: answer }]);
    await talk.history(['user', 'Hello.'], ['assistant', answer]);
    assert.equal(talk.soundBytes, 0);
    assert.equal(talk.session.usage.totalTokens, response.usage.total_tokens);
    return talk.close();
  },

  async tool() {
    const called = [];
    const agent = new RealtimeAgent({ name: 'Teacher', instructions: 'Be brief.', tools: [forecast(called)] });
    const talk = await Talk.open({ agent });
    talk.session.sendAudio(spokenTurn);
    const asked = await talk.next('response.done');
    assert.deepEqual(asked.response.output.map((item) => item.type), ['message', 'function_call']);
    const { transcript } = (await talk.next('response.done')).response.output[0].content[0];
    assert.match(transcript, /^It is foggy in Oslo\./);
    await talk.history(
      ['user', heard],
      ['assistant', 'Let me look.'],
      ['get_weather', '{"city":"Oslo"}', 'foggy in Oslo'],
      ['assistant', transcript],
    );
    assert.deepEqual(called, ['Oslo']);
    assert.equal(talk.tells('agent_tool_end')[0][4], 'foggy in Oslo');
    return talk.close();
  },

  async two_tools() {
    const called = [];
    const agent = new RealtimeAgent({ name: 'Teacher', instructions: 'Be brief.', tools: [forecast(called)] });
    const talk = await Talk.open({ agent, config: written });
    talk.session.sendMessage('The weather in Oslo and in Rome?');
    const asked = await talk.next('response.done');
    assert.deepEqual(asked.response.output.map((item) => item.type), ['message', 'function_call', 'function_call']);
    // The SDK asks for an answer when the first result is there, and again if the second comes after that.
    let text = '';
    while (!text.includes('foggy in Oslo and foggy in Rome')) {
      ({ text } = (await talk.next('response.done')).response.output[0].content[0]);
    }
    assert.deepEqual(called.sort(), ['Oslo', 'Rome']);
    return talk.close();
  },

  async interruption() {
    const talk = await Talk.open({}, unhurried);
    talk.session.sendMessage('Hello.');
    await talk.until('sound', () => talk.soundBytes > 400 * 48);
    const asked = Date.now();
    talk.session.interrupt();
    const interrupted = Date.now();
    const { response } = await talk.next('response.done');
    assert.deepEqual([response.status, response.status_details.reason], ['cancelled', 'client_cancelled']);
    const { item_id, audio_end_ms } = await talk.next('conversation.item.truncated');
    assert.deepEqual(talk.truncates(), [[item_id, audio_end_ms]]);
    // The SDK takes for played what it has got, as far as there was time to play it.
    const ms = talk.soundBytes / 48;
    assert.ok(audio_end_ms >= Math.floor(Math.min(asked - talk.soundSince, 400)), `truncated at ${audio_end_ms} ms`);
    assert.ok(audio_end_ms <= Math.min(interrupted - talk.firstDelta, ms), `truncated at ${audio_end_ms} ms of ${ms}`);
    assert.equal(talk.tells('audio_interrupted').length, 1);
    // The SDK asks for what is left of it.
    const kept = (await talk.next('conversation.item.retrieved')).item.content[0];
    assert.equal(Buffer.from(kept.audio, 'base64').length, audio_end_ms * 48);
    return talk.close();
  },

  async spoken_interruption() {
    const talk = await Talk.open({}, unhurried);
    talk.session.sendMessage('Hello.');
    await talk.until('sound', () => talk.soundBytes > 400 * 48);
    talk.session.sendAudio(arrayBuffer(speech));
    const { response } = await talk.next('response.done');
    assert.deepEqual([response.status, response.status_details.reason], ['cancelled', 'turn_detected']);
    const { item_id, audio_end_ms } = await talk.next('conversation.item.truncated');
    assert.deepEqual(talk.truncates(), [[item_id, audio_end_ms]]);
    assert.ok(audio_end_ms <= talk.soundBytes / 48);
    assert.ok(!talk.sent.some((event) => event.type === 'response.cancel')); // the server's turn detection does it
    return talk.close();
  },

  async side_response() {
    const talk = await Talk.open({ config: written });
    const aside = { conversation: 'none', metadata: { topic: 'mood' }, input: [hello] };
    talk.session.transport.sendEvent({ type: 'response.create', response: aside });
    const { response } = await talk.next('response.done');
    assert.deepEqual([response.conversation_id, response.metadata], [null, { topic: 'mood' }]);
    assert.equal(response.output[0].content[0].text, answer);
    assert.ok(!talk.types().some((type) => type.startsWith('conversation.item')));
    return talk.close();
  },

  async handoff() {
    const forecaster = new RealtimeAgent({ name: 'Forecaster', instructions: 'Speak of the weather.' });
    const agent = new RealtimeAgent({ name: 'Teacher', instructions: 'Be brief.', handoffs: [forecaster] });
    const talk = await Talk.open({ agent });
    talk.session.sendAudio(spokenTurn);
    const { response } = await talk.next('response.done');
    assert.equal(response.output[0].name, 'transfer_to_Forecaster');
    const { session } = await talk.next('session.updated');
    assert.deepEqual([session.instructions, session.tools], ['Speak of the weather.', []]);
    assert.equal((await talk.next('response.done')).response.status, 'completed');
    const [[, , from, to]] = talk.tells('agent_handoff');
    assert.deepEqual([from.name, to.name, talk.session.currentAgent.name], ['Teacher', 'Forecaster', 'Forecaster']);
    return talk.close();
  },

  async guardrail() {
    const noHello = async ({ agentOutput }) => ({ tripwireTriggered: agentOutput.includes('Hello'), outputInfo: '' });
    const options = {
      config: push,
      outputGuardrails: [{ name: 'no_hello', execute: noHello }],
      outputGuardrailSettings: { debounceTextLength: 30 }, // by then there is sound: the SDK interrupts nothing else
    };
    const talk = await Talk.open(options, unhurried);
    talk.session.sendMessage('Hello.');
    const { response } = await talk.next('response.done');
    assert.deepEqual([response.status, response.status_details.reason], ['cancelled', 'client_cancelled']);
    assert.equal(talk.tells('guardrail_tripped').length, 1);
    // The SDK tells the model why, and the model says something else.
    const again = (await talk.next('response.done')).response;
    assert.match(again.output[0].content[0].transcript, /^Something else/);
    return talk.close();
  },
});
