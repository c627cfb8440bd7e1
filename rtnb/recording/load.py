"""Read a saved session."""

from __future__ import annotations

import functools
import io
import json
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rtnb.audio.pcm import RATE_HZ
from rtnb.errors import ReplayError
from rtnb.protocol import frames, server_events
from rtnb.protocol.event_types import AUDIO_FIELDS
from rtnb.protocol.log import Spool
from rtnb.recording.save import VERSION


class RecordedEvent(NamedTuple):
    """Event of a recording.

    Attributes:
        at_seconds: When it was sent or received.
        sent: Whether the client sent it.
        event: The event without its audio.
        place: Where its audio is: track, first byte, byte after the last. None without.
    """

    at_seconds: float
    sent: bool
    event: dict[str, Any]
    place: tuple[str, int, int] | None = None

    @property
    def type(self) -> str:
        """Return the event's type."""
        return self.event["type"]

    @property
    def size_bytes(self) -> int:
        """Return how much audio it carries, decoded."""
        return self.place[2] - self.place[1] if self.place else 0


@dataclass(frozen=True)
class Recording:
    """Saved session.

    Attributes:
        path: Where it was read from.
        model: The model that answered.
        source: Who answered then.
        events: Its events, in order.
        tracks: Its audio, by track.
        pictures: The pictures that its events carried, as data URLs.
    """

    path: Path
    model: str
    source: str
    events: list[RecordedEvent] = field(repr=False)
    tracks: Mapping[str, Spool] = field(repr=False)
    pictures: Mapping[int, str] = field(repr=False)

    def audio(self, place: Iterable[Any]) -> bytes:
        """Return the samples at a place, s16le 24 kHz mono."""
        name, start, end = place
        return self.tracks[name].read(start, end) if name in self.tracks else b""

    def whole(self, recorded: RecordedEvent) -> dict[str, Any]:
        """Return an event whole again, its audio inside."""
        event: dict[str, Any] = self._filled(recorded.event)
        if recorded.place is not None:
            event[AUDIO_FIELDS[recorded.type]] = frames.encode_audio(self.audio(recorded.place))
        return event

    def _filled(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._filled(part) for part in value]
        if not isinstance(value, dict):
            return value
        if set(value) == {"sound"} and isinstance(value["sound"], list):
            return frames.encode_audio(self.audio(value["sound"]))
        if set(value) == {"picture"} and isinstance(value["picture"], int):
            return self.pictures.get(value["picture"], "")
        return {name: self._filled(part) for name, part in value.items()}


def open_recording(path: str | os.PathLike[str]) -> Recording:
    """Read a saved session.

    Args:
        path: The file `Session.save` wrote.

    Raises:
        ReplayError: If there is no such file, or it is none of ours, damaged, or of a later version.
    """
    where = Path(path).expanduser()
    try:
        stat = where.stat()
    except OSError as error:
        raise ReplayError(f"The recording {where} cannot be read: {error.strerror}. Check the path.") from error
    return _read(where.resolve(), stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=4)
def _read(where: Path, _changed: int, _size: int) -> Recording:
    wrong = f"The file {where.name} is no recording of a session. Give one that chat.save() wrote."
    try:
        with zipfile.ZipFile(where) as archive:
            about = json.loads(archive.read("session.json"))
            if about["version"] > VERSION:
                raise ReplayError(f"The recording {where.name} was made by a newer rtnb. Install that version.")
            events = [_event(json.loads(text)) for text in archive.read("events.jsonl").splitlines() if text.strip()]
            sizes = {name: size for name, size in about["sizes"].items() if size}
            tracks = {name: _decoded(archive.read(f"{name}.{about['sound']}"), size) for name, size in sizes.items()}
            names = [name for name in archive.namelist() if name.startswith("picture-")]
            pictures = {int(name[8:-4]): archive.read(name).decode() for name in names}
            return Recording(where, about.get("model") or "", about.get("source") or "", events, tracks, pictures)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError, RuntimeError, OSError) as error:
        raise ReplayError(wrong) from error


def _event(line: Mapping[str, Any]) -> RecordedEvent:
    place, event = line.get("sound"), line["event"]
    if not isinstance(event, dict) or not isinstance(event["type"], str):
        raise ValueError("no event")
    if not (sent := line["by"] == "us"):
        event, _ = server_events.read(event)
    return RecordedEvent(float(line["at"]), sent, event, None if place is None else tuple(place))


def _decoded(data: bytes, size: int) -> Spool:
    """Decode a track, onto disk where it is long; exactly as many bytes as were saved, whatever the codec rounds."""
    import soundfile

    spool = Spool()
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        for block in file.blocks(RATE_HZ * 10, dtype="int16"):
            spool.write(block.astype("<i2", copy=False).tobytes())
    spool.write(bytes(max(0, size - spool.size)))
    return spool
