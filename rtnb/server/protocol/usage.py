"""Token usage of one response: the API's arithmetic for audio, a plain estimate for text.

OpenAI docs: one token per 100 ms of the user's audio, one per 50 ms of the assistant's; recorded: both rounded
down (2796 ms → 27), the whole conversation counted again for every response, cached tokens in multiples of 64.

What an input costs beside its words was worked out from the usage of 24 responses (pydantic-ai's recordings of July
to September 2026): exact for all that hold only instructions and texts. With functions it rests on four of 1.x and one
of 2.1, each of one function: 63, 62, 62 and 69 tokens, and 347.
"""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rtnb.models import limits
from rtnb.server.protocol.api_errors import Ended
from rtnb.server.protocol.items import Item
from rtnb.server.protocol.settings import Model

ASSISTANT_TOKEN_MS = 50
# About how many tokens 2.x models reason with, by effort.
REASONING_TOKENS = {"minimal": 4, "low": 16, "medium": 48, "high": 128, "xhigh": 256}

# Words with the space before them (recorded deltas: "Hello", ",", " Marcelo", "!"), long words in pieces, and
# scripts without spaces sign by sign.
_TOKEN = re.compile(r"\s*[぀-ヿ㐀-鿿가-힯]|\s*[^\W_]{1,10}|\s*[^\w\s]|\s*_+|\s+")
_PER_ITEM = 4  # and nothing for the instructions: "Answer in two words." + "Say hello." = 5 + 4 + 3 = 12
_PER_RECORDING = 4  # more, of the user's: "Reply in a few words." and 2.7 s of speech: 6 + 4 + 4 = 14, and 27 of audio
_SECOND_GENERATION = 7  # whatever it holds: 44 → 51, 16 → 23
_SECOND_GENERATION_TOOLS = 278  # more, once there are functions: 62 → 347; what it tells the model is not known
_IMAGE_TOKENS = {"low": 85, "auto": 765, "high": 765}


def split_tokens(text: str) -> list[str]:
    """Cut text into the pieces that deltas carry; joined they are the text again."""
    return _TOKEN.findall(text)


def _count(text: str) -> int:
    """Return about how many tokens a text has."""
    counted = text[:16_384]  # the rest of a longer text is taken to be like its beginning
    return len(split_tokens(counted)) * len(text) // max(len(counted), 1)


def user_audio_tokens(ms: float) -> int:
    """Return the tokens of the user's audio: one per 100 ms, rounded down."""
    return int(ms // 100)


def assistant_audio_tokens(ms: float) -> int:
    """Return the tokens of the assistant's audio: one per 50 ms, rounded down."""
    return int(ms // ASSISTANT_TOKEN_MS)


def _type(schema: Any) -> str:
    """Write a JSON Schema as a type of TypeScript, its descriptions as comments."""
    if not isinstance(schema, Mapping):
        return "any"
    comment = f" // {schema['description']}" if "description" in schema else ""
    if isinstance(fields := schema.get("properties"), Mapping):
        return "".join(["{", *(f"\n{name}: {_type(inner)}," for name, inner in fields.items()), "\n}", comment])
    inner = f" of {_type(schema['items'])}" if "items" in schema else ""
    return f"{schema.get('enum') or schema.get('type', 'any')}{inner}{comment}"


def count_input(
    instructions: str = "", tools: Sequence[dict[str, Any]] = (), items: Iterable[Item] = (), model: Model | None = None
) -> Counter[str]:
    """Count the tokens that a response reads: instructions, tools and every item, again each time.

    Args:
        instructions: As the response has them.
        tools: As the response has them.
        items: Its context.
        model: The model that reads them. None leaves out what one of 2.x adds.

    Returns:
        Tokens of each modality, by the names of the API's usage objects.
    """
    text = _count(instructions) + (_PER_ITEM if tools else 0)
    for tool in tools:  # as types of TypeScript, which fits what is recorded
        written = f"type {tool.get('name')} = (_: {_type(tool.get('parameters'))}) => any;"
        text += _count(f"// {tool.get('description') or ''}\n{written}\n")
    if model is not None and model.second_generation:
        text += _SECOND_GENERATION + (_SECOND_GENERATION_TOOLS if tools else 0)
    audio = image = 0
    for item in items:
        text += _PER_ITEM
        shown = item.shown
        for part in shown.get("content", ()):
            if part["type"] == "input_image":
                image += _IMAGE_TOKENS[part["detail"]]
            elif part["type"] != "input_audio" and item.truncated_ms is None:
                text += _count(part.get("text") or part.get("transcript") or "")
        for name in ("arguments", "output", "name"):
            text += _count(shown.get(name, ""))
        if shown.get("role") == "user":
            audio += user_audio_tokens(item.audio_ms)
            text += _PER_RECORDING if item.audio else 0
        elif item.audio:
            audio += assistant_audio_tokens(item.audio_ms if item.truncated_ms is None else item.truncated_ms)
    return Counter(text_tokens=text, audio_tokens=audio, image_tokens=image)


def fit(
    instructions: str, tools: list[dict[str, Any]], items: Sequence[Item], truncation: Any, model: Model
) -> tuple[list[Item], Counter[str]]:
    """Drop the oldest items from the context of a response until it fits (OpenAI docs: `truncation`).

    Args:
        instructions: As the response has them.
        tools: As the response has them.
        items: The context, oldest first.
        truncation: "auto", "disabled" or a retention ratio, as in the session.
        model: The model that reads them: the context of 2.x has 128,000 tokens instead of 32,000.

    Returns:
        The items it reads, and their count.

    Raises:
        Ended: It does not fit and `truncation` is "disabled".
    """
    kept, limit = list(items), 128_000 if model.second_generation else 32_000
    count_all = functools.partial(count_input, instructions, tools, model=model)
    count = count_all(kept)
    if isinstance(truncation, dict):
        # SDK: post_instructions bounds the conversation alone; the ratio says how much stays once it is too long.
        bound = (truncation.get("token_limits") or {}).get("post_instructions")
        if bound is not None:
            limit = min(limit, bound + count_all().total())
    if count.total() <= limit:
        return kept, count
    if truncation == "disabled":
        message = f"The conversation has {count.total()} tokens, more than the {limit} this model takes."
        error = {"type": "invalid_request_error", "code": "context_length_exceeded", "message": message}
        raise Ended("failed", {"error": error})
    excess = count.total() - limit * (truncation.get("retention_ratio", 1.0) if isinstance(truncation, dict) else 1)
    while excess > 0 and kept:
        excess -= count_input(items=[kept.pop(0)]).total()
    return kept, count_all(kept)


def usage(read: Counter[str], text_out: int, audio_out: int, reasoning: int | None, cacheable: int) -> dict[str, Any]:
    """Return the `usage` object of `response.done`.

    Args:
        read: Input tokens.
        text_out: Text tokens written, transcript and reasoning among them.
        audio_out: Audio tokens spoken.
        reasoning: Reasoning tokens inside `text_out`; None leaves the field out (1.x models, recorded).
        cacheable: Tokens of the context that were there before; rounded down to a multiple of 64.
    """
    total = min(cacheable, read.total()) // (step := limits().cached_tokens_step) * step
    text = min(total, read["text_tokens"])
    audio = min(total - text, read["audio_tokens"])
    cached = {"text_tokens": text, "audio_tokens": audio, "image_tokens": total - text - audio}
    reasoned = {} if reasoning is None else {"reasoning_tokens": reasoning}
    return {
        "total_tokens": read.total() + text_out + audio_out,
        "input_tokens": read.total(),
        "output_tokens": text_out + audio_out,
        "input_token_details": {**read, "cached_tokens": total, "cached_tokens_details": cached},
        "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out, **reasoned},
    }
