"""The log: every event both ways with its time, and the audio in them kept outside memory.

A minute of speech is 2.9 MB of PCM16 and 3.8 MB of base64, and an hour of a recording must not live in memory. So the
audio we send goes, decoded, to a spool that spills to disk; the audio we receive is kept decoded, by the same bytes
that the conversation keeps. An event gets its audio back, to the letter, when somebody looks.
"""

from __future__ import annotations

import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, overload

from rtnb.protocol.event_types import AUDIO_FIELDS
from rtnb.protocol.frames import Event, decode_audio, encode_audio

__all__ = ["Entry", "Log", "Spool"]

_IN_MEMORY_BYTES = 512 << 10
_APPEND = "input_audio_buffer.append"


class Spool:
    """Bytes written in order by one thread and read anywhere by any; a little in memory, then on disk."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - lives as long as we
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
        start, end = max(0, start), min(end, self.size)
        if end <= start:
            return b""
        with self._lock:
            self._file.seek(start)
            return self._file.read(end - start)


class _Spooled(NamedTuple):
    spool: Spool
    start: int
    end: int


class Entry:
    """Event of the log, with its time and its direction.

    Attributes:
        at_seconds: When it was sent or received, in seconds since the log began.
        direction: `"sent"` or `"received"`.
        type: The event's type, as it was on the wire.
    """

    __slots__ = ("_audio", "_event", "at_seconds", "direction", "type")

    def __init__(
        self,
        at_seconds: float,
        direction: Literal["sent", "received"],
        event: Event | str,
        audio: bytes | _Spooled | None = None,
    ) -> None:
        self.at_seconds = at_seconds
        self.direction = direction
        self.type: str = _APPEND if isinstance(event, str) else event["type"]
        self._event = event
        self._audio = audio

    @property
    def event(self) -> dict[str, Any]:
        """Event as it was on the wire, its audio included."""
        if self._audio is None:
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
        if self._audio is None:
            return self.silent
        return {**self.silent, AUDIO_FIELDS[self.type]: f"<{self.sound_bytes} bytes of sound>"}

    @property
    def sound(self) -> bytes:
        """Audio it carries, decoded; empty for an event without."""
        if isinstance(self._audio, _Spooled):
            return self._audio.spool.read(self._audio.start, self._audio.end)
        return self._audio or b""

    @property
    def sound_bytes(self) -> int:
        """Size of the audio it carries, decoded."""
        if isinstance(self._audio, _Spooled):
            return self._audio.end - self._audio.start
        return len(self._audio or b"")

    def __repr__(self) -> str:
        arrow = "→" if self.direction == "sent" else "←"
        return f"{self.at_seconds:8.3f} s {arrow} {self.type}"


class Log(Sequence[Entry]):
    """Events both ways, in order.

    Attributes:
        heard: Audio appended to the input audio buffer over the whole session, decoded.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self.heard = Spool()

    def sent(self, event: Event, at_seconds: float) -> Entry:
        """Keep a client event."""
        pcm = _decoded(event)
        if pcm is None:
            return self._add(Entry(at_seconds, "sent", event))
        return self._spooled({**event, AUDIO_FIELDS[event["type"]]: ""}, pcm, at_seconds)

    def appended(self, event_id: str, pcm: bytes, at_seconds: float) -> Entry:
        """Keep an `input_audio_buffer.append` whose audio is still at hand decoded."""
        # Thousands of these make up a long recording: the event is put together when somebody looks.
        return self._spooled(event_id, pcm, at_seconds)

    def received(self, event: Event, at_seconds: float) -> Entry:
        """Keep a server event. Audio that is no base64 is kept as it came."""
        pcm = _decoded(event)
        if pcm is None:
            return self._add(Entry(at_seconds, "received", event))
        # In place: the event is nobody else's yet, and the base64 must not stay alive.
        event[AUDIO_FIELDS[event["type"]]] = ""
        return self._add(Entry(at_seconds, "received", event, pcm))

    def _spooled(self, event: Event | str, pcm: bytes, at_seconds: float) -> Entry:
        start = self.heard.write(pcm)
        return self._add(Entry(at_seconds, "sent", event, _Spooled(self.heard, start, start + len(pcm))))

    def _add(self, entry: Entry) -> Entry:
        self._entries.append(entry)
        return entry

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __repr__(self) -> str:
        sent = sum(entry.direction == "sent" for entry in self._entries)
        return f"Log({sent} events sent, {len(self) - sent} received)"


def _decoded(event: Event) -> bytes | None:
    """Return the audio of an event; None where it has none, or none that can be decoded."""
    field = AUDIO_FIELDS.get(event["type"])
    if field is None or not isinstance(event.get(field), str):
        return None
    try:
        return decode_audio(event[field])
    except ValueError:
        return None
