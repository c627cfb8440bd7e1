"""Results file of a map: JSON Lines, a row for each recording, appended the moment an answer is there."""

import contextlib
import errno
import json
import os
import re
import socket
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, get_type_hints

from rtnb.errors import InputError
from rtnb.texts.files import to_be_written
from rtnb.texts.shortening import printable

if sys.platform == "win32":
    import msvcrt

    _TAKE, _LEAVE = msvcrt.LK_NBLCK, msvcrt.LK_UNLCK

    def _flock(file: BinaryIO, how: int) -> None:
        # A byte that is locked cannot be read by others: one far past the end, where C's `long` still reaches.
        os.lseek(file.fileno(), 2**31 - 2, os.SEEK_SET)
        msvcrt.locking(file.fileno(), how, 1)
else:
    import fcntl

    _TAKE, _LEAVE, _flock = fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_UN, fcntl.flock


@dataclass(frozen=True)
class Row:
    """Answer to one recording, as it stands in the file.

    Attributes:
        key: Digest of content, question, model and who answers, by which the same question is known again.
        name: The recording's name.
        status: `"completed"`, `"incomplete"`, `"cancelled"` or `"failed"`; `"unfinished"` where there is no answer.
        text: The answer's words.
        seconds: Duration of the recording. None where it could not be read.
        usd: Cost in US dollars. None where no price is known.
        tokens: Tokens read and produced.
        model: The model.
        source: The side that answered.
        prompt: The question.
        sound: The file with the answer's audio. None for a written answer, or where it is not there any more.
        error: Sentence on what went wrong. None for nothing.

    Examples:
        >>> clips = [rtnb.samples()["question"]]
        >>> row = rtnb.map(clips, "Repeat after me: yes", practice=True, out=None, show=False).wait()[0]
        >>> row.name, row.text, row.status, row.source
        ('question', 'yes.', 'completed', 'practice')
    """

    key: str
    name: str
    status: str
    text: str = ""
    seconds: float | None = None
    usd: float | None = 0.0
    tokens: int = 0
    model: str = ""
    source: str = ""
    prompt: str = ""
    sound: str | None = None
    error: str | None = None

    @property
    def over(self) -> bool:
        """Whether there is nothing to gain by asking again."""
        return self.status in ("completed", "incomplete")


# The file may have been edited by hand. A number without a fraction is an int there.
_TYPES = get_type_hints(Row) | {"seconds": float | int | None, "usd": float | int | None}
_ROOM_BYTES = 4096  # that are free before a recording is asked about; a row has about 500
_SOUND_BYTES = 1 << 16  # the same for an answer's audio: 20 s of Ogg Vorbis
_AGAIN = "What was answered is kept. Make room there and run the same line again."
_writing = threading.Lock()
# By process and place, for a fork copies them: who writes there, and what was paid for while the disk was full.
_taken: dict[tuple[int, Path], "RowsFile"] = {}
_unwritten: dict[tuple[int, Path], list[Row]] = {}


class RowsFile:
    """File of rows, which one map at a time takes, reads and writes.

    Args:
        path: The file. It and the folders on the way are made where they are not there.
        sounds: Whether answers have audio, which is kept in a folder beside the file.

    Raises:
        InputError: If it cannot be a path.
    """

    def __init__(self, path: str | Path, *, sounds: bool = False) -> None:
        with to_be_written(path) as self.path:
            self._sounds, self._speaks = self.path.with_name(self.path.stem + "_sounds"), sounds
            self._holder = self.path.with_name(f".{self.path.name}.holder")
            self._mine = (os.getpid(), self.path.resolve())
        self._file: BinaryIO | None = None

    def take(self) -> bool:
        """Take the file for one map, and prove that answers can be kept.

        Returns:
            Whether this one has it now; not while another map of this process does.

        Raises:
            InputError: If another program has it, or it or the folder of sounds cannot be written to.
        """
        if self._file is not None or _taken.setdefault(self._mine, self) is not self:
            return self._file is not None
        try:
            with to_be_written(self.path):
                self._lock()
            self.prove(1)
            if self._speaks:
                with to_be_written(self._sounds):
                    self._sounds.mkdir(exist_ok=True)
                    tempfile.TemporaryFile(dir=self._sounds).close()
        except BaseException:
            self.release()
            raise
        return True

    def _lock(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and not self.path.is_file():
            raise OSError(errno.EINVAL, "it is no file")
        self._file = self.path.open("a+b", buffering=0)
        self._file.seek(0)
        if b"\0" in self._file.read(1024):  # a recording, say
            raise OSError(errno.EINVAL, "it holds something other than rows")
        try:
            _flock(self._file, _TAKE)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):  # any other: this file system has no locks
                self._file.close()
                self._file, who = None, "another program"
                with contextlib.suppress(OSError):
                    who = self._holder.read_text("utf-8", errors="replace")
                used = f"The file {self.path} is in use: a map of {who} writes there. Wait, or give another out=."
                raise InputError(used, path=str(self.path)) from None
        with contextlib.suppress(OSError):
            notebook = printable(os.environ.get("JPY_SESSION_NAME", "another program"))
            self._holder.write_text(f"{notebook} (process {os.getpid()} on {socket.gethostname()})", "utf-8")

    def release(self) -> None:
        """Let other maps take the file."""
        if self._file is not None:
            with contextlib.suppress(OSError), self._file as file:
                self._holder.unlink(missing_ok=True)
                _flock(file, _LEAVE)  # a forked child may have the file open too
            self._file = None
        if _taken.get(self._mine) is self:
            del _taken[self._mine]

    def prove(self, answers: int) -> None:
        """Prove that there is room for so many answers more, by taking it for a moment.

        Raises:
            InputError: If there is none.
        """
        room = b"\n" * answers * (_ROOM_BYTES + _SOUND_BYTES * self._speaks)
        with to_be_written(self.path, _AGAIN), _writing, self.path.open("ab", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            try:
                if file.write(room) < len(room):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            finally:
                file.truncate(end)

    def sound_of(self, name: str, key: str) -> str:
        """Return the file for an answer's audio, under a name that every system takes."""
        plain = re.sub(r"[^\w. -]", "_", Path(name).stem)[:60]
        return str(self._sounds / f"{plain}-{key[:8]}.ogg")

    def spoke(self, recording: Any) -> bool:
        """Return whether a recording is the audio of an answer that is kept here."""
        return isinstance(recording, str | Path) and self._sounds.resolve() in Path(recording).resolve().parents

    def read(self) -> dict[str, Row]:
        """Return the rows by their keys; a line that a crash tore, or that is no row, is left alone.

        Raises:
            InputError: If the file cannot be read, or what an earlier map could not write still cannot be written.
        """
        self.append()
        rows: dict[str, Row] = {}
        with to_be_written(self.path):
            lines = self.path.read_bytes().split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, TypeError, AttributeError, RecursionError):
                # Editors put a mark before the first line. Not `int`: NaN and Infinity, which nothing can be added to.
                held = json.loads(line.decode("utf-8-sig", errors="replace"), parse_constant=int)
                row = Row(**{name: held[name] for name in held.keys() & _TYPES.keys()})
                if all(isinstance(getattr(row, name), kind) for name, kind in _TYPES.items()):
                    sound = self._sounds / Path(row.sound or "").name  # the folder may have been moved
                    rows[row.key] = replace(row, sound=str(sound) if row.sound and sound.exists() else None)
        return rows

    def append(self, *rows: Row) -> None:
        """Write rows and wait until they are on the disk: they have been paid for.

        Raises:
            InputError: If they cannot be written. The next call, of whichever map of this process, tries again.
        """
        with to_be_written(self.path, _AGAIN), _writing:
            waiting = _unwritten.setdefault(self._mine, [])
            waiting += rows
            # Half a surrogate pair, which UTF-8 does not have, is written as JSON's own escape.
            lines = [json.dumps(asdict(row), ensure_ascii=False).encode(errors="backslashreplace") for row in waiting]
            with self.path.open("a+b") as file:
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                torn = file.read(1) not in (b"", b"\n")
                file.write(b"\n" * torn + b"\n".join([*lines, b""]))
                file.flush()
                os.fsync(file.fileno())
            waiting.clear()
