// What the scripts share: scenes that play side by side, and waiting for what a client tells.
// Each scene prints one JSON line: {scene, events} with every server event it saw, or {scene, error}.
import { readFileSync } from 'node:fs';

// Where the practice server answers fast, and where slowly enough to be interrupted.
export const [, , fast, unhurried] = process.argv;
export const speech = readFileSync(process.argv[4]); // s16le, 24 kHz, mono
export const silence = Buffer.alloc(96_000);
export const model = 'gpt-realtime-2.1-mini';
export const weather = {
  type: 'function',
  name: 'get_weather',
  description: 'The weather of a city.',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
export const hello = { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Hello.' }] };
export const heard = 'what is the weather in Oslo'; // whatever was said
export const answer = 'Hello to you too. Shall we go on talking about this and that for a while longer?';

/** A condition that is looked at again whenever something has come. */
export class Waiting {
  #looks = new Set();

  /** Something has come. */
  came() {
    for (const look of [...this.#looks]) look();
  }

  /** Resolves with what `found` gives, once it gives something; rejects with what it throws, or after 20 s. */
  until(what, found) {
    return new Promise((resolve, reject) => {
      const end = (settle, value) => {
        clearTimeout(late);
        this.#looks.delete(look);
        settle(value);
      };
      const look = () => {
        try {
          const value = found();
          if (value) end(resolve, value);
        } catch (error) {
          end(reject, error);
        }
      };
      const late = setTimeout(() => end(reject, new Error(`${what} did not come in 20 s`)), 20_000);
      this.#looks.add(look);
      look();
    });
  }
}

/** Play every scene, all at once; each gives the events that it saw. */
export async function play(scenes) {
  const lines = await Promise.all(
    Object.entries(scenes).map(async ([scene, run]) => {
      try {
        return { scene, events: await run() };
      } catch (error) {
        return { scene, error: error.stack ?? String(error.message ?? error) }; // a socket rejects with an event
      }
    }),
  );
  process.stdout.write(lines.map((line) => JSON.stringify(line) + '\n').join(''), () => process.exit(0));
}
