"""One of several recordings in a file, read as if it were a file of its own."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable
from typing import BinaryIO

_OVERLAP_BYTES = 64
_SCAN_BYTES = 1 << 20


class Part:
    """Stretch of a file from where a recording begins to where the next one does.

    Attributes:
        rest: Where in the file the next one begins. None while that has not been found.
    """

    rest: int | None = None

    def __init__(self, file: BinaryIO, start: int = 0) -> None:
        """Begin at `start` of a seekable binary file and end, for now, where the file does."""
        self._file, self._start, self._end = file, start, file.seek(0, os.SEEK_END)
        self._pieces: list[tuple[BinaryIO, int, int]] = [(file, start, self._end)]
        self._position, self._last_read = 0, 0
        self._joint: re.Pattern[bytes] | None = None
        self._after, self._seen = 0, b""

    def compose(self, head: bytes, stretches: Iterable[tuple[int, int]]) -> None:
        """Let it be other bytes as its header, and from the file only stretches from one position in it to another."""
        pieces = [(self._file, self._start + begin, self._start + end) for begin, end in stretches]
        self._pieces = [(io.BytesIO(head), 0, len(head)), *pieces]

    def look_for(self, joint: re.Pattern[bytes], after: int) -> None:
        """Let it end where, behind a position in it, another recording begins: looked for in what is read."""
        self._joint, self._after = joint, after

    def find_rest(self, joint: re.Pattern[bytes], after: int) -> Part | None:
        """Return the recording that follows, looked for in what was not read, too, behind a position in it."""
        end = self._pieces[-1][2]
        scan = Part(self._file, end if end < self._end else self._start + max(self._last_read, after))
        scan.look_for(joint, 0)
        while self.rest is scan.rest is None and scan.read(_SCAN_BYTES):
            pass
        rest = scan.rest if self.rest is None else self.rest
        return None if rest is None else Part(self._file, rest)

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return sum(stop - start for _, start, stop in self._pieces)

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in it."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to another position, as in any file."""
        position = max(0, offset + (0, self._position, self.size)[whence])
        if position != self._position:
            self._position, self._seen = position, b""
        return position

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes."""
        at, left, got = self._position, size if size >= 0 else 1 << 62, b""
        for file, start, stop in self._pieces:
            if left > len(got) and 0 <= at < stop - start:
                file.seek(start + at)
                piece = file.read(min(left - len(got), stop - start - at))
                got, at = got + piece if got else piece, at + len(piece)
            at -= stop - start
        if got:
            self._last_read = self._position
        if self._joint is not None:
            got = self._before_joint(got, self._joint)
        self._position += len(got)
        return got

    def _before_joint(self, data: bytes, joint: re.Pattern[bytes]) -> bytes:
        """Return data up to where another recording begins in it."""
        begin, text = self._position - len(self._seen), self._seen + data
        found = joint.search(text, max(0, self._after - begin))
        self._seen = b"" if found else text[-_OVERLAP_BYTES:]
        if found is None:
            return data
        end = begin + found.start()
        file, start, stop = self._pieces[-1]
        self.rest = stop - (self.size - end)
        self._pieces[-1] = (file, start, self.rest)
        return data[: max(0, end - self._position)]
