"""How long a live call takes on top of the network and the model, beside the bare widget message of the same page.

Run it: `PYTHONPATH=tests python tests/benchmarks/bench_call_latency.py [lab | notebook] [TURNS]`. A real server and
Chromium with a fake microphone; at the other end a server that answers a commit at once, so that what is left is ours:
the page, the front end's socket, the kernel, the I/O thread, and all the way back into the audio graph.

Printed, in milliseconds (median, 90th percentile, worst):

- the round trip of a bare widget message, page → kernel → page, measured in the same page between the turns;
- last microphone sample → first sample played: the whole way there and back, with sound, through a Realtime session;
- delta in the kernel → sample in the page: from the update on the I/O thread until the audio graph plays it;
- "the person speaks" → silence: from the message in the page until the audio thread has stopped.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from browser import lab
from browser.calling import in_notebook, microphone
from dialogue import Talk, serve

SETUP = """
import anywidget, time, rtnb
from rtnb.protocol.updates import AudioDelta
class Echo(anywidget.AnyWidget):
    _esm = '''export default { render({ model, el }) {
      el.textContent = "echo";
      window.__echo = (i) => new Promise((done) => {
        const began = performance.now();
        const heard = (content) => {
          if (content.i !== i) return;
          model.off("msg:custom", heard);
          done(performance.now() - began);
        };
        model.on("msg:custom", heard);
        model.send({ i });
      });
    } }'''
echo = Echo()
echo.on_msg(lambda _, content, buffers: echo.send(content))
call = rtnb.call(url=URL, key="sk-none", turn_detection=None)
display(echo)
"""
LISTEN = """
arrived = []
def note(update):
    if isinstance(update, AudioDelta) and not update.start_ms:
        arrived.append((update.item_id, time.time() * 1000))
call.session.subscribe(note)
"""
# One turn: hold, speak, let go, and wait for the first sample. Times are milliseconds since 1970 on the page's clock.
TURN = """async () => {
  const e = [...window.__rtnbCalls.values()].at(-1);
  const now = () => performance.timeOrigin + performance.now();
  const heard = e.heard.bind(e);
  let lastSample = 0;
  e.heard = (audio) => { if (e.held) lastSample = now(); heard(audio); };
  const received = e.received.bind(e);
  let inPage = 0;
  e.received = (message, buffers) => { if (message.kind === "audio") inPage ||= now(); received(message, buffers); };
  e.hold();
  await new Promise((done) => setTimeout(done, 700 + Math.random() * 200));
  const played = new Promise((done) => {
    const end = e.playback.onPlayed((p) => {
      if (!p.playing) return;
      end();
      done([now() - p.played_ms, p.itemId]);
    });
  });
  e.letGo();
  const [firstSample, item] = await played;
  e.heard = heard;
  e.received = received;
  await new Promise((done) => setTimeout(done, 150));
  await e.stopPlaying("stop");
  const silence = e.silencedMs;
  await new Promise((done) => setTimeout(done, 600));
  return { lastSample, inPage, firstSample, item, silence };
}"""


def answer_at_once(talk: Talk) -> None:
    talk.open(model="m")
    pcm = (np.sin(np.arange(24_000 * 2) * 0.06) * 8000).astype("<i2").tobytes()
    over = ("input_audio_buffer.append", "input_audio_buffer.clear", "conversation.item.truncate", "response.cancel")
    for number in range(10_000):
        talk.expect("input_audio_buffer.commit", over=over)
        item = {"id": f"item_u{number}", "type": "message", "role": "user", "status": "completed", "content": []}
        talk.say(
            {"type": "input_audio_buffer.committed", "previous_item_id": None, "item_id": item["id"]},
            {"type": "conversation.item.added", "previous_item_id": None, "item": item},
        )
        talk.expect("response.create", over=over)
        talk.answer("Yes.", pcm, id=f"resp_{number}", item_id=f"item_a{number}", expect=False)


def told(name: str, figures: list[float]) -> None:
    figures = sorted(figures)
    print(
        f"{name:52} {statistics.median(figures):7.1f} {figures[int(len(figures) * 0.9)]:7.1f} {figures[-1]:7.1f}"
        f"   ({len(figures)} times)"
    )


def main(app: str = "lab", turns: int = 15) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(answer_at_once) as url,
        lab.server(Path(folder) / "served", app=app) as jupyter,
    ):
        speech = microphone(Path(folder) / "talk.wav", 0.2, "talk", "talk", "talk", 10)
        cells = [f"URL = {url!r}\n{SETUP}", LISTEN, "print('arrived', arrived)"]
        with in_notebook(jupyter, "bench.ipynb", cells, microphone=speech) as call:
            call.until("holding")
            call.run(1)
            round_trips: list[float] = []
            done = []
            for turn in range(turns):
                round_trips += [call.page.evaluate("(i) => window.__echo(i)", 10 * turn + i) for i in range(4)]
                done.append(call.page.evaluate(TURN))
            arrived = dict(eval(call.run(2).partition("arrived ")[2]))
            print(f"{app}: {'':47} median    90 %   worst   ms")
            told("bare widget message, there and back", round_trips)
            whole = [turn["firstSample"] - turn["lastSample"] for turn in done]
            told("last microphone sample → first sample played", whole)
            told("delta in the kernel → sample in the page", [t["firstSample"] - arrived[t["item"]] for t in done])
            told("  of it: until the message is in the page", [t["inPage"] - arrived[t["item"]] for t in done])
            told("  of it: from the message to the first sample", [t["firstSample"] - t["inPage"] for t in done])
            told("asked to be silent → silent", [turn["silence"] for turn in done])
            over = statistics.median(whole) - statistics.median(round_trips)
            print(f"the call's way there and back takes {over:.0f} ms longer than the bare message's (aim: within 60)")


if __name__ == "__main__":
    main(*(sys.argv[1:2] or ["lab"]), *map(int, sys.argv[2:3]))
