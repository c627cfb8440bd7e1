"""Tokens as the server counted them, and amounts of money as people read them.

OpenAI counts cached tokens as part of the input tokens, and reasoning tokens as
part of the output's text tokens (its docs, guide realtime-costs; recorded usage objects agree).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rtnb import html
from rtnb.texts.language import say, translate


def money(usd: float | None) -> str:
    """Write an amount as people read it: `$1.23`, `$0.045`, `$0.0012`.

    Args:
        usd: US dollars. None means that no price is known.
    """
    if usd is None:
        return translate("price unknown")
    if usd == 0:
        return "$0"
    # Two digits that say something, two decimals at least.
    decimals = max(2, 1 - math.floor(math.log10(abs(usd))))
    whole, _, fraction = f"{abs(usd):,.{decimals}f}".partition(".")
    return f"{'-' if usd < 0 else ''}${whole}.{fraction.rstrip('0').ljust(2, '0')}"


def amounts(column: Sequence[float | None]) -> list[str]:
    """Write amounts that stand in one column: all with as many decimals as the one that needs most.

    Args:
        column: US dollars, 0.0 or more. None means that no price is known.
    """
    decimals = max((len(money(usd).partition(".")[2]) for usd in column if usd is not None), default=2)
    return [money(None) if usd is None else f"${usd:,.{decimals}f}" for usd in column]


def text_table(rows: Sequence[Sequence[str]], right_from: int = 99) -> str:
    """Write rows as text in columns; those from number `right_from` on stand at the right of their column."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    layout = "  ".join(f"{{:{'>' if number >= right_from else '<'}{width}}}" for number, width in enumerate(widths))
    return "\n".join(layout.format(*row).rstrip() for row in rows)


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
        input_audio_tokens: Audio read, cached or not: 10 tokens a second of the user's speech.
        input_image_tokens: Pictures read, cached or not.
        cached_text_tokens: Those of `input_text_tokens` the server had cached.
        cached_audio_tokens: Those of `input_audio_tokens` the server had cached.
        cached_image_tokens: Those of `input_image_tokens` the server had cached.
        output_text_tokens: Text written: words, the transcript of speech, tool arguments, and reasoning.
        output_audio_tokens: Audio produced: 20 tokens a second.
        reasoning_tokens: Those of `output_text_tokens` that were spent on reasoning (2.x models).

    Examples:
        >>> one, other = rtnb.costs.Usage(input_text_tokens=10), rtnb.costs.Usage(output_text_tokens=5)
        >>> (one + other).total_tokens
        15
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
    def from_event(cls, event: Mapping[str, Any] | None) -> "Usage":
        """Read the usage out of what a server sent.

        Args:
            event: A `response.done` event, its `response`, or the `usage` inside it. None, and fields that
                are missing or null, count as no tokens.

        Returns:
            The tokens. Input that no modality claims counts as text. Where the server says how much was
            cached but not of what, text is taken to be cached first, for that saves least.
        """
        event = (event or {}).get("response") or event or {}
        usage = _details(event, "usage") or (event if "input_tokens" in event or "output_tokens" in event else {})
        read, wrote = _details(usage, "input_token_details"), _details(usage, "output_token_details")
        cached = _details(read, "cached_tokens_details")

        text, audio, image = (_count(read.get(f"{kind}_tokens")) for kind in ("text", "audio", "image"))
        text += max(0, _count(usage.get("input_tokens")) - text - audio - image)
        out_text, out_audio = (_count(wrote.get(f"{kind}_tokens")) for kind in ("text", "audio"))
        out_text += max(0, _count(usage.get("output_tokens")) - out_text - out_audio)

        of = {kind: _count(cached.get(f"{kind}_tokens")) for kind in ("text", "audio", "image")}
        # A part is never larger than its whole, whatever a server says: the cost must not go below nothing.
        for kind, whole in (("text", text), ("image", image), ("audio", audio)):
            of[kind] = min(whole, of[kind] + max(0, _count(read.get("cached_tokens")) - sum(of.values())))
        reasoning = min(out_text, _count(wrote.get("reasoning_tokens")))
        return cls(text, audio, image, of["text"], of["audio"], of["image"], out_text, out_audio, reasoning)

    def __add__(self, other: object) -> "Usage":
        if other == 0:  # so that sum() works
            return self
        if not isinstance(other, Usage):
            return NotImplemented
        return Usage(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    __radd__ = __add__

    def __bool__(self) -> bool:
        return self.total_tokens > 0

    def __repr__(self) -> str:
        cached = " " + say("({count:,} cached)", count=self.cached_tokens) if self.cached_tokens else ""
        reasoning = " " + say("({count:,} reasoning)", count=self.reasoning_tokens) if self.reasoning_tokens else ""
        read, wrote = say("{count:,} in", count=self.input_tokens), say("{count:,} out", count=self.output_tokens)
        return f"Usage({read}{cached}, {wrote}{reasoning})"

    def _repr_html_(self) -> str:
        counts: dict[str, tuple[int, ...]] = {
            "in": (self.input_text_tokens, self.input_audio_tokens, self.input_image_tokens),
            "of them cached": (self.cached_text_tokens, self.cached_audio_tokens, self.cached_image_tokens),
            "out": (self.output_text_tokens, self.output_audio_tokens),
            "of them reasoning": (self.reasoning_tokens,),
        }
        rows = [[translate(what), *(f"{n:,}" for n in all_), *[""] * (3 - len(all_))] for what, all_ in counts.items()]
        return html.table(["tokens", "text", "audio", "image"], rows, right=range(1, 4))
