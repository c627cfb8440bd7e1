"""The session object: defaults per model, strict checks, and the merge of an update (all of it or nothing).

Defaults are as recorded in `session.created` of gpt-realtime and gpt-realtime-2.1(-mini), July–September 2026.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rtnb.server.protocol import api_errors
from rtnb.server.protocol.api_errors import ApiError
from rtnb.server.protocol.schema import (
    Check,
    anything,
    array,
    boolean,
    choice,
    integer,
    nullable,
    number,
    record,
    string,
    tagged,
)

__all__ = [
    "BETA_MODELS",
    "FORMAT",
    "INSTRUCTIONS",
    "MAX_OUTPUT_TOKENS",
    "MODALITIES",
    "MODELS",
    "REASONING",
    "TOOL",
    "TOOL_CHOICE",
    "VOICES",
    "Model",
    "defaults",
    "update",
]

VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")


@dataclass(frozen=True)
class Model:
    """What differs between models on the wire.

    Attributes:
        name: As in `?model=`.
        voice: Default output voice.
        silence_duration_ms: Default of server VAD (recorded: 200 on gpt-realtime although the docs say 500).
        second_generation: The 2.x family: reasoning tokens, `phase`, message beside call, larger audio deltas.
        context_tokens: How much conversation it can take.
    """

    name: str
    voice: str = "alloy"
    silence_duration_ms: int = 200
    second_generation: bool = False
    context_tokens: int = 32_000


def _second(name: str) -> Model:
    return Model(name, voice="marin", silence_duration_ms=500, second_generation=True, context_tokens=128_000)


MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        _second("gpt-realtime-2.1"),
        _second("gpt-realtime-2.1-mini"),
        _second("gpt-realtime-2"),
        Model("gpt-realtime-1.5"),
        Model("gpt-realtime"),
        Model("gpt-realtime-2025-08-28"),
        Model("gpt-realtime-mini"),
        Model("gpt-realtime-mini-2025-12-15"),
    )
}
"""Models of the GA interface that are alive (OpenAI docs: models, deprecations; November 2026)."""

BETA_MODELS: Mapping[str, Model] = {
    name: Model(name)
    for name in (
        "gpt-4o-realtime-preview",
        "gpt-4o-realtime-preview-2024-10-01",
        "gpt-4o-realtime-preview-2024-12-17",
        "gpt-4o-realtime-preview-2025-06-03",
        "gpt-4o-mini-realtime-preview",
        "gpt-4o-mini-realtime-preview-2024-12-17",
    )
}
"""Models of the Beta interface, shut down in 2025 and 2026; served in Beta mode only."""

INSTRUCTIONS = (
    "You are the practice voice of rtnb. You run on this computer, without a language model. "
    "Be friendly, answer in a sentence or two, and call a function where one fits."
)
"""What a session is told where its client says nothing: a manner for a model, no limit that the user has set."""

FORMAT: Check = tagged(
    {
        # Recorded: 16 kHz is refused with "Expected a value >= 24000". SDK: only 24000 is supported.
        "audio/pcm": record({"type": anything, "rate": integer(24_000, 24_000)}),
        "audio/pcmu": record({"type": anything}),
        "audio/pcma": record({"type": anything}),
    }
)

_FUNCTION = record(
    {
        "type": anything,
        "name": string(64),
        "description": nullable(string()),
        "parameters": nullable(anything),
    },
    required=("name",),
)
_MCP = record(
    {
        "type": anything,
        "server_label": string(),
        "server_url": string(),
        "connector_id": string(),
        "tunnel_id": string(),
        "authorization": nullable(string()),
        "headers": nullable(anything),
        "allowed_tools": nullable(anything),
        "require_approval": nullable(anything),
        "defer_loading": nullable(boolean),
        "allowed_callers": nullable(anything),
        "server_description": nullable(string()),
    },
    required=("server_label",),
)
TOOL: Check = tagged({"function": _FUNCTION, "mcp": _MCP})


def TOOL_CHOICE(value: Any, path: str) -> Any:
    """none, auto, required, or one named function or MCP tool."""
    if isinstance(value, str):
        return choice("none", "auto", "required")(value, path)
    return tagged(
        {
            "function": record({"type": anything, "name": string()}, required=("name",)),
            "mcp": record(
                {"type": anything, "server_label": string(), "name": nullable(string())}, required=("server_label",)
            ),
        }
    )(value, path)


def MAX_OUTPUT_TOKENS(value: Any, path: str) -> Any:
    """1 to 4096, or "inf" (SDK docstring, unchanged for 2.x)."""
    return value if value == "inf" else integer(1, 4096)(value, path)


def VOICE(value: Any, path: str) -> Any:
    """One of the API's voices, or a custom voice by id."""
    if isinstance(value, dict):
        return record({"id": string()}, required=("id",))(value, path)
    return choice(*VOICES)(value, path)


def MODALITIES(value: Any, path: str) -> Any:
    """["audio"] or ["text"], never both (SDK docstring)."""
    if not isinstance(value, list):
        raise api_errors.wrong_type(path, "an array of strings", value)
    if value not in (["audio"], ["text"]):
        message = f"Invalid modalities: {value}. Supported combinations are: ['text'] and ['audio']."
        raise ApiError(message, code="invalid_value", param=path)
    return value


def TRUNCATION(value: Any, path: str) -> Any:
    """auto, disabled, or a retention ratio."""
    if isinstance(value, str):
        return choice("auto", "disabled")(value, path)
    limits = record({"post_instructions": integer(0)})
    ratio = record({"type": anything, "retention_ratio": number(0, 1), "token_limits": nullable(limits)})
    return tagged({"retention_ratio": ratio})(value, path)


def TRACING(value: Any, path: str) -> Any:
    """null, auto, or names for the trace."""
    if value is None or value == "auto":
        return value
    return record({"workflow_name": string(), "group_id": string(), "metadata": anything})(value, path)


REASONING: Check = record({"effort": choice("minimal", "low", "medium", "high", "xhigh")})
"""2.x only; there is no "none" (SDK)."""

_SERVER_VAD = {
    "type": anything,
    "threshold": number(0, 1),
    "prefix_padding_ms": integer(0, 10_000),
    "silence_duration_ms": integer(0, 60_000),
    "idle_timeout_ms": nullable(integer(5_000, 30_000)),
    "create_response": boolean,
    "interrupt_response": boolean,
}
_SEMANTIC_VAD = {
    "type": anything,
    "eagerness": choice("low", "medium", "high", "auto"),
    "create_response": boolean,
    "interrupt_response": boolean,
}
_ANSWERING = ("create_response", "interrupt_response", "idle_timeout_ms")


def _turn_detection(value: Any, path: str, *, answering: bool = True) -> Any:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise api_errors.wrong_type(path, "an object", value)
    name = value.get("type", "server_vad")
    shapes = {"server_vad": _SERVER_VAD, "semantic_vad": _SEMANTIC_VAD}
    if not isinstance(name, str) or name not in shapes:
        raise api_errors.invalid_value(name, shapes, f"{path}.type")
    fields = {key: check for key, check in shapes[name].items() if answering or key not in _ANSWERING}
    return record(fields)(value, path)


_TRANSCRIPTION_MODELS = (
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-03-20",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-4o-transcribe-diarize",
    "gpt-realtime-whisper",
    "gpt-live-transcribe",
    "gpt-transcribe",
)
_TRANSCRIPTION = record(
    {
        "model": choice(*_TRANSCRIPTION_MODELS),
        "language": nullable(string()),
        "languages": nullable(array(string())),
        "keywords": nullable(array(string())),
        "prompt": nullable(string()),
        "delay": nullable(choice("minimal", "low", "medium", "high", "xhigh")),
    }
)
_NOISE = record({"type": choice("near_field", "far_field"), "strength": number(0, 10)})
_INCLUDE = array(choice("item.input_audio_transcription.logprobs"))


def _input(*, answering: bool) -> Check:
    return record(
        {
            "format": FORMAT,
            "transcription": nullable(_TRANSCRIPTION),
            "noise_reduction": nullable(_NOISE),
            "turn_detection": lambda value, path: _turn_detection(value, path, answering=answering),
        }
    )


_OUTPUT = record({"format": FORMAT, "voice": VOICE, "speed": number(0.25, 1.5)})
_REALTIME = record(
    {
        "type": anything,
        "model": string(),
        "output_modalities": MODALITIES,
        "instructions": string(),
        "tools": array(TOOL, 128),
        "tool_choice": TOOL_CHOICE,
        "parallel_tool_calls": nullable(boolean),
        "reasoning": nullable(REASONING),
        "max_output_tokens": MAX_OUTPUT_TOKENS,
        "tracing": TRACING,
        "truncation": TRUNCATION,
        "prompt": nullable(record({"id": string(), "version": nullable(string()), "variables": nullable(anything)})),
        "audio": record({"input": _input(answering=True), "output": _OUTPUT}),
        "include": nullable(_INCLUDE),
    }
)
_TRANSCRIBING = record(
    {"type": anything, "audio": record({"input": _input(answering=False)}), "include": nullable(_INCLUDE)}
)


def _vad(kind: str, model: Model | None) -> dict[str, Any]:
    silence_ms = model.silence_duration_ms if model else 200
    vad: dict[str, Any] = {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": silence_ms,
    }
    if kind == "realtime":
        vad |= {"idle_timeout_ms": None, "create_response": True, "interrupt_response": True}
    return vad


def defaults(kind: str, *, session_id: str, expires_at: int, model: Model | None = None) -> dict[str, Any]:
    """The session object as `session.created` shows it.

    Args:
        kind: `"realtime"` or `"transcription"`.
        session_id: `sess_…`.
        expires_at: Unix seconds.
        model: The model asked for; None only for transcription.

    Returns:
        A new object, keys in the recorded order.
    """
    pcm = {"type": "audio/pcm", "rate": 24_000}
    heard: dict[str, Any] = {
        "format": dict(pcm),
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": _vad(kind, model),
    }
    if kind == "transcription":
        return {
            "type": kind,
            "object": "realtime.transcription_session",
            "id": session_id,
            "expires_at": expires_at,
            "audio": {"input": heard},
            "include": None,
        }
    assert model is not None
    return {
        "type": kind,
        "object": "realtime.session",
        "id": session_id,
        "model": model.name,
        "output_modalities": ["audio"],
        "instructions": INSTRUCTIONS,
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": expires_at,
        "audio": {"input": heard, "output": {"format": dict(pcm), "voice": model.voice, "speed": 1.0}},
        "include": None,
    }


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
        Problem: For the first thing wrong in it; the session object is untouched.
    """
    if not isinstance(patch, dict):
        raise api_errors.wrong_type("session", "an object", patch)
    kind = session["type"]
    if "type" not in patch:
        raise api_errors.missing("session.type")
    if patch["type"] not in ("realtime", "transcription"):
        raise api_errors.invalid_value(patch["type"], ("realtime", "transcription"), "session.type")
    if patch["type"] != kind:
        message = f"Passing a {patch['type']} session update event to a {kind} session is not allowed."
        raise ApiError(message, code="invalid_parameter", param="session.type")
    checked = (_REALTIME if kind == "realtime" else _TRANSCRIBING)(patch, "session")
    merged = copy.deepcopy(session)
    silent = {name: checked.pop(name) for name in ("reasoning", "parallel_tool_calls") if name in checked}
    if checked.get("model", merged.get("model")) != merged.get("model"):
        message = "The model of a session cannot be changed after it has been created."  # unconfirmed wording
        raise ApiError(message, code="invalid_parameter", param="session.model")
    if silent.get("reasoning") and model is not None and not model.second_generation:
        message = f"Unsupported parameter: 'session.reasoning' is not supported with the '{model.name}' model."
        raise ApiError(message, code="unsupported_parameter", param="session.reasoning")  # unconfirmed wording
    if merged.get("tracing") is not None and checked.get("tracing", merged["tracing"]) != merged["tracing"]:
        message = "Tracing cannot be changed once it is enabled."  # SDK: immutable once enabled; wording unconfirmed
        raise ApiError(message, code="invalid_parameter", param="session.tracing")
    sound = checked.pop("audio", {})
    voice = sound.get("output", {}).get("voice")
    if voice is not None and voice_locked and voice != merged["audio"]["output"]["voice"]:
        message = "Cannot update a conversation's voice if assistant audio is present."
        raise ApiError(message, code="cannot_update_voice", param="session.audio.output.voice")
    _merge_input(merged["audio"]["input"], sound.get("input", {}), kind, model)
    for name, value in sound.get("output", {}).items():
        merged["audio"]["output"][name] = _filled_format(value) if name == "format" else value
    checked.pop("type")
    merged.update(checked)
    _check_choice(merged)
    return merged, silent


def _check_choice(session: Mapping[str, Any]) -> None:
    chosen = session.get("tool_choice")
    if isinstance(chosen, dict) and chosen["type"] == "function":
        names = [tool.get("name") for tool in session["tools"]]
        if chosen["name"] not in names:
            message = f"Tool choice 'function' named '{chosen['name']}' not found in 'tools'."  # unconfirmed wording
            raise ApiError(message, code="invalid_value", param="session.tool_choice")


def _filled_format(given: dict[str, Any]) -> dict[str, Any]:
    return {"type": "audio/pcm", "rate": 24_000} if given["type"] == "audio/pcm" else dict(given)


def _merge_input(into: dict[str, Any], given: Mapping[str, Any], kind: str, model: Model | None) -> None:
    for name, value in given.items():
        if value is None:
            into[name] = None
        elif name == "format":
            into[name] = _filled_format(value)
        elif name == "transcription":
            # Recorded: a model alone is echoed with language and prompt null.
            into[name] = {"model": None, "language": None, "prompt": None, **(into[name] or {}), **value}
            if into[name]["model"] is None:
                raise api_errors.missing("session.audio.input.transcription.model")
        elif name == "turn_detection":
            into[name] = _merged_vad(into[name], value, kind, model)
        else:
            into[name] = {**(into[name] or {}), **value}
    heard = into["transcription"]
    if heard and heard["model"] == "gpt-realtime-whisper" and heard["prompt"]:
        message = "Prompt is not supported for gpt-realtime-whisper."  # SDK: no prompt with it; wording unconfirmed
        raise ApiError(message, code="invalid_parameter", param="session.audio.input.transcription.prompt")
    streams = heard and heard["model"] in ("gpt-realtime-whisper", "gpt-live-transcribe")
    if kind == "transcription" and streams and into["turn_detection"] is not None:
        message = (
            f"Turn detection is not supported for {heard['model']}; set turn_detection to null and commit manually."
        )
        raise ApiError(message, code="invalid_parameter", param="session.audio.input.turn_detection")


def _merged_vad(now: dict[str, Any] | None, given: dict[str, Any], kind: str, model: Model | None) -> dict[str, Any]:
    wanted = given.get("type", (now or {}).get("type", "server_vad"))
    if now is not None and now["type"] == wanted:
        return {**now, **given}  # recorded: a partial update keeps the other values
    if wanted == "server_vad":
        return {**_vad(kind, model), **given}
    base: dict[str, Any] = {"type": "semantic_vad", "eagerness": "auto"}
    if kind == "realtime":
        base |= {"create_response": True, "interrupt_response": True}
    return {**base, **given}
