"""Read a saved session."""

import functools
import io
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple

from rtnb.audio import pcm as pcm_arithmetic
from rtnb.audio.pcm import RATE_HZ
from rtnb.errors import ReplayError
from rtnb.protocol import frames, server_events
from rtnb.protocol.event_types import AUDIO_FIELDS
from rtnb.protocol.log import Spool
from rtnb.recording.save import VERSION

_MEMORY_BYTES = 96 << 20  # of events and pictures, as objects: more than an hour of appends each 40 ms
_OVERHEAD_BYTES = 200  # of each event
_EVENT_BYTES = 16 << 20  # of one event with its audio or its pictures: the API takes 15 MiB of audio at a time
_LINE_BYTES = 2 << 20  # of one event without them, as text: objects can take forty times as much
_AUDIO_BYTES = 512 << 20  # of all tracks, decoded
_LIST_BYTES = 1 << 20
_LONGEST_SECONDS = 30 * 24 * 3600
_DEEPEST = 100
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


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

    What it says of its sizes is checked before memory is taken, and what it really holds while it is read.

    Args:
        path: The file `Session.save` wrote.

    Raises:
        ReplayError: If there is no such file, or it is none of ours, damaged, larger than 3 hours of audio or 96 MB of
            events and pictures, without the beginning of its session, or of a later version.
    """
    where = Path(path).expanduser()
    try:
        stat = where.stat()
        where = where.resolve()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ReplayError(f"The recording {where} cannot be read: {why}. Check the path.") from None
    if not S_ISREG(stat.st_mode):  # a pipe would be waited for, a device never ends
        raise ReplayError(f"The recording {where} cannot be read: it is no file. Check the path.")
    return _read(where, stat.st_mtime_ns, stat.st_size)


class _ShortReads(io.FileIO):
    """File of which `zipfile` takes in a list of contents of a megabyte at most."""

    def read(self, size: int | None = -1) -> Any:
        return super().read(_LIST_BYTES if size is None or size < 0 else min(size, _LIST_BYTES))


@functools.lru_cache(maxsize=4)
def _read(where: Path, _changed: int, _size: int) -> Recording:
    wrong = f"The file {where.name} is no recording of a session. Give one that chat.save() wrote."
    try:
        with _ShortReads(where) as file, zipfile.ZipFile(file) as archive:
            return _recording(where, archive)
    except ReplayError:
        raise
    except OverflowError as error:
        text = (
            f"The recording {where.name} is larger than rtnb reads: more than 3 hours of audio, or more than 96 MB of "
        )
        raise ReplayError(text + f"events and pictures ({error}). Save shorter sessions.") from error
    except Exception as error:  # whatever a damaged or forged file makes zipfile, zlib, json or soundfile raise
        raise ReplayError(wrong) from error


def _recording(where: Path, archive: zipfile.ZipFile) -> Recording:
    names = archive.namelist()
    if len(set(names)) < len(names) or any(info.compress_type not in _PACKED for info in archive.infolist()):
        raise ValueError("an entry twice, or packed in another way")
    about = json.loads(_entry(archive, "session.json", _LINE_BYTES))
    if about["version"] > VERSION:
        raise ReplayError(f"The recording {where.name} was made by a newer rtnb. Install that version.")
    sizes = _sizes(about["sizes"])
    left, pictures = _MEMORY_BYTES, dict[int, str]()
    for name in names:
        if name.startswith("picture-"):
            picture = _entry(archive, name, min(_EVENT_BYTES, max(0, left))).decode()
            pictures[int(name[8:-4])], left = picture, left - sys.getsizeof(picture)
    events = list(_events(archive, left, sizes, pictures))
    first = next((one for one in events if one.sent or one.type.endswith("session.created")), None)
    if first is None or first.sent:
        text = f"The recording {where.name} does not begin with the event session.created, without which no session "
        raise ReplayError(text + "opens. Give one of a session that was open.")
    tracks = {name: _decoded(archive, f"{name}.{about['sound']}", size) for name, size in sizes.items() if size}
    return Recording(where, about.get("model") or "", about.get("source") or "", events, tracks, pictures)


def _sizes(sizes: Mapping[str, Any]) -> dict[str, int]:
    """Return how many bytes of PCM each track has, as the file says."""
    if not sizes.keys() <= {"heard", "spoken", "more"} or not all(type(n) is int and n >= 0 for n in sizes.values()):
        raise ValueError("no sizes of tracks")
    if sum(sizes.values()) > _AUDIO_BYTES:
        raise OverflowError("its audio")
    return dict(sizes)


def _entry(archive: zipfile.ZipFile, name: str, most_bytes: int) -> bytes:
    with archive.open(name) as file:
        # Never read() alone: it unpacks everything before it compares with the size that was said.
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise OverflowError(name)
    return data


def _events(
    archive: zipfile.ZipFile, left: int, sizes: Mapping[str, int], pictures: Mapping[int, str]
) -> Iterator[RecordedEvent]:
    """Read the events, as long as they take no more than `left` bytes of memory."""
    audio_left = sum(sizes.values())
    with archive.open("events.jsonl") as packed, io.BufferedReader(packed) as lines:  # type: ignore[type-var]
        while text := lines.readline(_LINE_BYTES + 1):
            if len(text) > _LINE_BYTES:
                raise OverflowError("an event")
            left -= _OVERHEAD_BYTES
            if text.strip():
                recorded = _event(frames.parse(text)[0], sizes)
                weight = _weight(recorded.event, sizes, pictures)
                left, audio_left = left - weight, audio_left - recorded.size_bytes
                if weight > _EVENT_BYTES or audio_left < 0:
                    raise OverflowError("an event")
                yield recorded
            if left < 0:
                raise OverflowError("its events")


def _event(line: Mapping[str, Any], sizes: Mapping[str, int]) -> RecordedEvent:
    place, event, at_seconds = line.get("sound"), line["event"], float(line["at"])
    if not isinstance(event, dict) or not isinstance(event["type"], str) or not 0 <= at_seconds < _LONGEST_SECONDS:
        raise ValueError("no event")
    if not (sent := line["by"] == "us"):
        event, _ = server_events.read(event)
    return RecordedEvent(at_seconds, sent, event, None if place is None else _place(place, sizes))


def _place(place: Iterable[Any], sizes: Mapping[str, int]) -> tuple[str, int, int]:
    name, start, end = place
    if not (type(start) is type(end) is int and 0 <= start <= end <= sizes[name]):
        raise ValueError("audio that is not there")
    if end - start > _EVENT_BYTES:
        raise OverflowError("an event")
    return name, start, end


def _weight(value: Any, sizes: Mapping[str, int], pictures: Mapping[int, str], depth: int = 0) -> int:
    """Return about how many bytes of memory an event takes, whole again."""
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    weight, parts = sys.getsizeof(value), list(value if isinstance(value, list) else ())
    if isinstance(value, dict):
        weight, parts = weight + sum(map(len, value)), [*value.values()]
        if set(value) == {"sound"} and isinstance(value["sound"], list):
            _, start, end = _place(value["sound"], sizes)
            weight += end - start
        if set(value) == {"picture"} and isinstance(value["picture"], int):
            weight += len(pictures.get(value["picture"], ""))
    return weight + sum(_weight(part, sizes, pictures, depth + 1) for part in parts)


def _decoded(archive: zipfile.ZipFile, name: str, size: int) -> Spool:
    """Decode a track, onto disk where it is long; exactly as many bytes as were saved, whatever the codec rounds."""
    import soundfile

    spool = Spool()
    with tempfile.TemporaryFile() as packed, archive.open(name) as entry:
        if archive.getinfo(name).file_size > size + _LIST_BYTES:  # a codec makes nothing larger than it was
            raise OverflowError(name)
        shutil.copyfileobj(entry, packed)
        packed.seek(0)
        with soundfile.SoundFile(packed) as file:
            if file.channels != 1:
                raise ValueError("more than one channel")
            for block in file.blocks(RATE_HZ * 10, dtype="int16"):
                spool.write(block.astype("<i2", copy=False).tobytes()[: size - spool.size])
                if spool.size == size:
                    return spool
    if size - spool.size > pcm_arithmetic.byte_count(1):
        raise ValueError("less audio than the file says")
    spool.write(bytes(size - spool.size))
    return spool
