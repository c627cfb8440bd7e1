"""Translation sessions: audio in, other words and audio out."""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest
from practice_harness import SPEECH, Harness, b64

from rtnb.server.engines.engines import installed
from rtnb.server.protocol.effects import Ids, Respond, Unintelligible
from rtnb.server.protocol.requests import Text
from rtnb.server.protocol.session import Options
from rtnb.server.protocol.translations import TranslationSession


def opened(**fields: Any) -> Harness:
    options = Options(buffer_bytes=1_000_000)
    session = TranslationSession(Ids(random.Random(1)), now=100.0, unix_seconds=1_800_000_000, options=options)
    return Harness(session=session, **fields)


def append(harness: Harness, audio: bytes) -> list[dict[str, Any]]:
    return harness.send("session.input_audio_buffer.append", audio=b64(audio))


def test_an_utterance_is_transcribed_translated_and_spoken() -> None:
    harness = opened(transcript="good morning", answers=[Text("Buenos días."), Text("¿Qué tal?")])
    (created,) = harness.events
    assert created["session"]["type"] == "translation"
    audio = {"input": {"transcription": {"model": "gpt-realtime-whisper"}}, "output": {"language": "es"}}
    (updated,) = harness.send("session.update", session={"audio": audio})
    assert updated["session"]["audio"]["output"]["language"] == "es"
    append(harness, SPEECH + bytes(48_000))
    heard = "".join(event["delta"] for event in harness.of("session.input_transcript.delta"))
    translated = "".join(event["delta"] for event in harness.of("session.output_transcript.delta"))
    assert (heard.strip(), translated.strip()) == ("good morning", "Buenos días. ¿Qué tal?")
    deltas = harness.of("session.output_audio.delta")
    assert b"".join(base64.b64decode(event["delta"]) for event in deltas) == SPEECH * 2
    assert {len(base64.b64decode(event["delta"])) for event in deltas} == {200 * 48}
    assert all(event["elapsed_ms"] % 200 == 0 for event in harness.events if "elapsed_ms" in event)
    assert {(event["sample_rate"], event["channels"], event["format"]) for event in deltas} == {(24_000, 1, "pcm16")}
    respond = harness.effect(Respond)
    assert "es" in respond.request.instructions


@pytest.mark.parametrize(("language", "said"), [("zh", "只懂英语"), ("fr", "English only")])
def test_an_utterance_that_is_not_understood_is_said_to_be_so(language: str, said: str) -> None:
    harness = opened(transcript=Unintelligible())
    harness.send("session.update", session={"audio": {"output": {"language": language}}})
    append(harness, SPEECH + bytes(48_000))
    assert not harness.of("session.input_transcript.delta")
    (answer,) = installed().answer(harness.effect(Respond).request)
    assert isinstance(answer, Text)
    assert said in answer.text


def test_without_transcription_the_source_words_stay_unsaid() -> None:
    harness = opened()
    append(harness, SPEECH + bytes(48_000))
    assert not harness.of("session.input_transcript.delta")
    assert harness.of("session.output_transcript.delta")


def test_closing_flushes_what_is_still_being_said() -> None:
    harness = opened()
    append(harness, SPEECH)  # nobody has paused yet
    translated = harness.send("session.close")
    kinds = [event["type"] for event in translated]
    assert "session.output_audio.delta" in kinds
    assert kinds[-1] == "session.closed"
    assert harness.closed is not None
    assert harness.closed.code == 1000
    assert harness.send("session.close") == []


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
    (refused,) = opened().send(**event)
    assert (refused["error"]["code"], refused["error"]["param"]) == (code, param)


def test_it_expires_too() -> None:
    harness = opened()
    (expired,) = harness.wait(3_601)
    assert expired["error"]["code"] == "session_expired"
    assert harness.closed is not None
    assert harness.closed.code == 1001
