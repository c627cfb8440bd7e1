"""What happened when: a session or a turn as a picture, with lanes for the person, the model, tools and the socket.

Everything is read from the log; nothing is measured here. Times are those of the log's clock. Sound that came faster
than it plays (the server sends about ten times as fast, recorded) is drawn as long as it plays, from its first piece
on, as one hears it; long pauses in which nothing happens are folded.
"""

from __future__ import annotations

import base64
import bisect
import functools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rtnb import html
from rtnb.errors import InputError
from rtnb.protocol import client_events
from rtnb.protocol import conversation as c

if TYPE_CHECKING:
    from rtnb.audio import Clip
    from rtnb.protocol.log import Entry
    from rtnb.session.reply import Reply
    from rtnb.session.session import Session

__all__ = ["Mark", "Span", "Timeline"]

Lane = Literal["person", "model", "tools", "socket"]
LANES: tuple[Lane, ...] = ("person", "model", "tools", "socket")

_BYTES_PER_SECOND = 2 * c.RATE_HZ
_FOLD_SECONDS = 3.0  # a pause longer than this is folded
_FOLDED_SECONDS = 0.8  # to this
_SPLIT_SECONDS = 0.5  # sending that pauses so long is two stretches
_INLINE_SECONDS = 20.0  # so much sound may be in a notebook's output: about 60 KB


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
        sound_seconds: How much sound it has; 0.0 for none.
    """

    lane: Lane
    kind: str
    start_seconds: float
    end_seconds: float
    label: str = ""
    status: str = "completed"
    sound_seconds: float = 0.0
    _read: Callable[[], bytes] = field(default=bytes, repr=False, compare=False)

    @property
    def pcm(self) -> bytes:
        """Its sound, s16le mono 24 kHz, read when asked for; empty for none."""
        return self._read() if self.sound_seconds else b""

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.end_seconds - self.start_seconds

    @property
    def audio(self) -> Clip | None:
        """Its sound. None where it has none."""
        from rtnb.audio import Clip

        pcm = self.pcm[: len(self.pcm) // 2 * 2]
        return Clip.from_pcm(pcm, rate_hz=c.RATE_HZ, name=self.label[:40] or self.kind) if pcm else None


@dataclass(frozen=True)
class Mark:
    """Something that happens at one moment.

    Attributes:
        lane: Whose it is.
        kind: `"typed"`, `"picture"`, `"first_sound"`, `"interrupted"`, `"truncated"`, `"opened"`, `"configured"`,
            `"error"`, `"dropped"`, `"sent"` or `"received"`.
        at_seconds: When, on the log's clock.
        label: What it is, in words; "" for the many events of the socket.
        since_seconds: Where what it measures began. None for a mark that measures nothing.
    """

    lane: Lane
    kind: str
    at_seconds: float
    label: str = ""
    since_seconds: float | None = None


class Timeline:
    """A picture of a session or a turn. It shows itself in a notebook.

    Attributes:
        title: What it is of.
        spans: What lasts, in order of beginning.
        marks: What happens at a moment, in order.
        seconds_to_first_sound: For each answer, how long one waited for its first sound; for written answers, for
            the first word.
    """

    def __init__(self, title: str, spans: Iterable[Span], marks: Iterable[Mark]) -> None:
        self.title = title
        self.spans: tuple[Span, ...] = tuple(sorted(spans, key=lambda span: span.start_seconds))
        self.marks: tuple[Mark, ...] = tuple(sorted(marks, key=lambda mark: mark.at_seconds))

    @classmethod
    def of_session(cls, session: Session) -> Timeline:
        """Draw a whole session so far."""
        return cls(f"{session.model}, {session.source}", *_read(session, list(session.log)))

    @classmethod
    def of_reply(cls, reply: Reply, begin: int, end: int | None) -> Timeline:
        """Draw one turn, from its first part to the end of its answer."""
        session = reply.session
        spans, marks = _read(session, list(session.log), begin, end)
        return cls(f"{reply.model}, {reply.source}", spans, marks)

    @property
    def seconds_to_first_sound(self) -> tuple[float, ...]:
        """How long one waited for each answer."""
        firsts = [mark for mark in self.marks if mark.kind == "first_sound" and mark.since_seconds is not None]
        return tuple(mark.at_seconds - (mark.since_seconds or 0.0) for mark in firsts)

    @property
    def interruptions(self) -> tuple[Mark, ...]:
        """Where the person spoke over the model, and where an answer was cut to what was heard."""
        return tuple(mark for mark in self.marks if mark.kind in ("interrupted", "truncated"))

    def __repr__(self) -> str:
        if not self.spans and not self.marks:
            return "Timeline(nothing has happened yet)"
        lines = [f"Timeline({self.title})"]
        told: list[tuple[float, str]] = [
            (span.start_seconds, f"{span.lane:<7} {_words(span)}, {span.seconds:.2f} s") for span in self.spans
        ]
        told += [(mark.at_seconds, f"{mark.lane:<7} {mark.label}") for mark in self.marks if mark.label]
        return "\n".join([*lines, *(f"{at:8.2f} s  {text}" for at, text in sorted(told))])

    # --- showing

    def svg(self, width: int = 900) -> str:
        """Draw it as an SVG picture.

        Args:
            width: Pixels, at least 300; the picture scales with its page.

        Returns:
            The `<svg>` element.
        """
        return _Picture(self, max(300, width)).draw()

    def _repr_html_(self) -> str:
        total = sum(span.sound_seconds for span in self.spans)
        if not 0 < total <= _INLINE_SECONDS:
            return _block(self.svg(), "", 'save("talk.html") keeps it with its sound' if total else "")
        return _block(self.svg(), self._sounds(), "click a bar to hear it")

    def _sounds(self) -> str:
        """An audio element for each stretch that sounds, once."""
        parts = []
        for number, span in enumerate(self.spans):
            if span.sound_seconds >= 0.02 and (clip := span.audio) is not None:
                data = base64.b64encode(clip.encode("opus")).decode()
                source = f'src="data:audio/ogg;base64,{data}"'
                parts.append(f'<audio data-of="{number}" preload="none" {source}{_MOVE}></audio>')
        return "".join(parts)

    def save(self, path: str | Path) -> Path:
        """Write it to a file: `.html` is one page with everything in it, sound included; `.svg` is the picture alone.

        Returns:
            The path written.

        Raises:
            InputError: If the ending is neither, or the place cannot be written to.
        """
        target = Path(path).expanduser()
        if target.suffix.lower() not in (".html", ".htm", ".svg"):
            raise InputError(f"Your file {target.name} is neither .html nor .svg. Give it one of these endings.")
        if target.suffix.lower() == ".svg":
            text = self.svg().replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
            text = text.replace(">", f"><style>{_CSS}</style>", 1)
        else:
            picture = _Picture(self, 900)
            width = max(900, min(20_000, round(picture.length * 60)))
            block = _block(self.svg(width), self._sounds(), "Click a bar to hear it.", width)
            text = _PAGE.format(title=escape(self.title), block=block, table=self._table())
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(f"The file {target} cannot be written: {error.strerror}. Choose another place.") from error
        return target

    def _table(self) -> str:
        """The same in words, for whoever reads rather than looks."""
        rows = [(s.start_seconds, s.lane, _words(s), f"{s.seconds:.2f} s") for s in self.spans]
        rows += [(m.at_seconds, m.lane, m.label, "") for m in self.marks if m.label]
        cells = "".join(
            f"<tr><td>{at:.2f} s</td><td>{lane}</td><td>{escape(what)}</td><td>{length}</td></tr>"
            for at, lane, what, length in sorted(rows)
        )
        head = "<tr><th scope=col>at</th><th scope=col>who</th><th scope=col>what</th><th scope=col>how long</th></tr>"
        return f"<table><thead>{head}</thead><tbody>{cells}</tbody></table>"


_KINDS = {
    "sent": "sends a recording",
    "speech": "speaks",
    "waiting": "prepares an answer",
    "writing": "writes",
    "speaking": "speaks",
    "tool": "runs",
}


def _words(span: Span) -> str:
    status = "" if span.status == "completed" else f" ({span.status})"
    return f"{_KINDS.get(span.kind, span.kind)}{status}" + (f": {span.label}" if span.label else "")


# --- reading the log --------------------------------------------------------------------------------------------------


class _Appends:
    """When which byte of the person's sound went out."""

    def __init__(self) -> None:
        self.ends: list[int] = []
        self.at: list[float] = []

    def add(self, size: int, at: float) -> None:
        self.ends.append((self.ends[-1] if self.ends else 0) + size)
        self.at.append(at)

    @property
    def size(self) -> int:
        return self.ends[-1] if self.ends else 0

    def when(self, byte: int) -> float:
        """When this byte was sent: for a microphone, when it was said."""
        index = min(bisect.bisect_left(self.ends, byte), len(self.ends) - 1)
        return self.at[index] if self.at else 0.0


def _read(
    session: Session, entries: Sequence[Entry], begin: int = 0, end: int | None = None
) -> tuple[list[Span], list[Mark]]:
    """Read the log from `begin` to `end`; what came before is only counted, for the offsets of the person's sound."""
    talk = session.conversation
    written = _first_words(entries)
    spans: list[Span] = []
    marks: list[Mark] = []
    appends = _Appends()
    origin = 0  # the server's offsets count from here
    stretch: list[Any] = []  # sending under way: [start byte, start, last]
    speech: dict[str, tuple[int, float]] = {}
    calls: dict[str, tuple[float, str, str]] = {}
    asked_at: float | None = None
    opened = goes_on = False
    responses: list[str] = []
    live_spans: list[tuple[int, int]] = []  # byte ranges the server heard as speech

    def end_stretch() -> None:
        if stretch:
            spans.append(_sending(session, appends, *stretch))
            stretch.clear()

    for index, entry in enumerate(entries[:end]):
        at, event, inside = entry.at_seconds, entry.silent, index >= begin
        if entry.direction == "sent":
            if entry.type == "input_audio_buffer.append":
                if inside:
                    if stretch and at - stretch[2] > _SPLIT_SECONDS:
                        end_stretch()
                    if not stretch:
                        stretch.extend((appends.size, at, at))
                    stretch[2] = at
                appends.add(entry.sound_bytes, at)
            elif inside:
                if entry.type == "input_audio_buffer.commit":
                    end_stretch()
                elif entry.type == "response.create":
                    # One waits since the first request, also where functions are called in between.
                    asked_at = asked_at if goes_on else at
                    goes_on = False
                elif entry.type == "conversation.item.create":
                    goes_on = (entry.silent.get("item") or {}).get("type") == "function_call_output"
                _read_sent(entry, marks, spans, calls)
            if inside:
                marks.append(Mark("socket", "sent", at))
            continue
        event = client_events.to_ga(event)
        type_ = event["type"]
        if type_ == "session.created":
            if inside:
                marks.append(
                    Mark("socket", "dropped" if opened else "opened", at, "a new session" if opened else "session open")
                )
            origin, opened = (appends.size if opened else 0), True
        if not inside:
            if type_ == "input_audio_buffer.speech_started":
                speech[event.get("item_id") or ""] = (int(event.get("audio_start_ms") or 0), at)
            continue
        marks.append(Mark("socket", "received", at))
        if type_ == "session.updated":
            marks.append(Mark("socket", "configured", at, "configured"))
        elif type_ == "error":
            error = event.get("error") or {}
            marks.append(Mark("socket", "error", at, f"error: {error.get('code') or error.get('message') or ''}"))
        elif type_ == "input_audio_buffer.speech_started":
            speech[event.get("item_id") or ""] = (int(event.get("audio_start_ms") or 0), at)
            if talk_over := _speaking_at(spans, talk, responses, at):
                marks.append(Mark("person", "interrupted", at, f"speaks over the answer after {talk_over:.1f} s"))
        elif type_ == "input_audio_buffer.speech_stopped":
            asked_at = at
            start_ms, _ = speech.pop(event.get("item_id") or "", (0, at))
            first = origin + start_ms * c.BYTES_PER_MS
            last = origin + int(event.get("audio_end_ms") or 0) * c.BYTES_PER_MS
            live_spans.append((first, last))
            turn = talk.turn(event.get("item_id") or "")
            # A file goes out faster than it plays, so there the moment of the event is all there is to go by.
            begins, ends = appends.when(first), appends.when(last)
            # What the detector adds in front may have been sent long before; nobody speaks slower than time.
            begins = max(begins, ends - (last - first) / _BYTES_PER_SECOND)
            if ends - begins < 0.3 * (last - first) / _BYTES_PER_SECOND:
                continue
            label = (turn.transcript or "") if turn is not None else ""
            seconds = (last - first) / _BYTES_PER_SECOND
            read = functools.partial(session.log.heard.read, first, last)
            spans.append(Span("person", "speech", begins, ends, label, "completed", seconds, read))
        elif type_ == "response.created":
            responses.append((event.get("response") or {}).get("id") or "")
        elif type_ == "response.function_call_arguments.done":
            name = event.get("name") or (talk.turn(event.get("item_id") or "") or c.Turn("")).item.get("name") or ""
            calls.setdefault(event.get("call_id") or "", (at, name, event.get("arguments") or ""))
        elif type_ == "response.done":
            response = event.get("response") or {}
            for item in response.get("output") or ():
                if item.get("type") == "function_call":
                    named = (at, item.get("name") or "", item.get("arguments") or "")
                    calls.setdefault(item.get("call_id") or "", named)
        elif type_ == "conversation.item.truncated":
            ms = int(event.get("audio_end_ms") or 0)
            marks.append(Mark("model", "truncated", at, f"cut to the {ms / 1000:.1f} s that were heard"))
        if type_ == "response.created" and asked_at is not None:
            answered = talk.responses.get(responses[-1])
            if answered is not None:
                first_at = answered.first_sound_at or written.get(responses[-1])
                if first_at is not None:
                    label = f"{first_at - asked_at:.2f} s to the first {'sound' if answered.first_sound_at else 'word'}"
                    marks.append(Mark("model", "first_sound", first_at, label, asked_at))
                    asked_at = None
    end_stretch()
    # A microphone is on all the time; only what the server took for speech is worth a bar.
    spans = [s for s in spans if not (s.kind == "sent" and s.status == "live" and live_spans)]
    spans = [replace(s, status="completed") if s.status == "live" else s for s in spans]
    for response_id in dict.fromkeys(responses):
        if (response := talk.responses.get(response_id)) is not None:
            spans += _answer(talk, response, written)
    for at, name, arguments in calls.values():
        spans.append(Span("tools", "tool", at, at, f"{name}({_short(arguments)})", "incomplete"))
    return spans, marks


def _sending(session: Session, appends: _Appends, first: int, start: float, last: float) -> Span:
    size = appends.size - first
    seconds = size / _BYTES_PER_SECOND
    live = seconds > 1 and last - start > 0.4 * seconds
    read = functools.partial(session.log.heard.read, first, first + size)
    label, status = f"{seconds:.1f} s of sound", "live" if live else "completed"
    return Span("person", "sent", start, max(last, start + 0.02), label, status, seconds, read)


def _read_sent(entry: Entry, marks: list[Mark], spans: list[Span], calls: dict[str, tuple[float, str, str]]) -> None:
    at, event = entry.at_seconds, entry.silent
    if entry.type != "conversation.item.create":
        return
    item = event.get("item") or {}
    if item.get("type") == "function_call_output":
        begun, name, arguments = calls.pop(item.get("call_id") or "", (at, "", ""))
        said = str(item.get("output") or "")
        failed = said.startswith("Error") or '"error"' in said[:20]
        label = f"{name}({_short(arguments)}) → {said}"
        spans.append(Span("tools", "tool", begun, max(at, begun), label, "failed" if failed else "completed"))
        return
    content = item.get("content") or ()
    if text := " ".join(part["text"] for part in content if part.get("text")):
        lane: Lane = "model" if item.get("role") == "assistant" else "person"
        marks.append(Mark(lane, "typed", at, text if item.get("role") == "user" else f"earlier: {text}"))
    if any(part.get("type") == "input_image" for part in content):
        marks.append(Mark("person", "picture", at, "a picture"))


def _short(arguments: str) -> str:
    try:
        values = json.loads(arguments or "{}")
    except ValueError:
        return arguments
    return ", ".join(f"{k}={v!r}" for k, v in values.items()) if isinstance(values, dict) else arguments


def _first_words(entries: Sequence[Entry]) -> dict[str, float]:
    """When the first written word of each response came."""
    first: dict[str, float] = {}
    for entry in entries:
        if entry.direction == "received" and entry.type.endswith("text.delta"):
            first.setdefault(entry.silent.get("response_id") or "", entry.at_seconds)
    return first


def _speaking_at(spans: Sequence[Span], talk: c.Conversation, responses: Sequence[str], at: float) -> float:
    """How many seconds of an answer had played at this moment; 0.0 if none was playing."""
    if not responses or (response := talk.responses.get(responses[-1])) is None or response.first_sound_at is None:
        return 0.0
    length = sum(turn.audio_ms for turn in response.turns) / 1000
    played = at - response.first_sound_at
    return played if 0 < played < length else 0.0


def _answer(talk: c.Conversation, response: c.Response, written: Mapping[str, float]) -> list[Span]:
    """What the model did in one response: prepare, then speak or write."""
    if response.started_at is None:
        return []
    turns = response.turns
    label = " ".join(turn.words for turn in turns if turn.type == "message" and turn.words)
    ended = response.ended_at if response.ended_at is not None else response.started_at
    reason = (response.status_details or {}).get("reason")
    status = "interrupted" if reason == "turn_detected" else response.status
    if response.first_sound_at is not None:
        first = response.first_sound_at
        size = sum(turn._pcm_bytes for turn in turns)
        cut = next((turn.truncated_ms for turn in turns if turn.truncated_ms is not None), None)
        if cut is not None:
            size, status = min(size, cut * c.BYTES_PER_MS), "interrupted"
        seconds = size / _BYTES_PER_SECOND

        def read() -> bytes:
            return b"".join(part for turn in turns for part in turn._pcm)[:size]

        return [
            Span("model", "waiting", response.started_at, first),
            Span("model", "speaking", first, first + seconds, label, status, seconds, read),
        ]
    if any(turn.type == "message" for turn in turns):
        begun = written.get(response.id, response.started_at)
        return [
            Span("model", "waiting", response.started_at, begun),
            Span("model", "writing", begun, max(ended, begun), label, status),
        ]
    return [Span("model", "waiting", response.started_at, ended, "" if status == "completed" else label, status)]


# --- drawing ----------------------------------------------------------------------------------------------------------

_LEFT, _RIGHT, _TOP = 74, 14, 30
_ROW = 32  # what starts while the lane is taken gets a row below
_HEIGHTS = {"person": 72, "model": 76, "tools": 40, "socket": 50}
_CHAR = 6.7  # about the width of a letter at 12 px


class _Scale:
    """Seconds to pixels, with long pauses folded."""

    def __init__(self, busy: Iterable[tuple[float, float]], width: float) -> None:
        self.pieces: list[tuple[float, float, float]] = []  # start, end, seconds drawn
        self.folds: list[tuple[float, float]] = []
        merged: list[list[float]] = []
        for start, end in sorted(busy):
            if merged and start - merged[-1][1] <= _FOLD_SECONDS:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        for number, (start, end) in enumerate(merged):
            if number:
                self.folds.append((merged[number - 1][1], start))
                self.pieces.append((*self.folds[-1], _FOLDED_SECONDS))
            self.pieces.append((start, end, max(end - start, 0.2)))
        self.length = sum(drawn for _, _, drawn in self.pieces) or 1.0
        self.pixels_per_second = width / self.length

    def __call__(self, at: float) -> float:
        x = 0.0
        for start, end, drawn in self.pieces:
            if at <= end or end == start == at:
                return (x + max(0.0, at - start) / max(end - start, 1e-9) * drawn) * self.pixels_per_second
            x += drawn
        return self.length * self.pixels_per_second


class _Picture:
    def __init__(self, timeline: Timeline, width: int) -> None:
        self.timeline = timeline
        self.width = width
        busy = [(span.start_seconds, span.end_seconds) for span in timeline.spans]
        busy += [(mark.at_seconds, mark.at_seconds) for mark in timeline.marks]
        self.scale = _Scale(busy or [(0.0, 1.0)], width - _LEFT - _RIGHT)
        self.length = self.scale.length
        self.origin = min((start for start, _ in busy), default=0.0)

    def x(self, at: float) -> float:
        return _LEFT + self.scale(at)

    def draw(self) -> str:
        lanes = [lane for lane in LANES if lane != "tools" or any(s.lane == "tools" for s in self.timeline.spans)]
        tops: dict[str, float] = {}
        y = float(_TOP)
        self.rows = self._rows()
        self.heights = {
            lane: _HEIGHTS[lane]
            + _ROW
            * max((row for s, row in zip(self.timeline.spans, self.rows, strict=True) if s.lane == lane), default=0)
            for lane in lanes
        }
        for lane in lanes:
            tops[lane] = y
            y += self.heights[lane]
        height = y + 6
        parts = [self._axis(height)]
        for lane in lanes:
            middle = tops[lane] + self.heights[lane] / 2 + 4
            parts.append(f'<line class="base" x1="0" x2="{self.width}" y1="{tops[lane]:g}" y2="{tops[lane]:g}"/>')
            parts.append(f'<text class="lane" x="6" y="{middle:g}">{lane}</text>')
        for start, end in self.scale.folds:
            left, right = self.x(start), self.x(end)
            size = f'width="{right - left:.1f}" height="{height - _TOP - 6:g}"'
            parts.append(
                f'<rect class="fold" x="{left:.1f}" y="{_TOP}" {size}>'
                f"<title>{end - start:.0f} s in which nothing happened</title></rect>"
                f'<text class="small" text-anchor="middle" x="{(left + right) / 2:.1f}" y="{height - 10:g}">'
                f"{_duration(end - start)}</text>"
            )
        parts.append(self._ticks(tops["socket"]))
        for number, span in enumerate(self.timeline.spans):
            parts.append(self._span(number, span, tops[span.lane]))
        parts += self._marks(tops)
        count = len(self.timeline.spans)
        label = f"Timeline of {self.timeline.title}: {count} stretches in lanes for {', '.join(lanes)}"
        return (
            f'<svg class="rtnb-tl" role="group" aria-label="{escape(label)}" viewBox="0 0 {self.width} {height:g}" '
            f'width="{self.width}">{_HATCH}{"".join(parts)}</svg>'
        )

    def _rows(self) -> list[int]:
        """In which row of its lane each stretch is drawn: the first that is free where it begins."""
        rows: list[int] = []
        ends: dict[str, list[float]] = {}
        for span in self.timeline.spans:
            if span.kind == "waiting":
                rows.append(0)
                continue
            lane = ends.setdefault(span.lane, [])
            left, right = self.x(span.start_seconds), self.x(span.end_seconds)
            row = next((n for n, end in enumerate(lane) if end <= left + 1), len(lane))
            lane[row : row + 1] = [max(right, left + 3)]
            rows.append(row)
        return rows

    def _axis(self, height: float) -> str:
        """Ticks a person would choose, counted from the beginning; none inside a fold."""
        least = 64 / self.scale.pixels_per_second
        step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, math.inf) if s >= least)
        parts = []
        for start, end, drawn in self.scale.pieces:
            if drawn == _FOLDED_SECONDS and (start, end) in self.scale.folds:
                continue
            first = math.ceil(round((start - self.origin) / step, 6))
            for n in range(first, int((end - self.origin) / step + 1e-6) + 1) if math.isfinite(step) else ():
                x = self.x(self.origin + n * step)
                label = f"{n * step:.1f} s" if step < 1 else _duration(n * step)
                parts.append(
                    f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="20" y2="{height - 6:g}"/>'
                    f'<text class="small" text-anchor="middle" x="{x:.1f}" y="14">{label}</text>'
                )
        return "".join(parts)

    def _span(self, number: int, span: Span, top: float) -> str:
        left, right = self.x(span.start_seconds), self.x(span.end_seconds)
        width = max(right - left, 3.0)
        thin = span.kind == "waiting"
        y = top + (38 if thin else 26) if span.lane == "model" else top + (26 if span.lane == "person" else 9)
        y += _ROW * self.rows[number]
        height = 6 if thin else 26
        words = f"{span.lane} {_words(span)}, {span.seconds:.1f} s"
        label = span.label or _KINDS.get(span.kind, "")
        begins = left + 6
        room = width - 10
        if room < 8 * _CHAR and not thin:  # beside a narrow bar, up to the next one
            later = [s.start_seconds for s in self.timeline.spans[number + 1 :] if s.lane == span.lane]
            beside = (self.x(min(later)) if later else self.width - _RIGHT) - left - width - 8
            if beside > room:
                begins, room = left + width + 4, beside
        cut = "" if thin else _cut(label, int(room / _CHAR))
        plays = span.sound_seconds >= 0.02
        act = f' role="button" tabindex="0" data-sound="{number}"' if plays else ' role="img"'
        status = "" if span.status == "completed" else " broken"
        place = f'x="{left:.1f}" y="{y:g}" width="{width:.1f}" height="{height}" rx="{3 if thin else 5}"'
        body = f'<rect class="bar" {place}/>'
        if status and not thin:
            body += f'<rect class="hatch" {place}/>'
        if plays:
            around = f'x="{left - 2:.1f}" y="{y - 2:g}" width="{width + 4:.1f}" height="{height + 4}" rx="7"'
            body += f'<rect class="played" {place}/><rect class="ring" {around}/>'
        inside = "in" if begins == left + 6 else "note"
        text = f'<text class="{inside}" x="{begins:.1f}" y="{y + 17:g}">{escape(cut)}</text>' if cut else ""
        aria = escape(("Play: " if plays else "") + words)
        title = f"<title>{escape(words)}</title>"
        return f'<g class="{span.lane} {span.kind}{status}"{act} aria-label="{aria}">{title}{body}{text}</g>'

    def _marks(self, tops: dict[str, float]) -> list[str]:
        parts = []
        free: dict[tuple[str, int], float] = {}  # where the next label of a lane may begin
        for mark in self.timeline.marks:
            if not mark.label:
                continue
            x, top = self.x(mark.at_seconds), tops[mark.lane]
            if mark.lane == "socket":
                y = top + 44
            elif mark.kind == "truncated" or mark.kind == "interrupted":
                y = top + self.heights[mark.lane] - (8 if mark.lane == "model" else 7)
            else:
                y = top + 18
            room = int((self.width - _RIGHT - x) / _CHAR)
            begins = x + 6
            anchor = "start"
            if room < min(len(mark.label), 26):
                anchor, begins = "end", x - 6
            label = _cut(mark.label, 44)
            long = len(label) * _CHAR
            left = begins if anchor == "start" else begins - long
            key = (mark.lane, int(y))
            shown = left >= free.get(key, 0.0)
            line = ""
            if mark.since_seconds is not None:
                since = self.x(mark.since_seconds)
                line = f'<line class="measure" x1="{since:.1f}" x2="{x:.1f}" y1="{top + 22:g}" y2="{top + 22:g}"/>'
            body = ""
            if shown:
                free[key] = left + long + 8
                body = f'<text class="note" text-anchor="{anchor}" x="{begins:.1f}" y="{y:g}">{escape(label)}</text>'
            if not shown and x < free[key]:  # it would be drawn into the words of another; the table has it
                continue
            shape = (
                f'<path class="flag" d="M{x:.1f} {y - 10:.1f}l4 5l-4 5l-4 -5z"/>'
                if mark.kind != "error"
                else f'<path class="flag" d="M{x - 4:.1f} {y - 9:.1f}l8 8m0 -8l-8 8"/>'
            )
            parts.append(
                f'<g class="mark {mark.lane} {mark.kind}" role="img" aria-label="{escape(mark.label)}">'
                f"<title>{escape(mark.label)}</title>{line}{shape}{body}</g>"
            )
        return parts

    def _ticks(self, top: float) -> str:
        """Every event of the socket as a hair: up what we sent, down what came; those on one pixel are one."""
        paths = {}
        for kind, direction in (("sent", "v-9"), ("received", "v9")):
            xs = sorted({round(self.x(m.at_seconds)) for m in self.timeline.marks if m.kind == kind and not m.label})
            paths[kind] = "".join(f"M{x} {top + 20:g}{direction}" for x in xs)
        right = self.width - _RIGHT
        return (
            f'<line class="wire" x1="{_LEFT}" x2="{right}" y1="{top + 20:g}" y2="{top + 20:g}"/>'
            f'<path class="tick" d="{paths["sent"]}"><title>sent</title></path>'
            f'<path class="tick" d="{paths["received"]}"><title>received</title></path>'
        )


def _cut(text: str, letters: int) -> str:
    text = " ".join(text.split())
    if letters < 4:
        return ""
    return text if len(text) <= letters else text[: letters - 1].rstrip() + "…"


def _duration(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"


_HATCH = (
    '<defs><pattern id="rtnb-hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect width="3" height="7"/></pattern></defs>'
)
# Light by default, dark where the notebook's theme or, outside a notebook, the reader's system says so.
_CSS = """
.rtnb-tl,.rtnb-tlbox{--fg:var(--jp-content-font-color1,#1f2328);--dim:var(--jp-content-font-color2,#59636e);
--line:var(--jp-border-color2,#d1d9e0);--person:#cfe3ff;--model:#cdeed6;--tools:#ffe2b8;--quiet:#8fb99b;
--ink:#14181d}
@media (prefers-color-scheme:dark){.rtnb-tl,.rtnb-tlbox{--fg:var(--jp-content-font-color1,#e6edf3);
--dim:var(--jp-content-font-color2,#9aa4ae);--line:var(--jp-border-color2,#3d444d)}}
.rtnb-tl{max-width:none;height:auto;font:12px/1.3 system-ui,sans-serif;color:var(--fg);display:block}
.rtnb-tl text{fill:var(--fg)}.rtnb-tl .small,.rtnb-tl .lane{fill:var(--dim)}.rtnb-tl .lane{font-weight:600}
.rtnb-tl .small{font-size:11px}.rtnb-tl .in{fill:var(--ink);pointer-events:none}
.rtnb-tl .base,.rtnb-tl .wire{stroke:var(--line)}.rtnb-tl .grid{stroke:var(--line);stroke-dasharray:1 4}
.rtnb-tl .fold{fill:var(--line);opacity:.35}
.rtnb-tl .person .bar{fill:var(--person);stroke:#5b8fd6}.rtnb-tl .model .bar{fill:var(--model);stroke:#4c9a63}
.rtnb-tl .tools .bar{fill:var(--tools);stroke:#c98a2b}.rtnb-tl .waiting .bar{fill:var(--quiet);stroke:none}
.rtnb-tl .hatch{fill:url(#rtnb-hatch);opacity:.28;pointer-events:none}.rtnb-tl pattern rect{fill:#b3261e}
.rtnb-tl .broken .bar{stroke:#b3261e;stroke-width:1.5}
.rtnb-tl .played{fill:#000;opacity:.16;transform:scaleX(var(--p,0));transform-box:fill-box;transform-origin:left;
pointer-events:none}
.rtnb-tl [data-sound]{cursor:pointer}.rtnb-tl [data-sound]:hover .bar{filter:brightness(.95)}
.rtnb-tl .ring{fill:none;stroke:none}.rtnb-tl [data-sound]:focus{outline:none}
.rtnb-tl [data-sound]:focus-visible .ring{stroke:var(--fg);stroke-width:2}
.rtnb-tl .tick{stroke:var(--dim);stroke-width:1;fill:none;opacity:.75}
.rtnb-tl .flag{fill:var(--dim);stroke:none}.rtnb-tl .note{fill:var(--fg);font-size:11.5px}
.rtnb-tl .measure{stroke:var(--fg);stroke-width:1.5}
.rtnb-tl .error .flag{stroke:#d1242f;stroke-width:2;fill:none}
.rtnb-tl .error .note,.rtnb-tl .dropped .note{fill:var(--red)}
.rtnb-tl,.rtnb-tlbox{--red:#b3261e}
@media (prefers-color-scheme:dark){.rtnb-page .rtnb-tl,.rtnb-page{--red:#ff8a80}}
[data-jp-theme-light=false] .rtnb-tl{--red:#ff8a80}
.rtnb-tl .interrupted .flag,.rtnb-tl .truncated .flag{fill:#d1242f}
.rtnb-tlbox{overflow-x:auto}.rtnb-tlbox p{margin:.2rem 0;color:var(--dim);font:12px system-ui,sans-serif}
@media (forced-colors:active){.rtnb-tl .bar{fill:Canvas!important;stroke:CanvasText!important}
.rtnb-tl text,.rtnb-tl .in{fill:CanvasText}}
"""
_MOVE = (
    " ontimeupdate=\"var g=this.closest('.rtnb-tlbox').querySelector('[data-sound=&quot;'+this.dataset.of+'&quot;]');"
    "g.style.setProperty('--p',this.ended?0:this.currentTime/this.duration||0)\""
)
# One handler on the frame: plays the bar that was clicked (Enter and Space do the same), stops the one that plays.
_CLICK = (
    " onclick=\"var g=event.target.closest('[data-sound]');if(!g)return;this.querySelectorAll('audio').forEach("
    "function(a){if(a.dataset.of!==g.dataset.sound){a.pause();a.currentTime=0}"
    'else if(a.paused)a.play();else a.pause()})"'
    " onkeydown=\"if((event.key==='Enter'||event.key===' ')&&event.target.dataset.sound!==undefined)"
    "{event.preventDefault();event.target.dispatchEvent(new MouseEvent('click',{bubbles:true}))}\""
)


def _block(svg: str, sounds: str, note: str, width: int = 0) -> str:
    told = f"<p>{escape(note)}</p>" if note else ""
    # In a page the picture may be wider than the window and is scrolled; in a notebook it fits the cell.
    fit = "min-width:100%" if width else "width:100%"
    svg = svg.replace('class="rtnb-tl"', f'class="rtnb-tl" style="{fit}"', 1)
    handlers = _CLICK if sounds else ""
    return html.root(svg + sounds + told, kind="rtnb-tlbox", css=f"<style>{_CSS}</style>", attributes=handlers)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Timeline: {title}</title>
<style>body{{margin:1.5rem;font:14px/1.5 system-ui,sans-serif;background:Canvas;color:CanvasText}}
h1{{font-size:1.2rem}}table{{border-collapse:collapse;margin-top:1rem}}
th,td{{text-align:left;padding:.25rem .75rem;border-bottom:1px solid #8884;vertical-align:top}}</style></head>
<body class="rtnb-page mathjax_ignore tex2jax_ignore"><h1>Timeline: {title}</h1>{block}
<details><summary>The same in words</summary>{table}</details></body></html>
"""
