"""Questions of learners to the practice server, in English and Chinese, typed and spoken: what an answer must hold."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from rtnb.server.languages import together
from rtnb.server.protocol.requests import Call, Request, Text
from rtnb.server.protocol.settings import INSTRUCTIONS
from rtnb.server.responder.responder import think

TABLE = tomllib.loads(Path(__file__).with_name("practice_questions.toml").read_text("utf-8"))
QUESTIONS = [
    pytest.param(question, id=f"{language} {question.get('heard') or question.get('ask') or question['asked']}"[:60])
    for language in ("en", "zh")
    for question in TABLE[language]["questions"]
]
TOOLS = {tool["name"]: {"type": "function", **tool} for tool in TABLE["tools"]}


def message(role: str, kind: str, words: str) -> dict[str, Any]:
    field = "transcript" if kind.endswith("audio") else "text"
    return {"type": "message", "role": role, "content": [{"type": kind, field: words}]}


def answer(question: dict[str, Any]) -> str:
    """Put a question to the responder; return its words and calls as one text."""
    roles = (("user", "input_text"), ("assistant", "output_audio"))
    items = [message(*roles[at % 2], words) for at, words in enumerate(question.get("before", ()))]
    asked = question.get("asked", "")
    now = [("input_text", question["ask"])] if "ask" in question else []
    now += [("input_audio", TABLE["clips"][question["clip"]])] if "clip" in question else []
    now += [("input_audio", question["heard"])] if "heard" in question else []
    parts = [part for kind, words in now for part in message("user", kind, words)["content"]]
    items += [{"type": "message", "role": "user", "content": parts}] if parts else []
    instructions = asked or question.get("instructions", INSTRUCTIONS)
    # A session's first answer says who speaks; here one has been given.
    begun = [] if "before" in question else [message("assistant", "output_audio", "…")]
    tools = [TOOLS[name] for name in question.get("tools", ())]
    pieces = [*think(Request(instructions, items=[*begun, *items], tools=tools, asked=asked))]
    calls = (piece for piece in pieces if isinstance(piece, Call))
    written = [f"{call.name}({', '.join(f'{key}={value}' for key, value in call.arguments.items())})" for call in calls]
    return together([*(piece.text for piece in pieces if isinstance(piece, Text)), *written])


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_holds_what_it_must_and_nothing_that_it_must_not(question: dict[str, Any]) -> None:
    said = answer(question)
    assert re.search(question["must"], said, re.IGNORECASE)
    assert not re.search(question.get("never", TABLE["never"]), said, re.IGNORECASE)
    assert not re.search(TABLE["never"], said)
