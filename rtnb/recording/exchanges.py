"""Recording sorted by what caused what: what was asked, and what was answered."""

import fnmatch
import glob
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from rtnb.audio.pcm import RATE_HZ
from rtnb.errors import HIDDEN, without_secrets
from rtnb.recording.load import RecordedEvent, Recording

# By the first word of a question: what the server announces as an item.
_ITEMS = ("item", "sound")
# A server that has one of these detects turns, or translates: it speaks when enough audio has come.
_OF_DETECTION = ("input_audio_buffer.speech_started", "session.output_transcript.delta", "session.output_audio.delta")

Loudness = np.ndarray[Any, np.dtype[np.float64]]
"""Loudness of each 20 ms of a recording, 0.0–1.0."""


@dataclass
class Exchange:
    """Event of the client and what the server answered to it.

    Attributes:
        question: What the client asked, as `question` writes it.
        at_seconds: When it was asked.
        events: The server's events, in order.
        before: For a response: the questions that were put to it since the response before.
        masked: Whether the question lacks a secret that was in use.
        used: How often it was played.
    """

    question: Any
    at_seconds: float
    events: list[RecordedEvent] = field(default_factory=list)
    before: tuple[Any, ...] = ()
    masked: bool = False
    used: int = 0

    def asks(self, asked: Any) -> bool:
        """Return whether a question is the same; where this one lacks a secret that was in use, any is."""
        if not self.masked:
            return bool(self.question[:3] == asked[:3])
        return fnmatch.fnmatchcase(str(asked[:3]), "*".join(map(glob.escape, str(self.question[:3]).split(HIDDEN))))


class OnAudio(NamedTuple):
    """Event of a server that detects turns: due when so much audio has arrived.

    Attributes:
        after_bytes: How much audio had been appended by then.
        seconds: How long after the last of it.
        recorded: The event.
    """

    after_bytes: int
    seconds: float
    recorded: RecordedEvent


class Exchanges:
    """Recording sorted by what caused what.

    Attributes:
        opening: What the server sent before it was asked for anything.
        asked: What was asked and answered, in order.
        updates: The same for changes of settings.
        on_audio: What the server sent because of the audio that came.
        commits: Where on the `heard` track each commit's audio is, in order.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.opening: list[RecordedEvent] = []
        self.asked: list[Exchange] = []
        self.updates: list[Exchange] = []
        self.on_audio: list[OnAudio] = []
        self.commits: list[tuple[int, int]] = []
        self._detects = any(recorded.type in _OF_DETECTION for recorded in recording.events)
        self._loudness: dict[tuple[int, int], Loudness] = {}
        self._appended = self._buffer_from = 0
        self._appended_at = 0.0
        self._last: Exchange | None = None
        self._ended: Exchange | None = None  # the response that was over last
        self._before: list[Any] = []  # questions since the last response
        # What waits for its answer: items to be announced, responses to begin, settings to be confirmed.
        self._waiting: list[Exchange] = []
        # The exchange that an event, an item, a response belongs to; None where the server made it by itself.
        self._by_event: dict[str, Exchange] = {}
        self._by_item: dict[str, Exchange | None] = {}
        self._by_response: dict[str, Exchange | None] = {}
        for recorded in recording.events:
            (self._sort_sent if recorded.sent else self._sort_received)(recorded)

    def loudness_of(self, place: tuple[int, int]) -> Loudness:
        """Return how loud a stretch of the `heard` track is; it is measured once."""
        if place not in self._loudness:
            self._loudness[place] = loudness(self.recording.audio(("heard", *place)))
        return self._loudness[place]

    def _sort_sent(self, recorded: RecordedEvent) -> None:
        if recorded.type.endswith("input_audio_buffer.append"):
            self._appended += recorded.size_bytes
            self._appended_at = recorded.at_seconds
            return
        asks = question(self.recording.whole(recorded))
        if recorded.type == "input_audio_buffer.commit":
            asks = ("sound", len(self.commits))
            self.commits.append((self._buffer_from, self._appended))
        if recorded.type in ("input_audio_buffer.commit", "input_audio_buffer.clear"):
            self._buffer_from = self._appended
        exchange = self._last = Exchange(asks, recorded.at_seconds, masked=HIDDEN in str(asks))
        self._by_event[recorded.event.get("event_id") or ""] = exchange
        (self.updates if asks[0] == "session.update" else self.asked).append(exchange)
        if asks[0] in ("response", "session.update", *_ITEMS):
            self._waiting.append(exchange)
        if asks[0] in _ITEMS:
            self._before.append(asks)
        elif asks[0] == "response" and asks[1] != "beside":
            exchange.before, self._before = tuple(self._before), []

    def _sort_received(self, recorded: RecordedEvent) -> None:
        cause = self._cause(recorded.event)
        if recorded.type == "response.done":
            self._ended = cause
        if cause is None and recorded.type == "rate_limits.updated":
            cause = self._ended
        if cause is None and (not self._detects or not self._appended):
            cause = self._last
        if cause is not None:
            cause.events.append(recorded)
        elif self._appended:
            self.on_audio.append(OnAudio(self._appended, max(0.0, recorded.at_seconds - self._appended_at), recorded))
            if recorded.type == "input_audio_buffer.committed":
                self._buffer_from = self._appended
        else:
            self.opening.append(recorded)

    def _cause(self, event: Mapping[str, Any]) -> Exchange | None:
        """Find what made the server send this; the server takes what it is asked in order (recorded)."""
        kind: str = event["type"]
        response = event.get("response") or {}
        response_id = event.get("response_id") or response.get("id")
        item_id: str = event.get("item_id") or (event.get("item") or {}).get("id") or ""
        if kind == "error":
            refused = self._by_event.get((event.get("error") or {}).get("event_id") or "")
            self._first(lambda one: one is refused)
            return refused
        if kind.endswith("session.updated"):
            return self._first(lambda one: one.question[0] == "session.update")
        if response_id:
            if response_id not in self._by_response:
                self._by_response[response_id] = self._asked_for(response)
            cause = self._by_response[response_id]
            if item_id:
                self._by_item.setdefault(item_id, cause)
            return cause
        if kind in ("input_audio_buffer.speech_started", "input_audio_buffer.timeout_triggered"):
            self._by_item[item_id] = None
        if item_id not in self._by_item and kind in ("input_audio_buffer.committed", "conversation.item.added"):
            asked = "sound" if kind == "input_audio_buffer.committed" else "item"
            if (cause := self._first(lambda one: one.question[0] == asked)) is not None:
                self._by_item[item_id] = cause
        return self._by_item.get(item_id)

    def _asked_for(self, response: Mapping[str, Any]) -> Exchange | None:
        """Find what asked for a response that has just begun."""
        asked = ("response", "talk" if response.get("conversation_id", "x") is not None else "beside")
        side = (response.get("metadata") or {}).get("rtnb_side")
        return self._first(lambda one: one.question[:2] == asked and (side is None or one.question[3] in (None, side)))

    def _first(self, fits: Callable[[Exchange], bool]) -> Exchange | None:
        """Take the first that waits and fits. None where none does."""
        number = next((number for number, one in enumerate(self._waiting) if fits(one)), None)
        return None if number is None else self._waiting.pop(number)


def question(event: Mapping[str, Any]) -> Any:
    """Write what a client event asks, in a form that is equal for the same question; keys are not in it."""
    event = without_secrets(event, [])
    kind = event["type"]
    if kind == "conversation.item.create":
        item = event.get("item") or {}
        if item.get("type") == "function_call_output":
            return ("item", "output of", item.get("call_id"))  # what a tool says may differ from day to day
        return ("item", _canonical({name: part for name, part in item.items() if name not in ("id", "status")}))
    if kind == "response.create":
        # A budget caps an answer by what is left, which differs from day to day.
        wanted = {name: value for name, value in (event.get("response") or {}).items() if name != "max_output_tokens"}
        metadata = dict(wanted.pop("metadata", None) or {})
        if wanted.get("conversation") == "none":
            return ("response", "beside", _canonical(wanted), metadata.get("rtnb_side"))
        return ("response", "talk", _canonical(wanted), None)
    return (kind, event.get("item_id"))


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def alike(a: Loudness, b: Loudness) -> bool:
    """Return whether two stretches are the same recording, perhaps compressed in another way.

    Their loudness over time is compared: as long to a tenth of a second, and rising and falling together.
    """
    size = min(len(a), len(b))
    if not size or abs(len(a) - len(b)) > 5:
        return len(a) == len(b)
    a, b = a[:size], b[:size]
    softer, louder = sorted((a.max(), b.max()))
    if louder < 1e-3 or softer < 0.25 * louder:
        return bool(louder < 1e-3)  # both silent
    # The same recording is alike everywhere; two sentences of the same length are so by chance at most.
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return spread < 1e-6 or float((a * b).sum()) / spread > 0.9


def loudness(pcm: bytes) -> Loudness:
    """Measure a stretch of s16le 24 kHz."""
    frame = RATE_HZ // 50
    samples = np.frombuffer(pcm[: len(pcm) // (2 * frame) * 2 * frame], "<i2").astype(np.float64) / 32_768
    return np.sqrt((samples.reshape(-1, frame) ** 2).mean(axis=1))
