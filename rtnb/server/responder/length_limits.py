"""Limits of an answer: its length, and how it must begin and end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rtnb.server.languages import closed
from rtnb.server.protocol.settings import INSTRUCTIONS
from rtnb.server.responder.dialogue import Dialogue
from rtnb.server.responder.intents import brief
from rtnb.server.responder.lexicon import cue, extract
from rtnb.server.responder.numbers import numbers
from rtnb.server.responder.text_extraction import sentences


@dataclass(frozen=True, slots=True)
class Limits:
    """Length and frame of an answer.

    Attributes:
        words: At most this many words. None: as many as it takes.
        sentences: At most this many sentences. None: as many as it takes.
        prefix: What it must begin with.
        suffix: What it must end with.
        asked_now: Whether the length was asked for by the user, and not only by standing instructions.
    """

    words: int | None = None
    sentences: int | None = None
    prefix: str = ""
    suffix: str = ""
    asked_now: bool = False


# Lengths in words alone, the first that fits.
_SENTENCES = (("one_or_two_sentences", 2), ("one_sentence", 1), ("brief", 2))


def limits_of(dialogue: Dialogue, *, whole: bool = False) -> Limits:
    """Find how long the answer may be, and how it must begin and end: the user's word over the instructions'.

    Args:
        dialogue: The conversation.
        whole: Whether words are asked for as they are: then only the user shortens them, no instructions.
    """
    own = cue("no_limit").sub(" ", brief(dialogue.turn.request))
    # Only what a client has set is a limit, not the instructions that every session begins with.
    set_by_client = {dialogue.request.instructions} - {INSTRUCTIONS}
    standing = brief(" ".join([*set_by_client, *dialogue.system]))
    asked = _lengths(own)
    allowed = (None, None) if whole else _lengths(standing)
    words, sentence_count = (user if user is not None else other for user, other in zip(asked, allowed, strict=True))
    prefix, suffix = (
        next(filter(None, (extract(key, text)[1:-1].strip() for text in (own, standing))), "")
        for key in ("begins_with", "ends_with")
    )
    return Limits(words, sentence_count, prefix, suffix, asked_now=asked != (None, None))


def _lengths(text: str) -> tuple[int | None, int | None]:
    """Read how many words and how many sentences a text allows."""
    limits = [number for number in numbers(text) if cue("limit_before").search(text[: number.start])]
    words = [int(one.value) for one in limits if one.value >= 1 and cue("limit_of_words").search(text[one.end :])]
    counts = [max(1, int(one.value)) for one in limits if cue("limit_of_sentences").search(text[one.end :])]
    words += [1] if cue("one_word").search(text) else []
    counts += [count for key, count in _SENTENCES if cue(key).search(text)]
    return next(iter(words), None), next(iter(counts), None)


def fit(said: Sequence[str], limits: Limits) -> list[str]:
    """Cut and frame the sentences of an answer."""
    # A quotation inside a sentence of ours is kept whole unless it is long.
    parts = [part for text in said for part in ([text] if len(text) <= 160 else sentences(text) or [text])]
    parts = parts[: limits.sentences]
    if limits.words is not None:
        parts = _first_words(parts, limits.words)
    return [part for part in (closed(limits.prefix), *parts, closed(limits.suffix)) if part.strip()]


def _first_words(parts: Sequence[str], left: int) -> list[str]:
    """Keep so many words of an answer's sentences, characters of a Chinese or Japanese one."""
    kept: list[str] = []
    for part in parts:
        tokens = part.split()
        if part and not part.isascii() and len(tokens) < 2 and len(part) > left:
            return [*kept, part[:left]]
        if len(tokens) > left:
            cut = " ".join(tokens[:left]).rstrip(',;:“”"')
            return [*kept, cut if cut[-1:] in ".!?" else f"{cut}."] if left else kept
        kept.append(part)
        left -= len(tokens)
    return kept
