"""Events of a session written down as they happen: one JSON line an event, both ways, no secrets."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rtnb.errors import without_secrets

Write = Callable[[str, str | bytes], None]


@contextmanager
def written_down(directory: Path | None, name: str, keys: Iterable[str]) -> Iterator[Write]:
    """Open a file for a session's events, and yield what adds a frame to it, given who sent it.

    Each line is `{"at": seconds since the session began, "from": "client" | "server", "event": {…}}`; a frame that is
    no JSON object has `"text"` instead of `"event"`.

    Args:
        directory: Where the file goes; made if it is not there. None writes nothing.
        name: The file's name without its ending.
        keys: The keys in use, which are not to be in it.
    """
    if directory is None:
        yield lambda sender, frame: None
        return
    directory.mkdir(parents=True, exist_ok=True)
    loop = asyncio.get_running_loop()
    start, keys = loop.time(), list(keys)
    with (directory / f"{name}.jsonl").open("w", encoding="utf-8") as file:

        def write(sender: str, frame: str | bytes) -> None:
            text = frame.decode("utf-8", "replace") if isinstance(frame, bytes) else frame
            try:
                content: dict[str, Any] = {"event": json.loads(text)}
            except ValueError:
                content = {"text": text[:1000]}
            fields = {"at": round(loop.time() - start, 4), "from": sender, **without_secrets(content, keys)}
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")

        yield write
