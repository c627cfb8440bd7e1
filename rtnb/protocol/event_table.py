"""Events as a table for people: time, direction, type with its JSON to unfold, size; many deltas are one row."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import orjson

from rtnb import html
from rtnb.errors import mask_secrets
from rtnb.protocol.entry import APPEND, Entry
from rtnb.protocol.event_types import AUDIO_FIELDS
from rtnb.texts.language import say


class ReceivedEvents(list[dict[str, Any]]):
    """Server events of one turn, as they were on the wire; in a notebook a table of them.

    Args:
        entries: Their entries of the log.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__(entry.event for entry in entries)
        self._entries = entries

    def _repr_html_(self) -> str:
        return event_table(self._entries)


_ROWS = 200
_JSON_CHARACTERS = 2_000


@dataclass(slots=True)
class _Row:
    first: Entry
    size_bytes: int = 0
    sound_bytes: int = 0
    words: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, entry: Entry) -> None:
        self.count += 1
        self.size_bytes += entry.size_bytes
        self.sound_bytes += entry.sound_bytes
        self.words.append(str(entry.silent.get("delta") or ""))

    def cells(self) -> tuple[str, ...]:
        """Return time, direction, type with its JSON to unfold, and size; of many deltas what they add up to."""
        first, arrow = self.first, say("→ sent") if self.first.direction == "sent" else say("← received")
        event = dict(first.silent)
        if self.sound_bytes:
            event[AUDIO_FIELDS[first.type]] = f"<{self.sound_bytes:,} bytes of sound>"
        elif self.count > 1:
            event["delta"] = "".join(self.words)
        shown = mask_secrets(orjson.dumps(event, default=str, option=orjson.OPT_INDENT_2).decode())
        shown = shown if len(shown) <= _JSON_CHARACTERS else f"{shown[:_JSON_CHARACTERS]} …"
        name = f"{first.type} × {self.count}" if self.count > 1 else first.type
        unfolds = f"<details><summary>{escape(mask_secrets(name))}</summary><pre>{escape(shown)}</pre></details>"
        size = f"{self.size_bytes:,} B" if self.size_bytes < 10_000 else f"{self.size_bytes / 1000:,.0f} KB"
        return f"{first.at_seconds:.3f} s", arrow, html.Safe(unfolds), size


def event_table(entries: Sequence[Entry], *, newest: bool = False) -> str:
    """Return events as a table: time, direction, type with its JSON to unfold, size.

    The deltas of one item are one row, and so is the audio that is appended without a break.

    Args:
        entries: Entries of a log, in their order.
        newest: Which are shown of more than 200 rows: the last, or else the first.
    """
    rows: dict[Any, _Row] = {}
    stretch = 0  # of appended audio, which any other client event ends
    for number, entry in enumerate(entries):
        key: Any = number
        if entry.type == APPEND:
            key = (APPEND, stretch)
        elif entry.direction == "sent":
            stretch += 1
        elif entry.type.endswith(".delta"):
            key = (entry.type, *(entry.silent.get(name) for name in ("response_id", "item_id", "content_index")))
        rows.setdefault(str(key), _Row(entry)).add(entry)
    kept = [row.cells() for row in ([*rows.values()][-_ROWS:] if newest else [*rows.values()][:_ROWS])]
    caption = say("{count} events", count=len(entries))
    if left := len(rows) - len(kept):
        more = say('{rows} more rows are in the log; log.of("response.*") shows those of a type.', rows=left)
        caption = f"{caption}. {more}"
    heads = ("time", "direction", "type", "size")
    return html.table(heads, kept, right=(0, 3), caption=caption, all_types=say("all types"))
