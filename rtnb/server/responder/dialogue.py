"""Conversation as the responder's rules see it.

A turn is everything the user sent since the last answer. Typed words beside a recording are the request and the
recording is what it is about; a recording alone is both; the instructions speak where the user only talks.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rtnb.server import languages
from rtnb.server.nlu import intents
from rtnb.server.nlu.lexicon import TEMPLATES, cue, extract
from rtnb.server.nlu.numbers import numbers
from rtnb.server.nlu.text_extraction import sentences
from rtnb.server.protocol.requests import Request
from rtnb.server.protocol.settings import INSTRUCTIONS


@dataclass(slots=True)
class Turn:
    """Everything one side said until the other spoke."""

    messages: list[str] = field(default_factory=list)  # the words of each
    typed: list[str] = field(default_factory=list)
    heard: str = ""
    clips: int = 0
    pictures: list[str] = field(default_factory=list)
    outputs: list[tuple[str, str]] = field(default_factory=list)  # call_id, output

    @property
    def text(self) -> str:
        """Its words, typed and heard."""
        return languages.together([*self.typed, self.heard])

    @property
    def request(self) -> str:
        """Its typed words, or where there are none the heard ones."""
        return languages.together(self.typed) or self.heard

    def add(self, parts: Sequence[Mapping[str, Any]]) -> None:
        """Take the content parts of a user message."""
        self.messages.append(words_of(parts))
        self.pictures += [part["image_url"] for part in parts if part["type"] == "input_image"]
        heard = [part for part in parts if part["type"] == "input_audio"]
        self.clips += len(heard)
        self.heard = languages.together([self.heard, words_of(heard)])
        self.typed += filter(None, [words_of([part]) for part in parts if part["type"] == "input_text"])


@dataclass(slots=True)
class Dialogue:
    """Dialogue context of one answer."""

    request: Request
    system: list[str] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=lambda: [Turn()])  # of the user; the last one wants an answer
    answers: list[str] = field(default_factory=list)  # what we said, one an item
    calls: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)  # call_id → name, arguments
    language: str = "en"
    asked: str = ""  # the request, where the response's own instructions are one
    word: str = ""  # what of the answer is said where only a word or a few are asked for

    def say(self, key: str, **filled: object) -> str:
        """Fill a template in the language of the answer, or in English where that language lacks it."""
        template = TEMPLATES[self.language].get(key) or TEMPLATES["en"][key]
        self.word = "".join(re.findall(r"\*(.+?)\*", template)).format(**filled) or self.word
        return template.replace("*", "").format(**filled)

    def nothing(self) -> str:
        """Say that there is nothing to work on: no words in the recording, or nothing said before."""
        wordless = self.asked or any(turn.clips and not turn.heard for turn in self.turns)
        return self.say("heard_nothing" if wordless else "said_nothing")

    def say_if(self, key: str, x: str | None, otherwise: str = "") -> list[str]:
        """Fill a template with `x`; where there is no `x` take the other one, if any."""
        return [self.say(key, x=x)] if x else [self.say(otherwise)] if otherwise else []

    def join(self, names: Sequence[str]) -> str:
        """Join names as the language of the answer does: "a, b and c"."""
        and_last = self.say("and") + names[-1] if len(names) > 1 else "".join(names)
        return self.say("comma").join(names[:-1]) + and_last

    def row(self, parts: Iterable[str]) -> str:
        """Write a row of numbers, letters or words as a sentence: "1, 2, 3."."""
        return self.say("comma").join(parts) + self.say("stop")

    @property
    def turn(self) -> Turn:
        """Turn that wants an answer."""
        return self.turns[-1]

    @property
    def messages(self) -> list[str]:
        """Words of every message of the user."""
        return [words for turn in self.turns for words in turn.messages]

    @property
    def earlier(self) -> list[str]:
        """Everything the user said before this turn, one entry a message."""
        return [words for turn in self.turns[:-1] for words in turn.messages if words]

    @property
    def material(self) -> str:
        """Text that a request such as "summarise this" is about."""
        turn, earlier = self.turn, self.earlier
        if turn.heard and turn.typed:
            return turn.heard
        request, rest = intents.command_and_rest(turn.text)
        if rest and (not self.asked or re.search(r"[:：“\"「]", turn.text)):
            return rest
        if self.asked and self.request.aside:
            return languages.together(earlier)
        if turn.clips and not turn.typed and not intents.is_command(request):
            return turn.heard
        texts = [other.heard for other in self.turns[:-1] if other.heard] or earlier
        return languages.together(texts if cue("everything").search(request) else texts[-1:])


def words_of(parts: Iterable[Mapping[str, Any]]) -> str:
    """Return the words of content parts, written or spoken."""
    return languages.together((part.get("text") or part.get("transcript") or "").strip() for part in parts)


def from_json(text: str) -> Any:
    """Return the value of a JSON text, or the text itself where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def read_dialogue(request: Request) -> Dialogue:
    """Read a request into turns, and find the language to answer in."""
    dialogue = Dialogue(request)
    for item in request.items:
        turn = dialogue.turn
        match item["type"], item.get("role"):
            case "function_call", _:
                arguments = from_json(item["arguments"])
                dialogue.calls[item["call_id"]] = (item["name"], arguments if isinstance(arguments, dict) else {})
                if turn.typed or turn.clips:
                    dialogue.turns.append(Turn())  # the question it came from is being answered
            case "function_call_output", _:
                turn.outputs.append((item["call_id"], item["output"]))
            case "message", "user":
                turn.add(item["content"])
            case "message", "system":
                dialogue.system.append(words_of(item["content"]))
            case "message", "assistant":
                dialogue.answers += filter(None, [words_of(item["content"])])
                dialogue.turns.append(Turn())
    dialogue.asked = _asked(dialogue)
    dialogue.turns += [Turn(typed=[dialogue.asked])] if dialogue.asked else []
    dialogue.language = _language(dialogue)
    return dialogue


def _asked(dialogue: Dialogue) -> str:
    """Return what a response's own instructions ask for; "" where they only say how to answer the last message."""
    turn, aside = dialogue.turn, dialogue.request.aside
    asked = languages.together(intents.unconditional(dialogue.request.asked))
    if turn.outputs or (not aside and (turn.typed or turn.clips or turn.pictures)):
        return ""
    if intents.intent_of(intents.brief(asked)) is None and not intents.is_question(intents.brief(asked)):
        # "Write a note." is about what was said; "You are a guide." begins a conversation.
        return "" if not dialogue.messages or intents.is_command(turn.text) else asked
    return asked if aside or dialogue.messages or len(sentences(asked)) <= 2 else ""


def _asked_language(text: str) -> str | None:
    """Return the language an answer is asked for in, where rules see that one is."""
    parts = (part[:400] for part in sentences(text[:20_000]))
    translating = (part for part in parts if not cue("language_talked_about").search(part))
    asking = (part for part in translating if intents.intent_of(part) != "translate")
    asked = (match[0] for part in asking for match in cue("answer_in").finditer(part))
    return next((code for words in asked for code in languages.named(words) if code in TEMPLATES), None)


def _language(dialogue: Dialogue) -> str:
    turn, earlier, instructions = dialogue.turn, dialogue.earlier[::-1], dialogue.request.instructions
    typed, always = " ".join(turn.typed), " ".join([instructions, *dialogue.system])
    wishes = [typed or turn.heard, *(words for words in earlier if cue("from_now_on").search(words)), always]
    if asked := next(filter(None, map(_asked_language, wishes)), None):
        return asked
    answer = [re.sub(r"[“„«「][^”“»」]*[”“»」]", "", words) for words in dialogue.answers[-1:]]  # without quotations
    texts = [typed, *answer, *earlier, instructions] if typed else [*earlier, *answer, instructions]
    if turn.heard and not typed:
        # The recogniser writes in the language it hears: what was typed before says nothing of it.
        texts = [other.heard for other in reversed(dialogue.turns)]
    guesses = [languages.guess(text, default="") for text in texts]
    guesses.insert(1, dialogue.request.prompt_language or "")
    guess = next(filter(None, guesses), "en")
    return guess if guess in TEMPLATES else "en"


class Limits(NamedTuple):
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
    own = cue("no_limit").sub(" ", intents.brief(" ".join(dialogue.turn.typed) or dialogue.turn.heard))
    # Only what a client has set is a limit, not the instructions that every session begins with.
    standing = intents.brief(" ".join([*({dialogue.request.instructions} - {INSTRUCTIONS}), *dialogue.system]))
    asked = _lengths(own)
    allowed = (None, None) if whole else _lengths(standing)
    words, sentence_count = (user if user is not None else other for user, other in zip(asked, allowed, strict=True))
    frame = [extract(key, own) or extract(key, standing) for key in ("begins_with", "ends_with")]
    prefix, suffix = (quotation[1:-1].strip() for quotation in frame)
    if dialogue.turn.outputs:  # the results of calls are said in full
        words = sentence_count = None
    return Limits(words, sentence_count, prefix, suffix, asked_now=asked != (None, None))


def _lengths(text: str) -> tuple[int | None, int | None]:
    """Read how many words and how many sentences a text allows."""
    limits = [number for number in numbers(text) if cue("limit_before").search(text[: number.start])]
    words = [int(one.value) for one in limits if one.value >= 1 and cue("limit_of_words").search(text[one.end :])]
    counts = [max(1, int(one.value)) for one in limits if cue("limit_of_sentences").search(text[one.end :])]
    words += [1] if cue("one_word").search(text) else []
    counts += [count for key, count in _SENTENCES if cue(key).search(text)]
    return next(iter(words), None), next(iter(counts), None)
