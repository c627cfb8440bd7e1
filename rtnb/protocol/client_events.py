"""The words on the wire: client events, event names, base64, and what the Beta interface called things.

Nothing here knows of sockets or sessions: plain dicts in, plain dicts and bytes out. Names are the API's own, from
the reference of client and server events (platform.openai.com/docs/api-reference/realtime).
"""

from __future__ import annotations

import enum
import itertools
import json
import math
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import orjson
import pybase64

from rtnb.errors import InputError, ReplayError, RtnbError, ServerError

__all__ = [
    "BETA_SERVER_EVENTS",
    "NOT_RECORDED",
    "append",
    "append_frame",
    "cancel",
    "clear",
    "commit",
    "decode_audio",
    "delete",
    "dumps",
    "encode_audio",
    "error_from",
    "function_call_output",
    "item_create",
    "loads",
    "message",
    "new_event_id",
    "plain",
    "respond",
    "retrieve",
    "session_update",
    "to_beta",
    "to_ga",
    "truncate",
    "type_of",
]

Event = dict[str, Any]

# Unique on one socket is enough; the random part keeps apart what several processes may write into one log.
_PROCESS = secrets.token_hex(4)
_COUNT = itertools.count(1)


def new_event_id() -> str:
    """Make an id for a client event; the server echoes it in `error.event_id` if it refuses that event."""
    return f"event_{_PROCESS}{next(_COUNT)}"


def dumps(event: Mapping[str, Any]) -> bytes:
    """Write an event as UTF-8 JSON, as it goes into a text frame."""
    return orjson.dumps(event)


def loads(frame: bytes | str) -> Event:
    """Read one text frame.

    Numbers that JSON has not (NaN, infinity) become null; half a surrogate pair becomes a question mark.

    Raises:
        ValueError: If the frame is not a JSON object with a string `type`.
    """
    try:
        event = orjson.loads(frame)
    except ValueError:
        event = _loads_leniently(frame)
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise ValueError("no JSON object with a type")
    return event


def _loads_leniently(frame: bytes | str) -> Any:
    text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
    try:
        found = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
        return orjson.loads(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON object: {error}") from None


def _finite(number: str) -> float | None:
    value = float(number)
    return value if math.isfinite(value) else None


def type_of(frame: bytes) -> tuple[str, str]:
    """Read the type of a frame that cannot be read, and the id of its response. "" where there is none."""
    found = [re.search(pattern, frame) for pattern in (_TYPE, _RESPONSE)]
    type_, response_id = (match[match.lastindex or 0].decode("utf-8", "replace") if match else "" for match in found)
    return type_, response_id


_TYPE = rb'"type"\s*:\s*"([\w.]+)"'
_RESPONSE = rb'"response_id"\s*:\s*"([^"]+)"|"response"\s*:\s*\{[^{}\[\]]*?"id"\s*:\s*"([^"]+)"'


_DEEPEST = 100


def plain(value: Any, name: str) -> Any:
    """Check that a value can be sent as JSON, and make Python's own numbers of NumPy's.

    Args:
        value: What is to be sent: mappings, lists and tuples of text, numbers, True, False and None.
        name: What it is called in the error's sentence, such as `"session"`.

    Returns:
        The same in dicts, lists and Python's own types.

    Raises:
        InputError: If something in it is of another type, a number that JSON has not (NaN, infinity, more than 64
            bits), or text with half a surrogate pair.
    """
    if isinstance(value, np.generic):
        # A float32 as it is written: 1.1, not the 1.100000023841858 that a conversion makes of it.
        value = float(str(value)) if isinstance(value, np.floating) else value.item()
    if isinstance(value, enum.Enum):
        value = value.value
    inside = name.count("[") < _DEEPEST  # else it may hold itself
    if inside and isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {plain(key, name): plain(inner, f"{name}[{key!r}]") for key, inner in value.items()}
    if inside and isinstance(value, list | tuple):
        return [plain(inner, f"{name}[{index}]") for index, inner in enumerate(value)]
    try:
        orjson.dumps(value)
        known = isinstance(value, str | int | None) or math.isfinite(value)
    except (TypeError, ValueError, RecursionError):
        known = False
    if not known:
        raise InputError(
            f"Your {name} is {_shortened(value)}, which JSON cannot carry. Give text, a finite number, True, False, "
            "None, a list, or a dict with text as its keys."
        )
    return value


def _shortened(value: Any) -> str:
    shown = ascii(value)
    return f"{shown if len(shown) <= 80 else shown[:79] + '…'} ({type(value).__name__})"


def encode_audio(pcm: bytes) -> str:
    """Write sound as base64 text, as it travels in JSON."""
    return pybase64.b64encode_as_string(pcm)


def decode_audio(text: str) -> bytes:
    """Read one delta's base64. Decode each delta by itself and join the bytes: joined text has padding inside.

    Raises:
        ValueError: If the text is not base64.
    """
    return pybase64.b64decode(text, validate=True)


# --- client events -------------------------------------------------------------------------------------------------


def _event(type_: str, **fields: Any) -> Event:
    return {"type": type_, "event_id": new_event_id(), **{name: plain(value, name) for name, value in fields.items()}}


def session_update(session: Mapping[str, Any]) -> Event:
    """Change the session; the server answers `session.updated`, or `error` and then changes nothing at all."""
    return _event("session.update", session=dict(session))


def append(pcm: bytes) -> Event:
    """Add sound to the input buffer. The server does not answer."""
    return _event("input_audio_buffer.append", audio=encode_audio(pcm))


def append_frame(event_id: str, pcm: bytes) -> bytes:
    """Write `append` straight as a frame; a recording is mostly this event, so it skips the JSON writer."""
    return b'{"type":"input_audio_buffer.append","event_id":"%s","audio":"%s"}' % (
        event_id.encode(),
        pybase64.b64encode(pcm),
    )


def commit() -> Event:
    """End the person's turn by hand; needs at least 100 ms of sound in the buffer."""
    return _event("input_audio_buffer.commit")


def clear() -> Event:
    """Forget the sound in the input buffer."""
    return _event("input_audio_buffer.clear")


def message(role: str, content: Iterable[Mapping[str, Any]]) -> Event:
    """Make a message item, as `item_create` takes it."""
    return {"type": "message", "role": role, "content": [dict(part) for part in content]}


def function_call_output(call_id: str, output: str) -> Event:
    """Make the item that answers a function call."""
    output = output.encode("utf-8", "replace").decode()  # half a surrogate pair is no UTF-8
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def item_create(item: Mapping[str, Any], previous_item_id: str | None = None) -> Event:
    """Add an item to the conversation: after `previous_item_id`, `"root"` for the front, None for the end."""
    place = {} if previous_item_id is None else {"previous_item_id": previous_item_id}
    return _event("conversation.item.create", item=dict(item), **place)


def respond(response: Mapping[str, Any] | None = None) -> Event:
    """Ask for a response; `response` overrides the session's settings for this one response."""
    return _event("response.create", **({"response": dict(response)} if response else {}))


def cancel(response_id: str | None = None) -> Event:
    """Stop a response under way; None means the one that writes to the conversation."""
    return _event("response.cancel", **({} if response_id is None else {"response_id": response_id}))


def truncate(item_id: str, audio_end_ms: int) -> Event:
    """Cut the model's turn to what was heard of it; content index 0 is the only one that holds sound."""
    return _event("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=audio_end_ms)


def delete(item_id: str) -> Event:
    """Take an item out of the conversation."""
    return _event("conversation.item.delete", item_id=item_id)


def retrieve(item_id: str) -> Event:
    """Ask for an item as the server has it; a spoken one comes back with its sound."""
    return _event("conversation.item.retrieve", item_id=item_id)


NOT_RECORDED = "not_recorded"
"""The code with which a replay says that its recording does not hold what was asked."""


def error_from(event: Mapping[str, Any], doing: str) -> RtnbError:
    """Turn an `error` event into the exception it is.

    Args:
        event: The event as it came.
        doing: What was being done, for the sentence "The server refused …".
    """
    error = event["error"]
    code, text = error.get("code"), error.get("message") or "no reason given"
    if code == NOT_RECORDED:
        return ReplayError(text, code=code, event=dict(event))
    where = f" (field {error['param']})" if error.get("param") else ""
    named = f" [{code}]" if code else ""
    return ServerError(
        f"The server refused {doing}{where}: {text}{named} "
        "Nothing of it was applied and the session goes on; change what it names and send it again.",
        type=error.get("type") or "",
        code=code,
        param=error.get("param"),
        event=dict(event),
    )


# --- the Beta interface --------------------------------------------------------------------------------------------
# OpenAI removed it on 12 May 2026; Azure Voice Live and several open servers still speak it.

BETA_SERVER_EVENTS = {
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "conversation.item.created": "conversation.item.added",
}
_BETA_CONTENT = {"text": "output_text", "audio": "output_audio"}
_BETA_FORMATS = {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}


def to_ga(event: Event) -> Event:
    """Give a server event its present-day names and form; one that has them already comes back as it is."""
    if event["type"] == "error":
        return {**event, "error": _error_object(event)}
    name = BETA_SERVER_EVENTS.get(event["type"])
    if name is None:
        return event
    event = {**event, "type": name}
    item = event.get("item")
    if isinstance(item, dict) and item.get("role") == "assistant":
        content = [
            {**part, "type": _BETA_CONTENT.get(part.get("type"), part.get("type"))}
            for part in item.get("content") or ()
        ]
        event["item"] = {**item, "content": content}
    return event


def _error_object(event: Event) -> dict[str, Any]:
    """The `error` of an event as the API writes it; other servers write text, or its fields beside `type`."""
    error = event.get("error")
    if isinstance(error, str | list | int | float):
        error = {"message": error}
    elif not isinstance(error, dict):
        error = {k: v for k, v in event.items() if k in ("message", "code", "param")}
    texts = ("message", "code", "param", "type", "event_id")
    return {k: v if v is None or isinstance(v, str) or k not in texts else str(v) for k, v in error.items()}


def to_beta(event: Event) -> Event:
    """Write a client event the way a server of the Beta interface reads it."""
    if event["type"] == "session.update":
        return {**event, "session": _beta_settings(event["session"])}
    if event["type"] == "response.create" and "response" in event:
        return {**event, "response": _beta_settings(event["response"])}
    item = event.get("item") or {}
    if event["type"] == "conversation.item.create" and item.get("role") == "assistant":
        ga = {name: beta for beta, name in _BETA_CONTENT.items()}
        content = [{**part, "type": ga.get(part.get("type"), part.get("type"))} for part in item.get("content") or ()]
        return {**event, "item": {**item, "content": content}}
    return event


def _beta_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten a GA session or response object: sound settings moved one level down in GA, some were renamed."""
    flat = {k: v for k, v in settings.items() if k not in ("type", "audio", "output_modalities", "max_output_tokens")}
    if "output_modalities" in settings:
        flat["modalities"] = ["text", "audio"] if "audio" in settings["output_modalities"] else ["text"]
    if "max_output_tokens" in settings:
        flat["max_response_output_tokens"] = settings["max_output_tokens"]
    audio = settings.get("audio") or {}
    heard, spoken = audio.get("input") or {}, audio.get("output") or {}
    if "format" in heard:
        flat["input_audio_format"] = _BETA_FORMATS.get(heard["format"]["type"], "pcm16")
    if "format" in spoken:
        flat["output_audio_format"] = _BETA_FORMATS.get(spoken["format"]["type"], "pcm16")
    renamed = {"transcription": "input_audio_transcription", "noise_reduction": "input_audio_noise_reduction"}
    flat |= {renamed.get(k, k): v for k, v in heard.items() if k != "format"}
    flat |= {k: v for k, v in spoken.items() if k != "format"}
    return flat
