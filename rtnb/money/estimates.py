"""Cost before a server counts it: likely cost of a conversation, and upper bounds of the tokens that a response reads.

Beside it the cost of the same tokens on other models.
"""

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from rtnb import html, models
from rtnb.audio import Clip, open_stream, pcm
from rtnb.audio.given import Samples, flat
from rtnb.audio.naming import file_of
from rtnb.errors import InputError
from rtnb.models import Model
from rtnb.money.costs import HEADERS, Cost, cost, cost_of_transcription
from rtnb.money.usage import Usage, amounts
from rtnb.protocol import frames
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import say


@dataclass(frozen=True)
class Estimate:
    """Likely cost of a conversation.

    Attributes:
        low: With everything that was said before served from the cache.
        high: With nothing served from the cache.
        usage: The tokens, with the history of the conversation counted again at every turn.
        model: The model's name.
        turns: How many answers.

    Examples:
        >>> estimate = rtnb.estimate(rtnb.samples()["question"], "Answer in one word.", turns=3)
        >>> estimate.turns, estimate.high.usd > estimate.low.usd > 0
        (3, True)
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
        return high if low == high else say("{low} to {high}", low=low, high=high)

    def __repr__(self) -> str:
        count = say("1 turn") if self.turns == 1 else say("{count} turns", count=self.turns)
        return f"Estimate({self}, {self.model}, {count})"

    def _repr_html_(self) -> str:
        rows = self.high.rows(("at most", self.high), ("with a full cache", self.low))
        return html.table(HEADERS, rows, right=range(1, 4), caption=f"{self.turns} × {self.model}")


ANSWER_SECONDS = 20.0
"""The longest answer that is reckoned with where none is known."""


def _reckoned(parts: Sequence[Any]) -> tuple[float, int]:
    """Return the seconds of speech and the tokens of text in the parts of a question."""
    seconds, tokens = 0.0, 0
    for part, _ in itertools.chain.from_iterable(map(flat, parts)):
        source: Any = file_of(part).source if isinstance(part, str) else part
        if source is None and isinstance(part, str):
            tokens += len(part.encode()) // 3 + 1
            continue
        if isinstance(source, Samples):
            source = Clip.read(source)
        with open_stream(source) as stream:
            seconds += sum(map(len, stream)) / pcm.byte_count(1) if stream.seconds is None else stream.seconds
    return seconds, tokens


@checks_call
def estimate(
    *parts: Any,
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
    """Estimate what a conversation is likely to cost, before it is held.

    Every answer bills the whole conversation before it as input once more. How much of that comes from the server's
    cache nobody can promise, so the estimate is a range.

    Args:
        *parts: Recordings and words that are going to be sent, as `ask` takes them; they come on top of `seconds_in`
            and `text_in_tokens`. Where no length of the answers is given, 20 seconds each are reckoned with.
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
        InputError: A length that is negative or no number, fewer than one turn, or a part that cannot be reckoned with.
        AudioError: A file is no recording.

    Examples:
        >>> estimate = rtnb.estimate(seconds_in=60, seconds_out=60, model="gpt-realtime-2.1-mini")
        >>> estimate.low.usd <= estimate.usd <= estimate.high.usd
        True
    """
    lengths = (turns - 1, seconds_in, seconds_out, text_in_tokens, instructions_tokens or 0)
    if not all(0 <= length < 1e9 for length in lengths):
        wrong = "Your estimate needs turns of at least 1 and lengths of 0 or more, each below 1e9. "
        raise InputError(wrong + "Give for example estimate(seconds_in=60, seconds_out=60, turns=6).", turns=turns)
    if parts:
        seconds, tokens = _reckoned(parts)
        seconds_in, text_in_tokens = seconds_in + seconds, text_in_tokens + tokens
        seconds_out = seconds_out or ANSWER_SECONDS * turns
    about = models.get(model or models.DEFAULT)
    name, of = about.name, models.limits()
    fixed = of.text_in_tokens_per_turn if instructions_tokens is None else instructions_tokens
    heard = seconds_in / 60 * of.audio_in_tokens_per_minute / turns
    typed = text_in_tokens / turns
    words = seconds_out * of.text_out_tokens_per_second_spoken / turns
    spoken = 0.0 if text_only else seconds_out / 60 * of.audio_out_tokens_per_minute / turns
    thought = of.reasoning_tokens_per_turn if about.reasoning else 0

    # At turn k the model reads the instructions, k turns of the user and k - 1 answers of its own: sums of 1…turns
    # and of 0…turns-1. Reasoning is not read again. Where nobody knows how answers are, the dearer way is taken.
    asked, answered = turns * (turns + 1) / 2, turns * (turns - 1) / 2
    text_read = fixed * turns + typed * asked + words * answered
    audio_read = heard * asked + (0 if about.rereads_audio is False else spoken * answered)
    # New is what the user adds at each turn. All else was read, or said, in an earlier one.
    text_new, audio_new = fixed + typed * turns, heard * turns

    used = Usage(
        input_text_tokens=round(text_read),
        input_audio_tokens=round(audio_read),
        output_text_tokens=round((words + thought + of.text_out_tokens_per_turn) * turns),
        output_audio_tokens=round(spoken * turns),
        reasoning_tokens=round(thought * turns),
    )
    text, audio = round(text_read - text_new), round(audio_read - audio_new)
    cached = replace(used, cached_text_tokens=text, cached_audio_tokens=audio)
    duration = {"type": "duration", "seconds": seconds_in}
    apart = cost_of_transcription(duration, transcription, on=on) if transcription else Cost()
    low, high = (cost(usage, name, on=on) + apart for usage in (cached, used))
    return Estimate(low, high, used, name, turns)


@dataclass(frozen=True)
class Comparison:
    """Cost of the same tokens on several models, cheapest first.

    Attributes:
        rows: `(model's name, cost)` pairs.

    Examples:
        >>> usage = rtnb.costs.Usage(input_audio_tokens=600)
        >>> comparison = rtnb.costs.compare(usage, ["gpt-realtime-2.1", "gpt-realtime-2.1-mini"])
        >>> comparison["gpt-realtime-2.1"].usd > comparison["gpt-realtime-2.1-mini"].usd
        True
    """

    rows: tuple[tuple[str, Cost], ...]

    def _cells(self) -> list[list[str]]:
        # The cheapest with a price is the measure.
        base = next((amount.usd for _, amount in self.rows if amount.usd), None)
        spent = amounts([amount.known_usd for _, amount in self.rows])
        return [
            [name, *([usd, f"{amount.usd / base:.1f} ×"] if base and amount.usd is not None else [str(amount), ""])]
            for (name, amount), usd in zip(self.rows, spent, strict=True)
        ]

    def __repr__(self) -> str:
        width = max((len(name) for name, _ in self.rows), default=0)
        return "\n".join(f"{name.ljust(width)}  {amount:>10}  {times}" for name, amount, times in self._cells())

    def _repr_html_(self) -> str:
        return html.table(["model", "the same conversation", "compared"], self._cells(), right=(1, 2))

    def __getitem__(self, name: str) -> Cost:
        return dict(self.rows)[name]


def compare(
    usage: Usage | Mapping[str, Any] | Estimate, among: Iterable[str] | None = None, *, on: date | None = None
) -> Comparison:
    """Compare what the same conversation costs on each model.

    The tokens are taken as they are: another model would answer in other words, and 2.x models add reasoning.

    Args:
        usage: Tokens, a `response.done` event, or an estimate.
        among: Names of models. None means every realtime model with a price that is not gone.
        on: The day whose prices to use. None means the newest.

    Returns:
        The costs, cheapest first; models without a known price last.

    Examples:
        >>> usage = rtnb.costs.Usage(input_audio_tokens=600, output_audio_tokens=1200)
        >>> [model for model, cost in rtnb.costs.compare(usage, ["gpt-realtime-2.1", "gpt-realtime-2.1-mini"]).rows]
        ['gpt-realtime-2.1-mini', 'gpt-realtime-2.1']
    """
    used = usage.usage if isinstance(usage, Estimate) else usage
    served = [m.name for m in models.load().values() if m.kind == "realtime" and m.prices and not m.is_gone()]
    rows = [(name, cost(used, name, on=on)) for name in (served if among is None else among)]
    return Comparison(tuple(sorted(rows, key=lambda row: math.inf if row[1].usd is None else row[1].usd)))


# --- at most

ITEM_TOKENS = 16
"""Tokens around an item, beside its content, at most."""

# A word, blanks, or a sign: each is at least one token.
_PIECES = re.compile(r"[A-Za-z0-9]+|\s\s+|[^A-Za-z0-9\s]")


def text_tokens(text: str) -> int:
    """Return at most how many tokens a text has: one for three bytes of a word, and for each byte of Chinese."""
    pieces = (piece.encode("utf-8", "surrogatepass") for piece in _PIECES.findall(text))
    return sum(-(-len(piece) // 3) if piece.isascii() else len(piece) for piece in pieces)


def most_tokens(part: Mapping[str, Any] | float) -> Usage:
    """Return at most how many tokens are read of an item as the API has it, or of so many seconds of the user's audio.

    Args:
        part: An item, with its audio and pictures in it; instructions and tools as an object; or seconds, 0 or more.
    """
    if not isinstance(part, Mapping):
        return Usage(input_audio_tokens=math.ceil(part * models.limits().audio_in_tokens_per_minute / 60))
    content = part.get("content")
    parts = [one for one in content if isinstance(one, dict)] if isinstance(content, list | tuple) else []
    media = [one for one in parts if one.get("audio") or one.get("image_url")]
    words = {**part, "content": [one for one in parts if one not in media]} if media else part
    text = Usage(input_text_tokens=text_tokens(frames.dumps(words).decode()) + ITEM_TOKENS * (1 + len(media)))
    audio = sum(pcm.seconds(len(str(one.get("audio") or "")) * 3 // 4) for one in media)
    images = sum(bool(one.get("image_url")) for one in media)
    return text + most_tokens(audio) + Usage(input_image_tokens=images * models.limits().image_tokens)


def usd_per_second(model: Model) -> float:
    """Return at most what a second of audio costs in US dollars where it is transcribed or translated."""
    if model.prices is not None and model.prices.per_minute_usd is not None:
        return model.prices.per_minute_usd / 60
    tokens = models.limits().audio_in_tokens_per_minute // 60  # nobody speaks more words than that
    return cost(Usage(input_audio_tokens=tokens, output_text_tokens=tokens), model).known_usd
