"""Transfer of files from a page: small numbered pieces, each proved by its checksum, to a folder of this process."""

from __future__ import annotations

import hashlib
import re
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from rtnb.audio import open_stream
from rtnb.errors import AudioError


@dataclass(frozen=True)
class UploadedFile:
    """One file that was uploaded.

    Attributes:
        name: Its name on the user's computer.
        path: Where it lies now; it goes when the kernel ends.
        bytes: Its size.
        sha256: The checksum of the whole file as 64 hexadecimal digits.
        seconds: How long its audio is, as far as the file says. None where it does not, or has no audio.
        error: Why it cannot be read. None where it can.
    """

    name: str
    path: Path
    bytes: int
    sha256: str
    seconds: float | None = None
    error: AudioError | None = None


def checked(file: UploadedFile) -> UploadedFile:
    """Return a file with how long its audio is, or why it cannot be read; only its beginning is decoded."""
    try:
        with open_stream(file.path, name=file.name) as stream:
            return replace(file, seconds=stream.seconds if next(stream, None) is not None else 0.0)
    except AudioError as error:
        return replace(file, error=error)


@dataclass(eq=False)
class _Arriving:
    """File on its way."""

    name: str
    path: Path
    bytes: int
    pieces: int
    next: int = 0
    written: int = 0
    asked: bool = False
    digest: Any = field(default_factory=hashlib.sha256)


@dataclass(eq=False)
class Transfers:
    """Files on their way.

    Args:
        _send: Sends the page one message.
        _take: Takes a file that is whole: `take(key, file)`.
        _has: Whether a file is whole already, by its key.

    Attributes:
        arriving: The files on their way, by their key.
    """

    _send: Callable[[dict[str, Any]], None]
    _take: Callable[[str, UploadedFile], None]
    _has: Callable[[str], bool]
    arriving: dict[str, _Arriving] = field(default_factory=dict, init=False)

    def begin(self, key: str, name: str, content: Mapping[str, Any]) -> None:
        """Make room for a file."""
        self.arriving[key] = _Arriving(name, place(name), int(content.get("bytes", 0)), int(content.get("pieces", 1)))
        self.answer(key)

    def piece(self, key: str, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """Write a piece that is proved and the next one; ask for the next one otherwise."""
        file = self.arriving.get(key)
        number = int(content.get("i", -1))
        if file is None or number < file.next:
            self.answer(key)  # removed meanwhile, or sent twice
            return
        data = bytes(buffers[0]) if buffers else b""
        if number > file.next or not _proved(data, content):
            # One request for each hole: what was under way behind it arrives in vain and must not ask again.
            if not file.asked or number == file.next:
                file.asked = True
                self._send({"kind": "again", "id": key, "next": file.next})
            return
        with open(file.path, "ab") as out:
            out.write(data)
        file.digest.update(data)
        file.written += len(data)
        file.next += 1
        file.asked = False
        if file.next < file.pieces:
            self.answer(key)
            return
        del self.arriving[key]
        if file.written == file.bytes:
            self._take(key, UploadedFile(file.name, file.path, file.bytes, file.digest.hexdigest()))
            self._send({"kind": "ack", "id": key, "next": file.pieces})
        else:
            self.fail(key, "short", f"{file.written} / {file.bytes} B")

    def answer(self, key: str, *, answer: bool = False) -> None:
        """Say which piece comes next; `answer` where the page has asked."""
        if (file := self.arriving.get(key)) is not None:
            self._send({"kind": "ack", "id": key, "next": file.next, "answer": answer})
        elif self._has(key):
            self._send({"kind": "ack", "id": key, "next": 1 << 40, "answer": answer})
        elif answer:
            # Asked about a file whose beginning never came: the page must start again from the beginning.
            self.fail(key, "lost")

    def fail(self, key: str, why: str, problem: str = "") -> None:
        """Say that a file cannot be taken."""
        self._send({"kind": "failed", "id": key, "why": why, "problem": problem})

    def drop(self, key: str) -> None:
        """Forget a file on its way, if it is."""
        if (file := self.arriving.pop(key, None)) is not None:
            file.path.unlink(missing_ok=True)


def _proved(data: bytes, content: Mapping[str, Any]) -> bool:
    if "sha256" in content:
        return hashlib.sha256(data).hexdigest() == content["sha256"]
    return zlib.crc32(data) == content.get("crc32")


_numbers = count(1)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="rtnb-upload-")


def place(name: str) -> Path:
    """Return a path for a file in this process's own folder, which goes with the process."""
    safe = re.sub(r"[^\w.\- ]", "_", name.replace("\\", "/").split("/")[-1])[-80:].lstrip(".") or "recording"
    return Path(_folder().name) / f"{next(_numbers)}-{safe}"
