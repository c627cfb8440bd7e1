"""Transfer of files from a page: small pieces, each proved by its checksum, to a folder of this process."""

import contextlib
import errno
import hashlib
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from pathlib import Path

from rtnb.audio import open_stream
from rtnb.errors import AudioError
from rtnb.ui.shared.kernel_link import FromPage


@dataclass(frozen=True)
class UploadedFile:
    """One file that was uploaded.

    Attributes:
        name: Its name on the user's computer.
        path: Where it lies now; it goes when the kernel ends.
        bytes: Its size.
        sha256: The checksum of the whole file as 64 hexadecimal digits; empty while it is on its way.
        seconds: How long its audio is, as far as the file says. None where it does not, or has no audio.
        error: Why it cannot be read. None where it can.
    """

    name: str
    path: Path
    bytes: int
    sha256: str = ""
    seconds: float | None = None
    error: AudioError | None = None


def checked(file: UploadedFile) -> UploadedFile:
    """Return a file with its checksum and how long its audio is, or why it cannot be read; its beginning is decoded."""
    with contextlib.suppress(OSError), open(file.path, "rb") as data:  # where it is gone, `open_stream` says so
        file = replace(file, sha256=hashlib.file_digest(data, "sha256").hexdigest())
    try:
        with open_stream(file.path, name=file.name) as stream:
            return replace(file, seconds=stream.seconds if next(stream, None) is not None else 0.0)
    except AudioError as error:
        return replace(file, error=error)


@dataclass(eq=False)
class Transfers:
    """Files on their way.

    Args:
        _tell: Sends the pages a message, as `KernelLink.tell` does.
        _take: Takes a file that is whole: `take(key, file)`.

    Attributes:
        arriving: The files on their way, by their key.
    """

    _tell: Callable[..., None]
    _take: Callable[[str, UploadedFile], None]
    arriving: dict[str, UploadedFile] = field(default_factory=dict, init=False)

    def begin(self, key: str, name: str, size: int) -> None:
        """Make room for a file of so many bytes.

        Raises:
            OSError: The disk has not as many left, beside what is still to come of other files.
        """
        to_come = sum(file.bytes - _written(file) for file in self.arriving.values())
        if size + to_come > shutil.disk_usage(_folder().name).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.arriving[key] = file = UploadedFile(name, place(name), size)
        file.path.touch()

    def piece(self, key: str, data: bytes) -> None:
        """Write the next piece of a file; nothing of one that was removed meanwhile, or is longer than it said."""
        if (file := self.arriving.get(key)) is not None:
            if (size := _written(file) + len(data)) > file.bytes:
                self.drop(key)
                return self.fail(key, "short", f"{size} / {file.bytes} B")
            with open(file.path, "ab") as out:
                out.write(data)

    def end(self, key: str) -> None:
        """Take a file of which all pieces have come."""
        if (file := self.arriving.pop(key, None)) is None:
            self.fail(key, "lost")
        elif (size := _written(file)) != file.bytes:
            self.fail(key, "short", f"{size} / {file.bytes} B")
        else:
            self._take(key, file)
            self._tell("taken", id=key)

    def fail(self, key: str, why: str, problem: str = "") -> None:
        """Say that a file cannot be taken."""
        self._tell("failed", id=key, why=why, problem=problem)

    def drop(self, key: str) -> None:
        """Forget a file on its way, if it is."""
        if (file := self.arriving.pop(key, None)) is not None:
            file.path.unlink(missing_ok=True)


def _written(file: UploadedFile) -> int:
    return file.path.stat().st_size


def intact(message: FromPage) -> bool:
    """Return whether a message is as its page sent it: a piece proves it by its checksum."""
    if message.kind != "piece":
        return True
    data = b"".join(message.buffers)
    if "sha256" in message.fields:
        return hashlib.sha256(data).hexdigest() == message.fields["sha256"]
    return zlib.crc32(data) == message.fields.get("crc32")


_numbers = count(1)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="rtnb-upload-")


def place(name: str) -> Path:
    """Return a path for a file in this process's own folder, which goes with the process."""
    safe = re.sub(r"[^\w.\- ]", "_", name.replace("\\", "/").split("/")[-1])[-80:].lstrip(".") or "recording"
    return Path(_folder().name) / f"{next(_numbers)}-{safe}"
