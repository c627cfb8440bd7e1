"""Entry of the log: an event with its time and its direction, and the spools that keep what it holds outside memory."""

import contextlib
import mmap
import os
import tempfile
import weakref
from dataclasses import dataclass
from typing import Any, Literal

from rtnb.protocol.event_types import AUDIO_FIELDS
from rtnb.protocol.frames import Event, dumps, encode_audio, parse

APPEND = "input_audio_buffer.append"


_BLOCK_BYTES = 128 << 10


class Spool:
    """Bytes written in order by one thread and read anywhere by any; the last few in memory, the others on disk.

    The file on disk has no name where the system can do so, and is gone when the process ends, however it ends. What a
    full disk does not take stays in memory.
    """

    def __init__(self) -> None:
        self._file: int | None = None  # its descriptor: what a buffer cannot write would be in nobody's hands
        self._last = 0, bytearray()  # where begins what is not on disk yet, and that: one object, for who reads now
        self._most = _BLOCK_BYTES
        self._found = 0, b""  # what was read last: lines are mostly read in order

    @property
    def size(self) -> int:
        """How many bytes have been written."""
        return self._last[0] + len(self._last[1])

    def write(self, data: bytes) -> int:
        """Add bytes at the end and return the offset at which they begin."""
        start, (_, last) = self.size, self._last
        last += data
        if len(last) > self._most:  # one large write costs much less than many small ones
            with contextlib.suppress(OSError):
                if self._file is None:
                    with tempfile.TemporaryFile() as file:
                        self._file = os.dup(file.fileno())
                    weakref.finalize(self, os.close, self._file).atexit = False  # it may be read at the very end
                os.lseek(self._file, self._last[0], os.SEEK_SET)
                while self._last[1]:
                    written = os.write(self._file, self._last[1])
                    self._last = self._last[0] + written, self._last[1][written:]
            self._most = max(_BLOCK_BYTES, 2 * len(self._last[1]))
        return start

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from offset `start` up to `end`, both clamped to what is there."""
        start, (at, last), found = max(0, start), self._last, b""
        if self._file is not None and start < min(at, end):
            # Not through the file's position, which a forked child shares with us.
            with mmap.mmap(self._file, 0, access=mmap.ACCESS_READ) as on_disk:
                found = on_disk[start : min(at, end)]
        return found + last[max(0, start - at) : max(0, end - at)]

    def line(self, start: int) -> bytes:
        """Return the bytes from offset `start` to the end of the line."""
        (at, found), size = self._found, 0
        while start < at or (end := found.find(b"\n", start - at)) < 0:
            if len(found) < size:
                return found  # the last, without its end
            size = size * 2 or _BLOCK_BYTES
            at, found = start, self.read(start, start + size)
            if size == _BLOCK_BYTES:
                self._found = at, found
        return found[start - at : end]


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
