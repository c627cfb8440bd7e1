"""Turn a path, bytes or a file object into one seekable file, or say why not."""

import contextlib
import io
import os
import re
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

from rtnb.audio.formats import READABLE, Seekable, looks_like, sniff
from rtnb.audio.naming import decoded, download_first, path_of
from rtnb.errors import AudioError

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
"""Forms in which a recording may come: a path, the bytes of a file, or a binary file object."""

_SPOOL_BYTES = 8 << 20


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
    name = name or (Path(given).name if isinstance(given, str) and given else "(file object)")
    if not reads_once(source):
        try:
            source.seek(0)
            piece = source.read(0)
        except (OSError, ValueError) as error:
            raise fail(name, f"it cannot be read ({words_of(error)})", "Open it anew and try again.") from error
        _only_bytes(piece, name)
        return source, False, name
    spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115
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
        return path.open("rb")
    except FileNotFoundError as error:
        remedy = f"Check the path (the current folder is {Path.cwd()})."
        raise fail(name, f"there is no file at {path}", remedy) from error
    except (OSError, ValueError) as error:
        problem = f"it cannot be opened ({words_of(error)})"
        raise fail(name, problem, "Check the path and its permissions.") from error


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
    raise fail(name, f"it is {what}", remedies.get(what, ""))


def refuse_file(data: bytes | bytearray | memoryview, name: str = "(bytes)") -> None:
    """Refuse the bytes of a whole file where bare samples are taken: as samples they would be noise.

    Raises:
        AudioError: They are a file with a header.
    """
    begins = bytes(data[:65_536])
    # An mp3's tag may be longer than this.
    if kind := sniff(io.BytesIO(begins), proofs=4) or "mp3" * (begins[:3] == b"ID3"):
        sentence = f"Your bytes are a whole file ({kind}), not bare samples. Use Clip.read(data)."
        raise AudioError(sentence, name=name, problem="not bare samples")
