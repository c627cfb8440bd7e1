"""Upper bounds of the tokens that a response reads, of what the server has not counted yet."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from rtnb import models
from rtnb.audio import pcm
from rtnb.models import Model
from rtnb.money.costs import cost
from rtnb.money.usage import Usage
from rtnb.protocol import frames

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
