"""Answers that count: to a number, or words, sentences, letters, recordings and messages."""

from __future__ import annotations

import re

from rtnb.server.responder.dialogue import Dialogue
from rtnb.server.responder.lexicon import cue, extract
from rtnb.server.responder.numbers import numbers
from rtnb.server.responder.text_extraction import sentences, spoken_sentences, unspaced, words
from rtnb.server.responder.verbatim import latin_word


def count_to(dialogue: Dialogue, request: str) -> list[str]:
    """Count from one number to another, at most 200 steps."""
    down = cue("downwards").search(request)
    values = [int(number.value) for number in numbers(request)] or ([10] if down else [])
    if not values:
        return []
    first, last = (values[0], values[1]) if len(values) > 1 else (values[0], 1) if down else (1, values[0])
    step = 1 if last >= first else -1
    return [dialogue.row([str(number) for number in range(first, last + step, step)[:201]])]


def _plural(dialogue: Dialogue, key: str, count: int) -> list[str]:
    return [dialogue.say(key) if count == 1 else dialogue.say(f"{key}s", x=count)]


def count(dialogue: Dialogue, request: str) -> list[str]:
    """Count what the request names."""
    turn, messages = dialogue.turn, dialogue.messages
    if not cue("count_text").search(request) and cue("count_clips").search(request):
        clips = {id(one): one.clips for one, _ in messages}  # a turn may have several messages
        return _plural(dialogue, "count_clip", sum(clips.values()))
    if cue("count_turns").search(request):
        return _plural(dialogue, "count_turn", len(messages) - (1 if turn.text else 0) or len(messages))
    if word := extract("letters_in", request) or (latin_word(request) if "字母" in request else ""):
        return [dialogue.say("count_letters", word=word, x=sum(letter.isalpha() for letter in word))]
    material = dialogue.material
    if cue("count_sentences").search(request):
        split = spoken_sentences if turn.heard or not turn.typed else sentences
        return _plural(dialogue, "count_sentence", len(split(material)))
    if one := extract("times_of", request):
        return _plural(dialogue, "count_turn", len(re.findall(re.escape(one), material, re.IGNORECASE)))
    if cue("count_words").search(request) or (material and cue("count_all").search(request)):
        found = words(material)
        return _plural(dialogue, "count_character" if found and all(map(unspaced, found)) else "count_word", len(found))
    return []


RULES = (count_to, count)
