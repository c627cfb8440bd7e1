"""Transcription of what the user says, as dialogue with a practice session."""

from __future__ import annotations

import math
from typing import Any

import pytest
from practice_harness import SPEECH, Harness

from rtnb.server.protocol.effects import TranscribeStream
from rtnb.server.protocol.requests import Text


def test_transcription_events_come_where_they_were_asked_for() -> None:
    harness = Harness(transcript="hello there").push_to_talk()
    harness.update(audio={"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}})
    harness.append(SPEECH)
    item_id = harness.send("input_audio_buffer.commit")[0]["item_id"]
    deltas = harness.of("conversation.item.input_audio_transcription.delta")
    assert "".join(event["delta"] for event in deltas) == "hello there"
    done = harness.last("conversation.item.input_audio_transcription.completed")
    assert (done["item_id"], done["transcript"]) == (item_id, "hello there")
    assert done["usage"]["input_token_details"] == {"text_tokens": 0, "audio_tokens": 10}
    (retrieved,) = harness.send("conversation.item.retrieve", item_id=item_id)
    assert retrieved["item"]["content"][0]["transcript"] == "hello there"


def test_streaming_models_send_words_while_the_user_speaks() -> None:
    harness = Harness(transcript="hello there friend", partials=["hello", "hello there"]).push_to_talk()
    harness.update(audio={"input": {"transcription": {"model": "gpt-realtime-whisper"}}})
    harness.append(SPEECH)
    early = harness.of("conversation.item.input_audio_transcription.delta")
    assert "".join(event["delta"] for event in early) == "hello there"
    item_id = harness.send("input_audio_buffer.commit")[0]["item_id"]
    assert {event["item_id"] for event in early} == {item_id}
    every = harness.of("conversation.item.input_audio_transcription.delta")
    assert "".join(event["delta"] for event in every) == "hello there friend"
    usage = harness.last("conversation.item.input_audio_transcription.completed")["usage"]
    assert usage == {"type": "duration", "seconds": 1}


def test_words_taken_back_are_left_to_the_final_transcript() -> None:
    harness = Harness(transcript="yellow hair", partials=["hello", "yellow"]).push_to_talk()
    harness.update(audio={"input": {"transcription": {"model": "gpt-realtime-whisper"}}})
    harness.append(SPEECH)
    harness.send("input_audio_buffer.commit")
    deltas = harness.of("conversation.item.input_audio_transcription.delta")
    assert [event["delta"] for event in deltas] == ["hello"]
    assert harness.last("conversation.item.input_audio_transcription.completed")["transcript"] == "yellow hair"


def test_a_streaming_recogniser_that_breaks_is_replaced_at_the_commit() -> None:
    harness = Harness(holds=["transcribestream"]).push_to_talk()
    harness.update(audio={"input": {"transcription": {"model": "gpt-realtime-whisper"}}})
    harness.append(SPEECH[:9_600])
    stream = harness.effect(TranscribeStream)
    broken = RuntimeError("broken")
    assert harness.session.take(harness.now, harness.session.transcribed, stream.job, broken) == []
    harness.send("input_audio_buffer.commit")
    assert harness.last("conversation.item.input_audio_transcription.completed")["transcript"] == "hello there"


@pytest.mark.parametrize(
    ("sentences", "whole"),
    [
        (["One.", "Two."], "One. Two."),
        (["今天很冷。", "明天下雨。"], "今天很冷。明天下雨。"),
        (["First:", "\n- this"], "First:\n- this"),
    ],
)
def test_sentences_follow_each_other_as_their_script_has_it(sentences: list[str], whole: str) -> None:
    harness = Harness(answers=map(Text, sentences))
    harness.update(output_modalities=["text"])
    harness.say("Go on.")
    harness.send("response.create")
    assert harness.last("response.output_text.done")["text"] == whole


def test_the_model_that_tells_speakers_apart_reports_who_said_what() -> None:
    harness = Harness(kind="transcription", transcript="Good morning Morning")
    model = {"model": "gpt-4o-transcribe-diarize"}
    session = {"type": "transcription", "audio": {"input": {"transcription": model, "turn_detection": None}}}
    harness.send("session.update", session=session)
    harness.append(SPEECH)
    harness.send("input_audio_buffer.commit")
    sent = [event for event in harness.events if "input_audio_transcription" in event["type"]]
    kinds = [event["type"].rpartition(".")[2] for event in sent]
    assert kinds == ["delta", "segment", "delta", "segment", "delta", "segment", "completed"]
    first = sent[1]
    assert {name: first[name] for name in ("text", "speaker", "start", "end", "content_index")} == {
        "text": "Good",
        "speaker": "A",
        "start": 0.0,
        "end": 0.4,
        "content_index": 0,
    }
    assert first["id"].startswith("seg_")
    assert "".join(event["delta"] for event in sent if "delta" in event) == sent[-1]["transcript"]


@pytest.mark.parametrize(
    ("model", "kind"),
    [("gpt-transcribe", "duration"), ("whisper-1", "duration"), ("gpt-4o-mini-transcribe", "tokens")],
)
def test_a_model_is_counted_as_it_is_billed(model: str, kind: str) -> None:
    harness = Harness().push_to_talk()
    harness.update(audio={"input": {"transcription": {"model": model}}})
    harness.append(SPEECH)
    harness.send("input_audio_buffer.commit")
    usage = harness.last("conversation.item.input_audio_transcription.completed")["usage"]
    assert usage["type"] == kind
    assert ("seconds" in usage) == (kind == "duration")


@pytest.mark.parametrize(
    ("named", "expected"),
    [({"languages": ["de"]}, "de"), ({"languages": ["de", "en"]}, None), ({"languages": []}, None), ({}, None)],
    ids=str,
)
def test_the_recogniser_expects_a_language_only_where_it_is_the_only_one(named: Any, expected: str | None) -> None:
    harness = Harness().push_to_talk()
    harness.update(audio={"input": {"transcription": {"model": "gpt-transcribe", **named}}})
    harness.append(SPEECH)
    harness.send("input_audio_buffer.commit")
    asked = next(effect for effect in harness.effects if isinstance(effect, TranscribeStream))
    assert asked.language == expected


LOGPROBS = ["item.input_audio_transcription.logprobs"]


def test_log_probabilities_come_where_they_are_asked_for_and_the_model_has_them() -> None:
    harness = Harness(transcript="hello, unbelievable friend").push_to_talk()
    harness.update(audio={"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}}, include=LOGPROBS)
    harness.append(SPEECH)
    harness.send("input_audio_buffer.commit")
    completed = harness.last("conversation.item.input_audio_transcription.completed")
    tokens = [entry["token"] for entry in completed["logprobs"]]
    assert tokens == ["hello", ",", " unbelievab", "le", " friend"]
    deltas = harness.of("conversation.item.input_audio_transcription.delta")
    assert [event["logprobs"] for event in deltas] == [[entry] for entry in completed["logprobs"]]
    assert [bytes(entry["bytes"]).decode() for entry in completed["logprobs"]] == tokens
    # The harness is 50 % sure of each word, in however many tokens it comes.
    words = [completed["logprobs"][:2], completed["logprobs"][2:4], completed["logprobs"][4:]]
    assert [sum(entry["logprob"] for entry in word) for word in words] == pytest.approx([math.log(0.5)] * 3, abs=1e-5)


@pytest.mark.parametrize(("model", "include"), [("whisper-1", LOGPROBS), ("gpt-4o-transcribe", None)])
def test_else_there_are_no_log_probabilities(model: str, include: list[str] | None) -> None:
    harness = Harness().push_to_talk()
    harness.update(audio={"input": {"transcription": {"model": model}}}, include=include)
    harness.append(SPEECH)
    harness.send("input_audio_buffer.commit")
    sent = [event for event in harness.events if "input_audio_transcription" in event["type"]]
    assert sent
    assert not any("logprobs" in event for event in sent)


def test_a_transcription_session_transcribes_and_never_answers() -> None:
    harness = Harness(kind="transcription")
    session = harness.events[0]["session"]
    assert session["object"] == "realtime.transcription_session"
    assert "model" not in session
    assert set(session["audio"]) == {"input"}
    audio = {"input": {"transcription": {"model": "whisper-1"}}}
    harness.send("session.update", session={"type": "transcription", "audio": audio})
    harness.append(SPEECH + bytes(96_000))
    assert harness.last("conversation.item.input_audio_transcription.completed")["transcript"] == "hello there"
    harness.wait(5)
    assert not [kind for kind in harness.types if kind.startswith(("response.", "rate_limits"))]
    assert harness.send("response.create")[0]["type"] == "error"
