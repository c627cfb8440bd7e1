"""What a response costs in tokens: the API's arithmetic for sound, a plain estimate for text.

OpenAI docs: one token per 100 ms of the user's sound, one per 50 ms of the assistant's; recorded: both rounded
down (2796 ms → 27), the whole conversation counted again for every response, cached tokens in multiples of 64.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rtnb.server.protocol.items import Item

__all__ = [
    "ContextFull",
    "Count",
    "assistant_audio_tokens",
    "count_input",
    "fit",
    "split_tokens",
    "total",
    "usage",
    "user_audio_tokens",
]

# Words with the space before them (recorded deltas: "Hello", ",", " Marcelo", "!"), long words in pieces, and
# scripts without spaces sign by sign.
_TOKEN = re.compile(r"\s*[぀-ヿ㐀-鿿가-힯]|\s*[^\W_]{1,10}|\s*[^\w\s]|\s*_+|\s+")
_COUNTED_CHARACTERS = 16_384  # of a longer text the rest is taken to be like its beginning
_PER_ITEM = 4
_CACHE_STEP = 64
_IMAGE_TOKENS = {"low": 85, "auto": 765, "high": 765}


def split_tokens(text: str) -> list[str]:
    """Cut text into the pieces that deltas carry; joined they are the text again."""
    return _TOKEN.findall(text)


def _count(text: str) -> int:
    """About how many tokens a text has."""
    if len(text) <= _COUNTED_CHARACTERS:
        return len(split_tokens(text))
    return len(split_tokens(text[:_COUNTED_CHARACTERS])) * len(text) // _COUNTED_CHARACTERS


def user_audio_tokens(ms: float) -> int:
    """Tokens of the user's sound: one per 100 ms, rounded down."""
    return int(ms // 100)


def assistant_audio_tokens(ms: float) -> int:
    """Tokens of the assistant's sound: one per 50 ms, rounded down."""
    return int(ms // 50)


@dataclass(frozen=True)
class Count:
    """Input tokens by modality."""

    text: int = 0
    audio: int = 0
    image: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.text + self.audio + self.image


def count_input(instructions: str, tools: list[dict[str, Any]], items: Iterable[Item]) -> Count:
    """Count what a response reads: instructions, tools and every item, again each time."""
    text = _count(instructions) + _PER_ITEM if instructions else 0
    if tools:
        text += _count(json.dumps(tools))
    audio = image = 0
    for item in items:
        text += _PER_ITEM
        shown = item.shown
        for part in shown.get("content", ()):
            if part["type"] == "input_audio":
                continue
            if part["type"] == "input_image":
                image += _IMAGE_TOKENS[part["detail"]]
            elif item.truncated_ms is None:
                text += _count(part.get("text") or part.get("transcript") or "")
        for name in ("arguments", "output", "name"):
            text += _count(shown.get(name, ""))
        if shown.get("role") == "user":
            audio += user_audio_tokens(item.sound_ms)
        elif item.sound:
            spoken_ms = item.sound_ms if item.truncated_ms is None else item.truncated_ms
            audio += assistant_audio_tokens(spoken_ms)
    return Count(text, audio, image)


class ContextFull(Exception):
    """The conversation does not fit the model, and truncation is disabled."""


def fit(
    instructions: str, tools: list[dict[str, Any]], items: Sequence[Item], limit: int, truncation: Any
) -> tuple[list[Item], Count]:
    """Drop the oldest items from what a response reads until it fits (OpenAI docs: `truncation`).

    Args:
        instructions: As the response has them.
        tools: As the response has them.
        items: The context, oldest first.
        limit: The model's context in tokens.
        truncation: "auto", "disabled" or a retention ratio, as in the session.

    Returns:
        The items it reads, and their count.

    Raises:
        ContextFull: It does not fit and `truncation` is "disabled".
    """
    kept = list(items)
    count = count_input(instructions, tools, kept)
    if isinstance(truncation, dict):
        # SDK: post_instructions bounds the conversation alone; the ratio says how much stays once it is too long.
        bound = (truncation.get("token_limits") or {}).get("post_instructions")
        if bound is not None:
            limit = min(limit, bound + count_input(instructions, tools, []).total)
    if count.total <= limit:
        return kept, count
    if truncation == "disabled":
        raise ContextFull(f"The conversation has {count.total} tokens, more than the {limit} this model takes.")
    target = limit * truncation.get("retention_ratio", 1.0) if isinstance(truncation, dict) else limit
    sizes = [count_input("", [], [item]).total for item in kept]
    excess, dropped = count.total - target, 0
    while excess > 0 and dropped < len(kept):
        excess -= sizes[dropped]
        dropped += 1
    kept = kept[dropped:]
    return kept, count_input(instructions, tools, kept)


def usage(read: Count, *, text_out: int, audio_out: int, reasoning: int | None, cacheable: int) -> dict[str, Any]:
    """The `usage` object of `response.done`.

    Args:
        read: Input tokens.
        text_out: Text tokens written, transcript and reasoning among them.
        audio_out: Audio tokens spoken.
        reasoning: Reasoning tokens inside `text_out`; None leaves the field out (1.x models, recorded).
        cacheable: How many tokens of the context were there before; rounded down to a multiple of 64.
    """
    cached = min(cacheable, read.total) // _CACHE_STEP * _CACHE_STEP
    cached_text = min(cached, read.text)
    cached_audio = min(cached - cached_text, read.audio)
    wrote: dict[str, Any] = {"text_tokens": text_out, "audio_tokens": audio_out}
    if reasoning is not None:
        wrote["reasoning_tokens"] = reasoning
    return {
        "total_tokens": read.total + text_out + audio_out,
        "input_tokens": read.total,
        "output_tokens": text_out + audio_out,
        "input_token_details": {
            "text_tokens": read.text,
            "audio_tokens": read.audio,
            "image_tokens": read.image,
            "cached_tokens": cached,
            "cached_tokens_details": {
                "text_tokens": cached_text,
                "audio_tokens": cached_audio,
                "image_tokens": cached - cached_text - cached_audio,
            },
        },
        "output_token_details": wrote,
    }


def total(counted: Mapping[str, Any]) -> int:
    """All tokens of a `usage` object."""
    return int(counted["total_tokens"])
