"""A session's answers as a bill: for each, its tokens and its cents, and what the same talk costs on other models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtnb import html
from rtnb.money import costs

if TYPE_CHECKING:
    from rtnb.session.session import Session


@dataclass(frozen=True)
class Item:
    """One position of the bill.

    Attributes:
        what: The answer's words, or what was transcribed.
        status: How the answer ended; "transcription" for the person's words.
        usage: The tokens the server counted. All zero for a transcription billed by the minute.
        cost: What it cost.
    """

    what: str
    status: str
    usage: costs.Usage
    cost: costs.Cost


class Bill(tuple[Item, ...]):
    """Positions in the order of the talk. It shows itself as a table.

    Attributes:
        model: The model that answered.
    """

    model: str

    def __new__(cls, items: Iterable[Item], model: str) -> Bill:
        """Take the positions as they are."""
        bill = super().__new__(cls, items)
        bill.model = model
        return bill

    @classmethod
    def of(cls, session: Session) -> Bill:
        """Read a session's bill as it stands."""
        talk = session.conversation
        items = []
        for response in talk.responses.values():
            if response.usage:
                words = [turn.words for turn in response.turns]
                usage = costs.Usage.from_event(response.usage)
                items.append(Item(" ".join(words), response.status, usage, costs.cost(usage, session.model)))
        for said, used in talk.transcribed:
            spent = session._cost_of_transcript(used)
            items.append(Item(said.transcript or "", "transcription", costs.Usage.from_event(used), spent))
        return cls(items, session.model)

    @property
    def usage(self) -> costs.Usage:
        """The tokens of all answers; transcription is counted apart."""
        return sum((item.usage for item in self if item.status != "transcription"), costs.Usage())

    @property
    def cost(self) -> costs.Cost:
        """What all of it cost."""
        return sum((item.cost for item in self), costs.Cost())

    def compare(self, *models: str) -> costs.Comparison:
        """What the same tokens cost on other models.

        Args:
            *models: Their names. None given means every model served today whose price is known.
        """
        return costs.compare(self.usage, models or None)

    def _rows(self) -> list[list[str]]:
        rows = [
            [
                str(number),
                _cut(item.what),
                item.status,
                f"{item.usage.input_tokens:,}" if item.usage else "",
                f"{item.usage.cached_tokens:,}" if item.usage else "",
                f"{item.usage.output_tokens:,}" if item.usage else "",
                _cents(item.cost),
            ]
            for number, item in enumerate(self, 1)
        ]
        used = self.usage
        total = [f"{used.input_tokens:,}", f"{used.cached_tokens:,}", f"{used.output_tokens:,}"]
        return [*rows, ["", "in all", "", *total, _cents(self.cost)]]

    def __repr__(self) -> str:
        cells = [list(_HEADERS), *self._rows()]
        widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADERS))]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if column > 2 else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in cells
        )

    def _repr_html_(self) -> str:
        return html.table(_HEADERS, self._rows(), caption=self.model)


_HEADERS = ("", "answer", "status", "tokens in", "cached", "tokens out", "¢")


def _cut(text: str, letters: int = 40) -> str:
    text = " ".join(text.split())
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _cents(cost: costs.Cost) -> str:
    return "unknown" if cost.usd is None else f"{cost.usd * 100:.3f}"
