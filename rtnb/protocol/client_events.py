"""Build client events: plain dicts with an id, as the API's reference has them."""

import itertools
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import pybase64

from rtnb.protocol.frames import Event, encode_audio, plain

# Unique on one socket is enough; the random part keeps apart what several processes may write into one log.
_PROCESS = secrets.token_hex(4)
_COUNT = itertools.count(1)


def new_event_id() -> str:
    """Make an id for a client event; the server echoes it in `error.event_id` if it refuses that event."""
    return f"event_{_PROCESS}{next(_COUNT)}"


def _event(type_: str, **fields: Any) -> Event:
    return {"type": type_, "event_id": new_event_id(), **{name: plain(value, name) for name, value in fields.items()}}


def session_update(session: Mapping[str, Any]) -> Event:
    """Change the session; the server answers `session.updated`, or `error` and then changes nothing at all."""
    return _event("session.update", session=dict(session))


def append(pcm: bytes) -> Event:
    """Add audio to the input audio buffer. The server does not answer."""
    return _event("input_audio_buffer.append", audio=encode_audio(pcm))


def append_frame(event_id: str, pcm: bytes) -> bytes:
    """Write `append` straight as a frame; a recording is mostly this event, so it skips the JSON writer."""
    fields = event_id.encode(), pybase64.b64encode(pcm)
    return b'{"type":"input_audio_buffer.append","event_id":"%s","audio":"%s"}' % fields


def commit() -> Event:
    """End the user's turn by hand; needs at least 100 ms of audio in the buffer."""
    return _event("input_audio_buffer.commit")


def clear() -> Event:
    """Forget the audio in the input audio buffer."""
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
    """Stop a response under way; None or "" means the one that writes to the conversation."""
    named = not isinstance(response_id, str | None) or response_id
    return _event("response.cancel", **({"response_id": response_id} if named else {}))


def truncate(item_id: str, audio_end_ms: int) -> Event:
    """Cut the model's turn to what was played of it; content index 0 is the only one that holds audio."""
    return _event("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=audio_end_ms)


def delete(item_id: str) -> Event:
    """Take an item out of the conversation."""
    return _event("conversation.item.delete", item_id=item_id)


def retrieve(item_id: str) -> Event:
    """Ask for an item as the server has it; a spoken one comes back with its audio."""
    return _event("conversation.item.retrieve", item_id=item_id)
