"""The log: every event both ways with its time, and the audio in them kept outside memory.

A minute of speech is 2.9 MB of PCM16 and 3.8 MB of base64, and an hour of a recording must not live in memory. So the
audio we send goes, decoded, to a spool that spills to disk; the audio we receive is kept decoded, by the same bytes
that the conversation keeps. An event gets its audio back, to the letter, when somebody looks.
"""

import tempfile
import threading
import weakref
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from rtnb.protocol.event_types import AUDIO_FIELDS
from rtnb.protocol.frames import Event, decode_audio, encode_audio

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
        start = max(0, start)
        with self._lock:
            self._file.seek(start)
            return self._file.read(max(0, min(end, self.size) - start))


class _Spooled(NamedTuple):
    spool: Spool
    start: int
    end: int


@dataclass(slots=True, eq=False, repr=False)
class Entry:
    """Event of the log, with its time and its direction.

    Attributes:
        at_seconds: When it was sent or received, in seconds since the log began.
        direction: `"sent"` or `"received"`.
    """

    at_seconds: float
    direction: Literal["sent", "received"]
    _event: Event | str
    _audio: bytes | _Spooled | None = None

    @property
    def type(self) -> str:
        """Type of the event, as it was on the wire."""
        return _APPEND if isinstance(self._event, str) else self._event["type"]

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
        return self._add(Entry(at_seconds, "sent", event, _Spooled(self.heard, start, start + len(pcm))))

    def received(self, event: Event, at_seconds: float) -> Entry:
        """Keep a server event. Audio that is no base64 is kept as it came."""
        if (pcm := _decoded(event)) is None:
            return self._add(Entry(at_seconds, "received", event))
        # In place: the event is nobody else's yet, and the base64 must not stay alive.
        event[AUDIO_FIELDS[event["type"]]] = ""
        return self._add(Entry(at_seconds, "received", event, pcm))

    def _add(self, entry: Entry) -> Entry:
        self.append(entry)
        return entry

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
