"""A session written down as it happens: one JSON line an event, both ways, no secrets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from rtnb.errors import without_secrets

__all__ = ["EventWriter"]


class EventWriter:
    """A session's file.

    Each line is `{"at": seconds since the session began, "from": "client" | "server", "event": {…}}`; a frame that is
    no JSON object has `"text"` instead of `"event"`.

    Args:
        directory: Where the file goes; made if it is not there.
        name: The file's name without its ending.
        now: The time, in seconds on the clock of all later times.
        keys: The keys in use, which are not to be in it.
    """

    def __init__(self, directory: Path, name: str, now: float, keys: Iterable[str] = ()) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._start = now
        self._keys = list(keys)
        self._file: TextIO = (directory / f"{name}.jsonl").open("w", encoding="utf-8")

    def write(self, sender: str, frame: str | bytes, now: float) -> None:
        """Add a frame."""
        text = frame.decode("utf-8", "replace") if isinstance(frame, bytes) else frame
        try:
            content: dict[str, Any] = {"event": json.loads(text)}
        except ValueError:
            content = {"text": text[:1000]}
        line = {"at": round(now - self._start, 4), "from": sender, **without_secrets(content, self._keys)}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Write out what is left."""
        self._file.close()
