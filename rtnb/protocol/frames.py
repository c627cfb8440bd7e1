"""Text frames of the Realtime API: events as JSON, audio in them as base64."""

import enum
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson
import pybase64

from rtnb.errors import InputError
from rtnb.texts.shortening import shortened

Event = dict[str, Any]

_TYPE = rb'"type"\s*:\s*"([\w.]+)"'
_RESPONSE = rb'"response_id"\s*:\s*"([^"]+)"|"response"\s*:\s*\{[^{}\[\]]*?"id"\s*:\s*"([^"]+)"'
_DEEPEST = 100
# Where the API has it, whoever writes it.
_HOLDER = r"(?:response|session|event\['(?:response|session)'\])"
_MOST_TOKENS = re.compile(_HOLDER + r"\['max_output_tokens'\]")
# What these must be, else nothing here could read them; `lastgroup` says which.
_DICT = rf"{_HOLDER}(?:\['audio'\](?:\['(?:input|output)'\])?)?(?:\['(?:\w*transcription|turn_detection)'\])?"
_FORM = re.compile(rf"(?P<dict>{_DICT})|(?P<list>{_HOLDER}\['tools'\])|(?P<str>event\['audio'\]|{_DICT}\['model'\])")


def dumps(event: Mapping[str, Any]) -> bytes:
    """Write an event as UTF-8 JSON, as it goes into a text frame.

    Raises:
        TypeError: If there is something in it that JSON cannot carry, or it is too deep.
    """
    return orjson.dumps(event)


def loads(frame: bytes | str, note: Callable[[str], object] = str) -> Event:
    """Read one text frame.

    Numbers that JSON has not (NaN, infinity) become null; half a surrogate pair becomes a question mark.

    Args:
        frame: The frame.
        note: Called with a sentence where something became something else.

    Raises:
        ValueError: If the frame is not a JSON object with a string `type`.
    """
    data = frame if isinstance(frame, bytes) else frame.encode("utf-8", "replace")
    event, lenient = parse(data)
    check_event(event)
    if lenient:
        odd = "such as NaN, a number too large, half a character or a byte order mark"
        note(f"The server sent what JSON has not, {odd} ({event['type']}). It was rounded, left out, or read as “?”.")
    return event


def check_event(event: Any) -> None:
    """Refuse what is no event.

    Raises:
        ValueError: If it is not a dict with a string `type`.
    """
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise ValueError("no JSON object with a type")


def split(frame: bytes) -> list[bytes]:
    """Return the frames of the events in one frame: itself, but for a list or lines of them, as some servers send."""
    try:
        several = b"\n" in frame and re.search(rb"\}\s*\n\s*\{\s*\"type\"", frame)
        lines = frame.splitlines() if several else []
        events = orjson.loads(frame) if frame.lstrip().startswith(b"[") else [*map(orjson.loads, filter(None, lines))]
        return list(map(orjson.dumps, events)) if events and all(isinstance(one, dict) for one in events) else [frame]
    except (TypeError, ValueError):
        return [frame]


def parse(data: bytes) -> tuple[Any, bool]:
    """Read JSON; return it, and whether it holds what JSON has not.

    Raises:
        ValueError: If it cannot be read.
    """
    try:
        return orjson.loads(data), False
    except ValueError:
        return _loads_leniently(data), True


def _loads_leniently(frame: bytes) -> Any:
    text = frame.decode("utf-8", "replace").removeprefix("\ufeff")
    try:
        found = json.loads(text, parse_constant=lambda _: None, parse_float=_number, parse_int=_number)
        return orjson.loads(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON object: {error}") from None


def _number(text: str) -> float | None:
    whole = len(text) < 20 and text.lstrip("-").isdigit()
    return int(text) if whole else number if math.isfinite(number := float(text)) else None


def type_of(frame: bytes) -> tuple[str, str]:
    """Find the type of a frame that does not parse, and the id of its response; "" where there is none."""
    found = [re.search(pattern, frame) for pattern in (_TYPE, _RESPONSE)]
    type_, response_id = (match[match.lastindex or 0].decode("utf-8", "replace") if match else "" for match in found)
    return type_, response_id


def plain(value: Any, name: str) -> Any:
    """Check that a value can be sent as JSON, and turn NumPy's numbers into Python's own.

    Args:
        value: Mappings, lists and tuples of text, numbers, True, False and None.
        name: What the error's sentence calls it, such as `"session"`.

    Returns:
        The same in dicts, lists and Python's own types.

    Raises:
        InputError: If something in it is of another type, a number that JSON has not (NaN, infinity, more than 64
            bits), or text with half a surrogate pair; if a setting is in another form than the API's.
    """
    if isinstance(value, np.generic):
        # A float32 as it is written: 1.1, not the 1.100000023841858 that a conversion makes of it.
        value = float(str(value)) if isinstance(value, np.floating) else value.item()
    if isinstance(value, enum.Enum):
        value = value.value
    inside = name.count("[") < _DEEPEST  # else it may hold itself
    if inside and isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        value = {plain(key, f"{name} key"): plain(inner, f"{name}[{key!r}]") for key, inner in value.items()}
    elif inside and isinstance(value, list | tuple):
        value = [plain(inner, f"{name}[{index}]") for index, inner in enumerate(value)]
    try:
        orjson.dumps(value)
        known = isinstance(value, str | int | dict | list | None) or math.isfinite(value)
    except (TypeError, ValueError, RecursionError):
        known = False
    if not known:
        shown = shortened(ascii(value)) if not isinstance(value, int) else "a number of more than 64 bits"
        wrong = f"Your {name} is {shown} ({type(value).__name__}), which JSON cannot carry."
        remedy = "Give text, a finite number, True, False, None, a list, or a dict with text as its keys."
        raise InputError(f"{wrong} {remedy}")
    if _MOST_TOKENS.fullmatch(name) and value not in (None, "inf") and (type(value) is not int or value < 1):
        raise InputError(f"Your {name}={value!r:.80} is no number of tokens. Give a whole one of 1 or more, or 'inf'.")
    form, kind = _FORM.fullmatch(name), type(value).__name__
    if form is not None and kind not in (form.lastgroup, "NoneType"):
        raise InputError(f"Your {name}={value!r:.80} is of type {kind}; the API takes none. Give a {form.lastgroup}.")
    return value


def encode_audio(pcm: bytes) -> str:
    """Write audio as base64 text, as it travels in JSON."""
    return pybase64.b64encode_as_string(pcm)


def decode_audio(text: str) -> bytes:
    """Read one delta's base64. Decode each delta by itself and join the bytes: joined text has padding inside.

    Raises:
        ValueError: If the text is not base64, as the API writes it.
    """
    return pybase64.b64decode(text, validate=True)


def decode_odd_audio(text: str) -> bytes:
    """Read base64 as some servers write it: of the URL alphabet, in lines, without padding, or in a data URL.

    Raises:
        ValueError: If the text is not base64.
    """
    text = "".join(text.rpartition(";base64,")[2].split()).rstrip("=")
    of_urls = "-_" if {"-", "_"} & set(text) else None
    return pybase64.b64decode(text + "=" * (-len(text) % 4), altchars=of_urls, validate=True)
