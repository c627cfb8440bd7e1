"""Conversation as the responder's rules see it.

A turn is everything the user sent since the last answer. Typed words beside a recording are the request and the
recording is what it is about; a recording alone is both; the instructions speak where the user only talks.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rtnb.server import languages
from rtnb.server.languages import together
from rtnb.server.protocol.requests import Request
from rtnb.server.responder import intents
from rtnb.server.responder.lexicon import TEMPLATES, cue, extract, template
from rtnb.server.responder.names import last_name
from rtnb.server.responder.text_extraction import sentences


@dataclass(slots=True)
class Turn:
    """Everything one side said until the other spoke."""

    typed: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    clips: int = 0
    pictures: list[str] = field(default_factory=list)
    outputs: list[tuple[str, str]] = field(default_factory=list)  # call_id, output

    @property
    def text(self) -> str:
        """Its words, typed and heard."""
        return together([*self.typed, *self.heard])

    @property
    def request(self) -> str:
        """Its typed words, or where there are none the heard ones."""
        return together(self.typed) or together(self.heard)

    def add(self, part: Mapping[str, Any], text: str) -> None:
        """Take a content part of a user message, with its text or transcript."""
        kind = part.get("type")
        if kind in ("input_audio", "audio"):
            self.clips += 1
            self.heard += [text] if text else []
        elif kind in ("input_image", "image_url"):
            url = part.get("image_url")
            self.pictures.append(str(url.get("url") if isinstance(url, Mapping) else url or ""))
        elif text:
            self.typed.append(text)


@dataclass(slots=True)
class Dialogue:
    """Dialogue context of one answer."""

    request: Request
    instructions: str = ""
    system: list[str] = field(default_factory=list)
    messages: list[tuple[Turn, str]] = field(default_factory=list)  # every user message: its turn, its words
    answers: list[str] = field(default_factory=list)  # what we said, one an item
    calls: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)  # call_id → name, arguments
    turn: Turn = field(default_factory=Turn)  # the last one, which wants an answer
    language: str = "en"
    asked: str = ""  # the request, where the response's own instructions are one

    def say(self, key: str, **filled: object) -> str:
        """Fill a template in the language of the answer."""
        return template(self.language, key, **filled)

    def say_of(self, key: str, x: str | None, otherwise: str) -> str:
        """Fill a template with `x`, or take the other one where there is no `x`."""
        return self.say(key, x=x) if x else self.say(otherwise)

    def say_if(self, key: str, x: str) -> list[str]:
        """Fill a template with `x`; nothing where there is no `x`."""
        return [self.say(key, x=x)] if x else []

    def join(self, names: Sequence[str]) -> str:
        """Join names as the language of the answer does: "a, b and c"."""
        and_last = self.say("and") + names[-1] if len(names) > 1 else "".join(names)
        return self.say("comma").join(names[:-1]) + and_last

    def row(self, parts: Sequence[str]) -> str:
        """Write a row of numbers, letters or words as a sentence: "1, 2, 3."."""
        return self.say("comma").join(parts) + self.say("stop")

    @property
    def user_name(self) -> str | None:
        """Name the user last gave for themselves; None where none was given."""
        return last_name(words for _, words in self.messages)

    @property
    def persona(self) -> str:
        """Name the instructions give the speaker: "Nova" of "You are Nova, a guide."; "" for none."""
        return extract("persona", self.instructions)

    @property
    def earlier(self) -> list[str]:
        """Everything the user said before this turn, one entry a message."""
        return [words for turn, words in self.messages if turn is not self.turn and words]

    @property
    def material(self) -> str:
        """Text that a request such as "summarise this" is about."""
        turn = self.turn
        if turn.heard and turn.typed:
            return together(turn.heard)
        request, rest = intents.command_and_rest(turn.text)
        if rest and (not self.asked or re.search(r"[:：“\"「]", turn.text)):
            return rest
        earlier = self.earlier
        if self.asked and self.request.aside:
            return together(earlier)
        if turn.clips and not turn.typed and not intents.is_command(request):
            return together(turn.heard)
        turns = {id(other): other for other, _ in self.messages}  # a turn may have several messages
        clips = [together(other.heard) for other in turns.values() if other.heard and other is not turn]
        whole = cue("everything").search(request)
        return together((clips or earlier) if whole else (clips or earlier)[-1:])


def read_dialogue(request: Request) -> Dialogue:
    """Read a request into turns, and find the language to answer in."""
    dialogue = Dialogue(request, instructions=request.instructions or "")
    turn = Turn()
    for item in request.items:
        kind = item.get("type") or "message"
        if kind == "function_call":
            dialogue.calls[str(item.get("call_id"))] = (str(item.get("name")), _parsed(item.get("arguments")))
            if turn.typed or turn.clips:
                turn = Turn()  # the question it came from is being answered
        elif kind == "function_call_output":
            turn.outputs.append((str(item.get("call_id")), str(item.get("output") or "")))
        elif kind == "message":
            turn = _read_message(dialogue, turn, item)
    dialogue.turn = turn
    if asked := _asked(dialogue):
        dialogue.asked, dialogue.turn = asked, Turn(typed=[asked])
    dialogue.language = _language(dialogue)
    return dialogue


def _read_message(dialogue: Dialogue, turn: Turn, item: Mapping[str, Any]) -> Turn:
    """Add a message to the dialogue; return the turn that goes on after it."""
    content = item.get("content") or []
    content = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
    parts = [part for part in content if isinstance(part, Mapping)]
    texts = [str(part.get("text") or part.get("transcript") or "").strip() for part in parts]
    words = together(text for text in texts if text)
    role = item.get("role")
    if role in ("assistant", "system"):
        (dialogue.answers if role == "assistant" else dialogue.system).extend([words] if words else [])
        return Turn() if role == "assistant" else turn
    for part, text in zip(parts, texts, strict=True):
        turn.add(part, text)
    dialogue.messages.append((turn, words))
    return turn


def _asked(dialogue: Dialogue) -> str:
    """Return what a response's own instructions ask for; "" where they only say how to answer the last message."""
    turn, aside = dialogue.turn, dialogue.request.aside
    asked = together(intents.unconditional(dialogue.request.asked))
    if turn.outputs or (not aside and (turn.typed or turn.clips or turn.pictures)):
        return ""
    if intents.intent_of(intents.brief(asked)) is None and not intents.is_question(intents.brief(asked)):
        # "Write a note." is about what was said; "You are a guide." begins a conversation.
        return "" if not dialogue.messages or intents.is_command(turn.text) else asked
    return asked if aside or dialogue.messages or len(sentences(asked)) <= 2 else ""


def _parsed(arguments: Any) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
    return dict(arguments) if isinstance(arguments, Mapping) else {}


def _asked_language(text: str) -> str | None:
    """Return the language an answer is asked for in, where rules see that one is."""
    parts = (part[:400] for part in sentences(text[:20_000]))
    asking = (part for part in parts if not cue("language_talked_about").search(part))
    asked = (match[0] for part in asking for match in cue("answer_in").finditer(part))
    return next((code for words in asked for code in languages.named(words) if code in TEMPLATES), None)


def _language(dialogue: Dialogue) -> str:
    turn, earlier = dialogue.turn, dialogue.earlier[::-1]
    now, always = " ".join(turn.typed or turn.heard), " ".join([dialogue.instructions, *dialogue.system])
    wishes = [now, *(words for words in earlier if cue("from_now_on").search(words)), always]
    if asked := next(filter(None, map(_asked_language, wishes)), None):
        return asked
    answer = [re.sub(r"[“„«「][^”“»」]*[”“»」]", "", words) for words in dialogue.answers[-1:]]  # without quotations
    texts = [" ".join(turn.typed), *answer, *earlier] if turn.typed else [*earlier, *answer]
    if turn.heard and not turn.typed:
        # The recogniser writes in the language it hears: what was typed before says nothing of it.
        texts = [together(other.heard) for other, _ in reversed(dialogue.messages)]
    else:
        texts.append(dialogue.instructions)
    guesses = [languages.guess(text, default="") for text in texts]
    guesses.insert(1, dialogue.request.prompt_language or "")
    guess = next(filter(None, guesses), "en")
    return guess if guess in TEMPLATES else "en"
