"""Answers that tell what came: the results of tools, and pictures."""

import re
from collections.abc import Mapping
from typing import Any

from rtnb.image import described
from rtnb.server.languages import closed
from rtnb.server.nlu import lexicon
from rtnb.server.nlu.names import dates, times
from rtnb.server.nlu.numbers import spoken_number
from rtnb.server.nlu.slot_filling import parameters
from rtnb.server.nlu.text_extraction import unspaced
from rtnb.server.responder.dialogue import Dialogue, from_json

_DONE = (True, "ok", "success", "done", "confirmed", "started", "sent", "booked", "set")
_UNITS: dict[str, str] = lexicon.entries("result_units")


def about_pictures(dialogue: Dialogue) -> list[str]:
    """Say for each picture of this turn what its first bytes say."""
    return [
        dialogue.say("picture", kind=one[0], width=one[1], height=one[2]) if one else dialogue.say("picture_unknown")
        for one in map(described, dialogue.turn.pictures)
    ]


def plain(name: str) -> str:
    """Write a name of code as words: `get_weather`, `getWeather` → "get weather"."""
    return " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+", name)).casefold() or name


def label(dialogue: Dialogue, name: str, tool: Mapping[str, Any] | None = None) -> str:
    """Name a parameter, a tool or an entry of a result in the language of the answer, or as its own name reads."""
    known = lexicon.FILES[dialogue.language].get("value_names", {})
    parameter = next((one for one in parameters((tool or {}).get("parameters")) if one.name == name), None)
    own = re.match(r"[\u4e00-\u9fff]{2,6}(?=$|[，,（(：:])", parameter.description) if parameter and known else None
    said = own[0] if own else known.get(plain(name), plain(name))
    return dialogue.say("which_state", x=said) if parameter and parameter.kind == "boolean" and not own else said


def _in_words(dialogue: Dialogue, value: Any) -> str:
    """Write a tool's result in words."""
    if isinstance(value, dict):
        return dialogue.say("comma").join(_entry(dialogue, key, inner) for key, inner in value.items())
    if isinstance(value, list):
        return "; ".join(_in_words(dialogue, one) for one in value) or label(dialogue, "nothing")
    if isinstance(value, bool | None):
        return label(dialogue, "nothing" if value is None else "yes" if value else "no")
    return spoken_number(value) if isinstance(value, float) else str(value).strip().rstrip(".。")


def _entry(dialogue: Dialogue, key: str, value: Any) -> str:
    """Write one entry of a result, a unit in its name behind its number."""
    name, _, unit = plain(key).rpartition(" ")
    united = name and unit in _UNITS and type(value) in (int, float)
    said = [label(dialogue, name if united else key), _in_words(dialogue, value)]
    said += [lexicon.FILES[dialogue.language].get("value_names", {}).get(unit, _UNITS[unit])] if united else []
    return "".join(said) if unspaced(said[0]) else " ".join(said)


def about_output(dialogue: Dialogue, call_id: str, output: str) -> str:
    """Say what a tool's result holds."""
    name, arguments = dialogue.calls.get(call_id, ("", {}))
    tool = label(dialogue, re.sub(r"^(?:get|fetch|lookup|look_up|find|query)_?(?=[A-Za-z])", "", name) or "tool")
    value = from_json(output)
    result = _in_words(dialogue, value)
    texts = (argument for argument in arguments.values() if isinstance(argument, str) and len(argument) < 40)
    given = next((text for text in texts if not (dates(text) or times(text))), None)
    if isinstance(value, dict) and (error := value.get("error")):
        return dialogue.say("result_error", tool=tool.capitalize(), x=_in_words(dialogue, error))
    if not result or value is None:
        return dialogue.say("result_empty", tool=tool.capitalize())
    if isinstance(value, dict) and all(one in _DONE for one in value.values()):
        return dialogue.say("result_done")
    if isinstance(value, str) and value.startswith("Error:"):
        return dialogue.say("result_refused", x=result.removeprefix("Error:").strip())
    if isinstance(value, str) and max(len(value.split()), sum(sign > "\u2e80" for sign in value)) > 2:
        return closed(value.strip()[:1].upper() + value.strip()[1:])
    if given and given.casefold() not in result.casefold():
        return dialogue.say("result_for", given=given, x=result)
    return dialogue.say("result", tool=tool.capitalize(), x=result)
