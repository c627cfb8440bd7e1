"""Odd requests, floods and half-open connections: an answer in words, bounded memory, nothing on stderr."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from practice_client import KEY, QUERY, receive, refused, session, turn
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from rtnb.recording.replay import serve as serve_replay
from rtnb.server import server
from rtnb.web import connection as web_connection

HEAD = "Host: 127.0.0.1\r\nAuthorization: Bearer x\r\n"
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + "A" * 22
UPGRADE += "==\r\n"


def said(port: int, request: str | bytes) -> bytes:
    """All that a server says to a request before it hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as one:
        answer = b""
        with contextlib.suppress(ConnectionError):
            one.sendall(request if isinstance(request, bytes) else request.encode("latin-1"))
            while part := one.recv(65_536):
                answer += part
    return answer


def post(fields: str, body: str = "{}") -> str:
    return f"POST /v1/realtime/client_secrets HTTP/1.1\r\n{HEAD}{fields}\r\n{body}"


def get(target: str, fields: str = "") -> str:
    return f"GET {target} HTTP/1.1\r\n{HEAD}{fields}\r\n"


CHUNKED = "Transfer-Encoding: chunked\r\n"
ODD_BODIES = {
    "5,000 digits": post(f"Content-Length: {'9' * 5000}\r\n"),
    "5,000 zeros": post(f"Content-Length: {'0' * 5000}2\r\n"),
    "below 0": post("Content-Length: -2\r\n"),
    "with a plus": post("Content-Length: +2\r\n"),
    "a fraction": post("Content-Length: 2.0\r\n"),
    "hexadecimal": post("Content-Length: 0x2\r\n"),
    "other digits": post("Content-Length: \xb2\r\n"),
    "nothing": post("Content-Length:\r\n"),
    "a list": post("Content-Length: 2, 2\r\n"),
    "two": post("Content-Length: 2\r\nContent-Length: 2\r\n"),
    "two that differ": post("Content-Length: 2\r\ncontent-length: 0\r\n"),
    "chunked": post(CHUNKED, "2\r\n{}\r\n0\r\n\r\n"),
    "chunked with a length": post(f"Content-Length: 2\r\n{CHUNKED}"),
    "gzip, chunked": post("Transfer-Encoding: gzip, chunked\r\n"),
    "a terabyte": post("Content-Length: 1099511627776\r\n"),
    "a megabyte": post(f"Content-Length: {1 << 20}\r\n", "x" * (1 << 20)),
    "headers": post("X: " + "y" * 100_000 + "\r\nContent-Length: 2\r\n"),
}
ODD_TARGETS = ["//[::1/", "//[::1/v1/realtime", "http://[::1/v1", "/v1/\xff", "/v1/realtime?model=\xe9"]


@pytest.mark.parametrize("request_text", ODD_BODIES.values(), ids=ODD_BODIES)
def test_a_body_whose_length_cannot_be_told_is_refused_in_words(request_text: str) -> None:
    with server.start(engines=False, pace=0) as practice:
        answer = said(practice.port, request_text)
        assert b"ek_" not in answer
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert json.loads(body)["error"]["message"].startswith("Your request")
        assert b'"value": "ek_' in said(practice.port, post("Content-Length: 2\r\n"))


@pytest.mark.parametrize("target", ODD_TARGETS)
@pytest.mark.parametrize("fields", ["", UPGRADE], ids=["plain", "handshake"])
def test_an_address_that_is_none_is_refused_in_words(target: str, fields: str, tmp_path: Path) -> None:
    with server.start(engines=False, pace=0) as practice:
        for port in (practice.port, urlsplit(serve_replay(recording(tmp_path))).port):
            assert port is not None
            answer = said(port, get(target, fields))
            assert answer.split(b" ")[1] in (b"400", b"403"), answer
            assert b'"message": "Your ' in answer


PATHS = [
    "/v1/foo",
    "/",
    "/v1",
    "/realtime",
    "/v1/realtimes",
    "/v1/live/sessions",
    "/v1/realtime/calls",
    "//v1/realtime",
]
PATHS += [
    "/v1/realtime/../foo",
    "/v1/realtime/translations/x",
    "/V1/realtime",
    "/v1/realtime%2f",
    "/x/v1/realtime",
    "*",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_other_path_opens_a_session(path: str) -> None:
    with server.start(engines=False, pace=0) as practice:
        answer = said(practice.port, get(path + QUERY, UPGRADE))
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"].startswith("Invalid URL (GET ")
        assert practice.session_ids == []


@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/realtime/", "/openai/v1/realtime", "/openai/realtime"])
@pytest.mark.parametrize("before", ["", "http://127.0.0.1"])
def test_the_paths_of_the_api_do_in_both_forms_of_http(path: str, before: str) -> None:
    with server.start(engines=False, pace=0) as practice, socket.create_connection(("127.0.0.1", practice.port)) as one:
        one.sendall(get(before + path + QUERY, UPGRADE).encode())
        assert one.recv(12) == b"HTTP/1.1 101"


def recording(folder: Path) -> Path:
    about = {"version": 1, "model": "m", "sound": "flac", "sizes": {}, "settings": {}}
    line = {"at": 0, "by": "server", "event": {"type": "session.created", "session": {"id": "sess_1"}}}
    with zipfile.ZipFile(folder / "x.rtnb", "w") as archive:
        archive.writestr("session.json", json.dumps(about))
        archive.writestr("events.jsonl", json.dumps(line))
    return folder / "x.rtnb"


# --- floods -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [b"", b"GET /v1/realtime HTTP/1.1\r\nX: ", b"POST /v1/realtime HTTP/1.1\r\nX: "])
def test_of_a_thousand_half_open_connections_the_oldest_go(monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    monkeypatch.setattr(web_connection, "_MOST_HALVES", 50)
    with server.start(engines=False, pace=0) as practice:
        halves = [socket.create_connection(("127.0.0.1", practice.port), timeout=30) for _ in range(300)]
        for half in halves:
            with contextlib.suppress(ConnectionError):
                half.sendall(begun)

        async def run() -> str:
            async with session(practice) as one:
                return str((await turn(one))["response"]["status"])

        assert asyncio.run(run()) == "completed"
        for half in halves[:240]:  # long before the ten seconds that each would have
            with contextlib.suppress(ConnectionError):
                assert half.recv(10) == b""
        for half in halves:
            half.close()


def test_a_session_holds_its_hour_of_audio_and_a_thousand_share_what_there_is() -> None:
    minute = base64.b64encode(bytes(60 * 48_000)).decode()
    event = json.dumps({"type": "input_audio_buffer.append", "audio": minute})
    push_to_talk = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}

    async def minutes(practice: server.Practice) -> int:
        async with session(practice) as one:
            await receive(one)
            await one.send(json.dumps({"type": "session.update", "session": push_to_talk}))
            assert (await receive(one))["type"] == "session.updated"
            for _ in range(64):
                await one.send(event)
            await one.send('{"type": "input_audio_buffer.clear"}')
            refusals = 0
            while (answer := await receive(one))["type"] == "error":
                assert answer["error"]["code"] == "input_audio_buffer_full"
                refusals += 1
            return 64 - refusals

    async def run(practice: server.Practice) -> list[int]:
        async with contextlib.AsyncExitStack() as stack:
            alone = await minutes(practice)
            for _ in range(39):
                await receive(await stack.enter_async_context(session(practice)))
            return [alone, await minutes(practice)]

    with server.start(engines=False, pace=0) as practice:
        assert asyncio.run(run(practice)) == [60, 9]


def test_a_server_takes_so_many_sessions_and_no_more() -> None:
    async def run(practice: server.Practice) -> None:
        async with session(practice), session(practice):
            code, *_ = await refused(practice, QUERY, KEY)
            assert code == "session_limit_exceeded"

    with server.start(engines=False, pace=0, sessions=2) as practice:
        asyncio.run(run(practice))


def torn(port: int, target: str) -> None:
    """A client that asks for a great deal, reads nothing and is gone."""
    one = socket.create_connection(("127.0.0.1", port), timeout=30)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, not a farewell
    one.sendall(get(target, UPGRADE).encode())
    one.recv(4096)
    event = b'{"type":"response.create","response":{"conversation":"none"}}'
    frame = b"\x81" + bytes([0x80 | len(event)]) + bytes(4) + event
    with contextlib.suppress(OSError):
        one.sendall(frame * 300)
    one.close()


@pytest.mark.parametrize("loop", ["own", "asyncio"])
def test_nobody_who_is_gone_is_written_to(loop: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    if loop == "asyncio":
        monkeypatch.setattr(server, "_fast_loop", lambda: None)
    keep = Keep(level=logging.WARNING)
    logging.getLogger("asyncio").addHandler(keep)
    try:
        with server.start(engines=False, pace=0) as practice:
            for _ in range(20):
                torn(practice.port, "/v1/realtime" + QUERY)
            replay = urlsplit(serve_replay(recording(tmp_path)))
            assert replay.port is not None
            for _ in range(20):
                torn(replay.port, replay.path)

            async def run() -> str:
                async with session(practice) as one:
                    return str((await turn(one))["response"]["status"])

            assert asyncio.run(run()) == "completed"
    finally:
        logging.getLogger("asyncio").removeHandler(keep)
    assert told == []


@pytest.mark.skipif(os.name == "nt", reason="a process is ended by a signal here")
def test_a_server_of_its_own_says_nothing_on_stderr_but_its_own_lines() -> None:
    program = [sys.executable, "-m", "rtnb.cli", "practice", "--port", "0", "--no-engines"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        port = urlsplit(next(word for word in child.stdout.readline().split() if word.startswith("ws://"))).port
        assert port is not None
        rest = threading.Thread(target=child.stdout.read, daemon=True)  # so that it never waits for us
        rest.start()
        odd = [*ODD_BODIES.values(), *(get(target, UPGRADE) for target in ODD_TARGETS)]
        odd += [get("/v1/foo", UPGRADE), get("/v1/realtime", CHUNKED), get("/", "Content-Length: x\r\n"), "\0\r\n\r\n"]
        odd += [get("/", "Content-Length: 2\r\nContent-Length: 3\r\n"), "GET / HTTP/1.0\r\n\r\n", "GET\r\n\r\n"]
        odd += [get("/" + "a" * 9_000), get("/", "X: y\r\n" * 1_000), get("/v1/realtime", "Connection: Upgrade\r\n")]
        for request in odd:
            said(port, request)
        for _ in range(20):
            torn(port, "/v1/realtime" + QUERY)

        async def run() -> None:
            for data in (b"\0\1", "no JSON", '{"type": 5}', "[" * 100_000):
                async with connect(f"ws://127.0.0.1:{port}/v1/realtime{QUERY}", additional_headers=KEY) as one:
                    await one.send(data)
                    await receive(one)
            with pytest.raises(InvalidStatus):
                async with connect(f"ws://127.0.0.1:{port}/v1/foo", additional_headers=KEY):
                    pass

        asyncio.run(run())
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
        assert [line for line in child.stderr.read().splitlines() if not line.startswith("rtnb")] == []
