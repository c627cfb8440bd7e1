"""The conversation as the practice brain's rules see it.

A turn is everything the user sent since the last answer. Typed words beside a recording are the request and the
recording is what it is about; a recording alone is both; the instructions speak where the user only talks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rtnb.server import languages
from rtnb.server.languages import together
from rtnb.server.protocol.requests import Request
from rtnb.server.responder import text_extraction
from rtnb.server.responder.intents import ask_of, brief, command_and_rest, is_command, is_question, unconditional
from rtnb.server.responder.templates import PHRASES, phrase

__all__ = ["Dialogue", "Turn", "look"]


@dataclass(slots=True)
class Turn:
    """What one side said until the other spoke."""

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
    def empty(self) -> bool:
        """Whether there is nothing in it at all."""
        return not (self.typed or self.clips or self.pictures or self.outputs)


@dataclass(slots=True)
class Dialogue:
    """The conversation as the rules see it."""

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
        """A set phrase in the language of the answer."""
        return phrase(self.language, key, **filled)

    @property
    def earlier(self) -> list[str]:
        """What the user said before this turn, one entry a message."""
        return [words for turn, words in self.messages if turn is not self.turn and words]

    @property
    def material(self) -> str:
        """What a request such as "summarise this" is about."""
        turn = self.turn
        if turn.heard and turn.typed:
            return together(turn.heard)
        request, rest = command_and_rest(turn.text)
        if rest and (not self.asked or re.search(r"[:：“\"「]", turn.text)):
            return rest
        if self.asked and self.request.aside:
            return together(self.earlier)
        if turn.clips and not turn.typed and not is_command(request):
            return together(turn.heard)
        whole = bool(
            re.search(
                r"\b(?:all|everything|conversation|we|so far|both|clips|recordings)\b|全部"
                r"|所有|每段|都|我们",
                request,
                re.I,
            )
        )
        clips = [together(other.heard) for other, _ in self._turns() if other.heard and other is not turn]
        if clips:
            return together(clips if whole else clips[-1:])
        earlier = self.earlier
        return together(earlier if whole or len(earlier) < 2 else earlier[-1:] or earlier)

    def _turns(self) -> list[tuple[Turn, str]]:
        seen: list[tuple[Turn, str]] = []
        for turn, words in self.messages:
            if not any(turn is other for other, _ in seen):
                seen.append((turn, words))
        return seen


def look(request: Request) -> Dialogue:
    """Read a request into turns, and find the language to answer in."""
    scene = Dialogue(request, instructions=request.instructions or "")
    turn = Turn()
    for item in request.items:
        kind = item.get("type") or "message"
        if kind == "function_call":
            scene.calls[str(item.get("call_id"))] = (str(item.get("name")), _parsed(item.get("arguments")))
            if turn.typed or turn.clips:
                turn = Turn()  # the question it came from is being answered
        elif kind == "function_call_output":
            turn.outputs.append((str(item.get("call_id")), str(item.get("output") or "")))
        elif kind == "message":
            role = item.get("role")
            parts = item.get("content") or []
            parts = [{"type": "input_text", "text": parts}] if isinstance(parts, str) else parts
            texts = [
                str(part.get("text") or part.get("transcript") or "").strip()
                for part in parts
                if isinstance(part, Mapping)
            ]
            joined = together(text for text in texts if text)
            if role == "assistant":
                if joined:
                    scene.answers.append(joined)
                turn = Turn()
            elif role == "system":
                if joined:
                    scene.system.append(joined)
            else:
                for part, text in zip((part for part in parts if isinstance(part, Mapping)), texts, strict=True):
                    if part.get("type") in ("input_audio", "audio"):
                        turn.clips += 1
                        turn.heard += [text] if text else []
                    elif part.get("type") in ("input_image", "image_url"):
                        turn.pictures.append(_url(part))
                    elif text:
                        turn.typed.append(text)
                scene.messages.append((turn, joined))
    scene.turn = turn
    if asked := _asked(scene):
        scene.asked, scene.turn = asked, Turn(typed=[asked])
    scene.language = _language(scene)
    return scene


def _asked(scene: Dialogue) -> str:
    """What a response's own instructions ask for; "" where they only say how to answer the user's last message."""
    turn, aside = scene.turn, scene.request.aside
    asked = together(unconditional(scene.request.asked))
    if turn.outputs or not (aside or turn.empty):
        return ""
    if ask_of(brief(asked)) is None and not is_question(brief(asked)):
        # "Write a note." is about what was said; "You are a guide." begins a conversation.
        return "" if not scene.messages or is_command(turn.text) else asked
    return asked if aside or scene.messages or len(text_extraction.sentences(asked)) <= 2 else ""


def _url(part: Mapping[str, Any]) -> str:
    url = part.get("image_url")
    return str(url.get("url") if isinstance(url, Mapping) else url or "")


def _parsed(arguments: Any) -> dict[str, Any]:
    try:
        value = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return {}
    return dict(value) if isinstance(value, Mapping) else {}


# "answer in French", "speak Chinese", "in German, please", "用中文回答", "auf Deutsch", "en français"
_TONGUE = re.compile(
    r"\b(?:answer|answers|reply|replies|respond|responses?|speak|speaks|talk|converse|write|communicate"
    r"|summari[sz]e|say|"
    r"explain|greet|repeat|continue|switch|use|language|only|always)\b[^.!?;]*?\b(?:in|to|only|using|with"
    r"|is)?\b[^.!?;]*"
    r"|\bin\s+\w+\s*[.!?]*$|\bin\s+\w+,?\s+please|用[^。，]*|auf\s+\w+|en\s+\w+|in\s+het\s+\w+|in italiano"
    r"|em\s+\w+",
    re.IGNORECASE,
)


def _asked_language(text: str) -> str | None:
    """The language an answer is asked for in, where rules see that one is."""
    for sentence in (part[:400] for part in text_extraction.sentences(text[:20_000])):
        # A language that is talked about or translated into is not one to answer in.
        if re.search(
            r"\btranslat|翻译|怎么[说写读]|\btradu|übersetz|\bteacher\b|\btutor\b"
            r"|\blearn",
            sentence,
            re.IGNORECASE,
        ):
            continue
        for match in _TONGUE.finditer(sentence):
            found = [code for code in languages.named(match.group()) if code in PHRASES]
            if found:
                return found[0]
    return None


def _language(scene: Dialogue) -> str:
    turn = scene.turn
    if found := _asked_language(" ".join(turn.typed or turn.heard)):
        return found
    for words in reversed(scene.earlier):
        if re.search(
            r"\b(?:from now on|always|let's speak|let us speak|only)\b|从现在|désormais|ab jetzt", words, re.I
        ) and (found := _asked_language(words)):
            return found
    if found := _asked_language(" ".join([scene.instructions, *scene.system])):
        return found
    earlier = list(reversed(scene.earlier))
    answer = [re.sub(r"[“„«「][^”“»」]*[”“»」]", "", words) for words in scene.answers[-1:]]  # without what it quotes
    texts = [" ".join(turn.typed), *answer, *earlier] if turn.typed else [*earlier, *answer]
    if turn.heard and not turn.typed:
        # The recogniser writes in the language it hears: what was typed before tells nothing of it.
        texts = [together(other.heard) for other, _ in reversed(scene.messages)]
    else:
        texts.append(scene.instructions)
    guesses = [languages.guess(text, default="") for text in texts]
    guesses.insert(1, scene.request.prompt_language or "")
    guess = next(filter(None, guesses), "en")
    return guess if guess in PHRASES else "en"
