"""Events of a session written down as they happen: one JSON line an event, both ways, no secrets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rtnb.errors import without_secrets

__all__ = ["EventWriter"]


class EventWriter:
    """File of a session's events.

    Each line is `{"at": seconds since the session began, "from": "client" | "server", "event": {…}}`; a frame that is
    no JSON object has `"text"` instead of `"event"`.

    Args:
        directory: Where the file goes; made if it is not there.
        name: The file's name without its ending.
        keys: The keys in use, which are not to be in it.
    """

    def __init__(self, directory: Path, name: str, keys: Iterable[str] = ()) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self._keys = list(keys)
        self._file = (directory / f"{name}.jsonl").open("w", encoding="utf-8")

    def write(self, sender: str, frame: str | bytes) -> None:
        """Add a frame."""
        text = frame.decode("utf-8", "replace") if isinstance(frame, bytes) else frame
        try:
            content: dict[str, Any] = {"event": json.loads(text)}
        except ValueError:
            content = {"text": text[:1000]}
        at = round(self._loop.time() - self._start, 4)
        self._file.write(
            json.dumps({"at": at, "from": sender, **without_secrets(content, self._keys)}, ensure_ascii=False) + "\n"
        )

    def close(self) -> None:
        """Write out what is left."""
        self._file.close()
