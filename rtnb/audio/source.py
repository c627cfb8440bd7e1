"""Turn a path, bytes or a file object into one seekable file, or say why not."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from rtnb.audio.formats import READABLE
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
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source), True, name or "(bytes)"
    if isinstance(source, (str, os.PathLike)):
        path = Path(source).expanduser()
        name = name or path.name or str(path)
        if "://" in str(source):
            raise fail(name, f"{source} is an address, not a file", "Download it first, then give the path.")
        return _open_path(path, name), True, name
    if not hasattr(source, "read"):
        raise AudioError(
            f"Your {type(source).__name__} is no recording. Give a path, the bytes of a file or an open binary file; "
            "for samples in memory use Clip.from_array(array, rate_hz=…) or Clip.from_pcm(data, rate_hz=…).",
            name=name or type(source).__name__,
            problem="not a recording",
        )
    given = getattr(source, "name", None)
    name = name or (Path(given).name if isinstance(given, str) and given else "(file object)")
    try:
        if source.seekable():
            source.seek(0)
            if isinstance(source.read(0), str):
                raise fail(name, "it was opened as text", 'Open it with open(path, "rb").')
            return source, False, name
    except AttributeError:
        pass  # no seekable(): a minimal reader, such as an upload of a web framework
    except (OSError, ValueError) as error:
        raise fail(name, f"it cannot be read ({words_of(error)})", "Open it anew and try again.") from error
    spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115
    while piece := source.read(1 << 16):
        if isinstance(piece, str):
            spool.close()
            raise fail(name, "it was opened as text", 'Open it with open(path, "rb").')
        spool.write(piece)
    return spool, True, name  # type: ignore[return-value]


def _open_path(path: Path, name: str) -> BinaryIO:
    try:
        if path.is_dir():
            raise fail(name, "it is a folder", "Give one file in it, or a list of clips.")
        if path.exists() and not path.is_file():
            raise fail(name, "it is a device or a pipe", "Give the path of a file on disk.")
        return path.open("rb")
    except FileNotFoundError as error:
        remedy = f"Check the path (the current folder is {Path.cwd()})."
        raise fail(name, f"there is no file at {path}", remedy) from error
    except (OSError, ValueError) as error:
        problem = f"it cannot be opened ({words_of(error)})"
        raise fail(name, problem, "Check the path and its permissions.") from error
