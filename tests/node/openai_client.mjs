// The npm package `openai` talks to the practice server: node openai_client.mjs BASE_URL SLOW_BASE_URL SPEECH.pcm
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { answer, fast, heard, hello, model, play, silence, speech, unhurried, Waiting, weather } from './stage.mjs';

/** A session whose events are kept, and can be waited for in the order in which they came. */
class Talk extends Waiting {
  events = [];
  errors = [];
  #read = 0;

  constructor(baseURL) {
    super();
    this.rt = new OpenAIRealtimeWS({ model }, new OpenAI({ baseURL, apiKey: 'practice' }));
    this.rt.on('event', (event) => (this.events.push(event), this.came()));
    this.rt.on('error', (error) => (this.errors.push(error), this.came()));
  }

  static async open(session, baseURL = fast) {
    const talk = new Talk(baseURL);
    await talk.next('session.created');
    if (session) {
      talk.rt.send({ type: 'session.update', session: { type: 'realtime', ...session } });
      await talk.next('session.updated');
    }
    return talk;
  }

  /** The next event of a type. */
  next(type) {
    return this.until(type, () => {
      assert.deepEqual(this.errors, []);
      while (this.#read < this.events.length) {
        const event = this.events[this.#read++];
        if (event.type === type) return event;
      }
    });
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

await play({
  async text() {
    const talk = await Talk.open({ output_modalities: ['text'] });
    talk.rt.send({ type: 'conversation.item.create', item: hello });
    talk.rt.send({ type: 'response.create' });
    const { response } = await talk.next('response.done');
    assert.equal(response.status, 'completed');
    assert.equal(response.output[0].content[0].text, answer);
    return talk.close();
  },

  async voice_activity() {
    const talk = await Talk.open();
    talk.append(Buffer.concat([speech, silence]));
    await talk.next('input_audio_buffer.speech_started');
    await talk.next('input_audio_buffer.speech_stopped');
    await talk.next('input_audio_buffer.committed');
    const { response } = await talk.next('response.done');
    assert.equal(response.status, 'completed');
    const deltas = talk.events.filter((event) => event.type === 'response.output_audio.delta');
    const bytes = deltas.reduce((sum, event) => sum + Buffer.from(event.delta, 'base64').length, 0);
    // All of what was said is there: one token is 50 ms, rounded down.
    assert.equal(response.usage.output_token_details.audio_tokens, Math.floor(bytes / 2_400));
    return talk.close();
  },

  async push_to_talk() {
    const talk = await Talk.open({ audio: { input: { turn_detection: null, transcription: { model: 'whisper-1' } } } });
    talk.append(speech);
    talk.rt.send({ type: 'input_audio_buffer.commit' });
    const { transcript } = await talk.next('conversation.item.input_audio_transcription.completed');
    assert.equal(transcript, heard);
    talk.rt.send({ type: 'response.create' });
    await talk.next('response.output_audio.delta');
    assert.equal((await talk.next('response.done')).response.status, 'completed');
    return talk.close();
  },

  async tool() {
    const talk = await Talk.open({ output_modalities: ['text'], tools: [weather] });
    talk.rt.send({ type: 'conversation.item.create', item: hello });
    talk.rt.send({ type: 'response.create' });
    const call = await talk.next('response.function_call_arguments.done');
    assert.deepEqual([call.name, JSON.parse(call.arguments)], ['get_weather', { city: 'Oslo' }]);
    await talk.next('response.done');
    const item = { type: 'function_call_output', call_id: call.call_id, output: 'foggy in Oslo' };
    talk.rt.send({ type: 'conversation.item.create', item });
    talk.rt.send({ type: 'response.create' });
    const { response } = await talk.next('response.done');
    assert.match(response.output[0].content[0].text, /^It is foggy in Oslo\./);
    return talk.close();
  },

  async interruption() {
    const talk = await Talk.open(undefined, unhurried);
    talk.rt.send({ type: 'conversation.item.create', item: hello });
    talk.rt.send({ type: 'response.create' });
    const { item_id } = await talk.next('response.output_audio.delta');
    talk.rt.send({ type: 'response.cancel' });
    const { response } = await talk.next('response.done');
    assert.equal(response.status, 'cancelled');
    talk.rt.send({ type: 'conversation.item.truncate', item_id, content_index: 0, audio_end_ms: 100 });
    assert.equal((await talk.next('conversation.item.truncated')).audio_end_ms, 100);
    return talk.close();
  },

  async side_response() {
    const talk = await Talk.open({ output_modalities: ['text'] });
    const response = { conversation: 'none', metadata: { topic: 'mood' }, input: [hello] };
    talk.rt.send({ type: 'response.create', response });
    const done = await talk.next('response.done');
    assert.deepEqual(done.response.metadata, { topic: 'mood' });
    assert.ok(!talk.events.some((event) => event.type.startsWith('conversation.item')));
    return talk.close();
  },
});
