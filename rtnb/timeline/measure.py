"""Spans and marks of a talk, read from its log and its conversation.

Times are those of the log's clock. Audio that came faster than it plays (the server sends about ten times as fast,
recorded) counts as long as it plays, from its first piece on, as one hears it.
"""

import bisect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, NamedTuple

from rtnb.audio import pcm
from rtnb.audio.clip import Clip, from_wire
from rtnb.protocol import server_events
from rtnb.protocol.conversation import Conversation
from rtnb.protocol.entry import Entry
from rtnb.protocol.items import Response, Turn
from rtnb.protocol.log import Log
from rtnb.texts.language import say, translate

Lane = Literal["person", "model", "tools", "socket"]

KINDS = {"sent": "sends a recording", "speech": "speaks", "waiting": "prepares an answer"}
KINDS |= {"writing": "writes", "speaking": "speaks", "tool": "runs"}


@dataclass(frozen=True)
class Span:
    """Something that lasts.

    Attributes:
        lane: Whose it is.
        kind: `"sent"` (a recording), `"speech"`, `"waiting"` (before the answer), `"writing"`, `"speaking"`,
            `"tool"`.
        start_seconds: When it begins, on the log's clock.
        end_seconds: When it ends.
        label: What it is, in words.
        status: `"completed"`, `"interrupted"`, `"cancelled"`, `"incomplete"` or `"failed"`.
        sound_seconds: How much audio it has; 0.0 for none.

    Examples:
        >>> reply = rtnb.ask(rtnb.samples()["question"], practice=True, show=False).wait()
        >>> [span.kind for span in reply.timeline().spans]
        ['sent', 'waiting', 'speaking']
    """

    lane: Lane
    kind: str
    start_seconds: float
    end_seconds: float
    label: str = ""
    status: str = "completed"
    sound_seconds: float = 0.0
    _read: Callable[[], bytes] = field(default=bytes, repr=False, compare=False)

    def later(self, seconds: float) -> "Span":
        """Return it with its times moved, for one picture of several sessions."""
        return replace(self, start_seconds=self.start_seconds + seconds, end_seconds=self.end_seconds + seconds)

    @property
    def pcm(self) -> bytes:
        """Its audio, s16le mono 24 kHz, read when asked for; empty for none."""
        return self._read() if self.sound_seconds else b""

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.end_seconds - self.start_seconds

    @property
    def audio(self) -> Clip | None:
        """Its audio. None where it has none."""
        return from_wire(samples, self.label[:40] or self.kind) if (samples := pcm.whole_samples(self.pcm)) else None

    @property
    def words(self) -> str:
        """Text of what happens in it."""
        status = "" if self.status == "completed" else f" ({translate(self.status)})"
        return f"{translate(KINDS.get(self.kind, self.kind))}{status}" + (f": {self.label}" if self.label else "")


class Mark(NamedTuple):
    """Something that happens at one moment.

    Attributes:
        lane: Whose it is.
        kind: `"typed"`, `"picture"`, `"first_sound"`, `"interrupted"`, `"truncated"`, `"opened"`, `"configured"`,
            `"error"`, `"dropped"`, `"sent"` or `"received"`.
        at_seconds: When, on the log's clock.
        label: What it is, in words; "" for the many events of the socket.
        since_seconds: Where what it measures began. None for a mark that measures nothing.

    Examples:
        >>> reply = rtnb.ask(rtnb.samples()["question"], practice=True, show=False).wait()
        >>> [mark.kind for mark in reply.timeline().marks if mark.label]
        ['opened', 'configured', 'first_sound']
    """

    lane: Lane
    kind: str
    at_seconds: float
    label: str = ""
    since_seconds: float | None = None

    def later(self, seconds: float) -> "Mark":
        """Return it with its times moved, for one picture of several sessions."""
        since = None if self.since_seconds is None else self.since_seconds + seconds
        return self._replace(at_seconds=self.at_seconds + seconds, since_seconds=since)


def measure(log: Log, conversation: Conversation, begin: int, end: int | None) -> tuple[list[Span], list[Mark]]:
    """Read a stretch of a log.

    Args:
        log: The events.
        conversation: What they add up to.
        begin: Index of the first entry to read; what came before is only counted, for the user's audio offsets.
        end: Index after the last entry. None reads to the end.

    Returns:
        Spans and marks, in no particular order.
    """
    reader = _Reader(log, conversation)
    for index, entry in enumerate(log[:end]):
        (reader.sent if entry.direction == "sent" else reader.received)(entry, index >= begin)
    return reader.done(), reader.marks


class _Reader:
    """Reads the entries of one log in order.

    Attributes:
        marks: The marks so far.
    """

    def __init__(self, log: Log, conversation: Conversation) -> None:
        self.marks: list[Mark] = []
        self._spans: list[Span] = []
        self._heard, self._talk = log.heard, conversation
        self._written = _first_words(log)
        self._appended = 0  # bytes of the user's audio
        self._ends: list[tuple[int, float]] = []  # how many had been sent at which time
        self._session_start = 0  # bytes appended before the present server session: its offsets count from here
        self._sending: tuple[int, float, float] | None = None  # first byte, first and last time of a stretch under way
        self._speech: dict[str, int] = {}  # item id → where the server detected its beginning, in milliseconds
        self._calls: dict[str, tuple[float, str, str]] = {}  # call id → time, name, arguments
        self._asked_at: float | None = None
        self._opened = self._goes_on = self._detected = False  # the last: some speech
        self._responses: list[str] = []

    def sent(self, entry: Entry, inside: bool) -> None:
        at = entry.at_seconds
        if entry.type == "input_audio_buffer.append":
            if inside:
                self._append(at)
            self._appended += entry.sound_bytes
            self._ends.append((self._appended, at))
        elif inside:
            if entry.type == "input_audio_buffer.commit":
                self._end_sending()
            elif entry.type == "response.create":
                # One waits since the first request, also where functions are called in between.
                self._asked_at = self._asked_at if self._goes_on else at
                self._goes_on = False
            elif entry.type == "conversation.item.create":
                self._create(entry.silent.get("item") or {}, at)
        if inside:
            self._mark("socket", "sent", at)

    def received(self, entry: Entry, inside: bool) -> None:
        at = entry.at_seconds
        if entry.type.endswith(".delta"):  # nearly all; nothing in them is measured
            return self._mark("socket", "received", at) if inside else None
        event = server_events.read(entry.silent)[0]
        if event["type"] == "session.created":
            if inside:
                kind, label = ("dropped", "a new session") if self._opened else ("opened", "session open")
                self._mark("socket", kind, at, translate(label))
            self._session_start, self._opened = (self._appended if self._opened else 0), True
        if event["type"] == "input_audio_buffer.speech_started":
            self._speech[event.get("item_id") or ""] = int(event.get("audio_start_ms") or 0)
        if inside:
            self._mark("socket", "received", at)
            self._read(event, at)

    def done(self) -> list[Span]:
        """Return all spans, those included that need the whole log to be known."""
        self._end_sending()
        # A microphone is on all the time; only what the server took for speech is worth a bar.
        spans = [span for span in self._spans if not (span.status == "live" and self._detected)]
        spans = [replace(span, status="completed") if span.status == "live" else span for span in spans]
        for response in filter(None, map(self._talk.responses.get, dict.fromkeys(self._responses))):
            spans += _answer(response, self._written)
        for at, name, arguments in self._calls.values():
            spans.append(Span("tools", "tool", at, at, f"{name}({_short(arguments)})", "incomplete"))
        return spans

    def _mark(self, lane: Lane, kind: str, at: float, label: str = "", since: float | None = None) -> None:
        self.marks.append(Mark(lane, kind, at, label, since))

    # --- what we sent

    def _append(self, at: float) -> None:
        if self._sending and at - self._sending[2] > 0.5:  # sending that pauses so long is two stretches
            self._end_sending()
        first, start, _ = self._sending or (self._appended, at, at)
        self._sending = first, start, at

    def _end_sending(self) -> None:
        if self._sending:
            first, start, last = self._sending
            seconds = pcm.seconds(self._appended - first)
            status = "live" if seconds > 1 and last - start > 0.4 * seconds else "completed"
            end, read = max(last, start + 0.02), partial(self._heard.read, first, self._appended)
            label = translate(f"{seconds:.1f} s of sound")
            self._spans.append(Span("person", "sent", start, end, label, status, seconds, read))
            self._sending = None

    def _create(self, item: Mapping[str, Any], at: float) -> None:
        self._goes_on = item.get("type") == "function_call_output"
        if self._goes_on:
            begun, name, arguments = self._calls.pop(item.get("call_id") or "", (at, "", ""))
            said = str(item.get("output") or "")
            status = "failed" if said.startswith("Error") or '"error"' in said[:20] else "completed"
            label = f"{name}({_short(arguments)}) → {said}"
            return self._spans.append(Span("tools", "tool", begun, max(at, begun), label, status))
        content = item.get("content") or ()
        if text := " ".join(part["text"] for part in content if part.get("text")):
            lane: Lane = "model" if item.get("role") == "assistant" else "person"
            self._mark(lane, "typed", at, text if item.get("role") == "user" else translate("earlier: ") + text)
        if any(part.get("type") == "input_image" for part in content):
            self._mark("person", "picture", at, translate("a picture"))

    # --- what we received

    def _read(self, event: Mapping[str, Any], at: float) -> None:
        match event["type"]:
            case "session.updated":
                self._mark("socket", "configured", at, translate("configured"))
            case "error":
                error = event.get("error") or {}
                problem = error.get("code") or error.get("message") or ""
                self._mark("socket", "error", at, translate(f"error: {problem}"))
            case "input_audio_buffer.speech_started" if over := self._played(at):
                self._mark("person", "interrupted", at, translate(f"speaks over the answer after {over:.1f} s"))
            case "input_audio_buffer.speech_stopped":
                self._speech_stopped(event, at)
            case "response.created":
                self._response_created(event, at)
            case "response.function_call_arguments.done":
                turn = self._talk.turn(event.get("item_id") or "") or Turn("")
                self._called({**event, "name": event.get("name") or turn.item.get("name")}, at)
            case "response.done":
                for item in (event.get("response") or {}).get("output") or ():
                    if item.get("type") == "function_call":
                        self._called(item, at)
            case "conversation.item.truncated":
                seconds = int(event.get("audio_end_ms") or 0) / 1000
                self._mark("model", "truncated", at, translate(f"cut to the {seconds:.1f} s that were heard"))

    def _sent_at(self, byte: int) -> float:
        """Return when this byte of the user's audio was sent: for a microphone, when it was said."""
        index = min(bisect.bisect_left(self._ends, (byte, 0.0)), len(self._ends) - 1)
        return self._ends[index][1] if self._ends else 0.0

    def _played(self, at: float) -> float:
        """Return how many seconds of an answer had played at this moment; 0.0 if none was playing."""
        response = self._talk.responses.get(self._responses[-1]) if self._responses else None
        if response is None or response.first_sound_at is None:
            return 0.0
        played = at - response.first_sound_at
        return played if 0 < played < sum(turn.audio_ms for turn in response.turns) / 1000 else 0.0

    def _speech_stopped(self, event: Mapping[str, Any], at: float) -> None:
        self._asked_at, self._detected = at, True
        item_id = event.get("item_id") or ""
        first = self._session_start + self._speech.pop(item_id, 0) * pcm.BYTES_PER_MS
        last = self._session_start + int(event.get("audio_end_ms") or 0) * pcm.BYTES_PER_MS
        seconds = pcm.seconds(last - first)
        # A file goes out faster than it plays, so there the moment of the event is all there is to go by.
        begins, ends = self._sent_at(first), self._sent_at(last)
        # What the detector adds in front may have been sent long before; nobody speaks slower than time.
        begins = max(begins, ends - seconds)
        if ends - begins >= 0.3 * seconds:
            label = (self._talk.turn(item_id) or Turn("")).transcript or ""
            read = partial(self._heard.read, first, last)
            self._spans.append(Span("person", "speech", begins, ends, label, "completed", seconds, read))

    def _response_created(self, event: Mapping[str, Any], at: float) -> None:
        response_id = (event.get("response") or {}).get("id") or ""
        self._responses.append(response_id)
        if self._asked_at is None or (response := self._talk.responses.get(response_id)) is None:
            return
        if (first_at := response.first_sound_at or self._written.get(response_id)) is not None:
            what = "the first sound" if response.first_sound_at else "the first word"
            label = say("{seconds} s to {what}", seconds=f"{first_at - self._asked_at:.2f}", what=translate(what))
            self._mark("model", "first_sound", first_at, label, self._asked_at)
            self._asked_at = None

    def _called(self, call: Mapping[str, Any], at: float) -> None:
        self._calls.setdefault(call.get("call_id") or "", (at, call.get("name") or "", call.get("arguments") or ""))


def _short(arguments: str) -> str:
    try:
        values = json.loads(arguments or "{}")
    except ValueError:
        return arguments
    return ", ".join(f"{k}={v!r}" for k, v in values.items()) if isinstance(values, dict) else arguments


def _first_words(entries: Sequence[Entry]) -> dict[str, float]:
    """Return when the first written word of each response came, by its id."""
    words = [entry for entry in entries if entry.direction == "received" and entry.type.endswith("text.delta")]
    ids = [server_events.read(entry.silent)[0].get("response_id") or "" for entry in words]
    return {id_: entry.at_seconds for id_, entry in zip(reversed(ids), reversed(words), strict=True)}


def _answer(response: Response, written: Mapping[str, float]) -> list[Span]:
    """Return what the model did in one response: prepare, then speak or write."""
    started, turns = response.started_at, response.turns
    if started is None:
        return []
    label = " ".join(turn.words for turn in turns if turn.type == "message" and turn.words)
    ended = response.ended_at if response.ended_at is not None else started
    status = "interrupted" if (response.status_details or {}).get("reason") == "turn_detected" else response.status
    if (first := response.first_sound_at) is not None:
        size = sum(turn.audio_bytes for turn in turns)
        if (cut_ms := next((turn.truncated_ms for turn in turns if turn.truncated_ms is not None), None)) is not None:
            size, status = min(size, cut_ms * pcm.BYTES_PER_MS), "interrupted"
        seconds = pcm.seconds(size)

        def read() -> bytes:
            return b"".join(turn.pcm for turn in turns)[:size]

        speaking = Span("model", "speaking", first, first + seconds, label, status, seconds, read)
        return [Span("model", "waiting", started, first), speaking]
    if any(turn.type == "message" for turn in turns):
        begun = written.get(response.id, started)
        writing = Span("model", "writing", begun, max(ended, begun), label, status)
        return [Span("model", "waiting", started, begun), writing]
    return [Span("model", "waiting", started, ended, "" if status == "completed" else label, status)]
