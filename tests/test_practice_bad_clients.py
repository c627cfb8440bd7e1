"""Clients that send what no client should: an error in the API's form, a session that goes on, nobody else harmed."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import time
from typing import Any

import pytest
from practice_harness import Harness, b64
from websockets.asyncio.client import connect

from rtnb.server import server, sockets
from rtnb.server.protocol import items
from rtnb.server.protocol.usage import split_tokens

UPDATE = '{"type": "session.update", "session": {"type": "realtime", %s}}'
TOOL = '"tools": [{"type": "function", "name": "f", "parameters": {"a": %s}}]'
ITEM = '{"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [%s]}}'
LONG = "a" * 1_100_000
MANY_TOOLS = '"tools": ' + json.dumps([{"type": "function", "name": f"f{at}"} for at in range(10_000)])


def still_answers(stage: Harness) -> None:
    answered = len(stage.of("response.done"))
    stage.send("response.create", response={"conversation": "none", "output_modalities": ["text"]})
    stage.wait(1)
    assert [event["response"]["status"] for event in stage.of("response.done")[answered:]] == ["completed"]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("[" * 200_000, "invalid_json"),
        (UPDATE % ('"x": ' + "[" * 900 + "]" * 900), "invalid_json"),
        (UPDATE % (TOOL % ("[" * 300 + "]" * 300)), "invalid_json"),
        (UPDATE % (TOOL % ('{"a": ' * 200 + "1" + "}" * 200)), "invalid_json"),
        (UPDATE % '"max_output_tokens": NaN', "invalid_json"),
        (UPDATE % ('"max_output_tokens": ' + "9" * 5_000), "invalid_json"),
        (UPDATE % '"max_output_tokens": 99999999999999999999', None),
        (UPDATE % '"max_output_tokens": -1', "integer_below_min_value"),
        (UPDATE % f'"instructions": "{LONG}"', "string_above_max_length"),
        (UPDATE % MANY_TOOLS, "array_above_max_length"),
        (ITEM % f'{{"type": "input_text", "text": "{LONG}"}}', "string_above_max_length"),
        (ITEM % '{"type": "input_text", "text": "\\ud800"}', "invalid_json"),
        (ITEM % '{"type": "input_audio", "audio": "@@@"}', "invalid_value"),
        (ITEM % '{"type": "input_image", "image_url": "file:///etc/passwd"}', "invalid_value"),
        ('{"type": "response.create", "response": {"response": {"type": "response.create"}}}', "unknown_parameter"),
        ('{"type": "response.create", "response": {"input": [{"type": "item_reference", "id": "x"}]}}', None),
        ('{"type": "response.create", "response": {"metadata": {"a": {"b": 1}}}}', "invalid_type"),
        ('{"type": "conversation.item.truncate", "item_id": "x", "content_index": -1, "audio_end_ms": -1}', None),
        ('{"type": "conversation.item.delete", "item_id": ""}', None),
        ('{"type": ["a"]}', "invalid_value"),
        ("5", "invalid_event"),
        (b"\xff\xfe", "invalid_event"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_each_bad_event_is_one_error_and_the_session_goes_on(frame: str | bytes, code: str | None) -> None:
    stage = Harness()
    events = stage.frame(frame)
    assert [event["type"] for event in events] == ["error"]
    assert code is None or events[0]["error"]["code"] == code
    assert len(events[0]["error"]["message"]) < 1_000
    still_answers(stage)


def test_deep_but_sensible_schemas_are_taken() -> None:
    stage = Harness()
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(20):
        schema = {"type": "object", "properties": {"inner": schema}}
    stage.update(tools=[{"type": "function", "name": "f", "parameters": schema}])
    assert stage.types[-1] == "session.updated"
    still_answers(stage)


def test_items_cannot_go_round_in_circles() -> None:
    stage = Harness()
    assert stage.say("One.", id="a")[-1]["type"] == "conversation.item.done"
    assert stage.say("Again.", id="a")[0]["error"]["code"] == "item_create_duplicate_item_id"
    content = [{"type": "input_text", "text": "x"}]
    own = {"type": "message", "role": "user", "content": content, "id": "b"}
    (refused,) = stage.send("conversation.item.create", previous_item_id="b", item=own)
    assert refused["error"]["code"] == "item_create_invalid_previous_item_id"
    stage.send("conversation.item.create", previous_item_id="a", item=own)
    stage.send("conversation.item.delete", item_id="a")
    added, _ = stage.send("conversation.item.create", previous_item_id="b", item=own | {"id": "a"})
    assert added["previous_item_id"] == "b"
    still_answers(stage)


def test_a_conversation_has_room_for_so_much_text_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "_MOST_CHARACTERS", 1_000)
    stage = Harness()
    stage.say("x" * 600, id="first")
    assert stage.say("x" * 600)[0]["error"]["code"] == "conversation_full"
    stage.say("x" * 400)
    picture = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 200}
    message = {"type": "message", "role": "user", "content": [picture]}
    assert stage.send("conversation.item.create", item=message)[0]["error"]["code"] == "conversation_full"
    stage.send("conversation.item.delete", item_id="first")
    assert stage.send("conversation.item.create", item=message)[0]["type"] == "conversation.item.added"
    still_answers(stage)


def test_a_long_text_is_counted_without_reading_all_of_it() -> None:
    text = "The quick brown fox jumps over 12 lazy dogs. " * 20_000
    stage = Harness()
    stage.update(instructions=text, truncation="disabled")
    stage.send("response.create", response={"output_modalities": ["text"]})
    stage.wait(1)
    error = stage.last("response.done")["response"]["status_details"]["error"]
    assert error["code"] == "context_length_exceeded"
    counted = int(error["message"].split(" tokens")[0].split()[-1])
    assert abs(counted / len(split_tokens(text)) - 1) < 0.02


def test_thousands_of_items_take_their_time_and_no_more() -> None:
    """Each costs the same, however many there are: nothing is counted through again for each."""

    def seconds(count: int, stage: Harness) -> float:
        began = time.process_time()
        for _ in range(count):
            stage.say("x")
        return time.process_time() - began

    stage = Harness()
    first = min(seconds(300, stage) for _ in range(3))
    seconds(2_500, stage)
    last = min(seconds(300, stage) for _ in range(3))
    assert last < 3 * first


# ── Sockets ───────────────────────────────────────────────────────────────────────────────────────────────────


async def turn(url: str) -> str:
    async with connect(url, additional_headers={"Authorization": "Bearer x"}, proxy=None) as good:
        await good.send('{"type": "response.create", "response": {"output_modalities": ["text"]}}')
        while True:
            event = json.loads(await asyncio.wait_for(good.recv(), 20))
            if event["type"] == "response.done":
                return str(event["response"]["status"])


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /v1/realtime HTTP/1.1\r\nHost: x\r\n",
        b"POST /v1/realtime/client_secrets HTTP/1.1\r\nContent-Length: 900000\r\n\r\n" + b"x" * 1_000,
    ],
    ids=["silent", "half a handshake", "half a body"],
)
def test_handshakes_that_never_finish_are_shown_out(monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    monkeypatch.setattr(sockets, "_OPEN_SECONDS", 1.0)
    with server.start(engines=False, pace=0) as practice:
        halves = [socket.create_connection(("127.0.0.1", practice.port), timeout=20) for _ in range(200)]
        for half in halves:
            half.sendall(begun)
        assert asyncio.run(turn(f"{practice.url}?model=gpt-realtime")) == "completed"
        for half in halves:  # every one of them hears that it is over
            with contextlib.suppress(ConnectionResetError):
                while half.recv(10_000):
                    pass
            half.close()
        assert asyncio.run(turn(f"{practice.url}?model=gpt-realtime")) == "completed"


@pytest.mark.parametrize(
    "rubbish",
    [
        bytes.fromhex("16030100a5010000a10303") + bytes(150),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PUT /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /v1/realtime/client_secrets HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/realtime/client_secrets HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /v1/realtime/client_secrets HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
        b"GET /v1/realtime?" + b"a=b&" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/realtime HTTP/1.1\r\n" + b"X: y\r\n" * 1_000 + b"\r\n",
        b"GET \x00\xff HTTP/1.1\r\n\r\n",
        b"\n" * 100_000,
    ],
    ids=["TLS", "HTTP 2", "PUT", "length below 0", "length of 100 GB", "chunks", "query", "headers", "bytes", "lines"],
)  # fmt: skip
def test_http_rubbish_ends_its_own_connection_only(rubbish: bytes) -> None:
    with server.start(engines=False, pace=0) as practice:
        with socket.create_connection(("127.0.0.1", practice.port), timeout=20) as one:
            with contextlib.suppress(OSError):
                one.sendall(rubbish)
            with contextlib.suppress(OSError):
                while one.recv(10_000):
                    pass
        assert asyncio.run(turn(f"{practice.url}?model=gpt-realtime")) == "completed"


def test_deep_json_is_refused_over_http_too() -> None:
    with server.start(engines=False) as practice:
        for body in ("[" * 100_000, '{"session": ' + "[" * 500 + "]" * 500 + "}"):
            connection = http.client.HTTPConnection("127.0.0.1", practice.port, timeout=20)
            connection.request("POST", "/v1/realtime/client_secrets", body, {"Authorization": "Bearer x"})
            answer = connection.getresponse()
            assert answer.status == 400
            assert json.loads(answer.read())["error"]["code"] == "invalid_json"
            connection.close()


def test_a_flood_of_everything_at_once_leaves_others_their_turn() -> None:
    """A thousand responses asked for side by side, long texts and loud sound, while somebody else talks."""

    async def run(url: str) -> list[str]:
        headers = {"Authorization": "Bearer x"}
        async with connect(url, additional_headers=headers, proxy=None, max_size=None, max_queue=None) as bad:
            ask = json.dumps({"type": "response.create", "response": {"conversation": "none", "input": []}})
            sound = json.dumps({"type": "input_audio_buffer.append", "audio": b64(bytes(480_000))})
            text = ITEM % json.dumps({"type": "input_text", "text": "word " * 100_000})

            async def flood() -> None:
                for _ in range(100):
                    for frame in (ask, ask, sound, text):
                        await bad.send(frame)

            flooding = asyncio.ensure_future(flood())
            done = [await turn(url) for _ in range(5)]
            flooding.cancel()
            await asyncio.gather(flooding, return_exceptions=True)
            bad.transport.abort()
        return done

    with server.start(engines=False, pace=0) as practice:
        assert asyncio.run(run(f"{practice.url}?model=gpt-realtime")) == ["completed"] * 5
