// The page's end of a kernel link, driven line by line: {do, …} comes in on standard input; out go {sent} for each message
// to the kernel, {took} for each of its messages that was taken, and {done} with how things stand, once a line is obeyed.
import { createInterface } from 'node:readline';
import { KernelLink } from './link.mjs';

const out = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const text = (buffer) => (buffer ? Buffer.from(buffer.buffer ?? buffer).toString('base64') : null);
const bufferOf = (bytes) => Uint8Array.from(Buffer.from(bytes, 'base64')).buffer;
const handlers = {};
const model = {
  on: (name, handler) => (handlers[name] = handler),
  off: (name) => delete handlers[name],
  send: (content, _, buffers) => out({ sent: content, bytes: text(buffers[0]) }),
};
let link;
const orders = {
  open: ({ options }) =>
    (link = new KernelLink(model, {
      ...options,
      onMessage: (content, buffers) => out({ took: content, bytes: text(buffers[0]) }),
      onHole: (count) => out({ hole: count }),
    })),
  send: ({ kind, fields, bytes }) => link.send(kind, fields, bytes && bufferOf(bytes)),
  hear: ({ content, bytes }) => handlers['msg:custom']?.(content, bytes ? [new DataView(bufferOf(bytes))] : []),
  look: () => {}, // at what its timer did
  close: () => link.close(),
};
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  orders[order.do](order);
  const { full, waitingBytes, repeated, busy } = link;
  out({ done: { full, waitingBytes, repeated, busy } });
}
