"""Entry of the log: an event with its time and its direction, and the spool that keeps audio outside memory."""

import tempfile
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from rtnb.protocol.event_types import AUDIO_FIELDS
from rtnb.protocol.frames import Event, dumps, encode_audio

APPEND = "input_audio_buffer.append"


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

    Examples:
        >>> reply = rtnb.ask("Hello", practice=True, modalities="text", show=False).wait()
        >>> entry = reply.session.log[0]
        >>> entry.direction, entry.type, entry.sound_bytes
        ('received', 'session.created', 0)
    """

    at_seconds: float
    direction: Literal["sent", "received"]
    _event: Event | str
    sound_bytes: int = 0
    _read: Callable[[], bytes] | None = None

    @property
    def type(self) -> str:
        """Type of the event, as it was on the wire."""
        return APPEND if isinstance(self._event, str) else self._event["type"]

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
            return {"type": APPEND, "event_id": self._event, "audio": ""}
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
