"""Sending and receiving, side by side: rtnb, the article's loop, the official SDK.

Run it: `python tests/benchmarks/bench_streaming.py [MINUTES]`. Every client runs in a process of its own against the
same server in another process, so that only the client's own CPU time counts; figures are audio-seconds per
CPU-second, and the claims are the ratios between them in one run.

The article's way is written here from what the article describes: decode the whole file with pydub, cut it into base64
chunks, send them with a progress bar over a `websockets` connection as it comes; receive with `json.loads`, keep every
event, collect the base64 and decode it at the end (each delta by itself: joined, as the article had it, is wrong).
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DELTA_BYTES = 12_000  # a quarter of a second, as gpt-realtime sends (recorded)
BYTES_PER_SECOND = 48_000


# --- the server, in a process of its own ---


def serve(minutes: float, port: Any) -> None:
    """Take whatever comes; on response.create send this many minutes of speech as fast as they are read."""
    from websockets.asyncio.server import serve as listen

    part = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
    noise = bytes(i * 7919 % 251 for i in range(DELTA_BYTES))
    delta = {"type": "response.output_audio.delta", "event_id": "event_000000000000000000000", **part}
    sound = json.dumps({**delta, "delta": base64.b64encode(noise).decode()})
    word = json.dumps(
        {**delta, "type": "response.output_audio_transcript.delta", "delta": " word", "obfuscation": "abcdefghijk"}
    )
    session = {"id": "sess_1", "type": "realtime", "model": "bench"}
    response = {
        "id": "resp_1",
        "object": "realtime.response",
        "status": "in_progress",
        "output": [],
        "conversation_id": "c",
    }

    async def talk(socket: Any) -> None:
        await socket.send(json.dumps({"type": "session.created", "event_id": "e", "session": session}))
        async for frame in socket:
            event = json.loads(frame)
            if event["type"] == "session.update":
                await socket.send(json.dumps({"type": "session.updated", "event_id": "e", "session": session}))
            elif event["type"] == "input_audio_buffer.commit":
                done = {
                    "type": "input_audio_buffer.committed",
                    "event_id": "e",
                    "previous_item_id": None,
                    "item_id": "u",
                }
                await socket.send(json.dumps(done))
            elif event["type"] == "response.create":
                await socket.send(json.dumps({"type": "response.created", "event_id": "e", "response": response}))
                for _ in range(int(minutes * 60 * BYTES_PER_SECOND / DELTA_BYTES)):
                    await socket.send(word)
                    await socket.send(sound)
                ended = {**response, "status": "completed"}
                await socket.send(json.dumps({"type": "response.done", "event_id": "e", "response": ended}))

    async def main() -> None:
        logging.getLogger("websockets").setLevel(logging.CRITICAL)  # clients hang up in the middle here
        # Like the real server it offers deflate; a client that asks for it gets it.
        async with listen(talk, "127.0.0.1", 0, max_size=None) as server:
            port.value = server.sockets[0].getsockname()[1]
            await server.serve_forever()

    asyncio.run(main())


# --- the clients ---


def receive_rtnb(url: str) -> int:
    from rtnb.opening import connect

    with connect(url=url) as chat:
        reply = chat.respond().wait()
        return len(reply.audio.pcm)


def receive_article(url: str) -> int:
    import websockets

    async def main() -> int:
        events, deltas = [], []
        async with websockets.connect(url, max_size=None) as socket:
            await socket.send(json.dumps({"type": "session.update", "session": {"type": "realtime"}}))
            await socket.send(json.dumps({"type": "response.create"}))
            async for frame in socket:
                event = json.loads(frame)
                events.append(event)
                if event["type"] == "response.output_audio.delta":
                    deltas.append(event["delta"])
                elif event["type"] == "response.done":
                    break
        return len(b"".join(base64.b64decode(delta) for delta in deltas))

    return asyncio.run(main())


def receive_sdk(url: str) -> int:
    from openai import AsyncOpenAI

    async def main() -> int:
        base = url.replace("ws://", "http://").removesuffix("/realtime")
        async with AsyncOpenAI(api_key="none", base_url=base).realtime.connect(model="bench") as connection:
            await connection.session.update(session={"type": "realtime"})
            await connection.response.create()
            chunks = []
            async for event in connection:
                if event.type == "response.output_audio.delta":
                    chunks.append(base64.b64decode(event.delta))
                elif event.type == "response.done":
                    break
            return len(b"".join(chunks))

    return asyncio.run(main())


def send_rtnb(url: str, path: str) -> float:
    from rtnb.opening import connect

    with connect(url=url) as chat:
        reply = chat.ask(Path(path))
        while not reply.responses:
            time.sleep(0.02)
        first = next(entry.at_seconds for entry in chat.log if entry.type == "input_audio_buffer.append")
        opened = next(entry.at_seconds for entry in chat.log if entry.type == "session.updated")
        reply.cancel()
        return first - opened


def send_article(url: str, path: str) -> float:
    import websockets
    from pydub import AudioSegment
    from tqdm import tqdm

    async def main() -> float:
        async with websockets.connect(url, max_size=None) as socket:
            await socket.recv()
            started = time.perf_counter()
            segment = AudioSegment.from_file(path).set_frame_rate(24_000).set_channels(1).set_sample_width(2)
            pcm = segment.raw_data
            chunks = [base64.b64encode(pcm[i : i + 4096]).decode() for i in range(0, len(pcm), 4096)]
            first = None
            for chunk in tqdm(chunks, disable=None):
                await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": chunk}))
                first = first or time.perf_counter() - started
            await socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
            return first or 0.0

    return asyncio.run(main())


CLIENTS = {f.__name__: f for f in (receive_rtnb, receive_article, receive_sdk, send_rtnb, send_article)}


def run_client(name: str, *args: str) -> dict[str, float]:
    """Run one client in a fresh process; gives CPU seconds, peak memory beyond its imports, and the result."""
    done = subprocess.run(
        [sys.executable, __file__, "--client", name, *args], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def client(name: str, *args: str) -> None:
    from rtnb import asking, opening  # noqa: F401 - imports are not what is measured

    if name == "send_rtnb":
        import av  # noqa: F401
        import soxr  # noqa: F401
    if name == "receive_sdk":
        import openai.types.realtime  # noqa: F401
    if name == "send_article":
        import pydub  # noqa: F401
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    result = CLIENTS[name](*args)
    cpu = time.process_time() - start
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"cpu": cpu, "added_mb": (peak_kb - before_kb) / 1024, "result": result}))


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    port = multiprocessing.Value("i", 0)
    server = multiprocessing.Process(target=serve, args=(minutes, port), daemon=True)
    server.start()
    while not port.value:
        time.sleep(0.02)
    url = f"ws://127.0.0.1:{port.value}/v1/realtime"
    seconds = minutes * 60

    print(f"Receiving {minutes:g} minutes of speech (median of 3)")
    rates = {}
    for name in ("receive_rtnb", "receive_article", "receive_sdk"):
        runs = [run_client(name, url) for _ in range(3)]
        assert all(run["result"] == int(seconds * BYTES_PER_SECOND) // DELTA_BYTES * DELTA_BYTES for run in runs)
        rates[name] = seconds / statistics.median(run["cpu"] for run in runs)
        print(f"  {name:16} {rates[name]:8.0f} audio-seconds per CPU-second")
    print(f"  rtnb : SDK            {rates['receive_rtnb'] / rates['receive_sdk']:.2f} x")
    print(f"  rtnb : article's loop {rates['receive_rtnb'] / rates['receive_article']:.2f} x")

    with tempfile.TemporaryDirectory() as folder:
        # The article takes 24 kHz mono only; what people have is 44.1 kHz stereo, which must be resampled.
        for rate_hz, channels in ((24_000, 1), (44_100, 2)):
            print(f"Sending {minutes:g} minutes from a wav of {rate_hz} Hz, {channels} channel(s) (median of 3)")
            path = str(Path(folder) / f"speech_{rate_hz}.wav")
            write_wav(path, seconds, rate_hz, channels)
            for name in ("send_rtnb", "send_article"):
                runs = [run_client(name, url, path) for _ in range(3)]
                rates[name] = seconds / statistics.median(run["cpu"] for run in runs)
                first = statistics.median(run["result"] for run in runs) * 1000
                added = max(run["added_mb"] for run in runs)
                print(f"  {name:16} {rates[name]:8.0f} audio-seconds per CPU-second, "
                      f"first chunk after {first:.0f} ms, {added:.0f} MB added")  # fmt: skip
            print(f"  rtnb : article's way  {rates['send_rtnb'] / rates['send_article']:.2f} x")
    server.terminate()


def write_wav(path: str, seconds: float, rate_hz: int, channels: int) -> None:
    import numpy as np
    import soundfile as sf

    rng = np.random.default_rng(0)
    with sf.SoundFile(path, "w", samplerate=rate_hz, channels=channels, subtype="PCM_16") as file:
        block = (rng.standard_normal((rate_hz, channels)) * 3000).astype(np.int16)
        for _ in range(int(seconds)):
            file.write(block)


if __name__ == "__main__":
    client(*sys.argv[2:]) if "--client" in sys.argv else main()
