"""The Beta interface of 2024: the same sessions, in the words that old programs speak."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from typing import Any

import pytest
from practice_theatre import SPEECH, Theatre, b64, squeezed
from websockets.asyncio.client import connect

from rtnb.practice import server, settings
from rtnb.practice.beta import BetaScript
from rtnb.practice.outputs import Ids
from rtnb.practice.script import Options, Script
from rtnb.practice.thoughts import Call

MODEL = "gpt-4o-realtime-preview-2024-10-01"


def theatre(**world: Any) -> Theatre:
    script = Script(
        Ids(random.Random(1)),
        now=100.0,
        unix_seconds=1_800_000_000,
        model=settings.BETA_MODELS[MODEL],
        options=Options(pace=0),
    )
    return Theatre(script=BetaScript(script), **world)


def test_the_session_is_flat_and_the_conversation_is_announced() -> None:
    created, conversation = theatre().events
    session = created["session"]
    assert session["modalities"] == ["text", "audio"]
    assert (session["voice"], session["input_audio_format"], session["temperature"]) == ("alloy", "pcm16", 0.8)
    assert session["turn_detection"]["type"] == "server_vad"
    assert not {"audio", "type", "output_modalities"} & set(session)
    assert conversation["type"] == "conversation.created"


def test_a_turn_in_the_old_names() -> None:
    stage = theatre()
    stage.send("session.update", session={"turn_detection": None, "modalities": ["audio", "text"], "temperature": 0.6})
    assert stage.events[-1]["session"]["temperature"] == 0.6
    stage.append(SPEECH)
    stage.send("input_audio_buffer.commit")
    answer = stage.send("response.create", response={"modalities": ["text", "audio"], "instructions": "Be brief."})
    stage.wait(0.1)
    assert squeezed(answer)[:4] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.created",
        "response.content_part.added",
    ]
    kinds = {event["type"] for event in answer}
    assert {"response.audio.delta", "response.audio_transcript.delta", "response.audio_transcript.done"} <= kinds
    assert not {kind for kind in stage.types if "output_audio" in kind or kind.endswith(("item.added.", "item.done."))}
    assert "conversation.item.added" not in stage.types
    assert stage.types[-1] == "rate_limits.updated"
    done = stage.last("response.done")["response"]
    assert done["output"][0]["content"] == [{"type": "audio", "transcript": "Nice to meet you."}]
    assert done["output"][0]["object"] == "realtime.item"
    assert done["modalities"] == ["text", "audio"]
    sound = b"".join(base64.b64decode(event["delta"]) for event in stage.of("response.audio.delta"))
    assert sound == SPEECH


def test_text_and_calls_in_the_old_names() -> None:
    stage = theatre(thinks=[Call("look", {"a": 1})])
    stage.send("session.update", session={"tools": [{"type": "function", "name": "look"}], "modalities": ["text"]})
    stage.say("Look.")
    stage.send("response.create")
    done = stage.last("response.function_call_arguments.done")
    assert "name" not in done  # the Beta had none
    assert "obfuscation" not in stage.last("response.function_call_arguments.delta")
    stage.thinks = []
    content = [{"type": "text", "text": "Before."}]
    (created,) = stage.send(
        "conversation.item.create", item={"type": "message", "role": "assistant", "content": content}
    )
    assert created["type"] == "conversation.item.created"
    assert created["item"]["content"] == content


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"bogus": 1}, "unknown_parameter", "session.bogus"),
        ({"audio": {}}, "unknown_parameter", "session.audio"),
        ({"voice": "darth"}, "invalid_value", "session.voice"),
        ({"temperature": 3}, "decimal_above_max_value", "session.temperature"),
        ({"modalities": ["audio"]}, "invalid_value", "session.modalities"),
        ({"input_audio_format": "mp3"}, "invalid_value", "session.input_audio_format"),
        ({"turn_detection": {"type": "server_vad", "threshold": 7}}, None, "session.turn_detection.threshold"),
    ],
)
def test_errors_name_the_old_fields(session: dict[str, Any], code: str | None, param: str) -> None:
    (refused,) = theatre().send("session.update", session=session, event_id="mine")
    error = refused["error"]
    assert (error["code"], error["param"]) == (code or error["code"], param)
    assert error["event_id"] == "mine"


def test_rubbish_is_refused_in_beta_too() -> None:
    for frame in (b"\0", "{", "[]", '{"type": "nope"}', '{"type": "conversation.item.create"}'):
        (refused,) = theatre().frame(frame)
        assert refused["type"] == "error"


def test_a_program_of_october_2024_runs_against_a_beta_server() -> None:
    """The launch article's loop: old header, old model, the whole file pushed, ended by rate_limits.updated."""

    async def program(url: str) -> tuple[list[str], bytes]:
        kinds, sound = [], ""
        headers = {"Authorization": "Bearer practice", "OpenAI-Beta": "realtime=v1"}
        async with connect(f"{url}?model={MODEL}", additional_headers=headers, proxy=None) as ws:
            speech = SPEECH + bytes(24_000)
            for at in range(0, len(speech), 30_000):
                event = {"type": "input_audio_buffer.append", "audio": b64(speech[at : at + 30_000])}
                await ws.send(json.dumps(event))
            await ws.send(json.dumps({"type": "input_audio_buffer.commit"}))
            wanted = {"modalities": ["text", "audio"], "instructions": "Summarize this audio content"}
            await ws.send(json.dumps({"type": "response.create", "response": wanted}))
            async for message in ws:
                event = json.loads(message)
                kinds.append(event["type"])
                if event["type"] == "response.audio.delta":
                    sound += event["delta"]
                if event["type"] == "rate_limits.updated":
                    break
        return kinds, base64.b64decode(sound)

    with server.start(engines=False, beta=True, pace=0) as practice:
        kinds, sound = asyncio.run(program(practice.url))
    assert kinds[:2] == ["session.created", "conversation.created"]
    assert "response.audio_transcript.done" in kinds
    assert len(sound) > 24_000


def test_a_beta_server_speaks_ga_to_clients_that_do() -> None:
    async def first(url: str, headers: dict[str, str]) -> dict[str, Any]:
        async with connect(url, additional_headers={"Authorization": "Bearer x", **headers}, proxy=None) as ws:
            event: dict[str, Any] = json.loads(await ws.recv())
            return event

    with server.start(engines=False, beta=True) as practice:
        url = f"{practice.url}?model=gpt-realtime"
        assert "audio" in asyncio.run(first(url, {}))["session"]
        assert "modalities" in asyncio.run(first(url, {"OpenAI-Beta": "realtime=v1"}))["session"]
