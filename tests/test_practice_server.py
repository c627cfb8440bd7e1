"""The practice server over real sockets: handshakes, keys, sessions side by side, and clients that behave badly."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import json
import logging
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from practice_client import KEY, QUERY, receive, refused, session, turn, until
from practice_harness import MINI, SPEECH, b64
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode

from rtnb.errors import InputError
from rtnb.server import server, sockets
from rtnb.web import send_queue


@pytest.fixture(scope="module")
def practice() -> Iterator[server.Practice]:
    with server.start(engines=False, pace=0) as running:
        yield running


# ------------------------------------------------------------------ handshakes


def test_a_session_opens_with_session_created_and_answers(practice: server.Practice) -> None:
    async def talk() -> None:
        async with session(practice) as socket:
            assert (await receive(socket))["type"] == "session.created"
            assert (await turn(socket))["response"]["status"] == "completed"

    asyncio.run(talk())


def test_what_openai_refuses_is_refused_inside_the_socket_in_its_words(practice: server.Practice) -> None:
    async def knock() -> None:
        code, message, close, reason = await refused(practice, QUERY, {})
        assert (code, message) == (None, "Missing bearer or basic authentication in header")
        assert (close, reason) == (3000, "invalid_request_error")
        code, _, close, reason = await refused(practice, QUERY, {"Authorization": "Bearer ek_unknown"})
        assert (code, close, reason) == ("invalid_api_key", 3000, "invalid_request_error.invalid_api_key")
        code, message, close, reason = await refused(practice, "", KEY)
        assert (code, close, reason) == ("missing_model", 4000, "invalid_request_error.missing_model")
        assert message.startswith("You must provide a model parameter, for example wss://")
        code, message, close, _ = await refused(practice, "?model=gpt-nope", KEY)
        assert (code, close) == ("invalid_model", 4000)
        assert message.startswith('Model "gpt-nope" is not supported in realtime mode')
        beta = KEY | {"OpenAI-Beta": "realtime=v1"}
        code, _, close, reason = await refused(practice, QUERY, beta)
        assert (code, close) == ("beta_api_shape_disabled", 4000)
        assert reason == "invalid_request_error.beta_api_shape_disabled"
        _, message, close, _ = await refused(practice, "?intent=transcription&model=whisper-1", KEY)
        assert (message, close) == ("You must not provide a model parameter for transcription sessions.", 4000)
        assert (await refused(practice, QUERY + "&fault=nonsense", KEY))[0] == "invalid_value"

    asyncio.run(knock())


def test_a_browsers_key_comes_as_a_subprotocol(practice: server.Practice) -> None:
    async def talk() -> None:
        protocols = ["realtime", "openai-insecure-api-key.practice"]
        async with session(practice, QUERY, {}, subprotocols=protocols) as socket:
            assert socket.subprotocol == "realtime"
            assert (await receive(socket))["type"] == "session.created"

    asyncio.run(talk())


def test_a_server_with_a_key_takes_only_that_one_and_quotes_others_masked() -> None:
    secret = "sk-proj-not-a-key-at-all"

    async def knock(running: server.Practice) -> None:
        code, message, close, _ = await refused(running, QUERY, {"Authorization": f"Bearer {secret}x"})
        assert (code, close) == ("invalid_api_key", 3000)
        assert secret not in message
        for headers in ({"Authorization": f"Bearer {secret}"}, {"api-key": secret}):
            async with session(running, QUERY, headers) as socket:
                assert (await receive(socket))["type"] == "session.created"

    with server.start(engines=False, key=secret) as running:
        asyncio.run(knock(running))
        assert secret not in repr(running) + running._repr_html_()


def test_other_computers_may_not_come_without_a_key() -> None:
    with pytest.raises(InputError, match="Give a key"):
        server.start(host="0.0.0.0", engines=False)
    with server.start(host="0.0.0.0", engines=False, key="practice-key"):
        pass


def test_a_port_that_is_taken_is_told(practice: server.Practice) -> None:
    with pytest.raises(InputError, match="Choose another port"):
        server.start(port=practice.port, engines=False)


def test_the_server_pings_with_four_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_PING_SECONDS", 0.1)

    async def listen(running: server.Practice) -> bytes:
        async with session(running) as socket:
            seen: list[Any] = []
            take = socket.protocol.recv_frame
            socket.protocol.recv_frame = lambda frame: (seen.append(frame), take(frame))[1]  # type: ignore[method-assign]
            pings: list[Any] = []
            for _ in range(2000):
                if pings := [frame.data for frame in seen if frame.opcode is Opcode.PING]:
                    break
                await asyncio.sleep(0.01)
            return bytes(pings[0])

    with server.start(engines=False) as running:
        assert len(asyncio.run(listen(running))) == 4


# ------------------------------------------------------------------ HTTP


def http_call(
    practice: server.Practice, method: str, path: str, body: Any = None, key: str = "practice"
) -> tuple[int, Any]:
    url = urlsplit(practice.base_url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=10)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    connection.request(method, "/v1" + path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if "json" in str(answer.getheader("Content-Type")) else text.decode()


def test_an_ephemeral_secret_opens_the_session_it_was_made_for(practice: server.Practice) -> None:
    wanted = {
        "type": "realtime",
        "model": "gpt-realtime-2.1",
        "instructions": "Be brief.",
        "audio": {"output": {"voice": "cedar"}},
    }
    asked = {"expires_after": {"anchor": "created_at", "seconds": 60}, "session": wanted}
    status, made = http_call(practice, "POST", "/realtime/client_secrets", asked)
    assert status == 200
    assert made["value"].startswith("ek_")
    assert len(made["value"]) == 3 + 32
    assert abs(made["expires_at"] - time.time() - 60) < 5
    assert made["session"]["expires_at"] == 0
    assert made["session"]["audio"]["output"]["voice"] == "cedar"

    async def talk() -> dict[str, Any]:
        async with session(practice, "", {"Authorization": f"Bearer {made['value']}"}) as socket:
            return (await receive(socket))["session"]

    opened = asyncio.run(talk())
    assert opened["model"] == "gpt-realtime-2.1"
    assert opened["instructions"] == "Be brief."
    assert opened["audio"]["output"]["voice"] == "cedar"
    assert opened["expires_at"] > time.time()


def test_http_says_what_is_wrong(practice: server.Practice) -> None:
    post = lambda body, key="practice": http_call(practice, "POST", "/realtime/client_secrets", body, key)  # noqa: E731
    assert post({}, key="")[0] == 401
    assert post({"session": {"type": "realtime", "bogus": 1}})[1]["error"]["param"] == "session.bogus"
    assert post({"expires_after": {"anchor": "created_at", "seconds": 5}})[0] == 400
    assert post({"session": {"type": "realtime", "model": "gpt-nope"}})[1]["error"]["code"] == "invalid_model"
    assert http_call(practice, "POST", "/chat/completions", {})[0] == 404
    assert http_call(practice, "GET", "/nothing")[0] == 404
    status, models = http_call(practice, "GET", "/models")
    assert status == 200
    assert MINI in [model["id"] for model in models["data"]]
    assert "WebSocket" in http_call(practice, "GET", "/realtime")[1]


# ------------------------------------------------------------------ sessions side by side


def test_a_sideband_sees_and_steers_the_call_it_joins(practice: server.Practice) -> None:
    async def talk() -> None:
        async with session(practice) as main:
            session_id = (await receive(main))["session"]["id"]
            call_id = "rtc_" + session_id.removeprefix("sess_")
            async with session(practice, f"?call_id={call_id}") as side:
                # Recorded: a sideband's first event is the answer to its own session.update.
                await side.send(
                    json.dumps({"type": "session.update", "session": {"type": "realtime", "instructions": "Steer."}})
                )
                first = await receive(side)
                assert (first["type"], first["session"]["instructions"]) == ("session.updated", "Steer.")
                assert (await receive(main))["session"]["instructions"] == "Steer."
                done = await turn(main)
                assert await until(side, "response.done") == done
                assert practice.session_ids == [session_id]
            await turn(main)  # the call goes on without it

    asyncio.run(talk())


def test_a_sideband_ends_with_its_call(practice: server.Practice) -> None:
    async def talk() -> int | None:
        async with session(practice) as main:
            session_id = (await receive(main))["session"]["id"]
            side = await connect(f"{practice.url}?call_id={session_id}", additional_headers=KEY, proxy=None)
            await asyncio.sleep(0.05)
        with pytest.raises(ConnectionClosed):
            await receive(side)
        return side.close_code

    assert asyncio.run(talk()) == 1000


def test_a_short_session_ends_with_the_error_and_1001() -> None:
    async def wait(running: server.Practice) -> tuple[Any, ...]:
        async with session(running) as socket:
            error = (await until(socket, "error"))["error"]
            with pytest.raises(ConnectionClosed):
                await receive(socket)
            return error["code"], socket.close_code, socket.close_reason == error["message"]

    with server.start(engines=False, session_seconds=0.2) as running:
        assert asyncio.run(wait(running)) == ("session_expired", 1001, True)


def test_closing_the_server_ends_its_sessions_and_its_thread() -> None:
    running = server.start(engines=False)

    async def wait() -> int | None:
        async with session(running) as socket:
            await receive(socket)
            await asyncio.to_thread(running.close)
            with pytest.raises(ConnectionClosed):
                await receive(socket)
            return socket.close_code

    assert asyncio.run(wait()) == 1001
    assert running.closed
    assert repr(running).endswith("closed)")
    running.close()
    with pytest.raises(OSError, match=r".+"), socket.create_connection(("127.0.0.1", running.port), timeout=1):
        pass


def test_wss_with_a_certificate_made_on_the_spot() -> None:
    pytest.importorskip("cryptography", reason="cryptography makes the certificate")

    async def talk(running: server.Practice) -> str:
        context = ssl.create_default_context(cadata=running.certificate)
        async with session(running, ssl=context) as socket:
            return str((await receive(socket))["type"])

    with server.start(engines=False, tls=True) as running:
        assert running.url.startswith("wss://")
        assert running.base_url.startswith("https://")
        assert asyncio.run(talk(running)) == "session.created"


def test_a_client_may_trust_the_certificates_of_several_servers() -> None:
    pytest.importorskip("cryptography", reason="cryptography makes the certificate")

    async def talk(running: server.Practice, trusted: str) -> str:
        async with session(running, ssl=ssl.create_default_context(cadata=trusted)) as socket:
            return str((await receive(socket))["type"])

    with server.start(engines=False, tls=True) as one, server.start(engines=False, tls=True) as other:
        both = one.certificate + other.certificate
        assert [asyncio.run(talk(running, both)) for running in (one, other)] == ["session.created"] * 2
        with pytest.raises(ssl.SSLCertVerificationError):
            asyncio.run(talk(other, one.certificate))


def test_a_bad_certificate_is_told(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text("no certificate")
    with pytest.raises(InputError, match="PEM"):
        server.start(engines=False, tls_cert=tmp_path / "c.pem")


def test_sessions_are_written_down_without_secrets(tmp_path: Path) -> None:
    async def talk(running: server.Practice) -> str:
        async with session(running) as socket:
            session_id = (await receive(socket))["session"]["id"]
            update = {"type": "realtime", "instructions": "My key is sk-proj-not-a-key-at-all."}
            await socket.send(json.dumps({"type": "session.update", "session": update}))
            await socket.send("no json")
            await until(socket, "error")
            await turn(socket)
            return session_id

    with server.start(engines=False, record=tmp_path / "tapes") as running:
        session_id = asyncio.run(talk(running))
    text = (tmp_path / "tapes" / f"{session_id}.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[0]["event"]["type"] == "session.created"
    assert {line["from"] for line in lines} == {"client", "server"}
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    assert {"at", "from", "text"} in [set(line) for line in lines]
    assert "sk-proj-abc" not in text
    assert "Bearer" not in text


def test_a_seed_makes_runs_repeat() -> None:
    async def ids(running: server.Practice) -> list[str]:
        async with session(running) as socket:
            seen = [(await receive(socket))["event_id"]]
            return [*seen, (await turn(socket))["response"]["id"]]

    with server.start(engines=False, seed=7) as one, server.start(engines=False, seed=7) as two:
        assert asyncio.run(ids(one)) == asyncio.run(ids(two))
    with server.start(engines=False, seed=7) as one, server.start(engines=False, seed=8) as other:
        assert asyncio.run(ids(one)) != asyncio.run(ids(other))


def test_logs_hold_no_secret(practice: server.Practice, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("rtnb.practice.sockets").setLevel(logging.DEBUG)
    key = "sk-proj-not-a-key-at-all"

    async def talk() -> None:
        options = {"subprotocols": ["realtime", f"openai-insecure-api-key.{key}"]}
        async with session(practice, QUERY, {}, logger=logging.getLogger("quiet"), **options) as socket:
            await receive(socket)

    logging.getLogger("quiet").setLevel(logging.CRITICAL)
    try:
        asyncio.run(talk())
    finally:
        logging.getLogger("rtnb.practice.sockets").setLevel(logging.CRITICAL)
    assert "GET /v1/realtime" in caplog.text  # it is the handshake that was logged
    assert key not in caplog.text


# ------------------------------------------------------------------ bad clients harm nobody else


def raw(practice: server.Practice) -> socket.socket:
    return socket.create_connection(("127.0.0.1", practice.port), timeout=5)


def test_rubbish_and_half_open_sockets_harm_nobody(practice: server.Practice) -> None:
    halves = [raw(practice) for _ in range(20)]
    for index, half in enumerate(halves):
        half.sendall([b"", b"GET /v1/realtime HTTP/1.1\r\n", b"POST /v1/re", os.urandom(2_000)][index % 4])
    with raw(practice) as rubbish, contextlib.suppress(OSError):
        rubbish.sendall(os.urandom(100_000))
    with raw(practice) as long_head, contextlib.suppress(OSError):
        long_head.sendall(b"POST /v1/realtime/client_secrets HTTP/1.1\r\n" + b"X: y\r\n" * 50_000)

    async def talk() -> None:
        async with session(practice) as first:
            first.transport.abort()  # gone without a word
        async with session(practice) as socket:
            assert (await turn(socket))["response"]["status"] == "completed"

    asyncio.run(talk())
    for half in halves:
        half.close()


def test_frames_of_20_mb_ten_thousand_events_and_floods_end_in_errors_or_in_time() -> None:
    async def talk(running: server.Practice) -> None:
        bad = await connect(running.url + QUERY, additional_headers=KEY, proxy=None, compression=None)
        async with session(running) as good:
            await receive(good)
            await bad.send(
                json.dumps({"type": "session.update", "session": {"type": "realtime", "x": "y" * 20_000_000}})
            )
            error = (await until(bad, "error"))["error"]
            assert (error["code"], error["param"]) == ("unknown_parameter", "session.x")
            await bad.send(os.urandom(2_000_000))
            assert (await until(bad, "error"))["error"]["code"] == "invalid_event"
            push = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
            await bad.send(json.dumps({"type": "session.update", "session": push}))
            for _ in range(10_000):
                await bad.send('{"type": "input_audio_buffer.append", "audio": "AAAAAAAA"}')
            began = time.monotonic()
            assert (await turn(good))["response"]["status"] == "completed"
            assert time.monotonic() - began < 50
            await bad.send('{"type": "input_audio_buffer.commit"}')
            assert (await until(bad, "input_audio_buffer.committed"))["type"]
            with contextlib.suppress(ConnectionClosed):
                await bad.send("x" * 40_000_000)
                await bad.recv()
                await until(bad, "never")
            assert bad.close_code == 1009
            assert (await turn(good))["response"]["status"] == "completed"

    with server.start(engines=False, pace=0) as running:
        asyncio.run(talk(running))


def test_a_reader_that_does_not_read_is_dropped_and_the_rest_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_queue, "_BACKLOG_BYTES", 1_000_000)

    async def talk(running: server.Practice) -> None:
        slow = await asyncio.to_thread(raw, running)
        slow.sendall(
            f"GET /v1/realtime{QUERY} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Authorization: Bearer practice\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        await asyncio.sleep(0.2)
        ask = json.dumps({"type": "response.create", "response": {"conversation": "none"}}).encode()
        frame = bytes([0x81, 0x80 | 126]) + len(ask).to_bytes(2, "big") + bytes(4) + ask
        with contextlib.suppress(OSError):
            for _ in range(100):
                slow.sendall(frame)
                await asyncio.sleep(0.005)
        async with session(running) as good:
            await receive(good)
            for _ in range(100):
                if len(running.session_ids) == 1:
                    break
                await asyncio.sleep(0.1)
            assert len(running.session_ids) == 1  # only the good one is left
            assert (await turn(good))["response"]["status"] == "completed"
        slow.close()

    with server.start(engines=False, pace=0) as running:
        asyncio.run(talk(running))


def test_an_idle_session_costs_less_than_a_megabyte() -> None:
    psutil = pytest.importorskip("psutil")
    program = (
        "from rtnb.server import server; import sys;"
        "p = server.start(engines=False); print(p.url, flush=True); sys.stdin.read()"
    )

    async def open_many(count: int) -> float:
        async def one() -> ClientConnection:
            socket = await connect(url + QUERY, additional_headers=KEY, proxy=None, compression=None)
            await receive(socket)
            return socket

        process = psutil.Process(child.pid)
        first = [await one() for _ in range(5)]
        gc.collect()
        before = process.memory_info().rss
        sockets = [await one() for _ in range(count)]
        each = (process.memory_info().rss - before) / count
        for opened in [*first, *sockets]:
            await opened.close()
        return float(each)

    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], text=True, **pipes) as child:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        assert asyncio.run(open_many(60)) < 1_000_000


def test_sound_reaches_the_recogniser_as_it_was_sent(practice: server.Practice) -> None:
    async def talk() -> bytes:
        async with session(practice) as socket:
            push = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
            await socket.send(json.dumps({"type": "session.update", "session": push}))
            for at in range(0, len(SPEECH), 9_999):  # also pieces that end in the middle of a sample
                piece = b64(SPEECH[at : at + 9_999])
                await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": piece}))
            await socket.send('{"type": "input_audio_buffer.commit"}')
            item_id = (await until(socket, "input_audio_buffer.committed"))["item_id"]
            await socket.send(json.dumps({"type": "conversation.item.retrieve", "item_id": item_id}))
            import base64

            item = (await until(socket, "conversation.item.retrieved"))["item"]
            return base64.b64decode(item["content"][0]["audio"])

    assert asyncio.run(talk()) == SPEECH


def test_there_is_room_for_so_many_sessions_and_no_more() -> None:
    async def talk(running: server.Practice) -> None:
        async with session(running) as first:
            await receive(first)
            code, _, close, _ = await refused(running, QUERY, KEY)
            assert (code, close) == ("session_limit_exceeded", 4000)
        for _ in range(2000):
            if not running.session_ids:
                break
            await asyncio.sleep(0.01)
        async with session(running) as second:
            assert (await receive(second))["type"] == "session.created"

    with server.start(engines=False, sessions=1) as running:
        asyncio.run(talk(running))


# ------------------------------------------------------------------ ears, brain and voice at work


def test_a_spoken_question_is_heard_thought_about_and_answered_aloud() -> None:
    from rtnb.server.engines import asr, tts

    if not (asr.engine() and tts.engine()):
        pytest.skip("no recogniser or no voice is installed (extra: practice)")
    tool = {
        "type": "function",
        "name": "get_weather",
        "description": "Get the weather for a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    heard = {"transcription": {"model": "gpt-realtime-whisper"}, "turn_detection": {"type": "semantic_vad"}}
    speech = b"".join(tts.speak("What is the weather in London?")) + bytes(96_000)

    async def talk(running: server.Practice) -> None:
        async with session(running) as socket:
            update = {"type": "realtime", "tools": [tool], "audio": {"input": heard}}
            await socket.send(json.dumps({"type": "session.update", "session": update}))
            for at in range(0, len(speech), 9_600):
                piece = {"type": "input_audio_buffer.append", "audio": b64(speech[at : at + 9_600])}
                await socket.send(json.dumps(piece))
                await asyncio.sleep(0.02)
            words = await until(socket, "conversation.item.input_audio_transcription.completed")
            assert "weather" in words["transcript"].lower()
            comment, call = (await until(socket, "response.done"))["response"]["output"]
            assert comment["phase"] == "commentary"
            assert json.loads(call["arguments"])["city"].lower() == "london"
            item = {"type": "function_call_output", "call_id": call["call_id"], "output": "It is foggy."}
            await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
            await socket.send(json.dumps({"type": "response.create", "response": {"tool_choice": "none"}}))
            answer = (await until(socket, "response.done"))["response"]
            assert answer["status"] == "completed"
            assert "foggy" in answer["output"][0]["content"][0]["transcript"].lower()
            assert answer["usage"]["output_token_details"]["audio_tokens"] > 10

    with server.start(pace=0) as running:
        assert running.engines["ears"]
        asyncio.run(talk(running))


@pytest.mark.parametrize("port", [70_000, -1, 65_536])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(InputError, match=f"^Your port {port} is none there is"):
        server.start(port=port)
