// `@openai/agents` realtime talks to the practice server: node agents_client.mjs WS_URL SPEECH.pcm
// Prints one JSON line with every event that came; exits with 1 if anything is not as the real server does it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTracingDisabled, tool } from '@openai/agents';
import { RealtimeAgent, RealtimeSession } from '@openai/agents/realtime';
import { z } from 'zod';

const [url, speechFile] = process.argv.slice(2);
const speech = readFileSync(speechFile); // s16le, 24 kHz, mono
const model = 'gpt-realtime-2.1-mini';
setTracingDisabled(true);

const called = [];
const weather = tool({
  name: 'get_weather',
  description: 'The weather of a city.',
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => {
    called.push(city);
    return 'fog';
  },
});
const agent = new RealtimeAgent({ name: 'Teacher', instructions: 'Be brief.', tools: [weather] });
const session = new RealtimeSession(agent, {
  transport: 'websocket',
  model,
  config: { audio: { input: { turnDetection: { type: 'server_vad', silenceDurationMs: 400 } } } },
});
const events = [];
const errors = [];
let sound = 0;
let interrupted = 0;
session.on('transport_event', (event) => events.push(event));
session.on('error', (error) => errors.push(error));
session.on('audio', (event) => (sound += event.data.byteLength));
session.on('audio_interrupted', () => (interrupted += 1));

const count = (type, more = () => true) => events.filter((event) => event.type === type && more(event)).length;
async function until(what, met) {
  for (let tries = 0; tries < 1_000; tries += 1) {
    if (met()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`${what} did not come; errors: ${JSON.stringify(errors)}; events: ${events.map((e) => e.type)}`);
}
const arrayBuffer = (bytes) => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);

await session.connect({ apiKey: 'practice', url: `${url}?model=${model}` });
// An audio turn by voice activity, in which the tool is called and its result answered with.
session.sendAudio(arrayBuffer(Buffer.concat([speech, Buffer.alloc(96_000)])));
await until('the answer with the tool', () => count('response.done') >= 2);
assert.deepEqual(called, ['Oslo']);
assert.ok(sound > 48_000);
// An interruption: the next answer is cut off and truncated to what was played.
session.sendMessage('Tell me more.');
const before = count('response.output_audio.delta');
await until('sound', () => count('response.output_audio.delta') > before);
session.interrupt();
await until('the truncation', () => count('conversation.item.truncated') > 0);
await until('the end', () => count('response.done') >= 3);
assert.ok(interrupted > 0);
assert.deepEqual(errors, []);
session.close();
process.stdout.write(JSON.stringify({ scene: 'agents', events }) + '\n', () => process.exit(0));
