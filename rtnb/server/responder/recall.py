"""Answers from what was said so far in the conversation."""

from __future__ import annotations

import re

from rtnb.server import languages
from rtnb.server.responder import lexicon, verbatim
from rtnb.server.responder.dialogue import Dialogue
from rtnb.server.responder.intents import is_command
from rtnb.server.responder.lexicon import cue, extract
from rtnb.server.responder.numbers import numbers
from rtnb.server.responder.text_extraction import content, keywords, sentences, words

_BESIDE_THE_POINT = lexicon.bag("beside_the_point")


def find_said(dialogue: Dialogue, question: str) -> str | None:
    """Find the sentence of the conversation, or of the instructions, that shares most with a question."""
    wanted = set(content(question)) - _BESIDE_THE_POINT
    texts = [*dialogue.earlier, *(dialogue.turn.heard if dialogue.turn.typed else [])]
    said = (sentence for text in texts for sentence in sentences(text))
    pool = [sentence for sentence in said if not sentence.rstrip().endswith(("?", "？"))]
    scored = [(len(wanted & set(content(sentence))), index) for index, sentence in enumerate(pool)]
    best, index = max(scored, default=(0, -1))
    # Half of what is asked about must be there, or we would answer beside the point.
    return pool[index] if best and best * 2 >= len(wanted) else None


def which_language(dialogue: Dialogue, request: str) -> list[str]:
    """Say which language was spoken."""
    if not dialogue.material:
        return [dialogue.say("said_nothing")]
    names = languages.NAMES[languages.guess(dialogue.material)]
    chinese = [name for name in names if re.fullmatch(r"[\u4e00-\u9fff]+", name)]
    return [languages.closed(chinese[-1] if dialogue.language == "zh" and chinese else names[0])]


def name_is(dialogue: Dialogue, request: str) -> list[str]:
    """Say the user's name."""
    return [dialogue.say_of("your_name", dialogue.user_name, "no_name")]


def said_first(dialogue: Dialogue, request: str) -> list[str]:
    """Say what the user said first."""
    return [dialogue.say_of("said_first", next(iter(dialogue.earlier), ""), "said_nothing")]


def said_last(dialogue: Dialogue, request: str) -> list[str]:
    """Say what the user said last, in their n-th message, or about something."""
    earlier, turn = dialogue.earlier, dialogue.turn
    if (about := extract("topic", request)) and (found := find_said(dialogue, about)):
        return [dialogue.say("said", x=found)]
    nth = next((int(number.value) for number in numbers(request) if number.ordinal), 0)
    if 0 < nth <= len(earlier):
        return [dialogue.say("said", x=earlier[nth - 1])]
    if turn.heard and turn.typed:
        return [dialogue.say("said", x=languages.together(turn.heard))]
    return [dialogue.say_of("said_last", next(reversed(earlier), ""), "said_nothing")]


def _topics(dialogue: Dialogue, count: int) -> list[str]:
    return keywords(" ".join(said for said in dialogue.earlier if not is_command(said)), count)


def talked(dialogue: Dialogue, request: str) -> list[str]:
    """Say what was talked about."""
    topics = _topics(dialogue, 4) or keywords(" ".join(dialogue.earlier), 4)
    return [dialogue.say_of("talked", dialogue.join(topics), "talked_nothing")]


def i_said(dialogue: Dialogue, request: str) -> list[str]:
    """Say the last answer again."""
    if not dialogue.answers:
        return verbatim.transcribe(dialogue, request) if dialogue.turn.heard else [dialogue.say("i_said_nothing")]
    last = dialogue.answers[-1]
    return [last if cue("once_more").search(request) else dialogue.say("i_said", x=last)]


def practise(dialogue: Dialogue, request: str) -> list[str]:
    """Choose a sentence of the user's to say once more."""
    turns = [one for one in dialogue.messages if one[0] is not dialogue.turn or one[0].heard]
    texts = [languages.together(turn.heard) or said for turn, said in turns]
    found = [sentence for text in texts for sentence in sentences(text) if not is_command(sentence)]
    if not found:
        return [dialogue.say("said_nothing")]
    fitting = [sentence for sentence in found if 4 <= len(words(sentence)) <= 16] or found
    return [dialogue.say("practise", x=max(fitting, key=lambda sentence: len(content(sentence))))]


def ask_me(dialogue: Dialogue, request: str) -> list[str]:
    """Ask the user something."""
    return [dialogue.say_of("question_about", "".join(_topics(dialogue, 1)), "question")]


RULES = (which_language, name_is, said_first, said_last, talked, i_said, practise, ask_me)
