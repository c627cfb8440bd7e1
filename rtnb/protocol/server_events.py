"""Server events in the form of the API's reference, whatever server wrote them: the border for all that comes in.

Servers that speak the protocol in part write text as numbers or objects, objects as text, lists for null, and leave
fields out. Here each field that rtnb reads takes the type that the reference has for it, so that behind this nobody
looks again. Null, and fields that rtnb does not read, pass as they are.
"""

import contextlib
import difflib
import json
import math
from collections.abc import Mapping
from typing import Any

from rtnb.protocol.beta import to_ga
from rtnb.protocol.frames import Event
from rtnb.texts.language import say, translate
from rtnb.texts.shortening import in_one_line

_LARGEST = 2**53 - 1  # of a number that every JSON reader keeps exactly
_ENDS = ("completed", "cancelled", "incomplete", "failed")
_TYPES = {str: "text", int: "a number", float: "a number", bool: "true or false", dict: "an object", list: "a list"}


def _all(form: Any, names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split(), form)


# A form is str, int, float, `json` (a text that is JSON), a dict (the forms of an object's fields; under "" the field
# that a plain value in the object's place is), or a list of the form of its elements.
_TOKENS = _all(int, "total_tokens input_tokens output_tokens text_tokens audio_tokens image_tokens cached_tokens")
_DETAILS = {**_TOKENS, "reasoning_tokens": int, "cached_tokens_details": _TOKENS}
_USAGE = {**_TOKENS, **_all(_DETAILS, "input_token_details output_token_details"), "type": str, "seconds": float}
_ERROR = {"": "message", **_all(str, "message code param type event_id")}
_STATUS = {"": "error", **_all(str, "type reason"), "error": _ERROR}
_PART = {"": "text", **_all(str, "type text transcript")}
_ITEM = {**_all(str, "id type role status phase name call_id server_label"), **_all(json, "arguments output")}
_ITEM |= {"": "content", "content": [_PART], "error": _ERROR, "tools": [{"": "name", "name": str}]}
_RESPONSE = {**_all(str, "id status conversation_id"), "status_details": _STATUS, "output": [_ITEM], "usage": _USAGE}
_INPUT = {**_all({"": "model", "model": str}, "transcription input_audio_transcription")}
_INPUT |= {"turn_detection": {"": "type", "type": str, "silence_duration_ms": int}}
_LIMIT = {"name": str, **_all(float, "limit remaining reset_seconds")}
_EVENT = {
    **_all(str, "event_id id item_id response_id previous_item_id call_id name delta transcript text speaker"),
    **_all(int, "audio_start_ms audio_end_ms output_index content_index"),
    **{"start": float, "end": float, "arguments": json, "error": _ERROR, "item": _ITEM, "part": _PART},
    **{"response": {**_RESPONSE, "metadata": {"rtnb_side": str}}, "usage": _USAGE, "rate_limits": [_LIMIT]},
    "session": {**_INPUT, "id": str, "audio": {"input": _INPUT, "output": {}}},
}
"""Fields of events that rtnb reads → their form in the reference."""


def read(event: Event) -> tuple[Event, list[str]]:
    """Return a server event under its GA name and in the form of the reference, and sentences on what was odd.

    Args:
        event: The event as it came. It stays as it is; where nothing is odd it is returned itself.
    """
    odd: dict[str, None] = {}
    if event["type"] == "error" and not event.get("error"):  # some servers write the error's fields beside the type
        event = {**event, "error": {k: event[k] for k in ("message", "code", "param") if k in event}}
    elif event["type"] == "error" and isinstance(error := event["error"], dict) and "error" in error:
        event = {**event, "error": error["error"]}
    elif event["type"] in ("response.created", "response.done") and event.get("response") is None:  # the same of these
        odd["no response object"] = None
        event = {**event, "response": {k: v for k, v in event.items() if k in _RESPONSE}}
    elif event["type"].endswith("audio.delta") and event.get("delta") is None and {"audio", "data"} & {*event}:
        name = "audio" if event.get("audio") else "data"
        odd[say("audio in its field {name}", name=name)] = None
        event = {**event, "delta": event.get(name)}
    taken = _fields(event, _EVENT, odd)
    if event["type"] in ("response.created", "response.done") and taken["response"]:
        taken = {**taken, "response": _with_status(taken["response"], event["type"] == "response.done", odd)}
    rest = "It was read as well as it can be; the log has it as it came."
    return to_ga(taken), [f"The server sent {what}, which is not the API's form. {rest}" for what in odd]


def _with_status(response: dict[str, Any], ended: bool, odd: dict[str, None]) -> dict[str, Any]:
    """Return the response of an event that begins or ends it with a status that such a response can have."""
    status = response.get("status")
    if not status or status in (_ENDS if ended else ("in_progress",)):
        return response
    whose = "an answer that has ended" if ended else "an answer that has begun"
    odd[f"“{in_one_line(status, 40)}” as the status of {whose}"] = None
    failed = (response.get("status_details") or {}).get("error")
    like = [*difflib.get_close_matches(status, _ENDS, 1, 0.8), "failed" if failed else "completed"]
    return {**response, "status": like[0] if ended else "in_progress"}


def _fields(value: dict[str, Any], forms: Mapping[str, Any], odd: dict[str, None]) -> dict[str, Any]:
    changed = {}
    for name, inner in value.items():
        form = forms.get(name)
        if form is None or inner is None or (type(inner) is form and (form is str or 0 <= inner <= _LARGEST)):
            continue  # nearly all
        if (taken := _taken(inner, form, odd)) is not inner:
            changed[name] = taken
            # What is odd inside an object or a list has been noted there.
            if type(taken) is not type(inner) if isinstance(inner, dict | list) else taken != inner:
                odd[say("{kind} as its {name}", kind=translate(str(_TYPES.get(type(inner)))), name=name)] = None
    return {**value, **changed} if changed else value


def _taken(value: Any, form: Any, odd: dict[str, None]) -> Any:
    """Return a value in its form; None where it cannot be read."""
    if form in (str, json):
        return value if isinstance(value, str) else _text(value, form)
    if form in (int, float):
        return _number(value, form)
    if isinstance(form, list):
        by_number = isinstance(value, dict) and value and all(isinstance(inner, dict) for inner in value.values())
        values = value if isinstance(value, list) else [*value.values()] if by_number else [value]
        taken = [read for inner in values if (read := _taken(inner, form[0], odd)) is not None]
        if len(taken) < len(values) or (values is value and list(map(type, taken)) != list(map(type, values))):
            odd["a list with something else in it"] = None
        return value if taken == value else taken
    if isinstance(value, str) and value.lstrip().startswith("{"):
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(value)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]
    # An item's place may hold a part of its content.
    part = form is _ITEM and isinstance(value, dict) and "content" not in value and {"text", "transcript"} & {*value}
    if value and "" in form and (part or not isinstance(value, dict)):
        value = {form[""]: value}
    return _fields(value, form, odd) if isinstance(value, dict) else None


def _text(value: Any, form: Any = str) -> str:
    """Return the words in a value that is no text, or the value as JSON."""
    if form is str and isinstance(value, list):
        return "".join(part if isinstance(part, str) else _text(part) for part in value)
    if form is str and isinstance(value, dict):
        return next((word for word in value.values() if isinstance(word, str)), json.dumps(value) if value else "")
    return json.dumps({} if value == [] else value, ensure_ascii=False)


def _number(value: Any, form: type[int] | type[float]) -> float | None:
    try:
        number = float(value) if isinstance(value, str) else value
        return form(min(max(number, 0), _LARGEST)) if math.isfinite(number) else None
    except (TypeError, ValueError, OverflowError):
        return None
