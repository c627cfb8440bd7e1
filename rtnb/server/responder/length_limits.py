"""How long an answer may be, and how it must begin and end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rtnb.server.languages import closed
from rtnb.server.protocol.settings import INSTRUCTIONS
from rtnb.server.responder import text_extraction
from rtnb.server.responder.dialogue import Dialogue
from rtnb.server.responder.intents import brief

__all__ = ["Limits", "fit", "limits_of"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What an answer must keep to.

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


# Words that count nothing: 一字不差, 每一句话, 最后一句话.
_NO_LENGTH = re.compile(r"一字[不一]句?|(?:一句话?|一个字)[不都也]|[每第后上这那下前]一?个?(?:句话|句|字|词)")


def limits_of(scene: Dialogue, *, whole: bool = False) -> Limits:
    """How long the answer may be, and how it must begin and end: the user's word over the instructions'.

    Args:
        scene: The conversation.
        whole: Whether words are asked for as they are: then only the user shortens them, no instructions.
    """
    own = _NO_LENGTH.sub(" ", brief(" ".join(scene.turn.typed or scene.turn.heard)))
    # Only what a client has set is a limit, not the manner that every session begins with.
    set_by_client = [] if scene.instructions == INSTRUCTIONS else [scene.instructions]
    standing = brief(" ".join([*set_by_client, *scene.system]))
    lengths = (own,) if whole else (own, standing)
    words = sentence_count = None
    asked_now = False
    for text in lengths:
        for number in text_extraction.numbers(text):
            before, after = text[: number.start].casefold(), text[number.end :].casefold()
            asked = re.search(
                r"(?:\b(?:in|with|using|to|of|than|most|most of|within|exactly|only|under|say|limit\w*"
                r"|keep\b.*)|^|[,:(.?!，：（。？！])\s*"
                r"(?:about |exactly |only |just |at most |no more than |fewer than "
                r"|max(?:imum)? )?$|(?:用|以|在|说|最多|不超过|只)$",
                before,
            )
            if words is None and asked and re.match(r"[\s-]*words?\b|个?(?:单?词|字)", after) and number.value >= 1:
                words = int(number.value)
            if (
                sentence_count is None
                and asked
                and re.match(
                    r"[\s-]*(?:short |simple |brief )?(?:sentences?|lines?|bullets?|points?"
                    r"|bullet points?)\b|个?句",
                    after,
                )
            ):
                sentence_count = max(1, int(number.value))
        if sentence_count is None and re.search(
            r"\b(?:a|one) (?:sentence )?or two(?: short)?(?: sentences)?\b|\b(?:one|1) (?:to|or) (?:two|2) sentences",
            text,
            re.I,
        ):
            sentence_count = 2
        if sentence_count is None and re.search(
            r"\b(?:in|as) (?:a|one|a single) (?:short |single |brief )?sentence\b|\bone-sentence\b|一句话"
            r"|en une phrase|en una frase|in einem satz|in una frase",
            text,
            re.I,
        ):
            sentence_count = 1
        if words is None and re.search(r"\b(?:in|with) (?:a|one|a single) word\b|\bone-word\b", text, re.I):
            words = 1
        if sentence_count is None and re.search(
            r"\b(?:be |very |answer |reply |speak )?(?:brief(?:ly)?|concise(?:ly)?|short answers?"
            r"|succinct(?:ly)?)\b|简短|简洁|brièvement|kurz\b",
            text,
            re.I,
        ):
            sentence_count = 2
        asked_now = asked_now or (text is own and (words, sentence_count) != (None, None))
    prefix = suffix = ""
    for text in (own, standing):
        begin = re.search(
            r"\b(?:start|begin|open)\w*\b[^.!?\"“”‘’']*?\b(?:with|by saying)\b[^\"“‘']*(\"[^\"]+\""
            r"|“[^”]+”|'[^']+'|‘[^’]+’)",
            text,
            re.I,
        )
        end = re.search(
            r"\b(?:end|finish|close|conclude)\w*\b[^.!?\"“”‘’']*?\b(?:with"
            r"|by saying)\b[^\"“‘']*(\"[^\"]+\"|“[^”]+”|'[^']+'|‘[^’]+’)",
            text,
            re.I,
        )
        prefix = prefix or (begin[1][1:-1].strip() if begin else "")
        suffix = suffix or (end[1][1:-1].strip() if end else "")
    return Limits(words, sentence_count, prefix, suffix, asked_now)


def fit(said: Sequence[str], limits: Limits) -> list[str]:
    """Cut and frame the sentences of an answer."""
    parts = [sentence for text in said for sentence in _split_said(text)]
    if limits.sentences is not None:
        parts = parts[: limits.sentences]
    if limits.words is not None:
        kept: list[str] = []
        left = limits.words
        for part in parts:
            tokens = part.split()
            if part and not part.isascii() and len(tokens) < 2 and len(part) > left:
                tokens = list(part)
                kept.append("".join(tokens[:left]))
                break
            if len(tokens) > left:
                if left:
                    cut = " ".join(tokens[:left]).rstrip(',;:“”"')
                    kept.append(cut if cut[-1:] in ".!?" else f"{cut}.")
                break
            kept.append(part)
            left -= len(tokens)
        parts = kept
    if limits.prefix:
        parts = [closed(limits.prefix), *parts]
    if limits.suffix:
        parts = [*parts, closed(limits.suffix)]
    return [part for part in parts if part.strip()]


def _split_said(text: str) -> list[str]:
    """Our own sentences, a quotation kept whole unless it is long."""
    if len(text) <= 160:
        return [text]
    return text_extraction.sentences(text) or [text]
