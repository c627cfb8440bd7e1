"""Read a saved session."""

import functools
import io
import math
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from rtnb.audio import pcm as pcm_arithmetic
from rtnb.audio.pcm import RATE_HZ
from rtnb.errors import ReplayError
from rtnb.protocol import frames, server_events
from rtnb.protocol.entry import Spool
from rtnb.protocol.event_types import AUDIO_FIELDS, GA_NAMES
from rtnb.recording.save import VERSION

_EVENTS_BYTES = 192 << 20  # of events, which are read onto disk: 2,000 turns of a hundred deltas are 100 MB
_PICTURES_BYTES = 96 << 20
_EVENT_BYTES = 16 << 20  # of one event with its audio or its pictures: the API takes 15 MiB of audio at a time
_LINE_BYTES = 2 << 20  # of one event without them, as text: objects can take forty times as much
_AUDIO_BYTES = 512 << 20  # of all tracks, decoded
_LIST_BYTES = 1 << 20


class RecordedEvent(NamedTuple):
    """Event of a recording.

    Attributes:
        at_seconds: When it was sent or received.
        sent: Whether the client sent it.
        type: Its type.
        size_bytes: How much audio it carries in the field that is for it, decoded.
        lines: What holds it, as a line of the file.
        line: At which byte.
    """

    at_seconds: float
    sent: bool
    type: str
    size_bytes: int
    lines: Spool
    line: int

    @property
    def event(self) -> dict[str, Any]:
        """Event, read anew; where it had audio it has its place: `{"sound": [track, first byte, byte after]}`."""
        return _event_in(frames.parse(self.lines.line(self.line))[0])


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
        return {name: self._filled(part) for name, part in recorded.event.items()}

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
        ReplayError: If there is no such file, or it is none of ours, damaged, larger than 3 hours of audio, 192 MB of
            events or 96 MB of pictures, without the beginning of its session, or of a later version.
    """
    where = Path(path).expanduser()
    try:
        stat, where = where.stat(), where.resolve()
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
    try:
        with _ShortReads(where) as file, ZipFile(file) as archive:
            return _recording(where, archive)
    except ReplayError:
        raise
    except OverflowError as error:
        most = "more than 3 hours of audio, 192 MB of events or 96 MB of pictures"
        text = f"The recording {where.name} is larger than rtnb reads: {most} ({error}). Save shorter sessions."
        raise ReplayError(text) from error
    except Exception as error:  # whatever a damaged or forged file makes zipfile, zlib, json or soundfile raise
        text = f"The file {where.name} is no recording of a session. Give one that chat.save() wrote."
        raise ReplayError(text) from error


def _recording(where: Path, archive: ZipFile) -> Recording:
    names = archive.namelist()
    if len(set(names)) < len(names) or {info.compress_type for info in archive.infolist()} - {ZIP_STORED, ZIP_DEFLATED}:
        raise ValueError("an entry twice, or packed in another way")
    about, _ = frames.parse(_entry(archive, "session.json", _LINE_BYTES))
    if about["version"] > VERSION:
        raise ReplayError(f"The recording {where.name} was made by a newer rtnb. Install that version.")
    sizes: dict[str, int] = about["sizes"]
    if not sizes.keys() <= {"heard", "spoken", "more"} or not all(type(n) is int and n >= 0 for n in sizes.values()):
        raise ValueError("no sizes of tracks")
    _fit(sum(sizes.values()), _AUDIO_BYTES, "its audio")
    left, pictures = _PICTURES_BYTES, dict[int, str]()
    for name in (name for name in names if name.startswith("picture-")):
        picture = _entry(archive, name, min(_EVENT_BYTES, max(0, left))).decode()
        pictures[int(name[8:-4])], left = picture, left - sys.getsizeof(picture)
    events = list(_events(archive, sizes, pictures))
    if next((one.sent for one in events if one.sent or one.type.endswith("session.created")), True):
        text = f"The recording {where.name} does not begin with session.created, without which no session opens. "
        raise ReplayError(text + "Give one of a session that was open.")
    tracks = {name: _decoded(archive, f"{name}.{about['sound']}", size) for name, size in sizes.items() if size}
    return Recording(where, about.get("model") or "", about.get("source") or "", events, tracks, pictures)


def _fit(size: int, most: int, what: str) -> None:
    """Refuse what is larger than we read."""
    if size > most:
        raise OverflowError(what)


def _entry(archive: ZipFile, name: str, most_bytes: int) -> bytes:
    with archive.open(name) as file:
        # Never read() alone: it unpacks everything before it compares with the size that was said.
        data = file.read(most_bytes + 1)
    _fit(len(data), most_bytes, name)
    return data


def _events(archive: ZipFile, sizes: dict[str, int], pictures: Mapping[int, str]) -> Iterator[RecordedEvent]:
    """Check the events one by one, and move them to a spool."""
    left, audio_left, spool, kept = _EVENTS_BYTES, sum(sizes.values()), Spool(), bytearray()
    with archive.open("events.jsonl") as packed, io.BufferedReader(packed) as lines:  # type: ignore[type-var]
        while text := lines.readline(_LINE_BYTES + 1):
            _fit(len(text), _LINE_BYTES, "an event")
            left -= 200 + len(text)  # the first is what each takes in memory
            if text.strip():
                recorded, weight = _checked(text, spool, spool.size + len(kept), sizes, pictures)
                kept += text if text.endswith(b"\n") else text + b"\n"
                audio_left -= recorded.size_bytes
                _fit(weight, _EVENT_BYTES, "an event")
                _fit(-audio_left, 0, "an event")
                yield recorded
            if len(kept) > _LIST_BYTES:
                spool.write(bytes(kept))
                kept.clear()
            _fit(-left, 0, "its events")
    spool.write(bytes(kept))


def _checked(
    text: bytes, spool: Spool, at: int, sizes: Mapping[str, int], pictures: Mapping[int, str]
) -> tuple[RecordedEvent, int]:
    """Check one event, and return it with about how many bytes of memory it takes, whole again."""
    line, _ = frames.parse(text)
    event, at_seconds, sent = line["event"], float(line["at"]), line["by"] == "us"
    if not isinstance(event, dict) or not isinstance(event["type"], str) or not 0 <= at_seconds < 30 * 24 * 3600:
        raise ValueError("no event")
    place, kind = line.get("sound"), event["type"]
    size_bytes = 0 if place is None else _size(place, sizes)
    # Nearly all are short, and hold nothing that stands for something larger.
    longer = len(text) > 10_000 or text.count(b"{") + text.count(b"[") > 50 or b"\\" in text
    of_audio = place is not None and GA_NAMES.get(kind, kind) in AUDIO_FIELDS
    longer = longer or b'"picture"' in text or text.count(b'"sound"') > of_audio
    weight = _weight(_event_in(line), sizes, pictures) if longer else 0
    kind = sys.intern(kind if sent else GA_NAMES.get(kind, kind))
    return RecordedEvent(at_seconds, sent, kind, size_bytes, spool, at), weight


def _event_in(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of a line, the place of its audio in it."""
    event: dict[str, Any] = line["event"] if line["by"] == "us" else server_events.read(line["event"])[0]
    if (place := line.get("sound")) is not None:
        event[AUDIO_FIELDS[event["type"]]] = {"sound": place}
    return event


def _size(place: Iterable[Any], sizes: Mapping[str, int]) -> int:
    """Return how much audio lies at a place."""
    name, start, end = place
    if not (type(start) is type(end) is int and 0 <= start <= end <= sizes[name]):
        raise ValueError("audio that is not there")
    _fit(end - start, _EVENT_BYTES, "an event")
    return end - start


def _weight(value: Any, sizes: Mapping[str, int], pictures: Mapping[int, str], depth: int = 0) -> int:
    """Return about how many bytes of memory an event takes, whole again."""
    if depth > 100:
        raise ValueError("nested too deeply")
    weight, parts = sys.getsizeof(value), value if isinstance(value, list) else []
    if isinstance(value, dict):
        weight, parts = weight + sum(map(len, value)), [*value.values()]
        if set(value) == {"sound"} and isinstance(value["sound"], list):
            weight += _size(value["sound"], sizes)
        if set(value) == {"picture"} and isinstance(value["picture"], int):
            weight += len(pictures.get(value["picture"], ""))
    return weight + sum(_weight(part, sizes, pictures, depth + 1) for part in parts)


def _decoded(archive: ZipFile, name: str, size: int) -> Spool:
    """Decode a track, onto disk where it is long; exactly as many bytes as were saved, whatever the codec rounds."""
    import soundfile

    spool = Spool()
    _fit(archive.getinfo(name).file_size, size + _LIST_BYTES, name)  # a codec makes nothing larger than it was
    with tempfile.TemporaryDirectory() as folder, soundfile.SoundFile(archive.extract(name, folder)) as file:
        if file.channels != 1:
            raise ValueError("more than one channel")
        for block in file.blocks(RATE_HZ * 10, frames=math.ceil(size / 2), dtype="int16"):
            spool.write(block.astype("<i2", copy=False).tobytes()[: size - spool.size])
    if size - spool.size > pcm_arithmetic.byte_count(1):
        raise ValueError("less audio than the file says")
    spool.write(bytes(size - spool.size))
    return spool
