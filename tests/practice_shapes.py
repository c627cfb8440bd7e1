"""Checks that an event has exactly the fields and value kinds of the recorded event of its kind.

`practice/shapes.json` holds, for each kind of event recorded from the real server in July–September 2026, its fields
and their kinds, no contents. A list holds the shapes of its elements.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SHAPES: dict[str, Any] = json.loads((Path(__file__).parent / "practice" / "shapes.json").read_text())

# Where a recording has null because nothing was set, what else may stand there (SDK types).
_OPTIONAL = {
    "previous_item_id": "string",
    "response.metadata": "object",
    "response.conversation_id": "string",
    "response.status_details": "object",
    "session.prompt": "object",
    "session.include": "list",
    "session.audio.input.transcription": "object",
    "session.audio.input.transcription.language": "string",
    "session.audio.input.transcription.prompt": "string",
    "session.audio.input.noise_reduction": "object",
    "session.audio.input.turn_detection.idle_timeout_ms": "integer",
    "item.content[].transcript": "string",
    "error.code": "string",
}
# Where a recording has a value, and the API's own types also allow these.
_ALSO = {
    "previous_item_id": ("null",),
    "response.conversation_id": ("null",),
    "response.max_output_tokens": ("integer",),
    "session.max_output_tokens": ("integer",),
    "session.tool_choice": ("object",),
    "session.tracing": ("string", "object"),
    "session.truncation": ("object",),
    "session.audio.input.turn_detection": ("null",),
    "session.audio.input.transcription": ("null",),
}
# There in some events of a kind and not in others: the first is recorded so on 2.x, the others come where they are
# asked for (SDK).
_TRANSCRIPTION = "conversation.item.input_audio_transcription"
_SOMETIMES = {
    "response.done.response.usage.output_token_details.reasoning_tokens",
    f"{_TRANSCRIPTION}.delta.logprobs",
    f"{_TRANSCRIPTION}.completed.logprobs",
}
# What a client's own request shapes, or which is a union of its own: not compared beyond its kind.
_FREE = {
    "session.tools",
    "response.status_details",
    "session.audio.input.turn_detection",
    "session.audio.input.format",
    "session.audio.output.format",
    "response.audio.output.format",
    "session.audio.input.transcription",
    "response.metadata",
    "conversation.item.input_audio_transcription.completed.usage",
}


def key_of(event: dict[str, Any], model: str) -> list[str]:
    """The keys under which a recording of this event may stand, the model's own family first."""
    family, other = ("2.x", "1") if "realtime-2" in model else ("1", "2.x")
    kind = event["type"]
    middle = ""
    if "item" in event:
        item = event["item"]
        middle = f"|{item['type']}|{item.get('role')}"
    elif "part" in event:
        middle = f"|{event['part']['type']}"
    elif kind == "response.done":
        response = event["response"]
        what = "+".join(item["type"] for item in response["output"])
        middle = f"|{response['status']}|{what}|{response['output_modalities'][0]}"
    keys = [f"{kind}{middle}|{family}", f"{kind}{middle}|{other}"]
    if kind == "response.done":  # the statuses that are not recorded have the fields of those that are
        keys += [key for key in SHAPES if key.startswith(f"response.done|completed|message|{what_modality(event)}")]
    return keys


def what_modality(event: dict[str, Any]) -> str:
    return str(event["response"]["output_modalities"][0])


def _elements(name: str, shape: Any) -> list[Any]:
    """Every shape recorded for the elements of a list of this name, wherever it stands."""
    if isinstance(shape, list):
        return [found for element in shape for found in _elements(name, element)]
    if not isinstance(shape, dict):
        return []
    found = [element for element in shape.get(name, []) if isinstance(element, dict)]
    return found + [more for inner in shape.values() for more in _elements(name, inner)]


# Which elements a list holds depends on the answer, so any of those recorded in such a list will do.
_POOLS = {
    name: list({json.dumps(shape): shape for shape in _elements(name, list(SHAPES.values()))}.values())
    for name in ("content", "output", "rate_limits")
}


def check(event: dict[str, Any], model: str) -> bool:
    """Compare an event with its recording. Gives False where there is no recording of its kind.

    Raises:
        AssertionError: A field is missing, unknown or of another kind.
    """
    for key in key_of(event, model):
        if key in SHAPES:
            _compare(
                event, SHAPES[key], "", event["type"], free_phase=not key.endswith("2.x") and "realtime-2" in model
            )
            return True
    return False


def _kind(value: Any) -> str:
    kinds = {type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "list"}
    return kinds.get(type(value), "object")


def _compare(value: Any, shape: Any, path: str, where: str, *, free_phase: bool) -> None:
    kind = _kind(value)
    recorded = shape if isinstance(shape, str) else "list" if isinstance(shape, list) else "object"
    allowed = {recorded, *_ALSO.get(path, ())}
    if recorded == "null" and path in _OPTIONAL:
        allowed.add(_OPTIONAL[path])
    if recorded == "number":
        allowed.add("integer")
    assert kind in allowed, f"{where}: {path} is {kind}, recorded {sorted(allowed)}"
    if path in _FREE or f"{where}.{path}" in _FREE or kind != recorded:
        return
    if isinstance(shape, dict):
        fields = set(value)
        if free_phase:
            fields.discard("phase")  # recorded on 2.x only
        sometimes = {name for name in {*shape, *fields} if f"{where}.{_join(path, name)}" in _SOMETIMES}
        missing = set(shape) - fields - sometimes
        extra = fields - set(shape) - sometimes
        assert (missing, extra) == (set(), set()), f"{where}: {path or 'event'} lacks {missing}, has {extra} besides"
        for name in shape:
            if name in value:
                _compare(value[name], shape[name], _join(path, name), where, free_phase=free_phase)
    elif isinstance(shape, list):
        for element in value:
            _one_of(element, _POOLS.get(path.rpartition(".")[2], shape), f"{path}[]", where, free_phase)


def _one_of(element: Any, shapes: list[Any], path: str, where: str, free_phase: bool) -> None:
    problems = []
    for shape in shapes:
        try:
            return _compare(element, shape, path, where, free_phase=free_phase)
        except AssertionError as error:
            problems.append(str(error))
    raise AssertionError(f"{where}: {path} is none of the recorded shapes: {problems}")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
