"""From tokens or minutes to US dollars, and prices of models as a table.

For each modality, input tokens that were not cached, cached input tokens and output tokens are billed each at its own
price (OpenAI docs, guide realtime-costs).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, ClassVar

from rtnb import html, models
from rtnb.models import Model, Prices, Rate
from rtnb.money.usage import Usage, amounts, money, text_table
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import joined, say, translate

HEADERS = ("position", "quantity", "price", "US dollars")
"""Titles of what `Cost.rows` returns."""


@dataclass(frozen=True)
class Line:
    """One position of a cost.

    Attributes:
        what: For example `"audio in"`, `"text in, cached"`, `"audio out"`, `"audio in, by the minute"`.
        quantity: Tokens, or minutes.
        unit: `"tokens"` or `"minutes"`.
        unit_usd: US dollars per million tokens, or per minute. None where no price is known.
        model: Whose price it is.

    Examples:
        >>> usage = rtnb.costs.Usage(input_audio_tokens=600)
        >>> line = rtnb.costs.cost(usage, "gpt-realtime-2.1-mini").lines[0]
        >>> line.what, line.quantity, line.unit
        ('audio in', 600, 'tokens')
    """

    what: str
    quantity: float
    unit: str
    unit_usd: float | None
    model: str = ""

    @property
    def usd(self) -> float | None:
        """US dollars. None where no price is known."""
        if self.unit_usd is None:
            return None
        return self.quantity * self.unit_usd / (1e6 if self.unit == "tokens" else 1)


@dataclass(frozen=True)
class Cost:
    """Cost of one thing, or of many added up.

    Attributes:
        lines: The positions. Empty where nothing was billed.

    Examples:
        >>> usage = rtnb.costs.Usage(input_audio_tokens=600, output_audio_tokens=1200)
        >>> [line.what for line in rtnb.costs.cost(usage, "gpt-realtime-2.1-mini").lines]
        ['audio in', 'audio out']
    """

    lines: tuple[Line, ...] = ()

    @property
    def usd(self) -> float | None:
        """US dollars in all. None where the price of any position is unknown; see `known_usd`."""
        return None if any(line.usd is None for line in self.lines) else self.known_usd

    @property
    def known_usd(self) -> float:
        """US dollars of those positions whose price is known."""
        return math.fsum(line.usd for line in self.lines if line.usd is not None)

    def __add__(self, other: object) -> "Cost":
        if other == 0:
            return self
        if not isinstance(other, Cost):
            return NotImplemented
        sums: dict[Line, float] = {}
        for line in (*self.lines, *other.lines):
            position = replace(line, quantity=0)
            sums[position] = sums.get(position, 0) + line.quantity
        return Cost(tuple(replace(position, quantity=quantity) for position, quantity in sums.items()))

    __radd__ = __add__

    def __float__(self) -> float:
        return self.known_usd

    def __str__(self) -> str:
        if self.usd is not None:
            return money(self.usd)
        return translate(f"{money(self.known_usd)} + an unknown price") if self.known_usd else money(None)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html.table(HEADERS, self.rows(("in all", self)), right=range(1, 4))

    def rows(self, *sums: tuple[str, "Cost"]) -> list[list[str]]:
        """Return each position as text: what, quantity, price, US dollars.

        Args:
            *sums: Names and costs of further rows, whose dollars have as many decimals as those of the positions.
        """
        unit_prices = amounts([line.unit_usd for line in self.lines])
        usd = amounts([line.usd for line in self.lines] + [cost.known_usd for _, cost in sums])
        rows = []
        for line, price, spent in zip(self.lines, unit_prices, usd, strict=False):
            by_tokens, each = line.unit == "tokens", translate("unknown")
            count = say("{count:,.0f} tokens" if by_tokens else "{count:.2f} minutes", count=line.quantity)
            if line.unit_usd is not None:
                each = say("{price} per {per}", price=price, per=translate("million" if by_tokens else "minute"))
            rows.append([translate(line.what), count, each, spent])
        for (name, cost), spent in zip(sums, usd[len(self.lines) :], strict=True):
            rows.append([translate(name), "", "", str(cost) if cost.usd is None else spent])
        return rows


_POSITIONS = (
    ("text in", "text in, cached", "text out"),
    ("audio in", "audio in, cached", "audio out"),
    ("image in", "image in, cached", "image out"),
)


def _priced(model: str | Model, on: date | None) -> tuple[Model, Prices]:
    """Return a model with its prices on a day, which are none where they are not known."""
    about = model if isinstance(model, Model) else models.get(model)
    return about, about.prices_on(on) or Prices(since=date.min)


def cost(usage: Usage | Mapping[str, Any] | None, model: str | Model, *, on: date | None = None) -> Cost:
    """Return what the tokens of a response, or of many, cost on a model.

    Args:
        usage: The tokens; a `response.done` event, its response or its `usage` object will do.
        model: A model's name.
        on: The day whose prices to use. None means the newest.

    Returns:
        The cost, a line for each kind of token that was used. Its `usd` is None where the model's price is
        unknown.

    Examples:
        >>> usage = rtnb.costs.Usage(input_audio_tokens=600, output_audio_tokens=1200)
        >>> rtnb.costs.cost(usage, "gpt-realtime-2.1-mini")
        $0.0...
    """
    used = usage if isinstance(usage, Usage) else Usage.from_event(usage)
    about, of = _priced(model, on)
    positions: list[tuple[str, int, float | None]] = []
    for names, rate, read, cached, wrote in (
        (_POSITIONS[0], of.text, used.input_text_tokens, used.cached_text_tokens, used.output_text_tokens),
        (_POSITIONS[1], of.audio, used.input_audio_tokens, used.cached_audio_tokens, used.output_audio_tokens),
        (_POSITIONS[2], of.image, used.input_image_tokens, used.cached_image_tokens, 0),
    ):
        # Before October 2024's prices knew of caching, a cached token cost what any input token did.
        cached_usd = rate.input if rate.cached is None else rate.cached
        positions += zip(names, (read - cached, cached, wrote), (rate.input, cached_usd, rate.output), strict=True)
    return Cost(tuple(Line(what, tokens, "tokens", usd, about.name) for what, tokens, usd in positions if tokens))


def cost_of_minutes(seconds: float, model: str | Model, *, on: date | None = None) -> Cost:
    """Return what audio costs on a model that is billed by time, as translation is.

    Args:
        seconds: Length of the audio, 0 or more.
        model: A model's name.
        on: The day whose prices to use. None means the newest.

    Returns:
        The cost; its `usd` is None where the model has no price per minute.
    """
    about, of = _priced(model, on)
    line = Line("audio, by the minute", seconds / 60, "minutes", of.per_minute_usd, about.name)
    return Cost((line,) if seconds else ())


def cost_of_transcription(usage: Mapping[str, Any] | None, model: str | Model, *, on: date | None = None) -> Cost:
    """Return what the transcription of the user's words cost. It is billed apart from the response.

    Args:
        usage: The `usage` of `conversation.item.input_audio_transcription.completed`: `{"type": "tokens",
            …}` or `{"type": "duration", "seconds": …}`. None, as some servers send, costs nothing.
        model: The transcription model's name.
        on: The day whose prices to use. None means the newest.

    Returns:
        The cost; its `usd` is None where no price is known. Where the server counts tokens and the price is
        per minute, or the other way round, 600 audio tokens are a minute.
    """
    usage = usage or {}
    about, of = _priced(model, on)
    per_minute = models.limits().audio_in_tokens_per_minute
    timed = usage.get("type") == "duration" or "seconds" in usage
    minutes = float(usage.get("seconds") or 0) / 60
    used = Usage(input_audio_tokens=round(minutes * per_minute)) if timed else Usage.from_event(usage)
    if of.per_minute_usd is None and not (timed and of.audio.input is None):
        return cost(used, about, on=on)
    return cost_of_minutes((minutes if timed else used.input_audio_tokens / per_minute) * 60, about, on=on)


# --- prices as a table


def _rate(of: Rate) -> str:
    numbers = (of.input, of.cached, of.output)
    return "" if of == Rate() else " / ".join("–" if n is None else f"{n:.2f}" for n in numbers)


def _cents(usd: float | None) -> str:
    return "" if usd is None else f"{usd * 100:.2f}"


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

    Examples:
        >>> table = rtnb.prices("gpt-realtime-2.1-mini")
        >>> {model.name for model, prices in table.rows}
        {'gpt-realtime-2.1-mini'}
    """

    rows: tuple[tuple[Model, Prices], ...]
    known_on: date

    HEADERS: ClassVar[tuple[str, ...]] = tuple(_COLUMNS)

    def _cells(self) -> list[list[str]]:
        return [[cell(model, of) for cell in _COLUMNS.values()] for model, of in self.rows]

    def _note(self) -> str:
        prices = (
            "US dollars per million tokens, list prices without tax. A minute heard is 600 tokens, a minute spoken "
            "1,200; every turn bills the conversation before it again, in part at the cached price."
        )
        return joined(models.age(), models.stale_notice() or "", say(prices))

    def __repr__(self) -> str:
        return f"{text_table([[*map(translate, self.HEADERS)], *self._cells()], right_from=2)}\n\n{self._note()}"

    def _repr_html_(self) -> str:
        return html.table(self.HEADERS, self._cells(), right=range(2, 6), caption=self._note())


@checks_call
def prices(*names: str, gone: bool = True) -> PriceTable:
    """List what models cost, with cents per minute of speech.

    Args:
        *names: Models to show. None given means all whose price is known, newest first.
        gone: Whether to show prices of the past too: of models that were shut down, and earlier prices of
            models, those of the launch on 2024-10-01 among them.

    Returns:
        A table; it shows itself in a notebook and prints as text.

    Examples:
        >>> "gpt-realtime-2.1-mini" in repr(rtnb.prices("gpt-realtime-2.1-mini"))
        True
    """
    chosen = [models.get(name) for name in names] if names else list(models.load().values())
    rows: list[tuple[Model, Prices]] = []
    for model in chosen:
        history = model.history if gone else model.history[-1:]
        # A dated snapshot costs what its model does; only where it does not is it worth a row of its own.
        same = any(model.name.startswith(one.name + "-") and set(history) <= set(one.history) for one, _ in rows)
        if not names and (same or model.kind == "other" or (model.is_gone() and not gone)):
            continue
        rows += [(model, of) for of in reversed(history)]
    return PriceTable(tuple(rows), models.known_on())
