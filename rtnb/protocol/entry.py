"""Entry of the log: an event with its time and its direction, and the spools that keep what it holds outside memory."""

import tempfile
import threading
import weakref
from dataclasses import dataclass
from typing import Any, Literal

from rtnb.protocol.event_types import AUDIO_FIELDS
from rtnb.protocol.frames import Event, dumps, encode_audio, parse

APPEND = "input_audio_buffer.append"


_IN_MEMORY_BYTES = 128 << 10


class Spool:
    """Bytes written in order by one thread and read anywhere by any; the last few in memory, the others on disk.

    The file on disk has no name where the system can do so, and is gone when the process ends, however it ends.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=1)  # noqa: SIM115 - lives as long as we
        weakref.finalize(self, self._file.close)
        self._last = bytearray()  # what is not on disk yet
        self._lock = threading.Lock()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Add bytes at the end and return the offset at which they begin."""
        with self._lock:
            start = self.size
            self._last += data
            self.size = start + len(data)
            if len(self._last) > _IN_MEMORY_BYTES:  # one large write costs much less than many small ones
                self._move()
            return start

    def _move(self) -> None:
        """Move to disk what is not there yet."""
        self._file.seek(self.size - len(self._last))
        self._file.write(self._last)
        self._last = bytearray()

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from offset `start` up to `end`, both clamped to what is there."""
        start = max(0, start)
        with self._lock:
            at = start - (self.size - len(self._last))
            if at >= 0:
                return bytes(self._last[at : max(at, at + end - start)])
            if at + end - start > 0:
                self._move()
            self._file.seek(start)
            return self._file.read(max(0, end - start))

    def line(self, start: int) -> bytes:
        """Return the bytes from offset `start` to the end of the line, which was written as a whole."""
        with self._lock:
            at = start - (self.size - len(self._last))
            if at >= 0:
                return bytes(self._last[at : self._last.find(b"\n", at)])
            self._file.seek(start)
            return self._file.readline()


@dataclass(slots=True, eq=False, repr=False)
class Entry:
    """Event of the log, with its time and its direction.

    Attributes:
        at_seconds: When it was sent or received, in seconds since the log began.
        direction: `"sent"` or `"received"`.
        type: Type of the event, as it was on the wire.
        lines: What holds it as JSON, its audio taken out.
        line: At which byte.
        sounds: What holds its audio. None where it has none.
        sound_at: At which byte.
        sound_bytes: Size of the audio it carries, decoded.

    Examples:
        >>> reply = rtnb.ask("Hello", practice=True, modalities="text", show=False).wait()
        >>> entry = reply.session.log[0]
        >>> entry.direction, entry.type, entry.sound_bytes
        ('received', 'session.created', 0)
    """

    at_seconds: float
    direction: Literal["sent", "received"]
    type: str
    lines: Spool
    line: int
    sounds: Spool | None = None
    sound_at: int = 0
    sound_bytes: int = 0

    @property
    def event(self) -> dict[str, Any]:
        """Event as it was on the wire, its audio included."""
        return self._with(encode_audio(self.sound)) if self.sounds else self.silent

    @property
    def silent(self) -> Event:
        """Event with its audio taken out, read from the log anew each time."""
        return parse(self.json)[0]

    @property
    def json(self) -> bytes:
        """The same as it is kept, in UTF-8."""
        return self.lines.line(self.line).rstrip()

    @property
    def brief(self) -> dict[str, Any]:
        """Event with the size of its audio in place of the audio, for printing."""
        return self._with(f"<{self.sound_bytes} bytes of sound>") if self.sounds else self.silent

    def _with(self, audio: str) -> dict[str, Any]:
        return {**self.silent, AUDIO_FIELDS[self.type]: audio}

    @property
    def sound(self) -> bytes:
        """Audio it carries, decoded; empty for an event without."""
        return self.sounds.read(self.sound_at, self.sound_at + self.sound_bytes) if self.sounds else b""

    @property
    def size_bytes(self) -> int:
        """Size of the event on the wire, its audio in base64."""
        return len(dumps(self.silent)) + (self.sound_bytes + 2) // 3 * 4

    def __repr__(self) -> str:
        return f"{self.at_seconds:8.3f} s {'→' if self.direction == 'sent' else '←'} {self.type}"
