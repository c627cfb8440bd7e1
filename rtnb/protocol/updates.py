"""Updates: what one server event changed, as the fold reports it to sessions and widgets.

A delta carries the new piece and the whole so far, so that a view needs no memory of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, dataclass_transform

from rtnb.protocol.items import Response, SoFar, Turn


@dataclass_transform(frozen_default=True)
class Frozen:
    """Base that makes a dataclass of every class derived from it, which type checkers let nobody change.

    Python would refuse it as well, but for that each of thousands of deltas takes several times as long to make.
    """

    def __init_subclass__(cls) -> None:
        dataclass(unsafe_hash=True)(cls)


class Update(Frozen):
    """Change that one server event made.

    Attributes:
        event: The event, under its GA name.
        at_seconds: When it came, on the log's clock.
    """

    event: dict[str, Any]
    at_seconds: float


class _OfItem(Update):
    """Base of changes to the item `item_id`."""

    item_id: str


class _OfAnswer(Update):
    """Base of changes to the item `item_id` of the response `response_id`."""

    response_id: str
    item_id: str


class SessionStarted(Update):
    """Beginning of the session; `session` holds the server's defaults."""

    session: dict[str, Any]


class SessionUpdated(Update):
    """New settings that the server accepted; `session` is the whole effective configuration."""

    session: dict[str, Any]


class Committed(_OfItem):
    """End of a turn of the user: the audio so far is the item `item_id`, which follows after `previous_item_id`."""

    previous_item_id: str | None


class ItemAdded(Update):
    """Item that joined the conversation, or, out of band, a response."""

    turn: Turn


class ItemDone(Update):
    """Item that is complete."""

    turn: Turn


class SpeechStarted(_OfItem):
    """Beginning of speech that the server detected, `audio_start_ms` into the audio that this session appended."""

    audio_start_ms: int


class SpeechStopped(_OfItem):
    """End of speech that the server detected, `audio_end_ms` into the audio that this session appended."""

    audio_end_ms: int


class InputTranscript(_OfItem):
    """Words of the user: `piece` is new, `whole` is all so far, `final` says no more will come."""

    piece: str
    so_far: SoFar | str
    final: bool

    @property
    def whole(self) -> str:
        """All words so far."""
        return str(self.so_far)


class InputTranscriptFailed(_OfItem):
    """Failure to transcribe the user's words; the answer is not affected."""

    error: dict[str, Any]


class ResponseStarted(Update):
    """Beginning of an answer of the model."""

    response: Response


class Piece(_OfAnswer):
    """Words or audio of an answer as they come; nearly all updates are one."""


class TextDelta(Piece):
    """Words of the model: `piece` is new, `whole` is all of this item so far, `phase` is its turn's."""

    piece: str
    so_far: SoFar | str
    spoken: bool
    phase: str | None = None

    @property
    def whole(self) -> str:
        """All words of this item so far."""
        return str(self.so_far)


class AudioDelta(Piece):
    """Audio of the model: whole samples of s16le mono 24 kHz that begin `start_ms` into its item.

    Its `event` has the base64 left out; the log has it. `phase` is its turn's.
    """

    pcm: bytes
    start_ms: float
    phase: str | None = None


class AudioDone(_OfAnswer):
    """End of the audio of this item."""


class ToolCalled(_OfAnswer):
    """Function call of the model; `arguments` is JSON as the model wrote it."""

    call_id: str
    name: str
    arguments: str


class ResponseEnded(Update):
    """End of an answer of the model, whatever its status."""

    response: Response


class Truncated(_OfItem):
    """Answer that was cut to what was played of it."""

    audio_end_ms: int


class Deleted(_OfItem):
    """Item that left the conversation."""


class RateLimits(Update):
    """Limits of the account and what remains of them: `name`, `limit`, `remaining`, `reset_seconds`."""

    limits: list[dict[str, Any]]


class Errored(Update):
    """Error that the server reports; never fatal by itself."""

    error: dict[str, Any]


class Odd(_OfAnswer):
    """Event that was not as the API's reference has it; `sentence` says what was odd, and what became of it."""

    sentence: str

    @classmethod
    def of(cls, event: dict[str, Any], at_seconds: float, sentence: str) -> Odd:
        """Make one, with the ids that the event names; "" where it names none."""
        response_id = event.get("response_id") or (event.get("response") or {}).get("id")
        item_id = event.get("item_id") or (event.get("item") or {}).get("id")
        return cls(event, at_seconds, response_id or "", item_id or "", sentence)


class Other(Update):
    """Event that changes nothing here."""
