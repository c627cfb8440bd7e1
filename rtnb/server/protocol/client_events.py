"""The shapes of client events: names, fields, kinds and bounds (SDK types)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtnb.protocol.event_types import CLIENT_EVENTS
from rtnb.server.protocol import api_errors, settings
from rtnb.server.protocol.api_errors import ApiError
from rtnb.server.protocol.schema import Check, anything, array, boolean, choice, integer, nullable, record, string

__all__ = ["read_append", "read_event"]

# SDK docstring: 15 MiB per append event; a multiple of 3, so its base64 has no padding.
_APPEND_CHARACTERS = 15 * 1024 * 1024 // 3 * 4


def _metadata(value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise api_errors.wrong_type(path, "an object", value)
    if len(value) > 16:
        raise api_errors.too_long(path, 16, len(value), noun="object")
    for name, text in value.items():
        if len(name) > 64:
            raise api_errors.too_long(f"{path}.{name[:20]}", 64, len(name))
        string(512)(text, f"{path}.{name}")
    return value


_RESPONSE = record(
    {
        "audio": record({"output": record({"format": settings.FORMAT, "voice": settings.VOICE})}),
        "conversation": nullable(choice("auto", "none")),
        "input": nullable(array(anything)),
        "instructions": nullable(string()),
        "max_output_tokens": nullable(settings.MAX_OUTPUT_TOKENS),
        "metadata": nullable(_metadata),
        "output_modalities": nullable(settings.MODALITIES),
        "parallel_tool_calls": nullable(boolean),
        "prompt": nullable(anything),
        "reasoning": nullable(settings.REASONING),
        "tool_choice": nullable(settings.TOOL_CHOICE),
        "tools": nullable(array(settings.TOOL, 128)),
    }
)


def _event(fields: Mapping[str, Check], *required: str) -> Check:
    return record({"type": anything, "event_id": nullable(string(512)), **fields}, required=required)


_APPEND = _event({"audio": string(_APPEND_CHARACTERS)}, "audio")
_SHAPES: Mapping[str, Check] = {
    "session.update": _event({"session": anything}, "session"),
    "input_audio_buffer.commit": _event({}),
    "input_audio_buffer.clear": _event({}),
    "conversation.item.create": _event({"previous_item_id": nullable(string()), "item": anything}, "item"),
    "conversation.item.truncate": _event(
        {"item_id": string(), "content_index": integer(0), "audio_end_ms": integer(0)},
        "item_id",
        "content_index",
        "audio_end_ms",
    ),
    "conversation.item.delete": _event({"item_id": string()}, "item_id"),
    "conversation.item.retrieve": _event({"item_id": string()}, "item_id"),
    "response.create": _event({"response": nullable(_RESPONSE)}),
    "response.cancel": _event({"response_id": nullable(string())}),
}


def read_event(event: Any, *, session_type: str = "realtime") -> tuple[str, dict[str, Any]]:
    """Check a client event of an ordinary session (anything but an append).

    Returns:
        Its name and its checked fields.

    Raises:
        Problem: For the first thing wrong in it.
    """
    if not isinstance(event, dict):
        raise ApiError("Invalid event: expected a JSON object.", code="invalid_event")
    if "type" not in event:
        raise api_errors.missing("type")
    name = event["type"]
    if not isinstance(name, str) or name not in _SHAPES:
        raise api_errors.invalid_value(name, CLIENT_EVENTS, "type")
    if session_type == "transcription" and name.startswith("response."):
        message = f"'{name}' is not supported in transcription sessions."  # unconfirmed wording
        raise ApiError(message, code="invalid_event", param="type")
    return name, _SHAPES[name](event, "")


def read_append(event: dict[str, Any], decode: Any) -> bytes:
    """The bytes of an append event.

    Args:
        event: The client event.
        decode: Base64 to bytes, raising ValueError.

    Raises:
        Problem: No audio, not base64, empty, or over 15 MiB.
    """
    audio = event.get("audio")
    if not isinstance(audio, str) or len(event) > 2:
        _APPEND(event, "")
    assert isinstance(audio, str)
    what = "Invalid 'audio'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz)"
    if len(audio) > _APPEND_CHARACTERS:
        raise api_errors.too_long("audio", _APPEND_CHARACTERS, len(audio))
    try:
        sound = decode(audio)
    except ValueError as error:
        raise ApiError(f"{what} but got an invalid value.", code="invalid_value", param="audio") from error
    if not sound:
        raise ApiError(f"{what} but got empty bytes.", code="invalid_value", param="audio")
    return bytes(sound)
