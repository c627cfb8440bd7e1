"""Turn a path, bytes or a file object into one seekable file, or say why not."""

import contextlib
import io
import os
import re
import tempfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rtnb.audio.formats import FRAMES, READABLE, Seekable, looks_like, sniff
from rtnb.audio.naming import decoded, download_first, path_of
from rtnb.audio.resample import another_type
from rtnb.errors import AudioError
from rtnb.texts.language import say, translate

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
"""Forms in which a recording may come: a path, the bytes of a file, or a binary file object."""


def fail(name: str, problem: str, remedy: str = "") -> AudioError:
    """Make the error for a recording that cannot be read."""
    remedy = remedy or f"rtnb reads {READABLE}; save the recording as one of these and try again."
    return AudioError(f"The file {name} cannot be read as sound: {problem}. {remedy}", name=name, problem=problem)


def words_of(error: BaseException) -> str:
    """Return what a library said went wrong, to be put in parentheses."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__).strip().rstrip(".").lower()


def is_file(given: Any) -> bool:
    """Return whether something is an open file: it has a `read` of its own, where classes have one that makes them."""
    return hasattr(given, "read") and not isinstance(getattr(given.read, "__self__", None), type)


def reads_once(given: Any) -> bool:
    """Return whether something is an open file that cannot be read again: a pipe, a download, a minimal reader."""
    with contextlib.suppress(OSError, ValueError):  # it is closed
        return is_file(given) and not (hasattr(given, "seekable") and given.seekable())
    return False


def open_source(source: Source, name: str | None) -> tuple[BinaryIO, bool, str]:
    """Open a recording for reading.

    Args:
        source: The recording.
        name: What to call it. None takes the file's name.

    Returns:
        A seekable binary file, whether we have to close it, and its name.

    Raises:
        AudioError: If it does not exist, cannot be opened, or is no recording.
    """
    if isinstance(source, str) and (held := decoded(source)) is not None:
        source = held
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source), True, name or "(bytes)"
    if isinstance(source, (str, os.PathLike)):
        path = path_of(source)
        if isinstance(source, str) and not source.strip():
            raise fail(name or "''", "its path is empty", "Give the path of a sound file.")
        name = name or path.name or str(path)
        if re.match(r"(?!file:)[a-z][a-z0-9+.-]+:/", str(source).strip(), re.IGNORECASE) and not os.path.exists(path):
            address = re.sub(":/+", "://", str(source).strip(), count=1)  # a Path has one slash fewer
            raise fail(name, f"{address} is an address, not a file", download_first(address))
        return _open_path(path, name), True, name
    if not is_file(source):
        raise AudioError(
            f"Your {type(source).__name__} is no recording. Give a path, the bytes of a file or an open binary file; "
            "for samples in memory use Clip.from_array(array, rate_hz=…) or Clip.from_pcm(data, rate_hz=…).",
            name=name or type(source).__name__,
            problem="not a recording",
        )
    given = getattr(source, "name", None)
    name = name or (Path(given).name if isinstance(given, str) and given else say("(file object)"))
    if not reads_once(source):
        try:
            source.seek(0)
            piece = source.read(0)
        except (OSError, ValueError) as error:
            raise fail(name, f"it cannot be read ({words_of(error)})", "Open it anew and try again.") from error
        _only_bytes(piece, name)
        return source, False, name
    spool = tempfile.SpooledTemporaryFile(max_size=8 << 20)  # noqa: SIM115
    for piece in iter(lambda: _only_bytes(source.read(1 << 16), name), b""):
        spool.write(piece)
    spool.seek(0)
    return spool, True, name  # type: ignore[return-value]


def _only_bytes(piece: Any, name: str) -> Any:
    if isinstance(piece, bytes | bytearray | memoryview):
        return piece
    what = "it was opened as text" if isinstance(piece, str) else f"its read() returns a {type(piece).__name__}"
    raise fail(name, what, 'Open it with open(path, "rb"), or give its bytes.')


def read_whole(source: Source, name: str) -> bytes:
    """Return the bytes of a recording, which may be read but once.

    Raises:
        AudioError: If it cannot be opened.
    """
    file, owned, _ = open_source(source, name)
    with file if owned else contextlib.nullcontext():
        return file.read()


def _open_path(path: Path, name: str) -> BinaryIO:
    if os.path.isdir(path):
        raise fail(name, "it is a folder", "Give one file in it, or a list of clips.")
    if os.path.exists(path) and not os.path.isfile(path):
        raise fail(name, "it is a device or a pipe", "Give the path of a file on disk.")
    try:
        with path.open("rb") as tried:  # some open, and cannot be read
            tried.read(1)
        return path.open("rb")
    except FileNotFoundError as error:
        remedy = f"Check the path (the current folder is {Path.cwd()})."
        raise fail(name, f"there is no file at {path}", remedy) from error
    except (OSError, ValueError) as error:
        raise fail(name, f"it cannot be opened ({words_of(error)})", "Check the path and its permissions.") from error


def recognise(file: Seekable, name: str) -> str:
    """Name the container of a recording, by its content.

    Args:
        file: A seekable binary file; its position is moved.
        name: What to call it.

    Returns:
        Its demuxer's name, as `sniff` has it.

    Raises:
        AudioError: It is no recording; the message says what it is instead.
    """
    if (demuxer := sniff(file)) is not None:
        return demuxer
    what = looks_like(file)
    remedies = {
        "no sound file that rtnb knows": f"rtnb reads {READABLE}; if these are bare samples without a header, use "
        "Clip.from_pcm(data, rate_hz=…), else save the recording in one of these formats.",
        "plain text": f"rtnb reads {READABLE}; for the words of a text file give "
        f"{'their text: data.decode()' if isinstance(file, io.BytesIO) else f'Path({name!r}).read_text()'}.",
    }
    raise fail(name, say("it is {what}", what=translate(what)), remedies.get(what, ""))


def bare_samples(data: Any, channels: int = 1) -> bytes | None:
    """Return signed 16-bit little-endian samples. None for what is neither bytes nor a row of 16-bit numbers.

    Args:
        data: Bytes, or an array of shape `(n,)` that holds 16-bit numbers of either byte order.
        channels: How many channels are interleaved in it.

    Raises:
        AudioError: They are a whole file, or samples of another type.
    """
    with contextlib.suppress(TypeError):  # for what is no buffer
        if (view := memoryview(data)).ndim == 1 and view.format in ("B", "b", "c", "h", "<h", ">h"):
            raw = np.asarray(data).astype("<i2").tobytes() if view.format == ">h" else view.tobytes()
            refuse_file(raw)
            # Of two channels one may hold anything.
            if len(raw) >= 480 and channels == 1 and "h" not in view.format and (what := translate(another_type(raw))):
                sentence = f"Your bytes look like {what}, not like 16-bit little-endian samples, and would be noise. "
                sentence += "Give them with their type: Clip.from_array(np.frombuffer(data, dtype), rate_hz=…)."
                raise AudioError(sentence, name="(bytes)", problem="not 16-bit samples")
            return raw
    return None


def refuse_file(data: bytes, name: str = "(bytes)") -> None:
    """Refuse the bytes of a whole file where bare samples are taken: as samples they would be noise.

    Raises:
        AudioError: They are a file with a header.
    """
    begins = data[:65_536]
    kind = sniff(io.BytesIO(begins), proofs=8)
    # A tone may look like frames in a row, but repeats itself; the three bytes of mpegts are in some noise by chance.
    by_chance = kind in (None, "mpegts") or (kind in FRAMES and len(zlib.compress(begins)) < len(begins) / 8)
    if not by_chance or re.match(rb"ID3[\2-\4]\0", begins):  # an mp3's tag may be longer than this
        sentence = f"Your bytes are a whole file ({kind or 'mp3'}), not bare samples. Use Clip.read(data)."
        raise AudioError(sentence, name=name, problem="not bare samples")
