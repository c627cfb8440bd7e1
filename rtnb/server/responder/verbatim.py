"""Answers in words as they were said or given: to repeat, to transcribe, to spell."""

from __future__ import annotations

import re

from rtnb.server.languages import closed, together
from rtnb.server.responder.dialogue import Dialogue
from rtnb.server.responder.intents import command_and_rest, intent_of
from rtnb.server.responder.lexicon import LETTERS, cue, extract
from rtnb.server.responder.numbers import numbers
from rtnb.server.responder.text_extraction import quoted, sentences, unspaced, words


def _given(dialogue: Dialogue, request: str) -> str:
    """Return the words a request gives to be said, in any language: behind a colon, or, if long, in quotation marks."""
    if (found := re.match(r"(?s)([^:：]{1,120})[:：]\s*(.+)$", request)) and intent_of(found[1] + "："):
        return found[2].strip(" \"'“”‘’「」")
    # A long text was divided from its request before.
    own = dialogue.turn.request
    command, rest = command_and_rest(own)
    return rest if command == request and re.search(rf"[:：“\"'‘«「]\s*{re.escape(rest)}", own) else ""


def latin_word(request: str) -> str:
    """Return the word that stands in quotation marks, or the first in Latin letters of a request without spaces."""
    if marked := quoted(request):
        return marked[0]
    found = re.search(r"[^\W\d_]+", re.sub(rf"[{LETTERS}]", " ", request))
    return found[0] if found and unspaced(request) else ""


def exactly(dialogue: Dialogue, request: str) -> list[str]:
    """Say what is given, and nothing else: "Say only yes"."""
    if marked := quoted(request):
        return [marked[-1]]
    if given := _given(dialogue, request):
        return [given]
    what = extract("given_exactly", request)
    vague = not what or re.match(r"(?i)(?:in|a|an|one|two|three|the|short|your|\d)\b", what)
    return [] if vague else [what.strip(" \"'")]


def say(dialogue: Dialogue, request: str) -> list[str]:
    """Say what is given, or what was said before: "Say it again"."""
    if marked := quoted(request):
        return [marked[0]]
    if given := _given(dialogue, request):
        return [closed(given)]
    what = extract("given_to_say", request).strip()
    if not what or re.match(r"(?i)(?:something|anything|what|it|that|this|a few|nothing|the|a|your|my)\b", what):
        material = dialogue.material
        return [closed(material)] if material and re.match(r"(?i)(?:it|that|this|what|the)\b", what) else []
    return [closed(re.sub(r"(?i)\s+(?:please|to me|for me|in [a-z]+)[.!?]*$", "", what))]


def repeat(dialogue: Dialogue, request: str) -> list[str]:
    """Repeat the words that are given, or what was said."""
    users = request in dialogue.turn.text
    if users and (given := _given(dialogue, request)):
        return [closed(given)]
    own = extract("given_to_repeat", request).strip()
    if users and own and not cue("named").search(own):
        return [closed(own)]
    if marked := quoted(request):  # 把“苹果”重复一遍
        return [closed(marked[0])]
    if material := dialogue.material or ("" if users else dialogue.turn.text):
        return [closed(material)]
    return [dialogue.say("heard_nothing" if dialogue.turn.clips else "said_nothing")]


def transcribe(dialogue: Dialogue, request: str) -> list[str]:
    """Say every word of the recording."""
    if not dialogue.material:  # "I read the full text of it", said aloud, asks for nothing
        return [] if dialogue.turn.heard else [dialogue.say("heard_nothing")]
    return sentences(closed(dialogue.material))


def passage(dialogue: Dialogue, request: str) -> list[str]:
    """Say the first or last words or sentences: "Repeat the first ten words"."""
    if not dialogue.material:
        return [dialogue.say("heard_nothing")]
    count = next((max(1, int(number.value)) for number in numbers(cue("ordinal").sub(" ", request))), 1)
    each_word = re.findall(rf"[{LETTERS}]|[^\s{LETTERS}]+", dialogue.material)
    parts = sentences(dialogue.material) if cue("by_sentence").search(request) else each_word
    return [closed(together(parts[-count:] if cue("last").search(request) else parts[:count]))]


def reverse(dialogue: Dialogue, request: str) -> list[str]:
    """Say the words from the last to the first."""
    found = words(dialogue.material)
    return [closed(" ".join(reversed(found)))] if found else [dialogue.say("heard_nothing")]


def which_word(dialogue: Dialogue, request: str) -> list[str]:
    """Say the first, last, longest or shortest word."""
    if not (found := words(dialogue.material)):
        return [dialogue.say("heard_nothing")]
    choices = {"last_word": found[-1], "longest_word": max(found, key=len), "shortest_word": min(found, key=len)}
    word = next((word for key, word in choices.items() if cue(key).search(request)), found[0])
    return [f"“{word}”" + dialogue.say("stop")]


def spell(dialogue: Dialogue, request: str) -> list[str]:
    """Spell a word, the user's name, or the last word that was said."""
    what = (extract("given_to_spell", request) if not quoted(request) else "") or latin_word(request)
    if re.fullmatch(r"(?i)my name", what) or "我的名字" in request:
        what = dialogue.user_name or ""
    if not what or re.match(r"(?i)(?:it|that|this|what|every|each|the (?:last|first)|back)\b", what):
        what = next(reversed(words(dialogue.material)), "")
    letters = [character.upper() for character in what if character.isalnum() or character == " "]
    if not letters:
        return []
    row = dialogue.row(["–" if letter == " " else letter for letter in letters[:60]])
    return [what + dialogue.say("colon") + row]


RULES = (exactly, say, repeat, transcribe, passage, reverse, which_word, spell)
