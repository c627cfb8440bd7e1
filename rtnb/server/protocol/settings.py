"""Session object: defaults per model, and the merge of an update (all of it or nothing).

Defaults are as recorded in `session.created` of gpt-realtime and gpt-realtime-2.1(-mini), July–September 2026.
"""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

from rtnb import models
from rtnb.audio.pcm import RATE_HZ
from rtnb.server.protocol.api_errors import ApiError, missing
from rtnb.server.protocol.shapes import SESSIONS, anything, tagged


class Model(NamedTuple):
    """Differences between models on the wire.

    Attributes:
        name: As in `?model=`.
        second_generation: The 2.x family: reasoning tokens, `phase`, message beside call, larger audio deltas, a
            larger context, and defaults of its own.
    """

    name: str
    second_generation: bool = False


_LISTED = [known for known in models.load().values() if known.kind == "realtime" and known.context_tokens is not None]
# Models of the GA interface that are alive (OpenAI docs: models, deprecations; November 2026).
MODELS = {known.name: Model(known.name, bool(known.reasoning)) for known in _LISTED if known.status != "gone"}
# Models of the Beta interface, which took no pictures, shut down in 2025 and 2026; served in Beta mode only.
BETA_MODELS = {known.name: Model(known.name) for known in _LISTED if known.images is False}
# Instructions of a session whose client sends none: a manner for a model, no limit that the user has set.
INSTRUCTIONS = "You are the practice voice of rtnb. You run on this computer, without a language model. "
INSTRUCTIONS += "Be friendly, answer in a sentence or two, and call a function where one fits."


def _vad(kind: str, name: str, model: Model | None) -> dict[str, Any]:
    answering = {"create_response": True, "interrupt_response": True} if kind == "realtime" else {}
    if name == "semantic_vad":
        return {"type": name, "eagerness": "auto", **answering}
    silence_ms = 500 if model and model.second_generation else 200  # recorded: 200 although the docs say 500
    numbers = {"threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": silence_ms}
    return {"type": name, **numbers, **({"idle_timeout_ms": None} if answering else {}), **answering}


def defaults(kind: str, *, session_id: str, expires_at: int, model: Model | None = None) -> dict[str, Any]:
    """Return the session object as `session.created` shows it.

    Args:
        kind: `"realtime"` or `"transcription"`.
        session_id: `sess_…`.
        expires_at: Unix seconds.
        model: The model asked for; None only for transcription.

    Returns:
        A new object, keys in the recorded order.
    """
    audio_input = {
        "format": filled_format("audio/pcm"),
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": _vad(kind, "server_vad", model),
    }
    if kind == "transcription":
        head = {"type": kind, "object": "realtime.transcription_session", "id": session_id, "expires_at": expires_at}
        return {**head, "audio": {"input": audio_input}, "include": None}
    assert model is not None
    voice = "marin" if model.second_generation else "alloy"
    audio_output = {"format": filled_format("audio/pcm"), "voice": voice, "speed": 1.0}
    head = {"type": kind, "object": "realtime.session", "id": session_id, "model": model.name}
    answering = {"output_modalities": ["audio"], "instructions": INSTRUCTIONS, "tools": [], "tool_choice": "auto"}
    limits = {"max_output_tokens": "inf", "tracing": None, "truncation": "auto", "prompt": None}
    audio = {"input": audio_input, "output": audio_output}
    return {**head, **answering, **limits, "expires_at": expires_at, "audio": audio, "include": None}


def update(
    session: dict[str, Any], patch: Any, *, model: Model | None = None, voice_locked: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check a `session.update` and merge it. Nothing changes unless everything in it is right.

    Args:
        session: The session object now.
        patch: The client's `session`.
        model: For the defaults of a new turn detection.
        voice_locked: True once the session has spoken.

    Returns:
        The new session object, and the fields the API takes without echoing them (`reasoning`,
        `parallel_tool_calls`; recorded: neither is in `session.updated`).

    Raises:
        ApiError: For the first thing wrong in it; the session object is untouched.
    """
    kind = session["type"]
    if tagged({"realtime": anything, "transcription": anything})(patch, "session")["type"] != kind:
        raise _invalid(f"Passing a {patch['type']} session update event to a {kind} session is not allowed.", "type")
    checked = SESSIONS[kind](patch, "session")
    merged = copy.deepcopy(session)
    silent = {name: checked.pop(name) for name in ("reasoning", "parallel_tool_calls") if name in checked}
    if checked.get("model", merged.get("model")) != merged.get("model"):
        # Unconfirmed wording.
        raise _invalid("The model of a session cannot be changed after it has been created.", "model")
    if silent.get("reasoning") and model is not None and not model.second_generation:
        message = f"Unsupported parameter: 'session.reasoning' is not supported with the '{model.name}' model."
        # Unconfirmed wording.
        raise ApiError(message, code="unsupported_parameter", param="session.reasoning")
    if merged.get("tracing") is not None and checked.get("tracing", merged["tracing"]) != merged["tracing"]:
        # SDK: immutable once enabled; wording unconfirmed.
        raise _invalid("Tracing cannot be changed once it is enabled.", "tracing")
    audio = checked.pop("audio", {})
    output = audio.get("output", {})
    check_voice(output.get("voice"), merged, locked=voice_locked, where="session")
    _merge_input(merged["audio"]["input"], audio.get("input", {}), kind, model)
    for name, value in output.items():
        merged["audio"]["output"][name] = filled_format(value["type"]) if name == "format" else value
    merged.update(checked)
    _check_choice(merged)
    return merged, silent


def _invalid(message: str, name: str) -> ApiError:
    return ApiError(message, code="invalid_parameter", param=f"session.{name}")


def check_voice(voice: Any, session: Mapping[str, Any], *, locked: bool, where: str) -> None:
    """Check that a session which has spoken keeps its voice.

    Raises:
        ApiError: It has spoken, and another voice is asked for.
    """
    if voice is not None and locked and voice != session["audio"]["output"]["voice"]:
        message = "Cannot update a conversation's voice if assistant audio is present."
        raise ApiError(message, code="cannot_update_voice", param=f"{where}.audio.output.voice")


def _check_choice(session: Mapping[str, Any]) -> None:
    chosen = session.get("tool_choice")
    names = [tool.get("name") for tool in session.get("tools", ())]
    if isinstance(chosen, dict) and chosen["type"] == "function" and chosen["name"] not in names:
        message = f"Tool choice 'function' named '{chosen['name']}' not found in 'tools'."  # unconfirmed wording
        raise ApiError(message, code="invalid_value", param="session.tool_choice")


def filled_format(name: str) -> dict[str, Any]:
    """Return an audio format as the session object shows it."""
    return {"type": name, "rate": RATE_HZ} if name == "audio/pcm" else {"type": name}


def _merge_input(into: dict[str, Any], given: Mapping[str, Any], kind: str, model: Model | None) -> None:
    for name, value in given.items():
        now = into[name] or {}
        if value is None:
            into[name] = None
        elif name == "format":
            into[name] = filled_format(value["type"])
        elif name == "transcription":
            # Recorded: a model alone is echoed with language and prompt null.
            into[name] = {"model": None, "language": None, "prompt": None, **now, **value}
            if into[name]["model"] is None:
                raise missing("session.audio.input.transcription.model")
        elif name == "turn_detection":
            wanted = value.get("type", now.get("type", "server_vad"))
            # Recorded: a partial update keeps the other values.
            into[name] = {**(now if now.get("type") == wanted else _vad(kind, wanted, model)), **value}
        else:
            into[name] = {**now, **value}
    _check_transcription(into, kind)


def _check_transcription(audio_input: Mapping[str, Any], kind: str) -> None:
    transcription = audio_input["transcription"] or {"model": None, "prompt": None}
    model = transcription["model"]
    if model == "gpt-realtime-whisper" and transcription["prompt"]:
        # SDK: no prompt with it; wording unconfirmed.
        raise _invalid("Prompt is not supported for gpt-realtime-whisper.", "audio.input.transcription.prompt")
    if kind == "transcription" and model and models.get(model).streams and audio_input["turn_detection"] is not None:
        message = f"Turn detection is not supported for {model}; set turn_detection to null and commit manually."
        raise _invalid(message, "audio.input.turn_detection")
