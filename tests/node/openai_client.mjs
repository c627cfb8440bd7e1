// The npm package `openai` talks to the practice server: node openai_client.mjs BASE_URL SPEECH.pcm
// Prints one JSON line per scene; exits with 1 if anything is not as the real server does it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';

const [baseURL, speechFile] = process.argv.slice(2);
const speech = readFileSync(speechFile); // s16le, 24 kHz, mono
const silence = Buffer.alloc(96_000);
const model = 'gpt-realtime-2.1-mini';
const weather = {
  type: 'function',
  name: 'get_weather',
  description: 'The weather of a city.',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const hello = { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Hello.' }] };

/** A session whose events are kept, and can be waited for in the order in which they came. */
class Talk {
  constructor() {
    this.events = [];
    this.errors = [];
    this.read = 0;
    this.rt = new OpenAIRealtimeWS({ model }, new OpenAI({ baseURL, apiKey: 'practice' }));
    this.rt.on('event', (event) => {
      this.events.push(event);
      this.wake?.();
    });
    this.rt.on('error', (error) => {
      this.errors.push(error);
      this.wake?.();
    });
  }

  static async open(session) {
    const talk = new Talk();
    await talk.until('session.created');
    if (session) {
      talk.rt.send({ type: 'session.update', session: { type: 'realtime', ...session } });
      await talk.until('session.updated');
    }
    return talk;
  }

  async until(type) {
    for (;;) {
      while (this.read < this.events.length) {
        const event = this.events[this.read++];
        if (event.type === type) return event;
      }
      assert.deepEqual(this.errors, [], `waiting for ${type}`);
      await new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`no ${type} in 10 s`)), 10_000);
        this.wake = () => (clearTimeout(late), resolve());
      });
    }
  }

  append(sound) {
    for (let at = 0; at < sound.length; at += 4_800) {
      this.rt.send({ type: 'input_audio_buffer.append', audio: sound.subarray(at, at + 4_800).toString('base64') });
    }
  }

  close() {
    this.rt.close();
    return this.events;
  }
}

const scenes = {
  async text() {
    const talk = await Talk.open({ output_modalities: ['text'] });
    talk.rt.send({ type: 'conversation.item.create', item: hello });
    talk.rt.send({ type: 'response.create' });
    const { response } = await talk.until('response.done');
    assert.equal(response.status, 'completed');
    assert.ok(response.output[0].content[0].text);
    return talk.close();
  },

  async voice_activity() {
    const talk = await Talk.open();
    talk.append(Buffer.concat([speech, silence]));
    await talk.until('input_audio_buffer.speech_started');
    await talk.until('input_audio_buffer.speech_stopped');
    await talk.until('input_audio_buffer.committed');
    const { response } = await talk.until('response.done');
    assert.equal(response.status, 'completed');
    assert.ok(response.usage.output_token_details.audio_tokens > 0);
    return talk.close();
  },

  async push_to_talk() {
    const talk = await Talk.open({ audio: { input: { turn_detection: null, transcription: { model: 'whisper-1' } } } });
    talk.append(speech);
    talk.rt.send({ type: 'input_audio_buffer.commit' });
    await talk.until('conversation.item.input_audio_transcription.completed');
    talk.rt.send({ type: 'response.create' });
    await talk.until('response.output_audio.delta');
    assert.equal((await talk.until('response.done')).response.status, 'completed');
    return talk.close();
  },

  async tool() {
    const talk = await Talk.open({ output_modalities: ['text'], tools: [weather] });
    talk.rt.send({ type: 'conversation.item.create', item: hello });
    talk.rt.send({ type: 'response.create' });
    const call = await talk.until('response.function_call_arguments.done');
    assert.deepEqual([call.name, JSON.parse(call.arguments)], ['get_weather', { city: 'Oslo' }]);
    await talk.until('response.done');
    const item = { type: 'function_call_output', call_id: call.call_id, output: 'fog' };
    talk.rt.send({ type: 'conversation.item.create', item });
    talk.rt.send({ type: 'response.create' });
    const { response } = await talk.until('response.done');
    assert.match(response.output[0].content[0].text, /foggy/);
    return talk.close();
  },

  async interruption() {
    const talk = await Talk.open();
    talk.rt.send({ type: 'conversation.item.create', item: hello });
    talk.rt.send({ type: 'response.create' });
    const { item_id } = await talk.until('response.output_audio.delta');
    talk.rt.send({ type: 'response.cancel' });
    const { response } = await talk.until('response.done');
    assert.equal(response.status, 'cancelled');
    talk.rt.send({ type: 'conversation.item.truncate', item_id, content_index: 0, audio_end_ms: 100 });
    assert.equal((await talk.until('conversation.item.truncated')).audio_end_ms, 100);
    return talk.close();
  },

  async side_response() {
    const talk = await Talk.open({ output_modalities: ['text'] });
    const response = { conversation: 'none', metadata: { topic: 'mood' }, input: [hello] };
    talk.rt.send({ type: 'response.create', response });
    const done = await talk.until('response.done');
    assert.deepEqual(done.response.metadata, { topic: 'mood' });
    assert.ok(!talk.events.some((event) => event.type.startsWith('conversation.item')));
    return talk.close();
  },
};

for (const [name, scene] of Object.entries(scenes)) {
  const events = await scene();
  console.log(JSON.stringify({ scene: name, events }));
}
