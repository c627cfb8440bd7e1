"""The log: every event both ways with its time, and the audio in them kept outside memory.

A minute of speech is 2.9 MB of PCM16 and 3.8 MB of base64, and an hour of a recording must not live in memory. So the
audio we send goes, decoded, to a spool that spills to disk; the audio we receive is kept decoded, by the same bytes
that the conversation keeps. An event gets its audio back, to the letter, when somebody looks.
"""

import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from html import escape
from typing import Any, Literal

import orjson

from rtnb import html
from rtnb.errors import mask_secrets
from rtnb.protocol.event_types import AUDIO_FIELDS
from rtnb.protocol.frames import Event, decode_audio, dumps, encode_audio
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import say

_APPEND = "input_audio_buffer.append"


class Spool:
    """Bytes written in order by one thread and read anywhere by any; a little in memory, then on disk."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=512 << 10)  # noqa: SIM115 - lives as long as we
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Add bytes at the end and return the offset at which they begin."""
        with self._lock:
            start = self.size
            self._file.seek(start)
            self._file.write(data)
            self.size += len(data)
            return start

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from offset `start` up to `end`, both clamped to what is there."""
        start = max(0, start)
        with self._lock:
            self._file.seek(start)
            return self._file.read(max(0, min(end, self.size) - start))


@dataclass(slots=True, eq=False, repr=False)
class Entry:
    """Event of the log, with its time and its direction.

    Attributes:
        at_seconds: When it was sent or received, in seconds since the log began.
        direction: `"sent"` or `"received"`.
        sound_bytes: Size of the audio it carries, decoded.
    """

    at_seconds: float
    direction: Literal["sent", "received"]
    _event: Event | str
    sound_bytes: int = 0
    _read: Callable[[], bytes] | None = None

    @property
    def type(self) -> str:
        """Type of the event, as it was on the wire."""
        return _APPEND if isinstance(self._event, str) else self._event["type"]

    @property
    def event(self) -> dict[str, Any]:
        """Event as it was on the wire, its audio included."""
        if self._read is None:
            return self.silent
        return {**self.silent, AUDIO_FIELDS[self.type]: encode_audio(self.sound)}

    @property
    def silent(self) -> dict[str, Any]:
        """Event with its audio taken out, which is in memory anyway."""
        if isinstance(self._event, str):
            return {"type": _APPEND, "event_id": self._event, "audio": ""}
        return self._event

    @property
    def brief(self) -> dict[str, Any]:
        """Event with the size of its audio in place of the audio, for printing."""
        if self._read is None:
            return self.silent
        return {**self.silent, AUDIO_FIELDS[self.type]: f"<{self.sound_bytes} bytes of sound>"}

    @property
    def sound(self) -> bytes:
        """Audio it carries, decoded; empty for an event without."""
        return b"" if self._read is None else self._read()

    @property
    def size_bytes(self) -> int:
        """Size of the event on the wire, its audio in base64."""
        return len(dumps(self.silent)) + (self.sound_bytes + 2) // 3 * 4

    def __repr__(self) -> str:
        return f"{self.at_seconds:8.3f} s {'→' if self.direction == 'sent' else '←'} {self.type}"


class Log(list[Entry]):
    """Events both ways, in order.

    Attributes:
        heard: Audio appended to the input audio buffer over the whole session, decoded.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heard = Spool()

    def sent(self, event: Event, at_seconds: float) -> Entry:
        """Keep a client event."""
        if (pcm := _decoded(event)) is None:
            return self._add(Entry(at_seconds, "sent", event))
        return self.appended({**event, AUDIO_FIELDS[event["type"]]: ""}, pcm, at_seconds)

    def appended(self, event: Event | str, pcm: bytes, at_seconds: float) -> Entry:
        """Keep a client event whose audio is at hand decoded; of `input_audio_buffer.append` its id is enough."""
        # Thousands of these make up a long recording: the event is put together when somebody looks.
        start = self.heard.write(pcm)
        read = partial(self.heard.read, start, start + len(pcm))
        return self._add(Entry(at_seconds, "sent", event, len(pcm), read))

    def received(self, event: Event, at_seconds: float) -> Entry:
        """Keep a server event. Audio that is no base64 is kept as it came."""
        if (pcm := _decoded(event)) is None:
            return self._add(Entry(at_seconds, "received", event))
        # In place: the event is nobody else's yet, and the base64 must not stay alive.
        event[AUDIO_FIELDS[event["type"]]] = ""
        return self._add(Entry(at_seconds, "received", event, len(pcm), lambda: pcm))

    @checks_call
    def of(self, pattern: str) -> "Log":
        """Return the events of one type, or of several by a pattern such as `"response.*"`, in their order.

        Raises:
            InputError: If `pattern` is no text.
        """
        log = Log.__new__(Log)
        log.heard = self.heard
        log.extend(entry for entry in self if fnmatchcase(entry.type, pattern))
        return log

    def _add(self, entry: Entry) -> Entry:
        self.append(entry)
        return entry

    def _repr_html_(self) -> str:
        return event_table(self)

    def __repr__(self) -> str:
        sent = sum(entry.direction == "sent" for entry in self)
        return f"Log({sent} events sent, {len(self) - sent} received)"


def _decoded(event: Event) -> bytes | None:
    """Return the audio of an event; None where it has none, or none that can be decoded."""
    field = AUDIO_FIELDS.get(event["type"])
    try:
        return decode_audio(event[field]) if field and isinstance(event.get(field), str) else None
    except ValueError:
        return None


class ReceivedEvents(list[dict[str, Any]]):
    """Server events of one turn, as they were on the wire; in a notebook a table of them.

    Args:
        entries: Their entries of the log.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__(entry.event for entry in entries)
        self._entries = entries

    def _repr_html_(self) -> str:
        return event_table(self._entries)


_ROWS = 200
_JSON_CHARACTERS = 2_000


@dataclass(slots=True)
class _Row:
    first: Entry
    size_bytes: int = 0
    sound_bytes: int = 0
    words: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, entry: Entry) -> None:
        self.count += 1
        self.size_bytes += entry.size_bytes
        self.sound_bytes += entry.sound_bytes
        self.words.append(str(entry.silent.get("delta") or ""))

    def cells(self) -> tuple[str, ...]:
        """Return time, direction, type with its JSON to unfold, and size; of many deltas what they add up to."""
        first, arrow = self.first, say("→ sent") if self.first.direction == "sent" else say("← received")
        event = dict(first.silent)
        if self.sound_bytes:
            event[AUDIO_FIELDS[first.type]] = f"<{self.sound_bytes:,} bytes of sound>"
        elif self.count > 1:
            event["delta"] = "".join(self.words)
        shown = mask_secrets(orjson.dumps(event, default=str, option=orjson.OPT_INDENT_2).decode())
        shown = shown if len(shown) <= _JSON_CHARACTERS else f"{shown[:_JSON_CHARACTERS]} …"
        name = f"{first.type} × {self.count}" if self.count > 1 else first.type
        unfolds = f"<details><summary>{escape(mask_secrets(name))}</summary><pre>{escape(shown)}</pre></details>"
        size = f"{self.size_bytes:,} B" if self.size_bytes < 10_000 else f"{self.size_bytes / 1000:,.0f} KB"
        return f"{first.at_seconds:.3f} s", arrow, html.Safe(unfolds), size


def event_table(entries: Sequence[Entry], *, newest: bool = False) -> str:
    """Return events as a table: time, direction, type with its JSON to unfold, size.

    The deltas of one item are one row, and so is the audio that is appended without a break.

    Args:
        entries: Entries of a log, in their order.
        newest: Which are shown of more than 200 rows: the last, or else the first.
    """
    rows: dict[Any, _Row] = {}
    stretch = 0  # of appended audio, which any other client event ends
    for number, entry in enumerate(entries):
        key: Any = number
        if entry.type == _APPEND:
            key = (_APPEND, stretch)
        elif entry.direction == "sent":
            stretch += 1
        elif entry.type.endswith(".delta"):
            key = (entry.type, *(entry.silent.get(name) for name in ("response_id", "item_id", "content_index")))
        rows.setdefault(str(key), _Row(entry)).add(entry)
    kept = list(rows.values())[-_ROWS:] if newest else list(rows.values())[:_ROWS]
    heads = [say("time"), say("direction"), say("type"), say("size")]
    caption = say("{count} events", count=len(entries))
    if left := len(rows) - len(kept):
        more = say('{rows} more rows are in the log; log.of("response.*") shows those of a type.', rows=left)
        caption = f"{caption}. {more}"
    return html.table(
        heads, [row.cells() for row in kept], right=(0, 3), caption=caption, above=html.type_filter(say("all types"))
    )
