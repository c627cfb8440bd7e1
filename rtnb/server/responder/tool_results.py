"""Answers that tell what came: the results of tools, and pictures."""

import base64
import re
import struct
from typing import Any

from rtnb.server.languages import closed
from rtnb.server.responder import lexicon
from rtnb.server.responder.dialogue import Dialogue, from_json
from rtnb.server.responder.numbers import spoken_number

_UNITS: dict[str, str] = lexicon.entries("result_units")


def about_pictures(dialogue: Dialogue) -> list[str]:
    """Say for each picture of this turn what its first bytes say."""
    return [
        dialogue.say("picture", kind=one[0], width=one[1], height=one[2]) if one else dialogue.say("picture_unknown")
        for one in map(describe, dialogue.turn.pictures)
    ]


def plain(name: str) -> str:
    """Write a name of code as words: `get_weather`, `getWeather` → "get weather"."""
    return " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+", name)).casefold() or name


def _in_words(value: Any) -> str:
    """Write a tool's result in words."""
    if isinstance(value, dict):
        return ", ".join(_entry(key, inner) for key, inner in value.items())
    if isinstance(value, list):
        return "; ".join(map(_in_words, value)) or "nothing"
    if isinstance(value, bool | None):
        return "nothing" if value is None else "yes" if value else "no"
    return spoken_number(value) if isinstance(value, float) else str(value).strip().rstrip(".。")


def _entry(key: str, value: Any) -> str:
    """Write one entry of a result, a unit in its name behind its number."""
    name, _, unit = plain(key).rpartition(" ")
    if name and unit in _UNITS and type(value) in (int, float):
        return f"{name} {_in_words(value)} {_UNITS[unit]}"
    return f"{plain(key)} {_in_words(value)}"


def about_output(dialogue: Dialogue, call_id: str, output: str) -> str:
    """Say what a tool's result holds."""
    name, arguments = dialogue.calls.get(call_id, ("", {}))
    tool = plain(re.sub(r"^(?:get|fetch|lookup|look_up|find|query)_?(?=[A-Za-z])", "", name)) or "tool"
    value = from_json(output)
    result = _in_words(value)
    given = [argument for argument in arguments.values() if isinstance(argument, str) and len(argument) < 40]
    if isinstance(value, dict) and (error := value.get("error")):
        return dialogue.say("result_error", tool=tool.capitalize(), x=_in_words(error))
    if not result or value is None:
        return dialogue.say("result_empty", tool=tool.capitalize())
    if isinstance(value, str) and value.startswith("Error:"):
        return dialogue.say("result_refused", x=result.removeprefix("Error:").strip())
    if isinstance(value, str) and len(value.split()) > 2:
        return closed(value.strip()[:1].upper() + value.strip()[1:])
    if given and given[0].casefold() not in result.casefold():
        return dialogue.say("result_for", given=given[0], x=result)
    return dialogue.say("result", tool=tool.capitalize(), x=result)


# ── Pictures ──


def describe(data_url: str) -> tuple[str, int, int] | None:
    """Read a picture's kind and size from a data URL.

    Args:
        data_url: `data:image/…;base64,…`

    Returns:
        (kind, width, height) with the kind `"PNG"`, `"JPEG"`, `"GIF"` or `"WebP"` and pixels; None for any other
        address or kind, and for data that is no picture.
    """
    if (match := re.match(r"data:[\w/+.-]*(?:;[\w=.-]+)*;base64,", data_url)) is None:
        return None
    body = data_url[match.end() : match.end() + 400_000]  # a JPEG may carry a large thumbnail before its size
    try:
        return _size(base64.b64decode(body[: len(body) // 4 * 4]))
    except (ValueError, struct.error):  # binascii.Error is a ValueError
        return None


def _size(head: bytes) -> tuple[str, int, int] | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG", *struct.unpack(">II", head[16:24])
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF", *struct.unpack("<HH", head[6:10])
    match head[:4] + head[8:16]:
        case b"RIFFWEBPVP8X":
            return "WebP", 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
        case b"RIFFWEBPVP8 ":
            width, height = struct.unpack("<HH", head[26:30])
            return "WebP", width & 0x3FFF, height & 0x3FFF
        case b"RIFFWEBPVP8L":
            bits = int.from_bytes(head[21:25], "little")
            return "WebP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return _size_of_jpeg(head) if head.startswith(b"\xff\xd8") else None


def _size_of_jpeg(head: bytes) -> tuple[str, int, int] | None:
    at = 2
    while at + 9 < len(head) and head[at] == 0xFF:
        marker, size = struct.unpack(">BH", head[at + 1 : at + 4])
        # Start of frame: baseline, progressive and the rest, but not the tables that share the range.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return "JPEG", width, height
        at += 1 if marker == 0xFF else 2 if marker == 0x01 or 0xD0 <= marker <= 0xD8 else 2 + size
    return None
