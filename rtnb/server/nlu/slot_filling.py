"""Parameters of a tool, as its JSON schema describes them, and their arguments, read from a request by rule.

Numbers, names, places, choices, yes or no, days and times are taken as they are given. What is not said is left out.
"""

import contextlib
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rtnb.server import languages
from rtnb.server.nlu.lexicon import bag, cue, entries, extract, source
from rtnb.server.nlu.names import clock, dates, last_name, places, proper_names, times
from rtnb.server.nlu.numbers import Number, arithmetic, numbers, part_of
from rtnb.server.nlu.text_extraction import quoted, roots, stem, words

Schema = Mapping[str, Any]
_PLACES = frozenset(map(stem, bag("place_parameters")))
_PEOPLE = frozenset(map(stem, bag("person_parameters")))
_THINGS = frozenset(map(stem, bag("thing_parameters")))
_NO_PEOPLE = {"fil", "product", "song", "item", "event"}
# What is said for a value: "dollars" for "usd".
_VALUES = {option: said.split() for option, said in entries("values").items()}
WEAK = frozenset(map(stem, bag("weak")))
"""Stems in the names of tools and parameters that say nothing of what they do."""
_SECONDS = {"millisecond": 0.001, "second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_CHINESE_UNITS: dict[str, str] = entries("chinese_units")
# What stands behind a number of something, and the stems of the parameters that take it.
_MEASURES = [(by, {*map(stem, of.split())}) for by, of in entries("measures").items()]
_GUESTS = {"guest", "peopl", "person"}
_COUNTS = {"quantity", "count", "amount", "number", "qty"}
_TIMED = {"tim", "hour", "when", "datetim", "dat"}
_NO_THINGS = bag("empty") - {"of", "with", "and", "without", "no", "the", "in", "on", "hot", "all", "more"}
_WAYS = {"from": {"origin", "from", "departur", "start", "sourc"}, "to": {"destination", "to", "arrival", "end"}}
_NO = {"no", "not", "without", "don't", "never", "non", "fals", "off"}
_FREE_TEXT = frozenset(map(stem, bag("text_parameters")))
_LEAD = rf"{source('free_text')}(?![a-z])\s*(.+?)[.!?]*$"


def split_name(name: str) -> list[str]:
    """Divide a name of code into its words: `get_weather`, `getWeather` → get, weather."""
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)


class Parameter:
    """One parameter of a tool, or the items of one that is a list.

    Attributes:
        name: Its name.
        schema: Its JSON schema.
        stems: Stems of its own name; those of its description are too many to decide by.
        description: Description of it in its schema, in small letters.
        format: Format that its schema names, such as "date"; "" for none. A description may call for an e-mail.
        options: Values that it allows; empty where any is allowed.
        kind: JSON type of its values; "string" where the schema leaves it open.
        is_place: True where it takes the name of a place.
        is_person: True where it takes the name of a person.
        is_thing: True where it takes what is ordered or bought.
    """

    def __init__(self, name: str, schema: Any) -> None:
        self.name = name
        self.schema: Schema = schema if isinstance(schema, Mapping) else {}
        self.stems = {stem(word) for word in split_name(name)}
        self.description = str(self.schema.get("description") or "").casefold()
        self.format = "email" if "e-mail" in self.description else str(self.schema.get("format") or "")
        self.options = _options(self.schema)
        self.kind = _kind(self.schema)
        self.is_place = bool(self.stems & _PLACES or re.search(r"\b(?:city|country|town)\b", self.description))
        self.is_person = bool(self.stems & _PEOPLE) and not self.stems & _NO_PEOPLE
        self.is_thing = bool(self.stems & _THINGS or (cue("thing_described").search(self.description)))

    def named(self, text: str) -> list[Any]:
        """List the values it allows, the places or the people that a text names."""
        if self.options or self.is_place:
            return self.mentioned(text) if self.options else places(text)
        return proper_names(text) if self.is_person else []

    def mentioned(self, text: str) -> list[Any]:
        """List the values it allows that a text mentions, in the order of the text."""
        found = [(at.start(), option) for option in self.options if (at := _find(str(option), text))]
        return [option for _, option in sorted(found, key=lambda one: one[0])]


def parameters(schema: Any) -> list[Parameter]:
    """List the parameters of a schema of type object."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    return [Parameter(*entry) for entry in properties.items()] if isinstance(properties, Mapping) else []


def _branches(schema: Schema) -> list[Schema]:
    """List the schemas that a value may follow instead."""
    listed = [schema[key] for key in ("anyOf", "oneOf") if isinstance(schema.get(key), list)]
    return [one for branches in listed for one in branches if isinstance(one, Mapping)]


def _kind(schema: Schema) -> str:
    """Return the JSON type of a schema's values, null apart."""
    named = schema.get("type")
    several = [*(named if isinstance(named, list) else [named]), *map(_kind, _branches(schema))]
    kinds = sorted(filter(None, several), key=lambda kind: kind == "null")  # null only where there is nothing else
    return str(next(iter(kinds), "object" if "properties" in schema else "string"))


def _options(schema: Schema) -> list[Any]:
    """List the values that a schema allows, its own or those of its branches."""
    own = [schema["const"]] if "const" in schema else schema.get("enum")
    return own if isinstance(own, list) else [option for one in _branches(schema) for option in _options(one)]


def _find(option: str, text: str) -> re.Match[str] | None:
    """Find a value in a text, as it is written or as it is said: "dollars" for "usd"."""
    spaced = re.escape(option.replace("_", " ").replace("-", " ").strip()).replace(r"\ ", r"[\s_-]+")
    own = rf"(?<!\w){spaced}(?:s|es)?(?!\w)" if option.isascii() else spaced
    # A letter stands for itself alone, and not for the article "a".
    own = rf"(?-i:(?<!\w){re.escape(option)}(?!\w))" if re.fullmatch("[A-Za-z]", option) else own
    said = [rf"(?<!\w){word}(?!\w)" for word in _VALUES.get(option.casefold(), ())]
    return re.search("|".join([own, *said]), text, re.IGNORECASE) if option.strip() else None


def fill(schema: Any, request: str, *, insist: bool) -> tuple[dict[str, Any], list[str]]:
    """Read the arguments of a call from a request.

    Args:
        schema: The tool's `parameters`, a JSON schema of type object.
        request: The user's words.
        insist: Fill required arguments that are not said with a value of the right kind anyway.

    Returns:
        The arguments, and the names of required ones that are missing (never any if `insist`).
    """
    listed = schema.get("required") if isinstance(schema, Mapping) else None
    required = listed if isinstance(listed, list) else []
    known = parameters(schema)
    values: dict[str, Any] = {}
    reader = _Reader(request, known)
    # Required ones choose first, and a message's body before its subject.
    last = {"subject", "titl", "summary", "label"}
    for parameter in sorted(known, key=lambda one: (one.name not in required, bool(one.stems & last))):
        needed = parameter.name in required
        value = reader.value(parameter, needed=needed, insist=insist)
        values[parameter.name] = _unsaid(parameter, request, insist=insist) if value is None and needed else value
    missing = [name for name, value in values.items() if value is None and name in required]
    return {one.name: value for one in known if (value := values[one.name]) is not None}, missing


def _unsaid(parameter: Parameter, request: str, *, insist: bool) -> Any:
    """Return the default of what was not said; or make up a value of the right kind, where the client insists."""
    default, low = parameter.schema.get("default"), parameter.schema.get("minimum")
    if default is not None or not insist:
        return default
    if parameter.options:
        return parameter.options[0]
    number = low if isinstance(low, int | float) else 0
    made_up = {"boolean": False, "array": [], "object": {}, "integer": number, "number": number}
    return made_up.get(parameter.kind, request.strip()[:200])


class _Reader:
    """Reader of the values in one request; each number and each text of it is taken once."""

    def __init__(self, request: str, known: Sequence[Parameter]) -> None:
        self._request, self._known = request, known
        self._numbers = numbers(cue("one_unit").sub(lambda one: f"{1:>{len(one[0])}}", request))
        self._strings_used: set[str | None] = set()

    def value(self, parameter: Parameter, *, needed: bool, insist: bool) -> Any:
        """Return what the request says for a parameter; None for nothing."""
        if options := parameter.options:
            return next(iter(parameter.mentioned(self._request)), options[0] if needed and len(options) == 1 else None)
        match parameter.kind:
            case "integer" | "number" as kind:
                number = self._number(parameter)
                return math.floor(number + 0.5) if number is not None and kind == "integer" else number
            case "boolean":
                return _boolean(parameter, self._request)
            case "array":
                return _array(parameter, self._request) or None
            case "object":
                inner, lacking = fill(parameter.schema, self._request, insist=insist and needed)
                return inner if inner and not lacking else None
            case "string":
                value = self._string(parameter)
                with contextlib.suppress(re.error, TypeError):  # whatever the client calls a pattern
                    return value if value is None or re.search(parameter.schema.get("pattern", ""), value) else None
                return value
        return None

    # ── Numbers ───────────────────────────────────────────────────────────────────────────────────────────

    def _number(self, parameter: Parameter) -> int | float | None:
        """Choose the number for a parameter: by the words beside it, else the next one in order."""
        text, about, found = self._request, parameter.stems, self._numbers
        if any(_TIMED & other.stems for other in self._known if other is not parameter):
            # The hour of a time is no number of anything else.
            hours = [time.span() for key in ("times", "dates", "bare_hour") for time in cue(key).finditer(text)]
            found = [one for one in found if not any(at <= one.start < end for at, end in hours)]
        units = (unit for unit in _SECONDS if stem(unit) in about or f"{unit}s" in parameter.description)
        wanted = "millisecond" if "ms" in about else next(units, None)
        timed = {number: said for number in found if (said := _time_behind(text, number))}
        if wanted is not None and timed:
            return self._duration(wanted, timed)
        measured = (one for one in found if any(re.match(by, text[one.end :]) for by, of in _MEASURES if about & of))
        beside = (one for one in found if about & {*roots(text[: one.start])[-2:], *roots(text[one.end :])[:1]} - WEAK)
        any_unit = wanted is not None or len(found) == 1
        fitting = (one for one in found if _within(one.value, parameter.schema))
        rest = [one for one in fitting if any_unit or one not in timed]
        rest = rest if len(rest) == 1 or not about & _GUESTS else []
        if (number := next(itertools.chain(measured, beside, rest), None)) is not None:
            return self._take(number)
        return 1 if about & _COUNTS and cue("one_of").search(text) else None  # "a latte"

    def _take(self, number: Number) -> int | float:
        self._numbers.remove(number)
        return number.value

    def _duration(self, wanted: str, timed: Mapping[Number, tuple[str, float]]) -> int | float:
        """Return a time in the unit of the parameter.

        With a parameter for minutes beside the one for seconds each takes its own, alone it takes the sum.
        """
        same = [number for number, (unit, _) in timed.items() if unit == wanted]
        taking = sum(any(stem(unit) in one.stems for unit in _SECONDS) for one in self._known)
        if len(timed) > 1 and same and taking > 1:
            return self._take(same[0])
        self._numbers = [one for one in self._numbers if one not in timed]
        said = sum(seconds for _, seconds in timed.values()) / _SECONDS[wanted]
        return int(said) if said == int(said) else said

    # ── Texts ─────────────────────────────────────────────────────────────────────────────────────────────

    def _fresh(self, values: Sequence[str]) -> str | None:
        """Take the first text that no other parameter has taken."""
        value = next((one for one in values if one and one not in self._strings_used), None)
        self._strings_used.add(value)
        return value

    def _string(self, parameter: Parameter) -> str | None:
        text, about = self._request, parameter.stems
        for formats, stems_, not_, read in _FORMS:
            if parameter.format in formats.split() or (about & {*stems_.split()} and not about & {*not_.split()}):
                return self._fresh(read(parameter, text))
        if not parameter.is_place and (marked := quoted(text)):
            return self._fresh(marked)
        if parameter.is_thing:
            return self._fresh([self._thing(parameter)])
        if parameter.is_place or about & {"timezon", "zon"}:
            return self._place(parameter)
        if any(_TIMED & other.stems for other in self._known):  # "Remind me to call Ana at six."
            text = cue("times").sub(" ", cue("dates").sub(" ", cue("time_with_at").sub(" ", text)))
        return self._fresh(_names_and_texts(parameter, " ".join(text.split())))

    def _thing(self, parameter: Parameter) -> str:
        """Return what is left of a request without its verbs, numbers, measures and other values."""
        text = self._request
        for option in (str(one) for other in self._known if other is not parameter for one in other.mentioned(text)):
            text = re.sub(rf"(?i){re.escape(option)}的?", " ", text)
        text = cue("beside_things").sub("", cue("times").sub(" ", cue("dates").sub(" ", text)))
        found = numbers(text)
        text = text[: found[0].start] + cue("measure").sub("", text[found[0].end :]) if found else text
        value = cue("beside_things").sub("", cue("measure").sub("", text)).strip(" .,!?;。，！？、")
        if found and found[0].value > 1 and " and " not in value:
            value = re.sub(r"(?<=[a-z]{2})(?:(?<=ch|sh)es|(?<=o)es|(?<![siu])(?<!ie)s|(?<=[ktn]ie)s)$", "", value)
        several = re.search(r"\band an?\b", value) or numbers(value)
        return "" if several or {*words(value.casefold())} & _NO_THINGS or cue("no_thing").search(value) else value

    def _place(self, parameter: Parameter) -> str | None:
        text, found = self._request, places(self._request)
        way = next((word for word, meant in _WAYS.items() if parameter.stems & meant), None)
        found = found[::-1] if way == "to" and not text.isascii() else found
        led = (place for place in found if way and re.search(rf"(?i)\b{way}\s+(?:the |my )?{re.escape(place)}", text))
        value = self._fresh([*led, *found])
        pair = value and re.search(rf"{re.escape(value)},\s*([A-Z]\w+(?:\s[A-Z]\w+)*)", text)
        return f"{value}, {pair[1]}" if pair else value


def _time_behind(text: str, number: Number) -> tuple[str, float] | None:
    """Return the unit of time behind a number, and how many seconds are said with it: "an hour and a half"."""
    for unit, seconds in _SECONDS.items():
        english = rf"{unit[:3]}(?:{unit[3:]})?s?\b" if len(unit) > 4 else rf"{unit}s?\b"
        each = rf"[\s-]*(?:{english}|个?(?:{_CHINESE_UNITS[unit]}))({source('unit_and_part')})?"
        if found := re.match(each, text[number.end :], re.IGNORECASE):
            return unit, (number.value + (part_of(found[1]) if found[1] else 0)) * seconds
    return None


def _within(value: float, schema: Schema) -> bool:
    low, high = schema.get("minimum"), schema.get("maximum")
    return not (isinstance(low, int | float) and value < low) and not (isinstance(high, int | float) and value > high)


def _boolean(parameter: Parameter, text: str) -> bool | None:
    low = text.casefold()
    about = parameter.stems - WEAK - {"is", "has", "should", "includ", "with"}
    switches = about & {"on", "enabl", "activ", "stat", "power", "enabled"} or "turn" in low or "switch" in low
    if switches and (switched := next((key for key in ("off", "on") if cue(key).search(low)), None)):
        return switched == "on"
    said = roots(text)
    near = ({*said[max(0, at - 3) : at], *said[at + 1 : at + 2]} for at, word in enumerate(said) if word in about)
    return next((not _NO & words_near for words_near in near), None)


def _array(parameter: Parameter, text: str) -> list[Any]:
    item = Parameter(parameter.name, parameter.schema.get("items"))
    if item.options or item.is_place:
        return item.named(text)
    if item.kind in ("integer", "number"):
        return [int(number.value) if item.kind == "integer" else number.value for number in numbers(text)]
    if item.kind == "object":
        arguments, missing = fill(item.schema, text, insist=False)
        return [arguments] if arguments and not missing else []
    if item.kind != "string":
        return []
    parts = re.split(source("joins_entries"), extract("list_of_items", text))
    listed = [re.sub(r"^(?:a|an|some|the)\s+", "", part).strip() for part in parts if part.strip()]
    return quoted(text) or (item.named(text) if item.is_person else listed)


def _emails(parameter: Parameter, text: str) -> list[str]:
    spoken = re.sub(r"\s+at\s+(?=\w+\s+dot\b)", "@", text, flags=re.IGNORECASE)
    spoken = re.sub(r"(?<=\w)\s+dot\s+(?=\w)", ".", spoken, flags=re.IGNORECASE) if "@" in spoken else spoken
    return re.findall(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", spoken)


def _times(parameter: Parameter, text: str) -> list[str]:
    said = [clock(one) if not one.isascii() or "hh:mm" in parameter.description else one for one in times(text)]
    return [*dates(text), *said] if "dat" in parameter.stems else said


def _languages(parameter: Parameter, text: str) -> list[str]:
    short = re.search(r"iso|code|\ben\b", parameter.description) or parameter.stems & {"cod", "local"}
    return [code if short else languages.NAMES[code][0] for code in languages.named(text)]


_CURRENCIES = Parameter("currency", {"enum": ["USD", "EUR", "GBP", "JPY", "CNY"]})
# Texts of a certain form: the formats of the parameters that take one, stems of their names, stems that such a name
# must not have, and how the text is found. The first that fits is taken.
_FORMS: tuple[tuple[str, str, str, Callable[[Parameter, str], list[str]]], ...] = (
    ("email", "email", "", _emails),
    ("uri url", "url uri link websit", "", lambda one, text: re.findall(r"(?:https?://|www\.)\S*[^\s.,!?]", text)),
    ("", "phon telephon mobil", "", lambda one, text: re.findall(r"\+?\d[\d\s().-]{4,}\d", text)),
    ("date", "dat day", "tim", lambda one, text: dates(text)),
    ("time", "tim hour", "zon timezon", _times),
    ("date-time", "when datetim start deadlin", "", lambda one, text: [" ".join(dates(text)[:1] + times(text)[:1])]),
    ("", "color colour", "", lambda one, text: [word for word in words(text.casefold()) if word in bag("colours")]),
    ("", "languag lang local", "", _languages),
    ("", "currency currenc", "", lambda one, text: _CURRENCIES.mentioned(text)),
    ("", "expression calculation formula equation sum", "", lambda one, text: [*(arithmetic(text) or ())][:1]),
    ("", "siz", "", lambda one, text: [extract("size_said", text)]),
    ("", "topp flavour flavor extra fill", "", lambda one, text: [extract("with_said", text)]),
)


def _names_and_texts(parameter: Parameter, text: str) -> list[str]:
    """List what may be a code, a name or a free text, the likeliest first."""
    about = parameter.stems
    coded = about & {"id", "cod", "number", "sku", "referenc", "order", "ticket", "symbol", "ticker"}
    found = re.findall(r"\b(?=[\w-]*\d)[A-Za-z]*[\w-]+\b|\b[A-Z]{2,6}\b", text) if coded else []
    # "order number A12", "title Dune", "room 12"
    parts = split_name(parameter.name)
    label = "|".join(re.escape(one.casefold()) for one in (" ".join(parts), *parts[-1:]))
    value = r"\s+(?:is\s+|of\s+|=\s*|:\s*)?([A-Z0-9][\w'’-]*(?:\s+[A-Z][\w'’-]*)*)"
    named = re.search(rf"\b(?:{label}){value}", text)
    if named and not cue("tells_somebody").search(text):
        return [*found, named[1]]
    if parameter.is_person:
        return [*found, last_name([text]) or "", *proper_names(text), extract("somebody", text)]
    return [*found, *([_free_text(text)] if about & _FREE_TEXT else proper_names(text))]


def _free_text(text: str) -> str:
    """Return what stands behind "search for", "saying" and such; else the whole request."""
    flags = re.IGNORECASE | re.DOTALL
    lead = re.search(rf"\b{_LEAD}", text, flags) or re.search(_LEAD, text, flags)
    value = (lead[1] if lead else text).strip(" .!?,()[]。！？，（）")
    return re.sub(r"^(?:please|can you|could you|would you)\s+", "", value, flags=re.IGNORECASE).strip()
