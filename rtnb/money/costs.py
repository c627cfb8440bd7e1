"""From tokens or minutes to US dollars.

For each modality, input tokens that were not cached, cached input tokens and output tokens are billed each at its own
price (OpenAI docs, guide realtime-costs).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from rtnb import html, models
from rtnb.models import Model, Prices
from rtnb.money.usage import Usage, money


@dataclass(frozen=True)
class Line:
    """One position of a cost.

    Attributes:
        what: For example `"audio in"`, `"text in, cached"`, `"audio out"`, `"audio in, by the minute"`.
        quantity: Tokens, or minutes.
        unit: `"tokens"` or `"minutes"`.
        unit_usd: US dollars per million tokens, or per minute. None where no price is known.
        model: Whose price it is.
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

    def __add__(self, other: object) -> Cost:
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
        return f"{money(self.known_usd)} + an unknown price" if self.known_usd else money(None)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html.table(["", "quantity", "price", "US dollars"], [*self.rows(), ["in all", "", "", str(self)]])

    def rows(self) -> list[list[str]]:
        """Return each position as text: what, quantity, price, US dollars."""
        return [
            [
                line.what,
                f"{line.quantity:,.0f} tokens" if line.unit == "tokens" else f"{line.quantity:.2f} minutes",
                "unknown"
                if line.unit_usd is None
                else f"${line.unit_usd:g} per {'million' if line.unit == 'tokens' else 'minute'}",
                money(line.usd),
            ]
            for line in self.lines
        ]


def _model(model: str | Model) -> Model:
    return model if isinstance(model, Model) else models.get(model)


def cost(usage: Usage | Mapping[str, Any] | None, model: str | Model, *, on: date | None = None) -> Cost:
    """Return what the tokens of a response, or of many, cost on a model.

    Args:
        usage: The tokens; a `response.done` event, its response or its `usage` object will do.
        model: A model's name.
        on: The day whose prices to use. None means the newest.

    Returns:
        The cost, a line for each kind of token that was used. Its `usd` is None where the model's price is
        unknown.
    """
    used = usage if isinstance(usage, Usage) else Usage.from_event(usage)
    about = _model(model)
    of = about.prices_on(on) or Prices(since=date.min)
    lines = []
    for kind, rate, read, cached, wrote in (
        ("text", of.text, used.input_text_tokens, used.cached_text_tokens, used.output_text_tokens),
        ("audio", of.audio, used.input_audio_tokens, used.cached_audio_tokens, used.output_audio_tokens),
        ("image", of.image, used.input_image_tokens, used.cached_image_tokens, 0),
    ):
        # Before October 2024's prices knew of caching, a cached token cost what any input token did.
        cached_usd = rate.input if rate.cached is None else rate.cached
        for what, tokens, usd in (
            (f"{kind} in", read - cached, rate.input),
            (f"{kind} in, cached", cached, cached_usd),
            (f"{kind} out", wrote, rate.output),
        ):
            if tokens:
                lines.append(Line(what, tokens, "tokens", usd, about.name))
    return Cost(tuple(lines))


def cost_of_minutes(seconds: float, model: str | Model, *, on: date | None = None) -> Cost:
    """Return what audio costs on a model that is billed by time, as translation is.

    Args:
        seconds: Length of the audio, 0 or more.
        model: A model's name.
        on: The day whose prices to use. None means the newest.

    Returns:
        The cost; its `usd` is None where the model has no price per minute.
    """
    about = _model(model)
    of = about.prices_on(on)
    if not seconds:
        return Cost()
    return Cost((Line("audio, by the minute", seconds / 60, "minutes", of.per_minute_usd if of else None, about.name),))


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
    about = _model(model)
    of = about.prices_on(on) or Prices(since=date.min)
    per_minute = models.limits().audio_in_tokens_per_minute
    if usage.get("type") == "duration" or "seconds" in usage:
        seconds = float(usage.get("seconds") or 0)
        if of.per_minute_usd is None and of.audio.input is not None:
            return cost(Usage(input_audio_tokens=round(seconds / 60 * per_minute)), about, on=on)
        return cost_of_minutes(seconds, about, on=on)
    used = Usage.from_event(usage)
    if of.per_minute_usd is not None:
        return cost_of_minutes(used.input_audio_tokens / per_minute * 60, about, on=on)
    return cost(used, about, on=on)
