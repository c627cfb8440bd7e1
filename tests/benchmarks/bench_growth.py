"""What grows with the length of a session: memory and CPU time, each row at a size and at ten times that size.

Run it: `python tests/benchmarks/bench_growth.py [ROW …]`. Each figure is taken in a process of its own, against a bare
server in another process that sends made events, so that only the client's own work counts. `growth` is what ten
times the work costs: 10 is flat per piece, 1 does not grow at all.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

TURN_DELTAS = 50  # of words and of audio each, so that a turn has 107 events, as one of a talk has (recorded)
PIECE = base64.b64encode(bytes(i * 7919 % 251 for i in range(960))).decode()  # 20 ms


# --- the server, in a process of its own ---


def serve(port: Any) -> None:
    """Answer every `response.create` with as many deltas as the model's name says, and stream translations."""
    from websockets.asyncio.server import serve as listen

    async def talk(socket: Any) -> None:
        model = parse_qs(urlsplit(socket.request.path).query).get("model", [""])[0]
        kind, _, size = model.rpartition("-")
        session = {"id": "sess_1", "type": "realtime", "model": model}
        turn = 0

        async def send(kind: str, **fields: Any) -> None:
            await socket.send(json.dumps({"type": kind, "event_id": f"event_{turn:020}", **fields}))

        await send("session.created", session=session)
        async for frame in socket:
            event = json.loads(frame)
            match event["type"]:
                case "session.update":
                    await send("session.updated", session=session)
                case "input_audio_buffer.commit":
                    await send("input_audio_buffer.committed", previous_item_id=None, item_id=f"user_{turn}")
                case "conversation.item.create":
                    item = {**event["item"], "id": f"user_{turn}", "object": "realtime.item", "status": "completed"}
                    for when in ("added", "done"):
                        await send(f"conversation.item.{when}", previous_item_id=None, item=item)
                case "session.close":
                    for number in range(int(size)):
                        await send("session.output_transcript.delta", delta=f" word{number % 10}")
                        await send("session.input_transcript.delta", delta=f" wort{number % 10}")
                    await send("session.closed")
                case "response.create":
                    await answer(send, turn, kind, int(size))
                    turn += 1

    async def answer(send: Any, turn: int, kind: str, deltas: int) -> None:
        response_id, item_id = f"resp_{turn}", f"item_{turn}"
        response = {"id": response_id, "object": "realtime.response", "status": "in_progress", "output": []}
        await send("response.created", response={**response, "conversation_id": "conv_1"})
        item = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        ids = {"response_id": response_id, "output_index": 0}
        await send("response.output_item.added", **ids, item=item)
        await send("conversation.item.added", previous_item_id=None, item=item)
        ids |= {"item_id": item_id, "content_index": 0}
        words = [f" word{number % 10}" for number in range(deltas)]
        for word in words:
            if kind == "text":
                await send("response.output_text.delta", **ids, delta=word)
            else:
                await send("response.output_audio_transcript.delta", **ids, delta=word, obfuscation="abcdefghijk")
                await send("response.output_audio.delta", **ids, delta=PIECE)
        name = "text" if kind == "text" else "transcript"
        item |= {"status": "completed", "content": [{"type": f"output_{name}", name: "".join(words)}]}
        await send("response.output_item.done", response_id=response_id, output_index=0, item=item)
        await send("conversation.item.done", previous_item_id=None, item=item)
        usage = {"total_tokens": 9, "input_tokens": 4, "output_tokens": 5}
        done = {**response, "status": "completed", "conversation_id": "conv_1", "output": [item], "usage": usage}
        await send("response.done", response=done)

    async def main() -> None:
        logging.getLogger("websockets").setLevel(logging.CRITICAL)  # clients hang up in the middle here
        async with listen(talk, "127.0.0.1", 0, max_size=None) as server:
            port.value = server.sockets[0].getsockname()[1]
            await server.serve_forever()

    asyncio.run(main())


# --- what is measured, each in a process of its own ---


def _mib() -> float:
    gc.collect()
    with open("/proc/self/statm") as file:  # resident now, not at its peak
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


class Measured(dict[str, float]):
    """Figures of one run; `with` measures a step."""

    def step(self, name: str, do: Callable[[], Any]) -> Any:
        """Run a step; keep its CPU seconds and the memory it has added."""
        mib, start = _mib(), time.process_time()
        done = do()
        self[f"{name}, CPU s"] = time.process_time() - start
        self[f"{name}, MiB"] = _mib() - mib
        return done


def text_reply(url: str, size: int) -> Measured:
    """One answer of so many deltas of text."""
    import rtnb

    figures = Measured()
    with rtnb.connect(url=url, model=f"text-{size}") as chat:
        figures.step("reply", lambda: chat.respond().wait())
    return figures


def translation(url: str, size: int) -> Measured:
    """Live translation: so many deltas of words in both languages."""
    import rtnb

    figures = Measured()
    spoken = rtnb.translate(to="es", url=url, model=f"gpt-realtime-translate-{size}")
    figures.step("translation", lambda: spoken.finish().wait())
    return figures


def _talk(url: str, turns: int) -> Any:
    import rtnb

    chat = rtnb.connect(url=url, model=f"talk-{TURN_DELTAS}")
    _ask_all(chat, turns)
    return chat


def _ask_all(chat: Any, turns: int) -> None:
    """Ask with a second of audio each, every other time with words."""
    for number in range(turns):
        chat.ask(f"Question {number}" if number % 2 else _second(number)).wait()


def _second(number: int) -> Any:
    """Return a second of noise whose loudness is its own."""
    import numpy as np

    import rtnb

    random = np.random.default_rng(number)
    loudness = np.repeat(random.uniform(300, 3000, 50), 480)
    return rtnb.Clip.from_array((random.standard_normal(24_000) * loudness).astype(np.int16), rate_hz=24_000)


def session(url: str, size: int) -> Measured:
    """A session of so many turns: the talk, its time line, saved, opened."""
    from rtnb.recording.load import open_recording

    figures = Measured()
    chat = figures.step("turns", lambda: _talk(url, size))
    figures["events"] = len(chat.log)
    figures.step("timeline", lambda: chat.timeline()._repr_html_())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "talk.rtnb"
        figures.step("save", lambda: chat.save(path))
        chat.close()
        figures["file, MiB"] = path.stat().st_size / 2**20
        figures.step("open", lambda: open_recording(path))
    return figures


def replay(url: str, size: int) -> Measured:
    """A saved session of so many turns, replayed turn by turn."""
    import rtnb

    figures = Measured()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "talk.rtnb"
        chat = _talk(url, size)
        chat.save(path)
        chat.close()
        again = rtnb.connect(replay=path)
        figures.step("replay", lambda: _ask_all(again, size))
        again.close()
        figures["ms per turn"] = figures["replay, CPU s"] / size * 1000
    return figures


def turns_shown(url: str, size: int) -> Measured:
    """`chat.turns` of so many seconds of audio in turns of 5 s, shown twice."""
    from rtnb.protocol.conversation import Conversation

    figures = Measured()
    conversation = Conversation()
    import numpy as np

    pcm = (np.random.default_rng(0).standard_normal(24_000 * size) * 3000).astype("<i2").tobytes()
    for number in range(size // 5):
        part = {"response_id": f"resp_{number}", "item_id": f"item_{number}", "content_index": 0, "event_id": "e"}
        conversation.apply(
            {"type": "response.output_audio.delta", **part, "delta": ""}, 0.0, pcm[number * 240_000 :][:240_000]
        )
        conversation.apply({"type": "response.output_audio_transcript.delta", **part, "delta": "Some words."}, 0.0)
    for turn in [turn for response in conversation.responses.values() for turn in response.turns]:
        if turn not in conversation.turns:
            conversation.turns.append(turn)
    page = figures.step("first", conversation.turns._repr_html_)
    figures.step("again", conversation.turns._repr_html_)
    figures["page, KiB per minute"] = len(page) / 1024 / (size / 60)
    return figures


def many(url: str, size: int) -> Measured:
    """`rtnb.map` over so many recordings of 0.2 s, 16 at a time."""
    import numpy as np

    import rtnb

    figures, first_seconds = Measured(), list[float]()
    begun = time.perf_counter()

    def coming() -> Any:
        for number in range(size):
            noise = np.random.default_rng(number).standard_normal(4800) * 3000
            yield rtnb.Clip.from_array(noise.astype(np.int16), rate_hz=24_000, name=f"clip {number}")

    def run() -> None:
        results = rtnb.map(coming(), "What is it?", url=url, model="text-3", out=None, concurrency=16, show=False)
        while not len(results):
            time.sleep(0.002)
        first_seconds.append(time.perf_counter() - begun)
        results.wait()

    figures.step("map", run)
    figures["first answer, s"] = first_seconds[0]
    figures["ms per recording"] = figures["map, CPU s"] / size * 1000
    return figures


ROWS: dict[str, tuple[Callable[[str, int], Measured], int]] = {
    "text_reply": (text_reply, 1_600),
    "translation": (translation, 1_000),
    "session": (session, 100),
    "replay": (replay, 40),
    "turns_shown": (turns_shown, 36),
    "many": (many, 200),
}


def _client(name: str, url: str, size: str) -> None:
    import rtnb  # noqa: F401 - imports are not what is measured
    from rtnb import opening  # noqa: F401
    from rtnb.timeline import timeline  # noqa: F401

    print(json.dumps(ROWS[name][0](url, int(size))))


def main(names: list[str]) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
    """Print the rows; gives the figures of each at its size and at ten times that size."""
    found = {}
    port = multiprocessing.Value("i", 0)
    server = multiprocessing.Process(target=serve, args=(port,), daemon=True)
    server.start()
    while not port.value:
        time.sleep(0.02)
    url = f"ws://127.0.0.1:{port.value}/v1/realtime"
    for name in names or ROWS:
        run, size = ROWS[name]
        print(f"{name}: {(run.__doc__ or '').splitlines()[0]}")
        small, large = found[name] = _run(name, url, size), _run(name, url, size * 10)
        for figure, value in large.items():
            growth = value / small[figure] if small[figure] else 0.0
            print(
                f"  {figure:24} {small[figure]:9.2f} at {size:,}  {value:9.2f} at {size * 10:,}  growth {growth:5.1f}"
            )
    server.terminate()
    return found


def _run(name: str, url: str, size: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--client", name, url, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "RTNB_VERBOSE": ""})
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    _client(*sys.argv[2:]) if "--client" in sys.argv else main(sys.argv[1:])
