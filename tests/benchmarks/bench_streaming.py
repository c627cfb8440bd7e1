"""Sending and receiving, side by side: rtnb, the article's loop, the official SDK, and the limit of the libraries.

Run it: `python tests/benchmarks/bench_streaming.py [MINUTES]`. Every client runs in a process of its own against the
same server in another process, so that only the client's own CPU time counts (that of the programs it calls included);
figures are audio-seconds per CPU-second, and the claims are the ratios between them in one run.

Nobody is favoured: no compression for anybody, the same chunks for all, and the clock starts once the connection is
open and configured. The limit is what the libraries take that rtnb stands on, with nothing around them: `websockets`,
`orjson` and `pybase64` to receive; PyAV, `pybase64` and `websockets` to send.

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
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench_audio import encode

BYTES_PER_SECOND = 48_000
DELTA_BYTES = 12_000  # a quarter of a second, as gpt-realtime sends (recorded)
CHUNK_BYTES = 24_000  # what is sent at a time
ROUNDS = 5


# --- the server, in a process of its own ---


def serve(minutes: float, port: Any, delta_bytes: int = DELTA_BYTES) -> None:
    """Take whatever comes; on response.create send this many minutes of speech as fast as they are read.

    A word comes with every quarter of a second, whatever the size of the deltas.
    """
    from websockets.asyncio.server import serve as listen

    part = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
    noise = bytes(i * 7919 % 251 for i in range(delta_bytes))
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
                words = 0
                for number in range(deltas(minutes, delta_bytes)):
                    if words * DELTA_BYTES <= number * delta_bytes:
                        await socket.send(word)
                        words += 1
                    await socket.send(sound)
                ended = {**response, "status": "completed"}
                await socket.send(json.dumps({"type": "response.done", "event_id": "e", "response": ended}))

    async def main() -> None:
        logging.getLogger("websockets").setLevel(logging.CRITICAL)  # clients hang up in the middle here
        async with listen(talk, "127.0.0.1", 0, max_size=None, compression=None) as server:
            port.value = server.sockets[0].getsockname()[1]
            await server.serve_forever()

    asyncio.run(main())


def deltas(minutes: float, delta_bytes: int) -> int:
    """How many deltas so many minutes are."""
    return int(minutes * 60 * BYTES_PER_SECOND / delta_bytes)


# --- the clients: each calls `ready` once it is connected and configured, and gives what it received or sent, in bytes

Ready = Callable[[], None]


def receive_rtnb(ready: Ready, url: str) -> int:
    from rtnb.opening import connect

    with connect(url=url) as chat:
        ready()
        reply = chat.respond().wait()
        return len(reply.audio) * 2


def receive_article(ready: Ready, url: str) -> int:
    import websockets

    async def main() -> int:
        events, deltas = [], []
        async with websockets.connect(url, max_size=None, compression=None) as socket:
            await socket.send(json.dumps({"type": "session.update", "session": {"type": "realtime"}}))
            ready()
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


def receive_sdk(ready: Ready, url: str) -> int:
    from openai import AsyncOpenAI

    async def main() -> int:
        client = AsyncOpenAI(api_key="none", base_url=url.replace("ws://", "http://").removesuffix("/realtime"))
        options: Any = {"compression": None, "max_size": None}
        async with client.realtime.connect(model="bench", websocket_connection_options=options) as connection:
            await connection.session.update(session={"type": "realtime"})
            while (await connection.recv()).type != "session.updated":
                pass
            ready()
            await connection.response.create()
            chunks = []
            async for event in connection:
                if event.type == "response.output_audio.delta":
                    chunks.append(base64.b64decode(event.delta))
                elif event.type == "response.done":
                    break
            return len(b"".join(chunks))

    return asyncio.run(main())


def receive_limit(ready: Ready, url: str) -> int:
    import orjson
    import pybase64
    import websockets

    async def main() -> int:
        async with websockets.connect(url, max_size=None, compression=None) as socket:
            await socket.send(orjson.dumps({"type": "session.update", "session": {"type": "realtime"}}), text=True)
            ready()
            await socket.send(orjson.dumps({"type": "response.create"}), text=True)
            pieces = []
            while (event := orjson.loads(await socket.recv(decode=False)))["type"] != "response.done":
                if event["type"] == "response.output_audio.delta":
                    pieces.append(pybase64.b64decode(event["delta"], validate=True))
            return len(b"".join(pieces))

    return asyncio.run(main())


def send_rtnb(ready: Ready, url: str, path: str) -> int:
    from rtnb.opening import connect

    with connect(url=url) as chat:
        ready()
        reply = chat.ask(Path(path))
        while not reply.responses:
            time.sleep(0.02)
        return sum(entry.sound_bytes for entry in chat.log.of("input_audio_buffer.append"))


async def _send_all(ready: Ready, url: str, pieces: Callable[[], Any]) -> int:
    import websockets

    async with websockets.connect(url, max_size=None, compression=None) as socket:
        await socket.recv()
        ready()
        sent = 0
        for size, frame in pieces():
            await socket.send(frame, text=True)
            sent += size
        await socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
        await socket.recv()
        return sent


def send_article(ready: Ready, url: str, path: str) -> int:
    from pydub import AudioSegment
    from tqdm import tqdm

    def pieces() -> Any:
        segment = AudioSegment.from_file(path).set_frame_rate(24_000).set_channels(1).set_sample_width(2)
        yield from _in_json(segment.raw_data, tqdm)

    return asyncio.run(_send_all(ready, url, pieces))


def send_librosa(ready: Ready, url: str, path: str) -> int:
    import librosa
    from tqdm import tqdm

    def pieces() -> Any:
        samples, _ = librosa.load(path, sr=24_000, mono=True)
        yield from _in_json((samples * 32767).astype("<i2").tobytes(), tqdm)

    return asyncio.run(_send_all(ready, url, pieces))


def _in_json(pcm: bytes, progress: Any) -> Any:
    chunks = [pcm[i : i + CHUNK_BYTES] for i in range(0, len(pcm), CHUNK_BYTES)]
    for chunk in progress(chunks, disable=None):
        event = {"type": "input_audio_buffer.append", "audio": base64.b64encode(chunk).decode()}
        yield len(chunk), json.dumps(event)


def send_limit(ready: Ready, url: str, path: str) -> int:
    import av
    import pybase64

    def pieces() -> Any:
        held = bytearray()
        resampler = av.AudioResampler(format="s16", layout="mono", rate=24_000)
        with av.open(path) as container:
            for frame in container.decode(audio=0):
                for block in resampler.resample(frame):
                    held += memoryview(block.planes[0])[: block.samples * 2]
                while len(held) >= CHUNK_BYTES:
                    yield framed(bytes(held[:CHUNK_BYTES]))
                    del held[:CHUNK_BYTES]
            for block in resampler.resample(None):
                held += memoryview(block.planes[0])[: block.samples * 2]
        yield framed(bytes(held))

    def framed(pcm: bytes) -> tuple[int, bytes]:
        return len(pcm), b'{"type":"input_audio_buffer.append","audio":"' + pybase64.b64encode(pcm) + b'"}'

    return asyncio.run(_send_all(ready, url, pieces))


RECEIVERS = (receive_rtnb, receive_article, receive_sdk, receive_limit)
SENDERS = (send_rtnb, send_article, send_librosa, send_limit)
# What each needs that its clock does not count.
MODULES = {
    "receive_rtnb": "rtnb.asking rtnb.opening",
    "receive_article": "websockets.asyncio.client",
    "receive_sdk": "openai.types.realtime openai.resources.realtime websockets.asyncio.client",
    "receive_limit": "orjson pybase64 websockets.asyncio.client",
    "send_rtnb": "rtnb.asking rtnb.opening av soxr",
    "send_article": "pydub tqdm websockets.asyncio.client",
    "send_librosa": "librosa tqdm websockets.asyncio.client",
    "send_limit": "av pybase64 websockets.asyncio.client",
}


def run_client(name: str, *args: str) -> dict[str, float]:
    """Run one client in a fresh process; gives CPU seconds, memory added to the peak in MB, and its result."""
    done = subprocess.run(
        [sys.executable, __file__, "--client", name, *args], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def cpu_seconds() -> float:
    mine, childrens = (resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in (mine, childrens))


def client(name: str, *args: str) -> None:
    for module in MODULES[name].split():
        __import__(module)
    began: list[float] = []

    def ready() -> None:
        began.extend((cpu_seconds(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))

    result = next(run for run in (*RECEIVERS, *SENDERS) if run.__name__ == name)(ready, *args)
    cpu, before_kb = cpu_seconds() - began[0], began[1]
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"cpu": cpu, "added_mb": (peak_kb - before_kb) / 1024, "result": result}))


# --- the tables ---


def compare(what: str, names: list[str], seconds: float, least: float, *args: str) -> dict[str, float]:
    """Run clients in turns and print a table; gives the audio-seconds per CPU-second of each, by name."""
    print(f"{what}; audio-seconds per CPU-second, of the limit, median of {ROUNDS}")
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name, taken in runs.items():
            taken.append(run_client(name, *args))
            assert abs(taken[-1]["result"] / BYTES_PER_SECOND - least) < 0.5, (name, taken[-1])
    rates = {name: seconds / statistics.median(run["cpu"] for run in taken) for name, taken in runs.items()}
    limit = rates[names[-1]]
    for name, rate in rates.items():
        added_mb = max(run["added_mb"] for run in runs[name])
        print(f"  {name:16} {rate:8.0f}  {rate / limit:5.2f} x  {added_mb:6.1f} MB added", flush=True)
    return rates


def measure(minutes: float) -> dict[str, dict[str, float]]:
    """Print all tables; gives their figures by what was done."""
    found, seconds = {}, minutes * 60
    for delta_bytes in (DELTA_BYTES, 4_800):
        with Server(minutes, delta_bytes) as url:
            came = deltas(minutes, delta_bytes) * delta_bytes / BYTES_PER_SECOND
            what = f"receive {delta_bytes * 1000 // BYTES_PER_SECOND} ms deltas"
            found[what] = compare(what, [run.__name__ for run in RECEIVERS], seconds, came, url)
    with tempfile.TemporaryDirectory() as folder, Server(0.01) as url:
        # The article takes 24 kHz mono only; what people have is 44.1 kHz stereo, which must be resampled.
        for what, ending, rate_hz, channels in (
            ("send wav 24 kHz", "wav", 24_000, 1),
            ("send wav 44.1 kHz stereo", "wav", 44_100, 2),
            ("send mp3", "mp3", 44_100, 2),
            ("send m4a", "m4a", 44_100, 2),
        ):
            path = Path(folder) / f"speech_{rate_hz}.{ending}"
            write(path, seconds, rate_hz, channels)
            names = [run.__name__ for run in SENDERS]
            if ending != "wav" and not shutil.which("ffmpeg"):
                names.remove("send_article")  # pydub reads nothing but wav without it
            if find_spec("librosa") is None:
                names.remove("send_librosa")
            found[what] = compare(what, names, seconds, seconds, url, str(path))
    return found


class Server:
    """The bare server in a process of its own, as a context."""

    def __init__(self, minutes: float, delta_bytes: int = DELTA_BYTES) -> None:
        self._port = multiprocessing.Value("i", 0)
        self._process = multiprocessing.Process(target=serve, args=(minutes, self._port, delta_bytes), daemon=True)

    def __enter__(self) -> str:
        self._process.start()
        while not self._port.value:
            time.sleep(0.02)
        return f"ws://127.0.0.1:{self._port.value}/v1/realtime"

    def __exit__(self, *_: object) -> None:
        self._process.terminate()


def write(path: Path, seconds: float, rate_hz: int, channels: int) -> None:
    """Write noise as a recording; first as wav beside it where it is to be another format."""
    import numpy as np
    import soundfile as sf

    wav = path.with_suffix(".wav")
    rng = np.random.default_rng(0)
    with sf.SoundFile(wav, "w", samplerate=rate_hz, channels=channels, subtype="PCM_16") as file:
        block = (rng.standard_normal((rate_hz, channels)) * 3000).astype(np.int16)
        for _ in range(int(seconds)):
            file.write(block)
    if path != wav:
        encode(wav, path)


if __name__ == "__main__":
    if "--client" in sys.argv:
        client(*sys.argv[2:])
    else:
        measure(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
