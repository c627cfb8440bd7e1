"""Answers of the responder: one rule for each intent."""

from __future__ import annotations

import re
from collections.abc import Callable

from rtnb.server import languages
from rtnb.server.responder import counting, recall, verbatim
from rtnb.server.responder.dates import dates, times
from rtnb.server.responder.dialogue import Dialogue
from rtnb.server.responder.length_limits import limits_of
from rtnb.server.responder.lexicon import cue, extract
from rtnb.server.responder.text_extraction import content, keywords, quoted, sentences, stem, summary, unspaced

_UNDECIDED = ("other", "unknown", "unclear", "none", "neutral", "neutr")  # stems of classes for what fits no other


def heard_sentence(dialogue: Dialogue) -> list[str]:
    """Say what was heard in this turn; nothing where it was typed."""
    nothing = [dialogue.say("heard_nothing")] if dialogue.turn.clips and not dialogue.turn.typed else []
    return dialogue.say_if("heard", languages.together(dialogue.turn.heard)) or nothing


def translate(dialogue: Dialogue, request: str) -> list[str]:
    """Say that no rule can translate, and what was heard."""
    return [dialogue.say("no_translation"), *dialogue.say_if("heard", dialogue.material)]


def classify(dialogue: Dialogue, request: str) -> list[str]:
    """Choose the class that shares most words with the text."""
    options = quoted(request)
    if len(options) < 2:
        options = [*filter(None, map(str.strip, re.split(r",\s*(?:or\s+)?|\s+or\s+", extract("classes", request))))]
    if len(options) < 2:
        return []
    roots = set(content(dialogue.material or " ".join(words for _, words in dialogue.messages)))
    best = max(options, key=lambda option: len(roots & set(content(option))))
    if not roots & set(content(best)):
        best = next((option for option in options if stem(option) in _UNDECIDED), "")
    return [dialogue.say_of("fits", best, "no_answer")]


def summarise(dialogue: Dialogue, request: str) -> list[str]:
    """Say the sentences that say most, or as many keywords as words are asked for."""
    if not summary(material := dialogue.material):  # there may be signs without words
        return [dialogue.say("heard_nothing" if dialogue.turn.clips else "nothing_to_summarise")]
    limits = limits_of(dialogue)
    if limits.words is not None:
        names = keywords(material, limits.words)
        return [languages.closed("、".join(names) if unspaced("".join(names)) else " ".join(names))]
    foreign = languages.guess(material, default=dialogue.language) != dialogue.language
    first, *rest = summary(material, limits.sentences)
    return [dialogue.say("own_words" if foreign else "summary", x=first), *rest]


def clock(dialogue: Dialogue, request: str) -> list[str]:
    """Say the sentence of the instructions that says which time it is."""
    for sentence in (one for text in [*reversed(dialogue.system), dialogue.instructions] for one in sentences(text)):
        if cue("time_told").search(sentence) and (dates(sentence) or times(sentence) or re.search(r"[\d点]", sentence)):
            return [dialogue.say("told", x=sentence)]
    return [dialogue.say("no_clock")]


def who(dialogue: Dialogue, request: str) -> list[str]:
    """Say who is speaking."""
    return [*dialogue.say_if("intro_as", dialogue.persona), dialogue.say("who")]


def hear_you(dialogue: Dialogue, request: str) -> list[str]:
    """Say that the user is heard, and what was heard."""
    return [dialogue.say("hear_you"), *dialogue.say_if("heard", languages.together(dialogue.turn.heard))]


def invent(dialogue: Dialogue, request: str) -> list[str]:
    """Say that no rule can make something up."""
    return [*heard_sentence(dialogue), dialogue.say("no_invention")]


def greet(dialogue: Dialogue, request: str) -> list[str]:
    """Greet the user, by name where it is known."""
    return [dialogue.say_of("greet_name", dialogue.user_name, "greet")]


def _template(key: str) -> Callable[[Dialogue, str], list[str]]:
    return lambda dialogue, request: [dialogue.say(key)]


_RULES = (translate, classify, summarise, clock, who, hear_you, invent, greet)
ANSWERS: dict[str, Callable[[Dialogue, str], list[str]]] = {
    rule.__name__: rule for rule in (*_RULES, *verbatim.RULES, *recall.RULES, *counting.RULES)
} | {intent: _template(intent) for intent in ("can", "fine", "thanks", "bye")}
"""Rules by the intents that they answer: each takes the dialogue and the words of the request, and returns sentences,
or none where the request is not what it seemed."""
