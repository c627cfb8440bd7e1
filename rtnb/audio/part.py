"""One of several recordings in a file, read as if it were a file of its own."""

import io
import os
from collections.abc import Iterable
from typing import BinaryIO

from rtnb.audio.formats import joint_in, sniff


class Part:
    """Stretch of a file from where a recording begins to where the next one does.

    Attributes:
        rest: Where in the file the next one begins. None while that has not been found.
    """

    rest: int | None = None

    def __init__(self, file: BinaryIO, start: int = 0) -> None:
        """Begin at `start` of a seekable binary file and end, for now, where the file does."""
        self._file, self._start = file, start
        self._pieces: list[tuple[BinaryIO, int, int]] = [(file, start, file.seek(0, os.SEEK_END))]
        self._position, self._demuxer, self._after, self._looks = 0, "", 0, False

    def compose(self, head: bytes, stretches: Iterable[tuple[int, int]]) -> None:
        """Let it be other bytes as its header, and from the file only stretches from one position in it to another."""
        pieces = [(self._file, self._start + begin, self._start + end) for begin, end in stretches]
        self._pieces, self._looks = [(io.BytesIO(head), 0, len(head)), *pieces], False

    def look_for_next(self, demuxer: str, after: int) -> None:
        """Let it end where another recording begins: looked for in what is read, behind a position in it.

        Args:
            demuxer: Its own container, as `sniff` names it.
            after: Where another may begin.
        """
        self._demuxer, self._after, self._looks = demuxer, after, True

    def end_at(self, position: int) -> None:
        """Let it end at a position, from which on another recording follows."""
        file, start, _ = self._pieces[-1]
        self.rest = self._in_file(position)
        self._pieces[-1] = (file, start, self.rest)

    def find_next(self) -> "Part | None":
        """Return the recording that follows, looked for in what was not read, too. None where none does."""
        scan = Part(self._file, self._in_file(self._after) if self._looks else self._pieces[-1][2])
        scan.look_for_next(self._demuxer, 0)
        while self.rest is scan.rest is None and scan.read(1 << 20):
            pass
        rest = scan.rest if self.rest is None else self.rest
        return None if rest is None or sniff(found := Part(self._file, rest)) is None else found

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
        self._position = max(0, offset + (0, self._position, self.size)[whence])
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes."""
        got = self._stretch(self._position, size if size >= 0 else 1 << 62)
        if got and self._looks:
            ahead = self._stretch(self._position + len(got), 8_192)
            joint = joint_in(got + ahead, self._demuxer, max(0, self._after - self._position), len(got))
            if joint is not None:
                self.end_at(self._position + joint)
                got = got[:joint]
        self._position += len(got)
        return got

    def _in_file(self, position: int) -> int:
        return self._pieces[-1][2] - (self.size - position)

    def _stretch(self, at: int, left: int) -> bytes:
        got = b""
        for file, start, stop in self._pieces:
            if left > len(got) and 0 <= at < stop - start:
                file.seek(start + at)
                piece = file.read(min(left - len(got), stop - start - at))
                got, at = got + piece if got else piece, at + len(piece)
            at -= stop - start
        return got
