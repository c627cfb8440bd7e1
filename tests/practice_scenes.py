"""Scenes that clients of others talk through with the practice server, and the check of each event that they got.

Needs the openai SDK: a test module skips where it is not installed, before it imports this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pydantic
from openai.types import realtime as types
from practice_harness import MINI
from practice_shapes import check

from rtnb.server.engines.engines import Engines, canned
from rtnb.server.protocol.effects import Part, Transcript
from rtnb.server.protocol.requests import Call, Request, Text

# How fast answers come where somebody interrupts them: slower than they are spoken, so that even a machine with too
# much to do interrupts in time. Elsewhere they come faster.
UNHURRIED = 0.5
HEARD = "what is the weather in Oslo"  # whatever was said
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}
# On the wire although the SDK's types do not have them (recorded).
_BEYOND_THE_SDK = {"obfuscation", "phase", "reasoning_tokens", "message", "id", "object", "expires_at"}
_SERVER_EVENT: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(types.RealtimeServerEvent)


def think(request: Request) -> Iterator[Text | Call]:
    """Hands over once where it may, asks for the weather of each city that was named, or says something."""
    tools = [tool["name"] for tool in request.tools]
    results = [item["output"] for item in request.items if item["type"] == "function_call_output"]
    handover = next((name for name in tools if name.startswith("transfer_to_")), None)
    if handover and not results:
        yield Call(handover)
    elif "get_weather" in tools and not results:
        yield Text("Let me look.")
        for city in [city for city in ("Oslo", "Rome") if city in _last_words(request)] or ["Oslo"]:
            yield Call("get_weather", {"city": city})
    elif "guardrail" in _last_words(request).lower():
        yield Text("Something else, then.")
    else:
        yield Text(f"It is {' and '.join(results)}." if results else "Hello to you too.")
        yield Text("Shall we go on talking about this and that for a while longer?")


def _last_words(request: Request) -> str:
    said = [item for item in request.items if item["type"] == "message" and item["role"] == "user"]
    parts = [part for item in said[-1:] for part in item["content"]]  # none where nobody has said anything yet
    return " ".join(str(part.get("text") or part.get("transcript") or "") for part in parts)


def engines() -> Engines:
    first, second = HEARD.split(" the ")
    parts = [Part(0.0, 0.5, "A", first), Part(0.6, 1.0, "B", f"the {second}")]
    return replace(
        canned(transcript=Transcript(HEARD, confidence=(0.8,) * len(HEARD.split()))),
        respond=think,
        diarize=lambda pcm, language: parts,
    )


def check_event(plain: dict[str, Any]) -> Any:
    """The event parses as the SDK's own type, with nothing missing and nothing unknown, and has its recorded shape."""
    parsed = _SERVER_EVENT.validate_python(plain)  # raises where a field is missing or of the wrong kind
    assert parsed.type == plain["type"]
    assert not unknown(parsed) - _BEYOND_THE_SDK, f"{plain['type']}: {unknown(parsed)}"
    check(plain, MINI)
    return parsed


def unknown(model: Any) -> set[str]:
    """The fields of a parsed event, at any depth, that the SDK's types do not have."""
    if isinstance(model, list):
        return {name for element in model for name in unknown(element)}
    if not isinstance(model, pydantic.BaseModel):
        return set()
    inner = {name for field in type(model).model_fields for name in unknown(getattr(model, field))}
    return inner | set(model.model_extra or {})
