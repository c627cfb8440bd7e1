"""Translation sessions: sound in, other words and sound out."""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest
from practice_theatre import SPEECH, Theatre, b64

from rtnb.server.protocol.effects import Ids
from rtnb.server.protocol.requests import Text
from rtnb.server.protocol.script import Options
from rtnb.server.protocol.translations import TranslationScript


def theatre(**world: Any) -> Theatre:
    options = Options(buffer_bytes=1_000_000)
    script = TranslationScript(
        Ids(random.Random(1)),
        now=100.0,
        unix_seconds=1_800_000_000,
        model_name="gpt-realtime-translate",
        options=options,
    )
    return Theatre(script=script, **world)


def append(stage: Theatre, sound: bytes) -> list[dict[str, Any]]:
    return stage.send("session.input_audio_buffer.append", audio=b64(sound))


def test_an_utterance_is_heard_translated_and_said() -> None:
    stage = theatre(hears="good morning", thinks=[Text("Buenos días."), Text("¿Qué tal?")])
    (created,) = stage.events
    assert created["session"]["type"] == "translation"
    sound = {"input": {"transcription": {"model": "gpt-realtime-whisper"}}, "output": {"language": "es"}}
    (updated,) = stage.send("session.update", session={"audio": sound})
    assert updated["session"]["audio"]["output"]["language"] == "es"
    append(stage, SPEECH + bytes(48_000))
    heard = "".join(event["delta"] for event in stage.of("session.input_transcript.delta"))
    told = "".join(event["delta"] for event in stage.of("session.output_transcript.delta"))
    assert (heard.strip(), told.strip()) == ("good morning", "Buenos días. ¿Qué tal?")
    sounds = stage.of("session.output_audio.delta")
    assert b"".join(base64.b64decode(event["delta"]) for event in sounds) == SPEECH * 2
    assert {len(base64.b64decode(event["delta"])) for event in sounds} == {200 * 48}
    assert all(event["elapsed_ms"] % 200 == 0 for event in stage.events if "elapsed_ms" in event)
    assert {(event["sample_rate"], event["channels"], event["format"]) for event in sounds} == {(24_000, 1, "pcm16")}
    think = next(asked for asked in stage.asked if type(asked).__name__ == "Think")
    assert "es" in think.request.instructions


def test_without_transcription_the_source_words_stay_unsaid() -> None:
    stage = theatre()
    append(stage, SPEECH + bytes(48_000))
    assert not stage.of("session.input_transcript.delta")
    assert stage.of("session.output_transcript.delta")


def test_closing_flushes_what_is_still_being_said() -> None:
    stage = theatre()
    append(stage, SPEECH)  # nobody has paused yet
    told = stage.send("session.close")
    kinds = [event["type"] for event in told]
    assert "session.output_audio.delta" in kinds
    assert kinds[-1] == "session.closed"
    assert stage.closed is not None
    assert stage.closed.code == 1000
    assert stage.send("session.close") == []


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "response.create"}, "invalid_value", "type"),
        ({"type": "input_audio_buffer.append", "audio": "AAAA"}, "invalid_value", "type"),
        ({"type": "session.update", "session": {"instructions": "x"}}, "unknown_parameter", "session.instructions"),
        ({"type": "session.update", "session": {"type": "translation"}}, "unknown_parameter", "session.type"),
        ({"type": "session.update"}, "missing_required_parameter", "session"),
        ({"type": "session.input_audio_buffer.append", "audio": "!"}, "invalid_value", "audio"),
        ({"type": "session.input_audio_buffer.append", "audio": "A" * 2_000_000}, "input_audio_buffer_full", "audio"),
    ],
)
def test_what_does_not_belong_here_is_refused(event: dict[str, Any], code: str, param: str) -> None:
    (refused,) = theatre().send(**event)
    assert (refused["error"]["code"], refused["error"]["param"]) == (code, param)


def test_it_expires_too() -> None:
    stage = theatre()
    (expired,) = stage.wait(3_601)
    assert expired["error"]["code"] == "session_expired"
    assert stage.closed is not None
    assert stage.closed.code == 1001
