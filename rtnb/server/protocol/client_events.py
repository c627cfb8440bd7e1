"""Client events: reading a frame, and the shapes of events (SDK types)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pybase64

from rtnb.protocol.event_types import CLIENT_EVENTS
from rtnb.server.protocol import api_errors, session_shapes
from rtnb.server.protocol.api_errors import ApiError
from rtnb.server.protocol.schema import (
    Check,
    Required,
    anything,
    array,
    boolean,
    choice,
    integer,
    nullable,
    record,
    string,
    too_deep,
)

__all__ = ["event_id_of", "read_event", "read_frame"]

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
        "audio": record({"output": record({"format": session_shapes.FORMAT, "voice": session_shapes.VOICE})}),
        "conversation": nullable(choice("auto", "none")),
        "input": nullable(array(anything)),
        "instructions": nullable(string()),
        "max_output_tokens": nullable(session_shapes.MAX_OUTPUT_TOKENS),
        "metadata": nullable(_metadata),
        "output_modalities": nullable(session_shapes.MODALITIES),
        "parallel_tool_calls": nullable(boolean),
        "prompt": anything,
        "reasoning": nullable(session_shapes.REASONING),
        "tool_choice": nullable(session_shapes.TOOL_CHOICE),
        "tools": nullable(session_shapes.TOOLS),
    }
)


def _event(**fields: Check) -> Check:
    return record({"type": anything, "event_id": nullable(string(512)), **fields})


_UPDATE = _event(session=Required(anything))
_APPEND = _event(audio=Required(string(_APPEND_CHARACTERS)))
_ITEM_ID = Required(string())
_NUMBER = Required(integer(0))
_SHAPES: Mapping[str, Check] = {
    "session.update": _UPDATE,
    "input_audio_buffer.append": _APPEND,
    "input_audio_buffer.commit": _event(),
    "input_audio_buffer.clear": _event(),
    "conversation.item.create": _event(previous_item_id=nullable(string()), item=Required(anything)),
    "conversation.item.truncate": _event(item_id=_ITEM_ID, content_index=_NUMBER, audio_end_ms=_NUMBER),
    "conversation.item.delete": _event(item_id=_ITEM_ID),
    "conversation.item.retrieve": _event(item_id=_ITEM_ID),
    "response.create": _event(response=nullable(_RESPONSE)),
    "response.cancel": _event(response_id=nullable(string())),
}
_TRANSLATION_SHAPES: Mapping[str, Check] = {
    "session.update": _UPDATE,
    "session.input_audio_buffer.append": _APPEND,
    "session.close": _event(),
}


def read_frame(frame: str | bytes) -> Any:
    """Return a text frame's JSON value.

    Raises:
        ApiError: A binary frame, or not JSON.
    """
    if isinstance(frame, bytes | bytearray):
        message = "Expected a text WebSocket message; binary frames are not supported."
        raise ApiError(message, code="invalid_event")
    unreadable = "Invalid event: failed to parse JSON value."
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise ApiError(f"{unreadable} {str(error)[:200]}", code="invalid_json") from error
    if too_deep(value):
        raise ApiError(f"{unreadable} It is nested too deeply.", code="invalid_json")
    return value


def event_id_of(event: Any) -> str | None:
    """Return the client's own id of an event, for `error.event_id`."""
    event_id = event.get("event_id") if isinstance(event, dict) else None
    return event_id if isinstance(event_id, str) else None


def read_event(event: Any, session_type: str) -> tuple[str, dict[str, Any]]:
    """Check a client event.

    Returns:
        Its name and its checked fields; the audio of an append is decoded.

    Raises:
        ApiError: For the first thing wrong in it.
    """
    if not isinstance(event, dict):
        raise ApiError("Invalid event: expected a JSON object.", code="invalid_event")
    if "type" not in event:
        raise api_errors.missing("type")
    name = event["type"]
    shapes = _TRANSLATION_SHAPES if session_type == "translation" else _SHAPES
    if not isinstance(name, str) or name not in shapes:
        raise api_errors.invalid_value(name, CLIENT_EVENTS, "type")
    if session_type == "transcription" and name.startswith("response."):
        message = f"'{name}' is not supported in transcription sessions."  # unconfirmed wording
        raise ApiError(message, code="invalid_event", param="type")
    if shapes[name] is _APPEND:
        return name, {"audio": _appended(event)}
    return name, shapes[name](event, "")


def _appended(event: dict[str, Any]) -> bytes:
    audio = event.get("audio")
    # An ordinary append skips the general check: hundreds come in a second.
    if not isinstance(audio, str) or len(event) > 2 or len(audio) > _APPEND_CHARACTERS:
        _APPEND(event, "")
    assert isinstance(audio, str)
    expected = "Invalid 'audio'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz) but got"
    try:
        decoded = pybase64.b64decode(audio, validate=True)
    except ValueError as error:
        raise ApiError(f"{expected} an invalid value.", code="invalid_value", param="audio") from error
    if not decoded:
        raise ApiError(f"{expected} empty bytes.", code="invalid_value", param="audio")
    return decoded
