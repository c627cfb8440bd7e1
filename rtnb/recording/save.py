"""Save a session's log to a file: every event both ways with its time, the audio once and compressed, no secrets."""

import io
import json
import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rtnb.audio import pcm as pcm_arithmetic
from rtnb.errors import InputError, may_hold_secrets, without_secrets
from rtnb.protocol import frames
from rtnb.protocol.entry import Entry, Spool
from rtnb.texts.files import save_file

VERSION = 1
_BLOCK_BYTES = pcm_arithmetic.byte_count(10)
_LONG = 4096  # base64 of this length in an event is audio worth taking out
_FORMATS = {"flac": ("FLAC", "PCM_16"), "opus": ("OGG", "OPUS")}


def save_session(
    log: Iterable[Entry], path: str | os.PathLike[str], sound: str, about: Mapping[str, Any], secrets: Iterable[str]
) -> Path:
    """Save a session, open or closed; see `Session.save`.

    Args:
        log: Its log.
        path: Where to.
        sound: `"flac"` or `"opus"`.
        about: What to write of the session: its `model`, `source`, `url` and `settings`.
        secrets: What must not be in the file, for example the values of the headers that open a connection.

    Raises:
        InputError: If `sound` is neither, or the place cannot be written to.
    """
    if sound not in _FORMATS:
        raise InputError(f"Your sound={sound!r} is not known. Give 'flac' (exact) or 'opus' (small).", sound=sound)
    entries = list(log)
    tracks = {name: Spool() for name in ("heard", "spoken", "more")}
    places = _write_audio(entries, tracks)
    pictures: dict[str, int] = {}
    known = [value.removeprefix("Bearer ") for value in secrets]

    def scrubbed(value: Any) -> str:
        return json.dumps(without_secrets(value, known), ensure_ascii=False, separators=(",", ":"))

    lines = []
    for entry, place in zip(entries, places, strict=True):
        by = "us" if entry.direction == "sent" else "server"
        about_it = {"at": round(entry.at_seconds, 6), "by": by, **({"sound": place} if place else {})}
        event = entry.json.decode()
        if len(event) >= _LONG or may_hold_secrets(event, known):
            event = scrubbed(entry.silent if place else _without_audio(entry.silent, tracks["more"], pictures))
        lines.append(f'{scrubbed(about_it)[:-1]},"event":{event}}}\n')
    sizes = {name: track.size for name, track in tracks.items()}
    whole = scrubbed({"version": VERSION, **about, "sound": sound, "sizes": sizes})
    files: dict[str, str | bytes] = {"session.json": whole, "events.jsonl": "".join(lines)}
    files |= {f"picture-{number}.txt": picture for picture, number in pictures.items()}
    files |= {f"{name}.{sound}": _encoded(track, sound) for name, track in tracks.items() if track.size}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            # Bytes are audio, which is compressed already.
            archive.writestr(name, content, zipfile.ZIP_DEFLATED if isinstance(content, str) else zipfile.ZIP_STORED)
    return save_file(os.fspath(path), out.getvalue())


def _write_audio(entries: list[Entry], tracks: Mapping[str, Spool]) -> list[list[Any] | None]:
    """Put the events' audio on tracks; return for each event where its own begins and ends, None for one without.

    What was spoken goes item by item: deltas end in the middle of a sample, and answers interleave where they run in
    parallel, so that in the order of arrival no encoder would find a voice in it.
    """
    places: list[list[Any] | None] = [None] * len(entries)
    items: dict[tuple[str, str], list[int]] = {}
    for index, entry in enumerate(entries):
        if entry.sound_bytes:
            name = "heard" if entry.direction == "sent" else "spoken"
            items.setdefault((name, str(entry.silent.get("item_id"))), []).append(index)
    for (name, _), indices in items.items():
        for index in indices:
            places[index] = [name, tracks[name].write(entries[index].sound), tracks[name].size]
        _even(tracks[name])
    return places


def _without_audio(value: Any, track: Spool, pictures: dict[str, int]) -> Any:
    """Put audio inside items (as `retrieve` returns it, or as a client sends it whole) on a track as well.

    A picture is sent once and echoed twice; it is kept once too.
    """
    if isinstance(value, list):
        return [_without_audio(part, track, pictures) for part in value]
    if isinstance(value, str) and len(value) >= _LONG and value.startswith("data:"):
        return {"picture": pictures.setdefault(value, len(pictures))}
    if not isinstance(value, dict):
        return value
    taken = {name: _without_audio(part, track, pictures) for name, part in value.items()}
    audio = value.get("audio")
    if isinstance(audio, str) and len(audio) >= _LONG:
        try:
            pcm = frames.decode_audio(audio)
        except ValueError:
            return taken
        taken["audio"] = {"sound": ["more", track.write(pcm), track.size]}
        _even(track)
    return taken


def _even(track: Spool) -> None:
    """Fill up half a sample, so that what follows is not shifted by a byte."""
    track.write(bytes(track.size % pcm_arithmetic.BYTES_PER_SAMPLE))


def _encoded(track: Spool, kind: str) -> bytes:
    import soundfile

    out = io.BytesIO()
    container, codec = _FORMATS[kind]
    with soundfile.SoundFile(out, "w", pcm_arithmetic.RATE_HZ, 1, format=container, subtype=codec) as file:
        for at in range(0, track.size, _BLOCK_BYTES):
            file.write(np.frombuffer(track.read(at, at + _BLOCK_BYTES), "<i2"))
    return out.getvalue()
