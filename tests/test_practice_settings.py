"""session.update: strict, merged, and all of it or nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from practice_harness import FIRST, MINI, SPEECH, Harness


def audio_in(**fields: Any) -> dict[str, Any]:
    return {"audio": {"input": fields}}


def audio_out(**fields: Any) -> dict[str, Any]:
    return {"audio": {"output": fields}}


@pytest.mark.parametrize(
    ("patch", "code", "param", "words"),
    [
        ({"type": None}, "invalid_value", "session.type", ""),
        (
            {"type": "transcription"},
            "invalid_parameter",
            "session.type",
            "Passing a transcription session update event",
        ),
        ({"bogus_field": 1}, "unknown_parameter", "session.bogus_field", "Unknown parameter: 'session.bogus_field'."),
        ({"modalities": ["text"]}, "unknown_parameter", "session.modalities", ""),
        ({"temperature": 0.8}, "unknown_parameter", "session.temperature", ""),
        ({"voice": "marin"}, "unknown_parameter", "session.voice", ""),
        (
            {"output_modalities": ["text", "audio"]},
            "invalid_value",
            "session.output_modalities",
            "Supported combinations",
        ),
        ({"instructions": 7}, "invalid_type", "session.instructions", "expected a string, but got an integer instead"),
        ({"tools": [{"type": "function", "name": "f", "meta": 1}]}, "unknown_parameter", "session.tools[0].meta", ""),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "session.tools[0].name", ""),
        ({"tools": {}}, "invalid_type", "session.tools", ""),
        ({"tool_choice": "maybe"}, "invalid_value", "session.tool_choice", "'none', 'auto', and 'required'"),
        ({"tool_choice": {"type": "function", "name": "nobody"}}, "invalid_value", "session.tool_choice", "nobody"),
        ({"max_output_tokens": 4097}, "integer_above_max_value", "session.max_output_tokens", ""),
        ({"max_output_tokens": 0}, "integer_below_min_value", "session.max_output_tokens", ""),
        ({"model": FIRST}, "invalid_parameter", "session.model", ""),
        ({"truncation": {"type": "retention_ratio", "retention_ratio": 2}}, "decimal_above_max_value", None, ""),
        (
            audio_in(format={"type": "audio/pcm", "rate": 16_000}),
            "integer_below_min_value",
            "session.audio.input.format.rate",
            "Expected a value >= 24000",
        ),
        (audio_in(format="pcm16"), "invalid_type", "session.audio.input.format", ""),
        (audio_in(turn_detection={"type": "server_vad", "threshold": 2}), "decimal_above_max_value", None, ""),
        (audio_in(turn_detection={"type": "server_vad", "eagerness": "low"}), "unknown_parameter", None, ""),
        (
            audio_in(turn_detection={"type": "psychic_vad"}),
            "invalid_value",
            "session.audio.input.turn_detection.type",
            "",
        ),
        (audio_in(turn_detection={"type": "server_vad", "idle_timeout_ms": 100}), "integer_below_min_value", None, ""),
        (
            audio_in(transcription={"model": "whisper-9"}),
            "invalid_value",
            "session.audio.input.transcription.model",
            "",
        ),
        (audio_in(transcription={"language": "en"}), "missing_required_parameter", None, ""),
        (audio_in(transcription={"model": "gpt-realtime-whisper", "prompt": "x"}), "invalid_parameter", None, ""),
        (audio_out(voice="darth"), "invalid_value", "session.audio.output.voice", "Invalid value: 'darth'."),
        (audio_out(speed=2), "decimal_above_max_value", "session.audio.output.speed", ""),
    ],
)
def test_what_is_wrong_is_refused_by_its_path_and_changes_nothing(
    patch: dict[str, Any], code: str, param: str | None, words: str
) -> None:
    harness = Harness(MINI)
    before = copy.deepcopy(harness.session.settings)
    # Something right beside it must not get through either.
    (refused,) = harness.send("session.update", session={"type": "realtime", "instructions": "right", **patch})
    error = refused["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert error["param"] == (param or error["param"])
    assert words in error["message"]
    assert harness.session.settings == before


def test_the_type_is_required() -> None:
    (refused,) = Harness().send("session.update", session={"instructions": "x"})
    assert refused["error"]["message"] == "Missing required parameter: 'session.type'."
    assert refused["error"]["param"] == "session.type"


@pytest.mark.parametrize(
    "patch",
    [
        {"instructions": ""},
        {"tracing": "auto"},
        {"tracing": {"workflow_name": "class", "metadata": {"a": 1}}},
        {"parallel_tool_calls": False, "reasoning": {"effort": "high"}},
        {"truncation": {"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 900}}},
        {"include": ["item.input_audio_transcription.logprobs"]},
        {"max_output_tokens": "inf"},
        {"prompt": None},
        {"tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "function", "name": "f"}},
        audio_in(noise_reduction={"type": "near_field"}),
        audio_in(noise_reduction=None, turn_detection=None, transcription=None),
        audio_in(transcription={"model": "gpt-live-transcribe", "languages": ["en", "de"], "keywords": ["rtnb"]}),
        audio_out(voice={"id": "voice_123"}, speed=1.5, format={"type": "audio/pcmu"}),
    ],
)
def test_what_the_api_takes_is_taken(patch: dict[str, Any]) -> None:
    (updated,) = Harness().update(**patch)
    assert updated["type"] == "session.updated"
    assert "reasoning" not in updated["session"]  # recorded: neither it nor parallel_tool_calls is echoed
    for name, value in patch.items():
        if name not in ("audio", "parallel_tool_calls", "reasoning"):
            assert updated["session"][name] == value


def test_an_update_changes_what_it_names_and_keeps_the_rest() -> None:
    harness = Harness()
    harness.update(instructions="Be brief.", **audio_in(turn_detection={"threshold": 0.7}))
    (updated,) = harness.update(**audio_in(turn_detection={"type": "server_vad", "silence_duration_ms": 700}))
    assert updated["session"]["instructions"] == "Be brief."
    assert updated["session"]["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.7,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 700,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    }
    (updated,) = harness.update(**audio_in(turn_detection={"type": "semantic_vad"}))
    assert updated["session"]["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }
    (updated,) = harness.update(**audio_in(turn_detection={"type": "server_vad"}))
    assert updated["session"]["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500


def test_a_transcription_model_alone_is_echoed_with_nulls() -> None:
    (updated,) = Harness().update(**audio_in(transcription={"model": "gpt-realtime-whisper"}))
    echoed = updated["session"]["audio"]["input"]["transcription"]
    assert echoed == {"model": "gpt-realtime-whisper", "language": None, "prompt": None}


def test_the_voice_is_locked_once_it_was_used() -> None:
    harness = Harness()
    assert harness.update(**audio_out(voice="cedar"))[0]["type"] == "session.updated"
    harness.say("Hello.")
    harness.send("response.create", response={"output_modalities": ["text"]})
    assert harness.update(**audio_out(voice="alloy"))[0]["type"] == "session.updated"  # nothing was spoken yet
    harness.send("response.create")
    (refused,) = harness.update(**audio_out(voice="marin"))
    assert refused["error"]["code"] == "cannot_update_voice"
    assert refused["error"]["message"] == "Cannot update a conversation's voice if assistant audio is present."
    assert harness.update(**audio_out(voice="alloy", speed=1.2))[0]["type"] == "session.updated"
    (refused,) = harness.send("response.create", response=audio_out(voice="marin"))
    assert refused["error"]["code"] == "cannot_update_voice"


def test_tracing_stays_as_it_was_enabled() -> None:
    harness = Harness()
    harness.update(tracing="auto")
    assert harness.update(tracing=None)[0]["error"]["param"] == "session.tracing"


def test_reasoning_is_for_2_x_only() -> None:
    (refused,) = Harness(FIRST).update(reasoning={"effort": "low"})
    assert refused["error"]["param"] == "session.reasoning"


def test_a_transcription_session_takes_its_own_fields_only() -> None:
    harness = Harness(kind="transcription")

    def update(**session: Any) -> dict[str, Any]:
        (answer,) = harness.send("session.update", session={"type": "transcription", **session})
        return answer

    assert update(instructions="x")["error"]["param"] == "session.instructions"
    assert update(**audio_in(turn_detection={"create_response": True}))["error"]["code"] == "unknown_parameter"
    assert update(**audio_in(transcription={"model": "gpt-live-transcribe"}))["error"]["code"] == "invalid_parameter"
    fine = update(**audio_in(transcription={"model": "gpt-live-transcribe"}, turn_detection=None))
    assert fine["type"] == "session.updated"


def test_speed_and_voice_reach_the_tts() -> None:
    harness = Harness()
    harness.update(**audio_out(voice="sage", speed=0.5))
    harness.say("Hello.")
    harness.send("response.create")
    speak = next(asked for asked in harness.effects if type(asked).__name__ == "Speak")
    assert (speak.voice, speak.speed, speak.text) == ("sage", 0.5, "Nice to meet you.")


@pytest.mark.parametrize("law", ["audio/pcmu", "audio/pcma"])
def test_g711_goes_both_ways(law: str) -> None:
    import base64

    harness = Harness(speech=SPEECH).push_to_talk()
    harness.update(audio={"input": {"format": {"type": law}}, "output": {"format": {"type": law}}})
    harness.append(b"\xd5\x55" * 399)
    (refused,) = harness.send("input_audio_buffer.commit")
    assert "99.75ms" in refused["error"]["message"]  # 8 bytes a millisecond
    harness.append(b"\xd5\x55" * 7_601)
    harness.send("input_audio_buffer.commit")
    usage = harness.send("response.create")[-1]["response"]["usage"]
    assert usage["input_token_details"]["audio_tokens"] == 20
    audio = b"".join(base64.b64decode(event["delta"]) for event in harness.of("response.output_audio.delta"))
    assert abs(len(audio) - 8_000) <= 1
    assert usage["output_token_details"]["audio_tokens"] in (19, 20)
