"""Client events: reading a frame, and checking the event in it."""

from typing import Any

import orjson
import pybase64

from rtnb.protocol.event_types import CLIENT_EVENTS
from rtnb.server.protocol import shapes
from rtnb.server.protocol.api_errors import ApiError, invalid_value, missing


def read_frame(frame: str | bytes) -> Any:
    """Return a text frame's JSON value.

    Raises:
        ApiError: A binary frame, or not JSON.
    """
    if isinstance(frame, bytes | bytearray):
        raise ApiError("Expected a text WebSocket message; binary frames are not supported.", code="invalid_event")
    unreadable = "Invalid event: failed to parse JSON value."
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise ApiError(f"{unreadable} {str(error)[:200]}", code="invalid_json") from error
    if shapes.too_deep(value):
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
        raise missing("type")
    name = event["type"]
    known = shapes.TRANSLATION_EVENTS if session_type == "translation" else shapes.EVENTS
    if not isinstance(name, str) or name not in known:
        raise invalid_value(name, CLIENT_EVENTS, "type")
    if session_type == "transcription" and name.startswith("response."):
        # Unconfirmed wording.
        raise ApiError(f"'{name}' is not supported in transcription sessions.", code="invalid_event", param="type")
    if known[name] is shapes.APPEND:
        return name, {"audio": _appended(event)}
    return name, known[name](event, "")


def _appended(event: dict[str, Any]) -> bytes:
    audio = event.get("audio")
    # An ordinary append skips the general check: hundreds come in a second.
    if not isinstance(audio, str) or len(event) > 2 or len(audio) > shapes.APPEND_CHARACTERS:
        shapes.APPEND(event, "")
    assert isinstance(audio, str)
    expected = "Invalid 'audio'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz) but got"
    try:
        decoded = pybase64.b64decode(audio, validate=True)
    except ValueError as error:
        raise ApiError(f"{expected} an invalid value.", code="invalid_value", param="audio") from error
    if not decoded:
        raise ApiError(f"{expected} empty bytes.", code="invalid_value", param="audio")
    return decoded
