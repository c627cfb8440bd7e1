"""Updates: what one server event changed, as the fold reports it to sessions and widgets.

A delta carries the new piece and the whole so far, so that a view needs no memory of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rtnb.protocol.items import Response, Turn


@dataclass(frozen=True)
class Update:
    """Change that one server event made.

    Attributes:
        event: The event, under its GA name.
        at_seconds: When it came, on the log's clock.
    """

    event: dict[str, Any]
    at_seconds: float


@dataclass(frozen=True)
class SessionStarted(Update):
    """The session exists; `session` holds the server's defaults."""

    session: dict[str, Any]


@dataclass(frozen=True)
class SessionUpdated(Update):
    """`session.update` was accepted; `session` is the whole effective configuration."""

    session: dict[str, Any]


@dataclass(frozen=True)
class Committed(Update):
    """The user's audio so far became the item `item_id`, which follows after `previous_item_id`."""

    item_id: str
    previous_item_id: str | None


@dataclass(frozen=True)
class ItemAdded(Update):
    """Item joined the conversation, or, out of band, a response."""

    turn: Turn


@dataclass(frozen=True)
class ItemDone(Update):
    """Item is complete."""

    turn: Turn


@dataclass(frozen=True)
class SpeechStarted(Update):
    """The server detected that the user began to speak, `audio_start_ms` into the audio that the session appended."""

    item_id: str
    audio_start_ms: int


@dataclass(frozen=True)
class SpeechStopped(Update):
    """The server detected that the user stopped, `audio_end_ms` into the audio that the session appended."""

    item_id: str
    audio_end_ms: int


@dataclass(frozen=True)
class TimeoutTriggered(Update):
    """Nobody spoke for the session's `idle_timeout_ms`."""

    item_id: str


@dataclass(frozen=True)
class InputTranscript(Update):
    """Words of the user: `piece` is new, `whole` is all so far, `final` says no more will come."""

    item_id: str
    piece: str
    whole: str
    final: bool


@dataclass(frozen=True)
class InputTranscriptFailed(Update):
    """The user's words could not be transcribed; the answer is not affected."""

    item_id: str
    error: dict[str, Any]


@dataclass(frozen=True)
class ResponseStarted(Update):
    """The model begins to answer."""

    response: Response


@dataclass(frozen=True)
class TextDelta(Update):
    """Words of the model: `piece` is new, `whole` is all of this item so far."""

    response_id: str
    item_id: str
    piece: str
    whole: str
    spoken: bool


@dataclass(frozen=True)
class AudioDelta(Update):
    """Audio of the model: whole samples of s16le mono 24 kHz that begin `start_ms` into its item.

    Its `event` has the base64 left out; the log has it.
    """

    response_id: str
    item_id: str
    pcm: bytes
    start_ms: float


@dataclass(frozen=True)
class AudioDone(Update):
    """No more audio of this item will come."""

    response_id: str
    item_id: str


@dataclass(frozen=True)
class ToolCalled(Update):
    """The model calls a function; `arguments` is JSON as the model wrote it."""

    response_id: str
    item_id: str
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class ResponseEnded(Update):
    """The model's answer is over, whatever its status."""

    response: Response


@dataclass(frozen=True)
class Truncated(Update):
    """Answer was cut to what was played of it."""

    item_id: str
    audio_end_ms: int


@dataclass(frozen=True)
class Deleted(Update):
    """Item left the conversation."""

    item_id: str


@dataclass(frozen=True)
class Retrieved(Update):
    """Item as the server has it."""

    item: dict[str, Any]


@dataclass(frozen=True)
class RateLimits(Update):
    """Limits of the account and what remains of them: `name`, `limit`, `remaining`, `reset_seconds`."""

    limits: list[dict[str, Any]]


@dataclass(frozen=True)
class Errored(Update):
    """The server reports an error; never fatal by itself."""

    error: dict[str, Any]


@dataclass(frozen=True)
class Other(Update):
    """Event that changes nothing here."""
