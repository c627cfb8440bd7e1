"""A session saved to a file, and played back by a small server as if it happened again.

The file is a zip: `session.json` (who, which model, under which settings), `events.jsonl` (every event both ways with
its time) and the sound once, compressed, outside the events: what was heard, what was spoken, and what else the events
carried. FLAC is the default because a replay is then the same to the last sample, so that everything measured on it
(positions, truncations, lengths) stays true; Opus is about a tenth of the size and sounds the same.

The replay answers what a client asks with what the server answered when the same was asked, in any order and as often
as one likes, at the pace of the recording or faster. Names of the API are the recording's; nothing is made up, and a
question that is not in the recording is answered with an `error` event that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import fnmatch
import functools
import glob
import heapq
import hmac
import io
import itertools
import json
import math
import os
import secrets
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from rtnb.errors import HIDDEN, InputError, ReplayError, without_secrets
from rtnb.protocol import beta, client_events, error_events, event_types, frames
from rtnb.protocol.log import Entry, Spool
from rtnb.transport import io_thread
from rtnb.web.origins import OriginCheck, forbidden, masked_log

if TYPE_CHECKING:
    from rtnb.session.session import Session

__all__ = ["Recording", "open_recording", "save", "serve"]

VERSION = 1
_RATE_HZ = 24_000
_BLOCK_BYTES = _RATE_HZ * 2 * 10
_LONG = 4096  # base64 of this length in an event is sound worth taking out
_FORMATS = {"flac": ("FLAC", "PCM_16"), "opus": ("OGG", "OPUS")}


# --- saving -------------------------------------------------------------------------------------------------------


class _Track:
    """One stretch of sound, written block by block and encoded on the way."""

    def __init__(self, kind: str) -> None:
        import soundfile

        self._out = io.BytesIO()
        container, codec = _FORMATS[kind]
        self._file = soundfile.SoundFile(self._out, "w", _RATE_HZ, 1, format=container, subtype=codec)
        self._odd = b""
        self.size = 0

    def write(self, pcm: bytes) -> None:
        self.size += len(pcm)
        pcm = self._odd + pcm
        for start in range(0, len(pcm) // 2 * 2, _BLOCK_BYTES):
            self._file.write(np.frombuffer(pcm[start : min(start + _BLOCK_BYTES, len(pcm) // 2 * 2)], "<i2"))
        self._odd = pcm[len(pcm) // 2 * 2 :]

    def even(self) -> None:
        """Fill up half a sample, so that what follows is not shifted by a byte."""
        if self._odd:
            self.write(b"\0")

    def done(self) -> bytes:
        self.even()
        self._file.close()
        return self._out.getvalue()


def save(session: Session, path: str | os.PathLike[str], *, sound: Literal["flac", "opus"] = "flac") -> Path:
    """Save a session; see `Session.save`.

    Args:
        session: The session, open or closed.
        path: Where to.
        sound: `"flac"` or `"opus"`.

    Raises:
        InputError: If `sound` is neither, or the place cannot be written to.
    """
    if sound not in _FORMATS:
        raise InputError(f"Your sound={sound!r} is not known. Give 'flac' (exact) or 'opus' (small).", sound=sound)
    entries = list(session.log)
    tracks = {name: _Track(sound) for name in ("heard", "spoken", "more")}
    places = _write_sound(entries, tracks)
    pictures: dict[str, int] = {}
    known = [value.removeprefix("Bearer ") for value in session.lifecycle.where.headers().values()]

    def scrubbed(value: Any) -> str:
        return json.dumps(without_secrets(value, known), ensure_ascii=False, separators=(",", ":"))

    lines = []
    for entry, place in zip(entries, places, strict=True):
        event = entry.silent
        if place is None:
            event = _take_out_sound(event, tracks["more"], pictures)
        line = {"at": round(entry.at_seconds, 6), "by": "us" if entry.direction == "sent" else "server"}
        lines.append(scrubbed({**line, **({"sound": place} if place else {}), "event": event}))
    about = {
        "version": VERSION,
        "model": session.model,
        "source": session.source,
        "url": session.url.partition("?")[0],
        "settings": session.settings,
        "sound": sound,
        "sizes": {name: track.size for name, track in tracks.items()},
    }
    target = Path(path).expanduser()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and moved into place, so that a full disk never leaves half a lesson under its name.
        part = target.with_name(target.name + ".part")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("session.json", scrubbed(about))
            archive.writestr("events.jsonl", "\n".join(lines) + "\n")
            for picture, number in pictures.items():
                archive.writestr(f"picture-{number}.txt", picture)
            for name, track in tracks.items():
                if track.size:
                    archive.writestr(f"{name}.{sound}", track.done(), zipfile.ZIP_STORED)
        part.replace(target)
    except OSError as error:
        raise InputError(f"The file {target} cannot be written: {error.strerror}. Choose another place.") from error
    return target


def _write_sound(entries: list[Entry], tracks: Mapping[str, _Track]) -> list[list[Any] | None]:
    """Put the events' sound on tracks; gives for each event where its own begins and ends. None for one without.

    What was spoken goes item by item: deltas end in the middle of a sample, and answers interleave where they run in
    parallel, so that in the order of arrival no encoder would find a voice in it.
    """
    places: list[list[Any] | None] = [None] * len(entries)
    items: dict[tuple[str, str], list[int]] = {}
    for index, entry in enumerate(entries):
        if entry.sound_bytes:
            name = "heard" if entry.direction == "sent" else "spoken"
            items.setdefault((name, entry.silent.get("item_id") or ""), []).append(index)
    for (name, _), indices in items.items():
        track = tracks[name]
        for index in indices:
            start = track.size
            track.write(entries[index].sound)
            places[index] = [name, start, track.size]
        track.even()
    return places


def _take_out_sound(value: Any, track: _Track, pictures: dict[str, int]) -> Any:
    """Sound inside items (as `retrieve` gives it, or as a client sends it whole) goes on a track as well.

    A picture is sent once and echoed twice; it is kept once too.
    """
    if isinstance(value, list):
        return [_take_out_sound(part, track, pictures) for part in value]
    if isinstance(value, str) and len(value) >= _LONG and value.startswith("data:"):
        return {"picture": pictures.setdefault(value, len(pictures))}
    if not isinstance(value, dict):
        return value
    taken = {name: _take_out_sound(part, track, pictures) for name, part in value.items()}
    audio = value.get("audio")
    if isinstance(audio, str) and len(audio) >= _LONG:
        try:
            pcm = frames.decode_audio(audio)
        except ValueError:
            return taken
        start = track.size
        track.write(pcm)
        taken["audio"] = {"sound": ["more", start, track.size]}
        track.even()
    return taken


# --- reading ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One event of a recording.

    Attributes:
        at_seconds: When it was sent or received.
        sent: Whether the client sent it.
        event: The event without its sound.
        sound: Where its sound is: track, first byte, byte after the last. None without.
    """

    at_seconds: float
    sent: bool
    event: dict[str, Any]
    sound: tuple[str, int, int] | None = None

    @property
    def type(self) -> str:
        """The event's type."""
        return self.event["type"]


class Recording:
    """A saved session.

    Attributes:
        path: Where it was read from.
        model: The model that answered.
        source: Who answered then.
        lines: Its events, in order.
    """

    def __init__(
        self,
        path: Path,
        about: Mapping[str, Any],
        lines: list[Line],
        tracks: Mapping[str, Spool],
        pictures: Mapping[int, str] | None = None,
    ) -> None:
        self.path = path
        self.model: str = about.get("model") or ""
        self.source: str = about.get("source") or ""
        self.settings: dict[str, Any] = about.get("settings") or {}
        self.lines = lines
        self._tracks = tracks
        self._pictures = pictures or {}

    @property
    def seconds(self) -> float:
        """How long the session lasted."""
        return self.lines[-1].at_seconds if self.lines else 0.0

    def sound(self, place: Iterable[Any] | None) -> bytes:
        """The samples at a place, s16le 24 kHz mono; empty for None."""
        if place is None:
            return b""
        name, start, end = place
        return self._tracks[name].read(start, end) if name in self._tracks else b""

    def event(self, line: Line) -> dict[str, Any]:
        """An event whole again, its sound inside."""
        event = self._filled(line.event)
        if line.sound is not None:
            event = {**event, event_types.AUDIO_FIELDS[line.type]: frames.encode_audio(self.sound(line.sound))}
        return event

    def _filled(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._filled(part) for part in value]
        if isinstance(value, dict):
            if set(value) == {"sound"} and isinstance(value["sound"], list):
                return frames.encode_audio(self.sound(value["sound"]))
            if set(value) == {"picture"} and isinstance(value["picture"], int):
                return self._pictures.get(value["picture"], "")
            return {name: self._filled(part) for name, part in value.items()}
        return value

    def __repr__(self) -> str:
        return f"Recording({self.path.name}, {self.model}, {len(self.lines)} events, {self.seconds:.1f} s)"


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
            lines = [_line(json.loads(text)) for text in archive.read("events.jsonl").splitlines() if text.strip()]
            tracks = {
                name: _decoded(archive.read(f"{name}.{about['sound']}"), size)
                for name, size in about["sizes"].items()
                if size
            }
            pictures = {
                int(name[8:-4]): archive.read(name).decode()
                for name in archive.namelist()
                if name.startswith("picture-")
            }
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError, RuntimeError, OSError) as error:
        raise ReplayError(wrong) from error
    return Recording(where, about, lines, tracks, pictures)


def _line(data: Mapping[str, Any]) -> Line:
    place = data.get("sound")
    event = data["event"]
    if not isinstance(event, dict) or not isinstance(event["type"], str):
        raise ValueError("no event")
    return Line(float(data["at"]), data["by"] == "us", event, None if place is None else tuple(place))


def _decoded(data: bytes, size: int) -> Spool:
    """A track as samples, on disk where it is long; exactly as many bytes as were saved, whatever the codec rounds."""
    import soundfile

    spool = Spool()
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        for block in file.blocks(_RATE_HZ * 10, dtype="int16"):
            spool.write(block.astype("<i2", copy=False).tobytes())
    if spool.size < size:
        spool.write(bytes(size - spool.size))
    return spool


# --- what was asked, and what was answered --------------------------------------------------------------------------


@dataclass
class _Answer:
    """What the server said because of one thing.

    Attributes:
        cue: What it was: a key as `_key` makes them.
        at_seconds: When it was asked.
        lines: The server's events, in order.
        asks: For a response: the keys of what was sent for it since the response before.
        used: How often it was played.
    """

    cue: Any
    at_seconds: float
    lines: list[Line] = field(default_factory=list)
    asks: tuple[Any, ...] = ()
    used: int = 0


@dataclass
class _Heard:
    """An event of a server that listens for turns: due when so much sound has arrived.

    Attributes:
        after_bytes: How much sound had been appended by then.
        seconds: How long after the last of it.
        line: The event.
    """

    after_bytes: int
    seconds: float
    line: Line


class _Script:
    """A recording sorted by what caused what."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.opening: list[Line] = []
        self.answers: list[_Answer] = []
        self.floor: list[_Heard] = []
        self.updates: list[_Answer] = []
        self.heard: list[tuple[int, int]] = []  # where on the track each commit's sound is, in the order of commits
        self._sort()

    def _sort(self) -> None:
        by_event: dict[str, _Answer] = {}  # our event_id → its answer
        by_item: dict[str, _Answer | None] = {}  # None: the server made it by itself
        by_response: dict[str, _Answer | None] = {}  # likewise
        # A server that listens for turns, or translates, speaks when enough sound has come.
        own = ("input_audio_buffer.speech_started", "session.output_transcript.delta", "session.output_audio.delta")
        listens = any(line.type in own for line in self.recording.lines)
        ended: _Answer | None = None
        items: list[_Answer] = []  # whose item has not been announced yet
        asked: list[_Answer] = []  # whose response has not begun yet
        updates: list[_Answer] = []
        pending: list[Any] = []
        appended = buffer_from = 0
        appended_at = 0.0
        last: _Answer | None = None
        for line in self.recording.lines:
            event, at = line.event, line.at_seconds
            if line.sent:
                if line.type.endswith("input_audio_buffer.append"):
                    appended, appended_at = appended + _size(line), at
                    continue
                if line.type == "input_audio_buffer.commit":
                    self.heard.append((buffer_from, appended))
                    buffer_from = appended
                    cue: Any = ("sound", len(self.heard) - 1)
                else:
                    cue = _key(self.recording.event(line))
                if line.type == "input_audio_buffer.clear":
                    buffer_from = appended
                answer = last = _Answer(cue, at)
                by_event[event.get("event_id") or ""] = answer
                if line.type == "session.update":
                    updates.append(answer)
                    self.updates.append(answer)
                    continue
                self.answers.append(answer)
                if line.type == "response.create":
                    asked.append(answer)
                    if not _out_of_band(event):
                        answer.asks = tuple(pending)
                        pending = []
                elif line.type in ("conversation.item.create", "input_audio_buffer.commit"):
                    items.append(answer)
                    pending.append(cue)
                continue
            cause = self._cause(line, by_event, by_item, by_response, items, asked, updates)
            if line.type == "response.done":
                ended = cause
            if cause is None and line.type == "rate_limits.updated":
                cause = ended
            if cause is None and not listens:
                cause = last
            if cause is not None:
                cause.lines.append(line)
            elif appended:
                self.floor.append(_Heard(appended, max(0.0, at - appended_at), line))
                if line.type == "input_audio_buffer.committed":
                    buffer_from = appended
            elif last is None:
                self.opening.append(line)
            else:
                last.lines.append(line)

    def _cause(
        self,
        line: Line,
        by_event: Mapping[str, _Answer],
        by_item: dict[str, _Answer | None],
        by_response: dict[str, _Answer | None],
        items: list[_Answer],
        asked: list[_Answer],
        updates: list[_Answer],
    ) -> _Answer | None:
        """What made the server say this; the server takes what it is asked in order (recorded)."""
        event = beta.to_ga(line.event)
        type_: str = event["type"]
        item_id: str = event.get("item_id") or (event.get("item") or {}).get("id") or ""
        response = event.get("response") or {}
        response_id = event.get("response_id") or response.get("id")
        if type_ == "error":
            refused = by_event.get((event.get("error") or {}).get("event_id") or "")
            for waiting in (items, asked, updates):
                if refused in waiting:
                    waiting.remove(refused)
            return refused
        if type_.endswith("session.updated"):
            return updates.pop(0) if updates else None
        if response_id:
            if response_id not in by_response:
                mine = next((a for a in asked if _out_of_band_answer(a, response)), None) if response else None
                if mine is None and response.get("conversation_id", "x") is not None:
                    mine = next((a for a in asked if a.cue[1:2] != ("beside",)), None)
                by_response[response_id] = mine
                if mine is not None:
                    asked.remove(mine)
            mine = by_response[response_id]
            if item_id:
                by_item.setdefault(item_id, mine)
            return mine
        if type_ == "input_audio_buffer.speech_started" or type_ == "input_audio_buffer.timeout_triggered":
            by_item[item_id] = None
        if item_id in by_item:
            return by_item[item_id]
        if type_ in ("input_audio_buffer.committed", "conversation.item.added"):
            wants_sound = type_ == "input_audio_buffer.committed"
            for answer in items:
                if (answer.cue[0] == "sound") == wants_sound:
                    items.remove(answer)
                    by_item[item_id] = answer
                    return answer
        return None


def _size(line: Line) -> int:
    return line.sound[2] - line.sound[1] if line.sound else 0


def _out_of_band(event: Mapping[str, Any]) -> bool:
    return (event.get("response") or {}).get("conversation") == "none"


def _out_of_band_answer(answer: _Answer, response: Mapping[str, Any]) -> bool:
    if response.get("conversation_id", "x") is not None or answer.cue[1:2] != ("beside",):
        return False
    told = (response.get("metadata") or {}).get("rtnb_side")
    return told is None or answer.cue[3] in (None, told)


def _key(event: Mapping[str, Any]) -> Any:
    """What a client event asks, in a form that is equal for the same question; keys are not in it, as in the file."""
    event = without_secrets(event, [])
    type_ = event["type"]
    if type_ == "conversation.item.create":
        item = event.get("item") or {}
        if item.get("type") == "function_call_output":
            return ("item", "output of", item.get("call_id"))  # what a tool says may differ from day to day
        return ("item", _canonical({name: part for name, part in item.items() if name not in ("id", "status")}))
    if type_ == "response.create":
        wanted = dict(event.get("response") or {})
        metadata = dict(wanted.pop("metadata", None) or {})
        side = metadata.pop("rtnb_side", None)
        if _out_of_band(event):
            return ("response", "beside", _canonical(wanted), side)
        return ("response", "talk", _canonical(wanted), None)
    if type_ in ("conversation.item.retrieve", "conversation.item.delete"):
        return (type_, event.get("item_id"))
    return (type_,)


def _same(recorded: Any, asked: Any) -> bool:
    """Whether two keys are the same; where the recorded one lacks a secret that was in use, anything is."""
    pieces = str(recorded).split(HIDDEN)
    if len(pieces) == 1:
        return bool(recorded == asked)
    return fnmatch.fnmatchcase(str(asked), "*".join(map(glob.escape, pieces)))


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def alike(one: bytes, other: bytes) -> bool:
    """Whether two stretches of s16le 24 kHz are the same recording, decoded or compressed in another way perhaps.

    Their loudness over time is compared: as long to a tenth of a second, and rising and falling together.
    """
    a, b = (_loudness(pcm) for pcm in (one, other))
    if abs(len(a) - len(b)) > 5:
        return False
    size = min(len(a), len(b))
    if not size:
        return len(a) == len(b)
    a, b = a[:size], b[:size]
    if max(a.max(), b.max()) < 1e-3:
        return True  # both silent
    if min(a.max(), b.max()) < 0.25 * max(a.max(), b.max()):
        return False
    # The same sound is alike everywhere; two sentences of the same length are so by chance at most.
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return spread < 1e-6 or float((a * b).sum()) / spread > 0.9


def _loudness(pcm: bytes) -> np.ndarray[Any, np.dtype[np.float64]]:
    frame = _RATE_HZ // 50
    samples = np.frombuffer(pcm[: len(pcm) // (2 * frame) * 2 * frame], "<i2").astype(np.float64) / 32_768
    return np.sqrt((samples.reshape(-1, frame) ** 2).mean(axis=1)) if len(samples) else np.zeros(0)


# --- playing back ---------------------------------------------------------------------------------------------------

_servers: dict[tuple[Path, int, float], str] = {}


def serve(path: str | os.PathLike[str], speed: float = 1.0) -> str:
    """Play a recording back to whoever connects.

    Args:
        path: The file `Session.save` wrote.
        speed: How many times faster than it was recorded, above 0; `math.inf` does not wait at all.

    Returns:
        The address, on this machine only; it stays for as long as the process does. Any program that speaks the
        Realtime API can talk to it. It holds a secret, for no key is asked for: keep it as you would keep one.

    Raises:
        InputError: If the speed is not above 0.
        ReplayError: If the file cannot be read.
    """
    if not speed > 0:
        raise InputError(f"Your replay speed {speed!r} is none. Give a number above 0: 2.0 plays twice as fast.")
    recording = open_recording(path)
    name = (recording.path, recording.path.stat().st_mtime_ns, speed)
    if name not in _servers:
        _servers[name] = io_thread.submit(_listen(recording, speed)).result(10)
    return _servers[name]


async def _listen(recording: Recording, speed: float) -> str:
    origin_check = OriginCheck(["127.0.0.1"], remedy="A replay is for programs on this computer, not for pages.")
    # No key protects a replay, so its address does. It looks like a secret of the API's, so it is masked like one.
    secret = "ek_" + secrets.token_hex(16)

    async def handle(socket: ServerConnection) -> None:
        await _Player(socket, _Script(recording), speed).run()

    def admit(socket: ServerConnection, request: Request) -> Response | None:
        begun = request.path.encode(errors="replace")[1 : len(secret) + 2]
        known = hmac.compare_digest(begun, f"{secret}/".encode())
        told = "Your address leads to no replay. Take the whole address that rtnb gave for it."
        refused = origin_check.refusal(request, socket.local_address[1])
        return refused or (None if known else forbidden(told, "address_not_known"))

    options: dict[str, Any] = {"compression": None, "max_size": 64 << 20, "logger": _socket_log}
    server = await listen(handle, "127.0.0.1", 0, process_request=admit, **options)
    port = next(iter(server.sockets)).getsockname()[1]
    _keep.append(server)
    return f"ws://127.0.0.1:{port}/{secret}/v1/realtime"


_socket_log = masked_log("rtnb.replay.sockets")
_keep: list[Any] = []  # an asyncio server nobody holds is collected, and its socket with it


class _Player:
    """One connection to a replay."""

    def __init__(self, socket: ServerConnection, script: _Script, speed: float) -> None:
        self._socket = socket
        self._script = script
        self._recording = script.recording
        self._speed = speed
        self._due: list[tuple[float, int, Any]] = []  # when, in which order, and what makes the event
        self._count = itertools.count()
        self._news = asyncio.Event()
        self._heard = Spool()
        self._buffer_from = 0
        self._appended_at = 0.0
        self._pending: list[Any] = []
        self._items: set[str] = set()
        self._running: dict[str, dict[str, Any]] = {}  # responses under way, as the recording ends them
        self._cancelled: set[str] = set()
        self._floor_at = self._floor_reached = 0
        self._floor_free = 0.0
        self._closing = False
        self._watch: asyncio.TimerHandle | None = None
        self._beats = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "session.input_audio_buffer.append": self._append,
            "session.close": self._hang_up,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create,
            "conversation.item.truncate": self._truncate,
            "conversation.item.delete": self._delete,
            "conversation.item.retrieve": self._retrieve,
            "response.create": self._respond,
            "response.cancel": self._cancel,
        }

    async def run(self) -> None:
        sending = asyncio.ensure_future(self._send())
        try:
            self._play(self._script.opening, self._script.opening[0].at_seconds if self._script.opening else 0.0)
            async for frame in self._socket:
                event = frames.loads(frame)
                beat = self._beats.get(event["type"])
                if beat is None:
                    self._refuse(event, f"a {event['type']}")
                else:
                    beat(event)
        except (ConnectionClosed, ValueError):
            pass
        finally:
            sending.cancel()
            if self._watch is not None:
                self._watch.cancel()

    # time

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _send(self) -> None:
        """The one sender: what is due, in the order it is due."""
        while True:
            if not self._due:
                self._news.clear()
                await self._news.wait()
                continue
            wait = self._due[0][0] - self._now()
            if wait > 0:
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), wait)
                continue
            event = heapq.heappop(self._due)[2]()
            if event is not None:
                await self._socket.send(frames.dumps(event), text=True)

    def _at(self, seconds: float, make: Callable[[], dict[str, Any] | None]) -> None:
        """Send what `make` gives, so many seconds of the recording from now."""
        wait = 0.0 if math.isinf(self._speed) else seconds / self._speed
        heapq.heappush(self._due, (self._now() + wait, next(self._count), make))
        self._news.set()

    def _say(self, event: dict[str, Any]) -> None:
        self._at(0.0, lambda: {"event_id": client_events.new_event_id(), **event})

    def _refuse(
        self, event: Mapping[str, Any], what: str, code: str = error_events.NOT_RECORDED, message: str = ""
    ) -> None:
        message = message or (
            f"The recording {self._recording.path.name} does not hold {what}. Ask what it holds, or connect without "
            "replay=."
        )
        error = {"type": "invalid_request_error", "code": code, "message": message, "param": None}
        self._say({"type": "error", "error": {**error, "event_id": event.get("event_id")}})

    def _play(self, lines: Iterable[Line], since: float, metadata: Any = None) -> None:
        for line in lines:
            self._at(line.at_seconds - since, functools.partial(self._event, line, metadata))

    def _event(self, line: Line, metadata: Any) -> dict[str, Any] | None:
        """An event of the recording as it goes out now. None for one whose response was cancelled."""
        event = self._recording.event(line)
        response = event.get("response") or {}
        response_id: str = event.get("response_id") or response.get("id") or ""
        if response_id in self._cancelled:
            return None
        if event["type"] == "conversation.item.added":
            self._items.add((event.get("item") or {}).get("id") or "")
        if response:
            if metadata is not None:
                event["response"] = {**response, "metadata": metadata}
            if event["type"] == "response.created":
                self._running[response_id] = event["response"]
            elif event["type"] == "response.done":
                self._running.pop(response_id, None)
        return event

    # the answers

    def _find(self, cue: Any, asks: tuple[Any, ...] | None = None) -> _Answer | None:
        """The recorded answer to the same question: the next that was not played yet, or else the first."""
        found = [
            answer
            for answer in self._script.answers
            if _same(answer.cue[:3], cue[:3]) and (asks is None or answer.asks == asks)
        ]
        answer = min(found, key=lambda a: (a.cue[:3] != cue[:3], a.used), default=None)
        if answer is not None:
            answer.used += 1
        return answer

    def _update(self, event: dict[str, Any]) -> None:
        """Settings are the recording's; what else is asked for changes nothing that was recorded."""
        updates = self._script.updates
        answer = updates.pop(0) if len(updates) > 1 else next(iter(updates), None)
        if answer is not None and any(line.type.endswith("session.updated") for line in answer.lines):
            self._play(answer.lines, answer.at_seconds)
        else:
            opening = next((line.event.get("session") for line in self._script.opening), None) or {}
            self._say({"type": "session.updated", "session": {**opening, **(event.get("session") or {})}})

    def _append(self, event: dict[str, Any]) -> None:
        self._heard.write(frames.decode_audio(event.get("audio") or ""))
        self._appended_at = self._now()
        self._listen()

    def _hang_up(self, event: dict[str, Any]) -> None:
        """The end of a translation, once it is asked for; one that was cut has none in its recording."""
        self._closing = True
        self._listen()
        if self._floor_at < len(self._script.floor):
            self._refuse(event, "sound that ends here")
        elif not any(line.type == "session.closed" for line in self._recording.lines):
            self._refuse(event, "the end of this translation, for the connection broke before it")

    def _clear(self, event: dict[str, Any]) -> None:
        self._buffer_from = self._heard.size
        self._say({"type": "input_audio_buffer.cleared"})

    def _commit(self, event: dict[str, Any]) -> None:
        pcm = self._heard.read(self._buffer_from, self._heard.size)
        self._buffer_from = self._heard.size
        if len(pcm) < 4800:
            told = f"Expected at least 100ms of audio, but buffer only has {len(pcm) / 48:.2f}ms of audio."
            told = f"Error committing input audio buffer: buffer too small. {told}"
            self._refuse(event, "", "input_audio_buffer_commit_empty", told)
            return
        found = None
        for number, (start, end) in enumerate(self._script.heard):
            if alike(pcm, self._recording.sound(("heard", start, end))):
                cue = ("sound", number)
                known = next(a for a in self._script.answers if a.cue == cue)
                if found is None or known.used < found.used:
                    found = known
        if found is None:
            self._refuse(event, "this sound")
            self._pending.append(None)
            return
        found.used += 1
        self._pending.append(found.cue)
        self._play(found.lines, found.at_seconds)

    def _create(self, event: dict[str, Any]) -> None:
        cue = _key(event)
        answer = self._find(cue)
        if answer is None:
            self._refuse(event, "this question")
            self._pending.append(None)
            return
        self._pending.append(answer.cue)
        self._play(answer.lines, answer.at_seconds)

    def _respond(self, event: dict[str, Any]) -> None:
        cue = _key(event)
        beside = cue[1] == "beside"
        active = next((id_ for id_, r in self._running.items() if r.get("conversation_id", "x") is not None), None)
        if active is not None and not beside:
            told = f"Conversation already has an active response in progress: {active}. Wait until it is finished."
            self._refuse(event, "", "conversation_already_has_active_response", told)
            return
        asks: tuple[Any, ...] | None = None
        if not beside:
            asks, self._pending = tuple(self._pending), []
        answer = self._find(cue, asks)
        if answer is None or not answer.lines:
            self._refuse(event, "an answer to this, asked in this way")
            return
        metadata = (event.get("response") or {}).get("metadata")
        for line in answer.lines:
            response = line.event.get("response") or {}
            self._cancelled.discard(response.get("id") or "")
        self._play(answer.lines, answer.at_seconds, metadata)

    def _cancel(self, event: dict[str, Any]) -> None:
        wanted = event.get("response_id")
        for response_id, response in list(self._running.items()):
            if wanted in (None, response_id):
                del self._running[response_id]
                self._cancelled.add(response_id)
                details = {"type": "cancelled", "reason": "client_cancelled"}
                ended = {**copy.deepcopy(response), "status": "cancelled", "status_details": details}
                self._say({"type": "response.done", "response": ended})
                return
        code = "response_cancel_not_active"
        self._refuse(event, "", code, "Cancellation failed: no active response found")

    def _truncate(self, event: dict[str, Any]) -> None:
        kept: dict[str, Any] = {n: event[n] for n in ("item_id", "content_index", "audio_end_ms") if n in event}
        self._say({"type": "conversation.item.truncated", **kept})

    def _delete(self, event: dict[str, Any]) -> None:
        self._say({"type": "conversation.item.deleted", "item_id": event.get("item_id")})

    def _retrieve(self, event: dict[str, Any]) -> None:
        for line in self._recording.lines:
            item = line.event.get("item") or {}
            if line.type == "conversation.item.retrieved" and item.get("id") == event.get("item_id"):
                self._at(0.0, functools.partial(self._event, line, None))
                return
        self._refuse(event, "this item on its own")

    # a server that listens

    def _listen(self) -> None:
        """Whatever the server said of its own when so much sound had come is due when as much has come again."""
        while self._floor_at < len(self._script.floor):
            heard = self._script.floor[self._floor_at]
            if heard.line.type == "session.closed" and not self._closing:
                return
            if heard.after_bytes > self._heard.size:
                self._wait_for_more()
                return
            if heard.line.type == "input_audio_buffer.committed" and not self._same_so_far(heard.after_bytes):
                self._skip_turn()
                self._refuse({}, "what was said here")
                continue
            self._floor_at += 1
            # Never before what came before it.
            self._floor_free = max(self._floor_free, self._now() + self._paced(heard.seconds))
            self._floor_reached = heard.after_bytes
            make = functools.partial(self._event, heard.line, None)
            heapq.heappush(self._due, (self._floor_free, next(self._count), make))
            self._news.set()

    def _paced(self, seconds: float) -> float:
        return 0.0 if math.isinf(self._speed) else seconds / self._speed

    def _same_so_far(self, end: int) -> bool:
        start, self._buffer_from = self._buffer_from, end
        return alike(self._heard.read(start, end), self._recording.sound(("heard", start, end)))

    def _skip_turn(self) -> None:
        """Leave out the rest of this turn: up to where the server hears the next one begin."""
        floor = self._script.floor
        self._floor_at += 1
        while self._floor_at < len(floor) and floor[self._floor_at].line.type != "input_audio_buffer.speech_started":
            self._floor_at += 1

    def _wait_for_more(self) -> None:
        """Sound that ends too early for the recording would be waited for in vain: say so after a while."""
        if self._watch is not None:
            self._watch.cancel()

        def told() -> None:
            if self._heard.size - self._floor_reached > _RATE_HZ:  # half a second nothing came of
                self._refuse({}, "sound that ends here")

        self._watch = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, told)


_PATIENCE_SECONDS = 3.0
