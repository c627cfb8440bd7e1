"""A session written down as it happens: one JSON line an event, both ways, no secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

from rtnb.errors import mask_secrets

__all__ = ["Tape"]


class Tape:
    """A session's file.

    Each line is `{"at": seconds since the session began, "from": "client" | "server", "event": {…}}`; a frame that is
    no JSON object has `"text"` instead of `"event"`.

    Args:
        directory: Where the file goes; made if it is not there.
        name: The file's name without its ending.
        now: The time, in seconds on the clock of all later times.
    """

    def __init__(self, directory: Path, name: str, now: float) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._start = now
        self._file: TextIO = (directory / f"{name}.jsonl").open("w", encoding="utf-8")

    def write(self, sender: str, frame: str | bytes, now: float) -> None:
        """Add a frame."""
        text = frame.decode("utf-8", "replace") if isinstance(frame, bytes) else frame
        text = mask_secrets(text)
        try:
            content: dict[str, Any] = {"event": json.loads(text)}
        except ValueError:
            content = {"text": text[:1000]}
        line = {"at": round(now - self._start, 4), "from": sender, **content}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Write out what is left."""
        self._file.close()
