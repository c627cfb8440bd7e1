"""Results file of a map: JSON Lines, a row for each recording, appended the moment an answer is there."""

import contextlib
import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """Answer to one recording, as it stands in the file.

    Attributes:
        key: Digest of content, question, model and who answers, by which the same question is known again.
        name: The recording's name.
        status: `"completed"`, `"incomplete"`, `"cancelled"` or `"failed"`.
        text: The answer's words.
        seconds: Duration of the recording. None where it could not be read.
        usd: Cost in US dollars. None where no price is known.
        tokens: Tokens read and produced.
        model: The model.
        source: The side that answered.
        prompt: The question.
        sound: The file with the answer's audio. None for a written answer.
        error: Sentence on what went wrong. None for nothing.
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


def read_rows(path: Path) -> dict[str, Row]:
    """Read the file as far as it goes; a last line that a crash tore is left out."""
    rows: dict[str, Row] = {}
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_text("utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, TypeError, AttributeError):
                held = json.loads(line)
                row = Row(**{name: held[name] for name in held.keys() & Row.__dataclass_fields__})
                rows[row.key] = row
    return rows


_writing = threading.Lock()


def append_row(path: Path, row: Row) -> None:
    """Write a line and wait until it is on the disk: it has been paid for."""
    with _writing:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
            torn = file.read(1) not in (b"", b"\n")
            file.write(b"\n" * torn + json.dumps(asdict(row), ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
