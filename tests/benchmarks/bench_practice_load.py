"""How many sessions one practice server carries: `python tests/benchmarks/bench_practice_load.py`.

First with engines off: 400 sessions, each streaming speech both ways as fast as it plays, the server on one core and
the clients on another. Printed is how late audio deltas come against the schedule of their own stream. Then with the
engines on: spoken turns by voice activity, and how long after the end of speech the answer's first sound comes.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

AIM_MS = 50
MODEL = "gpt-realtime"
DELTA_SECONDS = 0.25
RAMP_SECONDS = 2.0  # in which the clients come, one after another
CHUNK_SECONDS = 0.1

SERVER = """
import os, sys, time
core, engines, pace = int(sys.argv[1]), sys.argv[2] == "on", float(sys.argv[3])
if core >= 0 and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {core})
from rtnb.server import command, server
from rtnb.server.engines.engines import canned
words = "canned words for a very long answer " * 40
if sys.argv[4] == "asyncio":
    server._fast_loop = lambda: None
with server.start(engines=True if engines else canned(words + "."), pace=pace, seed=1) as practice:
    practice.warm.result()
    command.settle()  # as `rtnb practice` does
    print(practice.url, type(practice._loop).__module__.split(".")[0], flush=True)
    while sys.stdin.readline():
        print(time.process_time(), flush=True)
"""


def frame(event: dict[str, Any]) -> bytes:
    """A client's text frame, masked with zeros, so that one frame can be sent by all clients as it is."""
    text = json.dumps(event).encode()
    size = len(text)
    head = bytes([0x81]) + (bytes([0x80 | size]) if size < 126 else struct.pack("!BH", 0xFE, size))
    return head + bytes(4) + text


class Client(asyncio.Protocol):
    """The least client there is: it must not be what is measured."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.asked = 0.0  # when `response.create` went out
        self.times: list[float] = []  # when each audio delta came
        self.kinds: dict[str, int] = {}
        self.errors: list[str] = []
        self.ready = asyncio.get_running_loop().create_future()
        self.first_sound: asyncio.Future[float] | None = None
        self._rest = bytearray()
        self._open = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(
            f"GET /v1/realtime?model={MODEL} HTTP/1.1\r\nHost: {self.host}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nAuthorization: Bearer practice\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        rest = self._rest
        rest += data
        if not self._open:
            end = rest.find(b"\r\n\r\n")
            if end < 0:
                return
            self._open = True
            del rest[: end + 4]
        at = 0
        while len(rest) - at >= 2:
            size, head = rest[at + 1] & 0x7F, 2
            if size == 126:
                if len(rest) - at < 4:
                    break
                size, head = int.from_bytes(rest[at + 2 : at + 4], "big"), 4
            elif size == 127:
                if len(rest) - at < 10:
                    break
                size, head = int.from_bytes(rest[at + 2 : at + 10], "big"), 10
            if len(rest) - at < head + size:
                break
            self._take(rest[at] & 0x0F, bytes(rest[at + head : at + head + min(size, 80)]), now)
            at += head + size
        del rest[:at]

    def _take(self, opcode: int, start: bytes, now: float) -> None:
        if opcode == 9:
            self.transport.write(bytes([0x8A, 0x80 | 4]) + bytes(4) + start[:4])
        if opcode != 1:
            return
        kind = start.split(b'"', 4)[3].decode()
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if kind == "session.created":
            self.ready.set_result(None)
        elif kind == "error":
            self.errors.append(start.decode(errors="replace"))
        elif kind == "response.output_audio.delta":
            self.times.append(now)
            if self.first_sound is not None and not self.first_sound.done():
                self.first_sound.set_result(now)


class Server:
    """A server in a process of its own, on one core (or all of them: -1)."""

    def __init__(self, core: int, engines: str, pace: float, loop: str = "") -> None:
        command = [sys.executable, "-c", SERVER, str(core), engines, str(pace), loop]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._ask, self._told = self._child.stdin, self._child.stdout
        self.url, self.loop = self._told.readline().split()

    def cpu_seconds(self) -> float:
        """How long its threads have worked so far, all together."""
        self._ask.write("\n")
        self._ask.flush()
        return float(self._told.readline())

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self._ask.close()
        self._child.wait()


async def connect(url: str) -> Client:
    """A session that is open."""
    where = urlsplit(url)
    _, client = await asyncio.get_running_loop().create_connection(
        lambda: Client(where.netloc), where.hostname, where.port
    )
    await client.ready
    return client


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of them do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


@dataclass
class Streamed:
    """What came of streaming both ways, in seconds but for the last two."""

    late: list[float]  # each delta, against the schedule of its own stream
    first: list[float]  # each stream's first delta, after its `response.create`
    missing: int
    busy: float  # the server's share of its core


async def both_ways(server: Server, count: int, seconds: float) -> Streamed:
    """Stream both ways: clients begin one after another, and all of them talk on."""
    push = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    sound = base64.b64encode(os.urandom(int(CHUNK_SECONDS * 48_000))).decode()
    append = frame({"type": "input_audio_buffer.append", "audio": sound})
    clear = frame({"type": "input_audio_buffer.clear"})
    clients = [await connect(server.url) for _ in range(count)]
    for client in clients:
        client.transport.write(frame({"type": "session.update", "session": push}))
    began = time.monotonic()
    end = began + RAMP_SECONDS + seconds + 1
    worked = server.cpu_seconds()

    async def stream(client: Client, offset: float) -> None:
        await asyncio.sleep(offset)
        client.transport.write(frame({"type": "response.create"}))
        due = client.asked = time.monotonic()
        sent = 0
        while due < end:
            client.transport.write(append)
            sent += 1
            if sent % 100 == 0:
                client.transport.write(clear)
            due += CHUNK_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    await asyncio.gather(*(stream(client, n / count * RAMP_SECONDS) for n, client in enumerate(clients)))
    busy = (server.cpu_seconds() - worked) / (time.monotonic() - began)
    late: list[float] = []
    missing = 0
    for client in clients:
        assert not client.errors, client.errors
        # Against the schedule of its own stream: the earliest any delta came, counted from the first one.
        came = [at - n * DELTA_SECONDS for n, at in enumerate(client.times)]
        late += [at - min(came) for at in came]
        missing += max(0, int(seconds / DELTA_SECONDS) - len(came))
        client.transport.close()
    first = [client.times[0] - client.asked for client in clients]
    return Streamed(late, first, missing, busy)


async def spoken_turns(url: str, count: int, sound: bytes, turns: int) -> list[float]:
    """Turns by voice activity; gives how long after the end of speech each answer's first sound came (s)."""
    clients = [await connect(url) for _ in range(count)]
    vad = {"type": "server_vad", "silence_duration_ms": 500}
    for client in clients:
        session = {"type": "realtime", "audio": {"input": {"turn_detection": vad}}}
        client.transport.write(frame({"type": "session.update", "session": session}))
    size = int(CHUNK_SECONDS * 48_000)
    silence = frame({"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(size)).decode()})
    pieces = [
        frame({"type": "input_audio_buffer.append", "audio": base64.b64encode(sound[at : at + size]).decode()})
        for at in range(0, len(sound), size)
    ]
    waits: list[float] = []

    async def talk(client: Client, offset: float) -> None:
        await asyncio.sleep(offset)
        due = time.monotonic()

        async def append(piece: bytes) -> None:
            nonlocal due
            client.transport.write(piece)
            due += CHUNK_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))

        for _ in range(turns):
            client.first_sound = asyncio.get_running_loop().create_future()
            for piece in pieces:
                await append(piece)
            spoken = time.monotonic()
            while not client.first_sound.done() and time.monotonic() - spoken < 15:
                await append(silence)
            waits.append((client.first_sound.result() if client.first_sound.done() else float("inf")) - spoken)
            for _ in range(30):  # listen to the answer
                await append(silence)

    await asyncio.gather(*(talk(client, n * 0.37 % 3) for n, client in enumerate(clients)))
    for client in clients:
        client.transport.close()
    return waits


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--engines", default="2,4,8,16,32", help="numbers of sessions to try with engines on")
    parser.add_argument(
        "--real-time", action="store_true", help="ask for real-time scheduling, so that other programs do not count"
    )
    parser.add_argument("--loop", choices=["", "asyncio"], default="", help="asyncio: not uvloop, though it is there")
    args = parser.parse_args()
    if args.real_time:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))  # the server inherits it
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[1]})
    with Server(cores[0] if cores else -1, "off", 1.0, args.loop) as server:
        streamed = asyncio.run(both_ways(server, args.sessions, args.seconds))
    p50, p99 = (percentile(streamed.late, share) * 1000 for share in (0.5, 0.99))
    first, last = (percentile(streamed.first, share) * 1000 for share in (0.5, 0.99))
    print(
        f"engines off, {args.sessions} sessions streaming both ways for {args.seconds:g} s, "
        f"server on one core with {server.loop}:"
    )
    print(
        f"  {len(streamed.late)} audio deltas, {streamed.missing} missing; "
        f"late by {p50:.1f} ms (median), {p99:.1f} ms (99th percentile)"
    )
    print(f"  first sound {first:.0f} ms (median), {last:.0f} ms (99th percentile) after response.create")
    print(f"  other programs' load: {os.getloadavg()[0]:.1f}" + (" (real-time scheduling)" if args.real_time else ""))
    met = "met" if p99 < AIM_MS and not streamed.missing else "NOT MET"
    print(f"  aim: under {AIM_MS} ms: {met}; the server's core was {streamed.busy:.0%} busy")
    if not args.engines:
        return
    from rtnb.server.engines import tts

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(cores))
    sound = b"".join(tts.speak("Can you tell me something about the sea"))
    count = len(cores) or os.cpu_count()
    print(f"engines on, on all {count} cores, clients among them; turns of {len(sound) / 48_000:.1f} s:")
    for count in map(int, args.engines.split(",")):
        with Server(-1, "on", 12.0) as server:
            waits = asyncio.run(spoken_turns(server.url, count, sound, args.turns))
        print(
            f"  {count:3} sessions talking at once: first sound {percentile(waits, 0.5) * 1000:.0f} ms (median), "
            f"{percentile(waits, 0.95) * 1000:.0f} ms (95th percentile) after the end of speech, "
            "500 ms of which are turn detection",
            flush=True,
        )


if __name__ == "__main__":
    main()
