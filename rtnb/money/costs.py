"""From the server's `usage` to money: what was spent, what will be, and a stop before it is too much.

The arithmetic is the one OpenAI bills by: for each modality, input tokens that were not cached, cached
input tokens and output tokens, each at its own price. Cached tokens are part of the input tokens; reasoning
tokens are part of the output's text tokens (OpenAI docs, guide realtime-costs; recorded usage objects
agree).
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any, ClassVar

from rtnb import html, models
from rtnb.errors import BudgetExceeded, InputError, RtnbWarning
from rtnb.models import Model, Prices, Rate


def money(usd: float | None) -> str:
    """An amount as people read it: `$1.23`, `$0.045`, `$0.0012`.

    Args:
        usd: US dollars. None means that no price is known.
    """
    if usd is None:
        return "price unknown"
    if usd == 0:
        return "$0"
    # Two digits that say something, two decimals at least, six at most.
    decimals = min(6, max(2, 1 - math.floor(math.log10(abs(usd)))))
    whole, _, fraction = f"{abs(usd):,.{decimals}f}".partition(".")
    return f"{'-' if usd < 0 else ''}${whole}.{fraction.rstrip('0').ljust(2, '0')}"


def _details(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, Mapping) else {}


def _count(value: object) -> int:
    # Servers that speak the protocol in part leave counts out, send null, or send floats.
    return max(0, int(value)) if isinstance(value, int | float) and math.isfinite(value) else 0


@dataclass(frozen=True)
class Usage:
    """Tokens of one response, or of many added up.

    Attributes:
        input_text_tokens: Text read, cached or not.
        input_audio_tokens: Sound heard, cached or not: 10 tokens a second of a person's speech.
        input_image_tokens: Pictures seen, cached or not.
        cached_text_tokens: Those of `input_text_tokens` the server had cached.
        cached_audio_tokens: Those of `input_audio_tokens` the server had cached.
        cached_image_tokens: Those of `input_image_tokens` the server had cached.
        output_text_tokens: Text written: words, the transcript of speech, tool arguments, and reasoning.
        output_audio_tokens: Sound spoken: 20 tokens a second.
        reasoning_tokens: Those of `output_text_tokens` that were spent on reasoning (2.x models).
    """

    input_text_tokens: int = 0
    input_audio_tokens: int = 0
    input_image_tokens: int = 0
    cached_text_tokens: int = 0
    cached_audio_tokens: int = 0
    cached_image_tokens: int = 0
    output_text_tokens: int = 0
    output_audio_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def input_tokens(self) -> int:
        """All tokens read, cached ones among them."""
        return self.input_text_tokens + self.input_audio_tokens + self.input_image_tokens

    @property
    def cached_tokens(self) -> int:
        """Tokens read that the server had cached."""
        return self.cached_text_tokens + self.cached_audio_tokens + self.cached_image_tokens

    @property
    def output_tokens(self) -> int:
        """All tokens produced, reasoning among them."""
        return self.output_text_tokens + self.output_audio_tokens

    @property
    def total_tokens(self) -> int:
        """Tokens read and produced."""
        return self.input_tokens + self.output_tokens

    @classmethod
    def from_event(cls, event: Mapping[str, Any] | None) -> Usage:
        """Read the usage out of what a server sent.

        Args:
            event: A `response.done` event, its `response`, or the `usage` inside it. None, and fields that
                are missing or null, count as no tokens.

        Returns:
            The tokens. Input that no modality claims counts as text. Where the server tells how much was
            cached but not of what, text is taken to be cached first, for that saves least.
        """
        event = event or {}
        event = event.get("response") or event
        usage = _details(event, "usage") or (event if "input_tokens" in event or "output_tokens" in event else {})
        read, wrote = _details(usage, "input_token_details"), _details(usage, "output_token_details")
        cached = _details(read, "cached_tokens_details")

        text, audio, image = (_count(read.get(f"{kind}_tokens")) for kind in ("text", "audio", "image"))
        text += max(0, _count(usage.get("input_tokens")) - text - audio - image)
        out_text, out_audio = (_count(wrote.get(f"{kind}_tokens")) for kind in ("text", "audio"))
        out_text += max(0, _count(usage.get("output_tokens")) - out_text - out_audio)

        of_text, of_audio, of_image = (_count(cached.get(f"{kind}_tokens")) for kind in ("text", "audio", "image"))
        rest = max(0, _count(read.get("cached_tokens")) - of_text - of_audio - of_image)
        # A part is never larger than its whole, whatever a server says: the cost must not go below nothing.
        of_text = min(text, of_text + rest)
        rest = max(0, _count(read.get("cached_tokens")) - of_text - of_audio - of_image)
        of_image = min(image, of_image + rest)
        rest = max(0, _count(read.get("cached_tokens")) - of_text - of_audio - of_image)
        of_audio = min(audio, of_audio + rest)
        return cls(
            input_text_tokens=text,
            input_audio_tokens=audio,
            input_image_tokens=image,
            cached_text_tokens=of_text,
            cached_audio_tokens=of_audio,
            cached_image_tokens=of_image,
            output_text_tokens=out_text,
            output_audio_tokens=out_audio,
            reasoning_tokens=min(out_text, _count(wrote.get("reasoning_tokens"))),
        )

    def __add__(self, other: object) -> Usage:
        if other == 0:  # so that sum() works
            return self
        if not isinstance(other, Usage):
            return NotImplemented
        return Usage(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    __radd__ = __add__

    def __bool__(self) -> bool:
        return self.total_tokens > 0

    def __repr__(self) -> str:
        parts = [f"{self.input_tokens:,} in"]
        if self.cached_tokens:
            parts[0] += f" ({self.cached_tokens:,} cached)"
        parts.append(f"{self.output_tokens:,} out")
        if self.reasoning_tokens:
            parts[1] += f" ({self.reasoning_tokens:,} reasoning)"
        return f"Usage({', '.join(parts)})"

    def _repr_html_(self) -> str:
        rows = [
            [
                "in",
                *(f"{n:,}" for n in (self.input_text_tokens, self.input_audio_tokens, self.input_image_tokens)),
            ],
            [
                "of them cached",
                *(f"{n:,}" for n in (self.cached_text_tokens, self.cached_audio_tokens, self.cached_image_tokens)),
            ],
            ["out", f"{self.output_text_tokens:,}", f"{self.output_audio_tokens:,}", ""],
            ["of them reasoning", f"{self.reasoning_tokens:,}", "", ""],
        ]
        return html.table(["tokens", "text", "audio", "image"], rows)


@dataclass(frozen=True)
class Line:
    """One position of a bill.

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
    """What something cost.

    Attributes:
        lines: The positions of the bill. Empty where nothing was billed.
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
        lines: dict[tuple[str, str, float | None, str], float] = {}
        for line in (*self.lines, *other.lines):
            position = (line.what, line.unit, line.unit_usd, line.model)
            lines[position] = lines.get(position, 0) + line.quantity
        return Cost(
            tuple(Line(what, quantity, unit, usd, model) for (what, unit, usd, model), quantity in lines.items())
        )

    __radd__ = __add__

    def __float__(self) -> float:
        return self.known_usd

    def __str__(self) -> str:
        if self.usd is not None:
            return money(self.usd)
        return f"{money(self.known_usd)} + an unknown price" if self.known_usd else money(None)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html.table(["", "quantity", "price", "US dollars"], [*self._rows(), ["in all", "", "", str(self)]])

    def _rows(self) -> list[list[str]]:
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
    """What the tokens of a response, or of many, cost on a model.

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
    """What sound costs on a model that is billed by time, as translation is.

    Args:
        seconds: Length of the sound, 0 or more.
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
    """What the transcription of a person's words cost. It is billed apart from the response.

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


# --- budgets ------------------------------------------------------------------------------------------------


class Budget:
    """A hard stop: so many US dollars and not more. Sessions may share one; it may be used from any thread.

    Args:
        limit_usd: US dollars that may be spent, more than 0.
        parent: A wider budget that everything spent here counts against too. None means that of the whole
            kernel, where `limit_kernel` set one.

    Raises:
        InputError: `limit_usd` is not a number above 0.
    """

    def __init__(self, limit_usd: float, *, parent: Budget | None = None) -> None:
        if not (isinstance(limit_usd, int | float) and not isinstance(limit_usd, bool) and 0 < limit_usd < math.inf):
            raise InputError(
                f"Your budget {limit_usd!r} is not an amount of money. Give US dollars, as in budget=0.25.",
                limit_usd=limit_usd,
            )
        self.limit_usd = float(limit_usd)
        self.parent = parent if parent is not None else _kernel
        self._spent = 0.0
        self._held = 0.0
        self._warned = False
        self._lock = threading.Lock()

    @classmethod
    def of(cls, value: Budget | float | None) -> Budget | None:
        """The budget a `budget=` argument means.

        Args:
            value: US dollars, a `Budget` to share, or None for the whole kernel's.

        Returns:
            A budget, or None where none was given and the kernel has none.

        Raises:
            InputError: The value is neither.
        """
        if value is None or isinstance(value, Budget):
            return value if value is not None else _kernel
        return cls(value)

    @property
    def spent(self) -> float:
        """US dollars spent."""
        return self._spent

    @property
    def left(self) -> float:
        """US dollars neither spent nor held for responses under way, here and in wider budgets; 0 or more."""
        own = max(0.0, self.limit_usd - self._spent - self._held)
        return own if self.parent is None else min(own, self.parent.left)

    def check_before(self, next_estimate: Cost | float | None = 0.0) -> None:
        """Refuse what would not fit. Call it before each response.

        Args:
            next_estimate: What the next response may cost, in US dollars. None and an unknown price count
                as nothing.

        Raises:
            BudgetExceeded: It does not fit into what is left, or nothing is left.
        """
        usd = self._usd(next_estimate)
        if self._spent + self._held + usd > self.limit_usd or self._spent >= self.limit_usd:
            raise BudgetExceeded(
                f"Your budget of {money(self.limit_usd)} does not cover this: {money(self._spent)} is spent"
                + (f", {money(self._held)} is held for responses under way" if self._held else "")
                + f" and the next response may cost {money(usd)}. Raise budget=, or start afresh: "
                "a long talk pays for its whole history at every turn.",
                limit_usd=self.limit_usd,
                spent_usd=self._spent,
            )
        if self.parent is not None:
            self.parent.check_before(usd)

    def add(self, spent: Cost | float | None) -> None:
        """Count what was spent, after each `response.done`; it is counted even where this raises.

        Args:
            spent: The cost. A price that is not known cannot be counted, which is told once.

        Raises:
            BudgetExceeded: More has now been spent than the limit.
        """
        if isinstance(spent, Cost) and spent.usd is None and not self._warned:
            self._warned = True
            unknown = sorted({line.model for line in spent.lines if line.usd is None})
            warnings.warn(
                RtnbWarning(
                    f"Your budget cannot watch {', '.join(unknown)}: its price is not known here, so it "
                    "counts as nothing. Watch the account's usage page instead."
                ),
                stacklevel=2,
            )
        usd = self._usd(spent)
        with self._lock:
            self._spent += usd
        over = self._spent > self.limit_usd
        if self.parent is not None:
            self.parent.add(usd)
        if over:
            raise BudgetExceeded(
                f"Your budget of {money(self.limit_usd)} is used up: {money(self._spent)} is spent. "
                "What was received is kept; raise budget= to go on.",
                limit_usd=self.limit_usd,
                spent_usd=self._spent,
            )

    @contextmanager
    def hold(self, next_estimate: Cost | float | None) -> Iterator[None]:
        """Set money aside while a response runs, so that several at once cannot each count on the same rest.

        Args:
            next_estimate: What the response may cost, in US dollars.

        Raises:
            BudgetExceeded: It does not fit into what is left.
        """
        usd = self._usd(next_estimate)
        with self._lock:
            self.check_before(usd)
            self._held += usd
        try:
            if self.parent is None:
                yield
            else:
                with self.parent.hold(usd):
                    yield
        finally:
            with self._lock:
                self._held -= usd

    @staticmethod
    def _usd(amount: Cost | float | None) -> float:
        return amount.known_usd if isinstance(amount, Cost) else float(amount or 0)

    def __repr__(self) -> str:
        return f"Budget({money(self._spent)} of {money(self.limit_usd)} spent)"


_kernel: Budget | None = None


def limit_kernel(limit_usd: float | None) -> Budget | None:
    """Set a budget for everything this kernel does from now on.

    Args:
        limit_usd: US dollars above 0, or None to lift the limit.

    Returns:
        The new budget, or None where it was lifted.

    Raises:
        InputError: The limit is not an amount of money.
    """
    global _kernel
    _kernel = None
    _kernel = None if limit_usd is None else Budget(limit_usd)
    return _kernel


def kernel_budget() -> Budget | None:
    """The budget of the whole kernel, or None where none is set."""
    return _kernel


# --- before: tables and estimates --------------------------------------------------------------------------


@dataclass(frozen=True)
class PriceTable:
    """Prices of models, to be looked at.

    Attributes:
        rows: `(model, prices)` pairs; a model appears once for each time its price changed.
        known_on: The day the prices were last checked.
    """

    rows: tuple[tuple[Model, Prices], ...]
    known_on: date

    HEADERS: ClassVar[tuple[str, ...]] = (
        "model",
        "prices of",
        "text in / cached / out",
        "audio in / cached / out",
        "¢ a minute heard",
        "¢ a minute spoken",
        "until",
    )

    def _cells(self) -> list[list[str]]:
        def rate(of: Rate) -> str:
            numbers = (of.input, of.cached, of.output)
            return "" if of == Rate() else " / ".join("–" if n is None else f"{n:.2f}" for n in numbers)

        def cents(usd: float | None) -> str:
            return "" if usd is None else f"{usd * 100:.2f}".rstrip("0").rstrip(".")

        return [
            [
                model.name,
                str(of.since),
                rate(of.text),
                rate(of.audio),
                cents(of.audio_in_per_minute_usd),
                cents(of.audio_out_per_minute_usd),
                str(model.shutdown or ""),
            ]
            for model, of in self.rows
        ]

    _note: ClassVar[str] = (
        "US dollars per million tokens, list prices without tax. A minute heard is 600 tokens, a minute "
        "spoken 1,200; every turn bills the talk before it again, in part at the cached price."
    )

    def __repr__(self) -> str:
        cells = [list(self.HEADERS), *self._cells()]
        widths = [max(len(row[column]) for row in cells) for column in range(len(self.HEADERS))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
        return "\n".join([*lines, "", f"As of {self.known_on}. {self._note}"])

    def _repr_html_(self) -> str:
        return html.table(self.HEADERS, self._cells(), caption=f"As of {self.known_on}. {self._note}")


def prices(*names: str, gone: bool = True) -> PriceTable:
    """What models cost, with cents per minute of speech.

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


@dataclass(frozen=True)
class Estimate:
    """What a talk is likely to cost.

    Attributes:
        low: With everything that was said before served from the cache.
        high: With nothing served from the cache.
        usage: The tokens, with the history of the talk counted again at every turn.
        model: The model's name.
        turns: How many answers.
    """

    low: Cost
    high: Cost
    usage: Usage = field(repr=False)
    model: str
    turns: int

    @property
    def usd(self) -> float | None:
        """US dollars at most. None where no price is known."""
        return self.high.usd

    def __str__(self) -> str:
        low, high = str(self.low), str(self.high)
        return high if low == high else f"{low} to {high}"

    def __repr__(self) -> str:
        return f"Estimate({self}, {self.model}, {self.turns} {'turn' if self.turns == 1 else 'turns'})"

    def _repr_html_(self) -> str:
        rows = [
            *self.high._rows(),
            ["at most", "", "", str(self.high)],
            ["with a full cache", "", "", str(self.low)],
        ]
        return html.table([f"{self.turns} × {self.model}", "quantity", "price", "US dollars"], rows)


def estimate(
    *,
    seconds_in: float = 0.0,
    seconds_out: float = 0.0,
    turns: int = 1,
    model: str | None = None,
    text_in_tokens: int = 0,
    instructions_tokens: int | None = None,
    text_only: bool = False,
    transcription: str | None = None,
    on: date | None = None,
) -> Estimate:
    """What a talk is likely to cost, before it is held.

    Every answer bills the whole talk before it as input once more. How much of that comes from the server's
    cache nobody can promise, so the estimate is a range.

    Args:
        seconds_in: Seconds of speech sent, in the whole talk.
        seconds_out: Seconds of speech received, in the whole talk.
        turns: Answers, at least 1; speech is spread over them evenly.
        model: The model's name. None means the default one.
        text_in_tokens: Text typed in the whole talk (a word is about 1.3 tokens).
        instructions_tokens: Instructions and tools, which every turn carries. None means the default
            instructions.
        text_only: Whether the answers are text: then `seconds_out` counts as its words only.
        transcription: Model that transcribes the speech sent, billed apart. None means none.
        on: The day whose prices to use. None means the newest.

    Returns:
        The range; its `usd` is the upper end.

    Raises:
        InputError: A negative length, or fewer than one turn.
    """
    if turns < 1 or min(seconds_in, seconds_out, text_in_tokens) < 0:
        raise InputError(
            "Your estimate needs turns of at least 1 and lengths of 0 or more. Give for example "
            "estimate(seconds_in=60, seconds_out=60, turns=6).",
            turns=turns,
        )
    about = models.get(model or models.DEFAULT)
    name, of = about.name, models.limits()
    fixed = of.text_in_tokens_per_turn if instructions_tokens is None else instructions_tokens
    heard = seconds_in / 60 * of.audio_in_tokens_per_minute / turns
    typed = text_in_tokens / turns
    words = seconds_out * of.text_out_tokens_per_second_spoken / turns
    spoken = 0.0 if text_only else seconds_out / 60 * of.audio_out_tokens_per_minute / turns
    thought = of.reasoning_tokens_per_turn if about.reasoning else 0

    # At turn k the model reads the instructions, k turns of the person and k - 1 answers of its own: sums of 1…turns
    # and of 0…turns-1. Reasoning is not read again. Where nobody knows how answers are, the dearer way is taken.
    asked, answered = turns * (turns + 1) / 2, turns * (turns - 1) / 2
    text_read = fixed * turns + typed * asked + words * answered
    audio_read = heard * asked + (0 if about.rereads_audio is False else spoken * answered)
    # New is what the person adds at each turn. All else was read, or said, in an earlier one.
    text_new, audio_new = fixed + typed * turns, heard * turns

    def used(cached: bool) -> Usage:
        return Usage(
            input_text_tokens=round(text_read),
            input_audio_tokens=round(audio_read),
            cached_text_tokens=round(text_read - text_new) if cached else 0,
            cached_audio_tokens=round(audio_read - audio_new) if cached else 0,
            output_text_tokens=round((words + thought + of.text_out_tokens_per_turn) * turns),
            output_audio_tokens=round(spoken * turns),
            reasoning_tokens=round(thought * turns),
        )

    apart = (
        cost_of_transcription({"type": "duration", "seconds": seconds_in}, transcription, on=on)
        if transcription
        else Cost()
    )
    return Estimate(
        low=cost(used(cached=True), name, on=on) + apart,
        high=cost(used(cached=False), name, on=on) + apart,
        usage=used(cached=False),
        model=name,
        turns=turns,
    )


@dataclass(frozen=True)
class Comparison:
    """What the same tokens cost on several models, cheapest first.

    Attributes:
        rows: `(model's name, cost)` pairs.
    """

    rows: tuple[tuple[str, Cost], ...]

    def _cells(self) -> list[list[str]]:
        # The cheapest with a price is the measure.
        base = next((amount.usd for _, amount in self.rows if amount.usd), None)
        return [
            [name, str(amount), f"{amount.usd / base:.1f} ×" if base and amount.usd is not None else ""]
            for name, amount in self.rows
        ]

    def __repr__(self) -> str:
        width = max((len(name) for name, _ in self.rows), default=0)
        return "\n".join(f"{name.ljust(width)}  {amount:>10}  {times}" for name, amount, times in self._cells())

    def _repr_html_(self) -> str:
        return html.table(["model", "the same talk", ""], self._cells())

    def __getitem__(self, name: str) -> Cost:
        return dict(self.rows)[name]


def compare(
    usage: Usage | Mapping[str, Any] | Estimate, among: Iterable[str] | None = None, *, on: date | None = None
) -> Comparison:
    """What the same talk costs on each model.

    The tokens are taken as they are: another model would answer in other words, and 2.x models add reasoning.

    Args:
        usage: Tokens, a `response.done` event, or an estimate.
        among: Names of models. None means every realtime model with a price that is not gone.
        on: The day whose prices to use. None means the newest.

    Returns:
        The costs, cheapest first; models without a known price last.
    """
    used = usage.usage if isinstance(usage, Estimate) else usage
    names = (
        [m.name for m in models.load().values() if m.kind == "realtime" and m.prices and not m.is_gone()]
        if among is None
        else list(among)
    )
    rows = [(name, cost(used, name, on=on)) for name in names]
    return Comparison(tuple(sorted(rows, key=lambda row: math.inf if row[1].usd is None else row[1].usd)))
