"""Prices of models as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from rtnb import html, models
from rtnb.models import Model, Prices, Rate
from rtnb.money.usage import text_table


def _rate(of: Rate) -> str:
    numbers = (of.input, of.cached, of.output)
    return "" if of == Rate() else " / ".join("–" if n is None else f"{n:.2f}" for n in numbers)


def _cents(usd: float | None) -> str:
    return "" if usd is None else f"{usd * 100:.2f}".rstrip("0").rstrip(".")


_COLUMNS: dict[str, Callable[[Model, Prices], str]] = {
    "model": lambda model, of: model.name,
    "prices of": lambda model, of: str(of.since),
    "text in / cached / out": lambda model, of: _rate(of.text),
    "audio in / cached / out": lambda model, of: _rate(of.audio),
    "¢ a minute heard": lambda model, of: _cents(of.audio_in_per_minute_usd),
    "¢ a minute spoken": lambda model, of: _cents(of.audio_out_per_minute_usd),
    "until": lambda model, of: str(model.shutdown or ""),
}


@dataclass(frozen=True)
class PriceTable:
    """Prices of models.

    Attributes:
        rows: `(model, prices)` pairs; a model appears once for each time its price changed.
        known_on: The day the prices were last checked.
    """

    rows: tuple[tuple[Model, Prices], ...]
    known_on: date

    HEADERS: ClassVar[tuple[str, ...]] = tuple(_COLUMNS)

    def _cells(self) -> list[list[str]]:
        return [[cell(model, of) for cell in _COLUMNS.values()] for model, of in self.rows]

    _note: ClassVar[str] = (
        "US dollars per million tokens, list prices without tax. A minute heard is 600 tokens, a minute "
        "spoken 1,200; every turn bills the talk before it again, in part at the cached price."
    )

    def __repr__(self) -> str:
        return f"{text_table([self.HEADERS, *self._cells()])}\n\nAs of {self.known_on}. {self._note}"

    def _repr_html_(self) -> str:
        return html.table(self.HEADERS, self._cells(), caption=f"As of {self.known_on}. {self._note}")


def prices(*names: str, gone: bool = True) -> PriceTable:
    """List what models cost, with cents per minute of speech.

    Args:
        *names: Models to show. None given means all whose price is known, newest first.
        gone: Whether to show prices of the past too: of models that were shut down, and earlier prices of
            models, those of the launch on 2024-10-01 among them.

    Returns:
        A table; it shows itself in a notebook and prints as text.
    """
    chosen = [models.get(name) for name in names] if names else list(models.load().values())
    rows: list[tuple[Model, Prices]] = []
    for model in chosen:
        if not names and (model.kind == "other" or (model.is_gone() and not gone)):
            continue
        history = model.history if gone else model.history[-1:]
        # A dated snapshot costs what its model does; only where it does not is it worth a row of its own.
        if not names and any(
            model.name.startswith(shown.name + "-") and set(history) <= set(shown.history) for shown, _ in rows
        ):
            continue
        rows += [(model, of) for of in reversed(history)]
    return PriceTable(tuple(rows), models.known_on())
