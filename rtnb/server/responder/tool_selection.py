"""Which tool a request asks for, and with which arguments, by rule.

A tool is known by the words of its name, its description and its parameters. Arguments are read off the words of the
request: numbers, names, places, choices, yes or no, days and times as they are given. What is not said is left out,
and a call that lacks a required argument is not made unless the client insists on one.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rtnb.server import languages
from rtnb.server.protocol.requests import Call
from rtnb.server.responder import text_extraction

__all__ = ["Match", "choose", "fill", "functions"]

Schema = Mapping[str, Any]

# Words that mean a tool without being in its name: each line is one meaning.
_ALIKE = [
    frozenset(text_extraction.stem(word) for word in line.split())
    for line in (
        "weather forecast temperature rain raining rainy sunny snow snowing wind windy cold warm hot umbrella humidity",
        "time clock hour timezone",
        "email mail inbox",
        "call phone dial ring",
        "search find lookup look google web internet",
        "play music song track album",
        "light lights lamp lamps bulb",
        "thermostat heating heat",
        "buy order purchase",
        "book reserve reservation booking",
        "schedule calendar meeting appointment event",
        "remind reminder reminders",
        "timer alarm countdown",
        "message text sms send",
        "add plus sum addition total",
        "multiply times product multiplication",
        "subtract minus subtraction",
        "divide division",
        "calculate calculator compute math evaluate",
        "roll dice die",
        "price cost stock quote",
        "convert conversion exchange currency",
        "note write jot remember save",
        "delete remove cancel",
        "transfer agent human representative handoff",
        "hang end goodbye bye",
        "joke funny laugh",
        "navigate directions route drive",
        "news headline headlines",
        "color colour",
    )
]
# Chinese words for what tools are commonly named in English.
_CHINESE = {
    "天气": "weather",
    "气温": "temperature",
    "几点": "time",
    "时间": "time",
    "搜索": "search",
    "查找": "find",
    "播放": "play",
    "音乐": "music",
    "灯": "light",
    "邮件": "email",
    "提醒": "reminder",
    "电话": "call",
}
_WEAK = text_extraction.stems(
    "get set fetch do run tool function use user current new list show data info information check given"
    " return value make handle create update name text string number whether call me"
)
_SMALL = text_extraction.bag("a an the to of for from in on at by with and or")
_FLOOR = 2.0  # a word of the name, or two of the description


@dataclass(frozen=True, slots=True)
class Match:
    """A tool that a request seems to ask for.

    Attributes:
        tool: Its definition.
        score: How strongly.
        calls: The calls to make, one or several; none where a required argument is missing.
        missing: Names of required arguments the request does not give.
    """

    tool: Schema
    score: float
    calls: tuple[Call, ...]
    missing: tuple[str, ...] = ()


def functions(tools: Sequence[Schema]) -> list[Schema]:
    """The tools that are functions with a name, whatever else a client may have listed."""
    return [tool for tool in tools if tool.get("type", "function") == "function" and tool.get("name")]


def _split_name(name: str) -> list[str]:
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)


def _properties(schema: Schema | None) -> dict[str, Schema]:
    properties = (schema or {}).get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {str(name): value if isinstance(value, Mapping) else {} for name, value in properties.items()}


def _score(tool: Schema, request: str) -> float:
    asked = {text_extraction.stem(word) for word in text_extraction.words(request)}
    asked |= {text_extraction.stem(english) for chinese, english in _CHINESE.items() if chinese in request}
    wide = asked | {other for group in _ALIKE if group & asked for other in group}
    name = [text_extraction.stem(word) for word in _split_name(str(tool["name"]))]
    name = [word for word in name if word not in _SMALL]
    strong = [word for word in name if word not in _WEAK or word == "call"] or name
    points = 0.0
    for word in strong:
        points += 2.5 if word in asked else 2.0 if word in wide else 0
    whole = str(tool["name"]).replace("_", " ").casefold()
    if whole in request.casefold() or str(tool["name"]).casefold() in request.casefold():
        points += 4
    for word in name:
        if word not in strong and word in asked:
            points += 0.5
    described = {word for word in text_extraction.content(str(tool.get("description") or "")) if word not in _WEAK}
    points += sum(1.0 if word in asked else 0.6 for word in described & wide if word not in strong)
    for parameter, schema in _properties(tool.get("parameters")).items():
        named = {text_extraction.stem(word) for word in _split_name(parameter)} - _WEAK
        points += 0.7 * len(named & asked)
        options = schema.get("enum")
        if isinstance(options, Sequence) and not isinstance(options, str):
            points += 0.8 * any(_mentions(request, str(option)) for option in options)
    # A sum or a quotation in the request speaks for a tool that wants one.
    if {"calculat", "calculator", "math", "evaluat", "add", "sum", "multiply", "comput"} & (
        set(strong) | described
    ) and text_extraction.arithmetic(request):
        points += 1.5
    return points


def choose(request: str, tools: Sequence[Schema], *, insist: bool = False, named: str | None = None) -> list[Match]:
    """Find the tools a request asks for.

    Args:
        request: The user's words.
        tools: Tool definitions as in `session.tools`.
        insist: The client requires a call: take the likeliest tool even if nothing points to it, and fill what is
            missing as well as can be.
        named: The client requires this tool.

    Returns:
        One match for each tool asked for, in the order of the request; empty where none is.
    """
    candidates = functions(tools)
    if named is not None:
        candidates = [tool for tool in candidates if tool["name"] == named]
    if not candidates:
        return []
    if named is None and len(candidates) > 1:
        several = _by_clause(request, candidates)
        if len({str(match.tool["name"]) for match in several}) > 1:
            return several
    force = insist or named is not None
    scores = [(_score(tool, request), tool) for tool in candidates]
    matches = [_match(tool, score, request, force) for score, tool in scores if force or score >= _FLOOR]
    if not matches:
        return []
    # A tool for which everything was said beats one that a word more speaks for. The first listed wins a tie.
    return [max(matches, key=lambda match: match.score + (1.5 if match.calls else 0))]


def _by_clause(request: str, tools: Sequence[Schema]) -> list[Match]:
    """Matches clause by clause: "the weather in Oslo and the time in Paris"."""
    clauses = [
        clause
        for clause in re.split(
            r"[;.!?]\s+|,?\s+(?:and then|then|and also|and|also|plus)\s+|,\s+|，|然后"
            r"|并且",
            request,
        )
        if clause.strip()
    ]
    if len(clauses) < 2:
        return []
    found: list[Match] = []
    held = ""
    for clause in clauses:
        score, _, tool = max(
            ((_score(tool, clause), -index, tool) for index, tool in enumerate(tools)), key=lambda entry: entry[:2]
        )
        if score < _FLOOR:
            # "… in Oslo | and Paris": a clause without a tool of its own belongs to the one before it.
            if found:
                last = found[-1]
                held = f"{held} and {clause}"
                found[-1] = _match(last.tool, last.score, held, False)
            continue
        if found and found[-1].tool["name"] == tool["name"]:
            held = f"{held} and {clause}"
            found[-1] = _match(tool, score, held, False)
        else:
            held = clause
            found.append(_match(tool, score, clause, False))
    # "the weather and the time in Paris": what one clause lacks, the whole sentence may have.
    whole = [match if match.calls else _match(match.tool, match.score, request, False) for match in found]
    return whole if all(match.calls for match in whole) else []


def _match(tool: Schema, score: float, request: str, insist: bool) -> Match:
    given = tool.get("parameters")
    schema: Schema = given if isinstance(given, Mapping) else {}
    listed = _listed(schema, request, str(tool["name"]))
    if listed is not None:
        parameter, values = listed
        calls = []
        for value in values:
            arguments, missing = fill(schema, request, insist=insist, tool=str(tool["name"]))
            if any(name != parameter for name in missing):
                break
            calls.append(Call(str(tool["name"]), {**arguments, parameter: value}))
        else:
            return Match(tool, score, tuple(calls))
    arguments, missing = fill(schema, request, insist=insist, tool=str(tool["name"]))
    if missing:
        return Match(tool, score, (), tuple(missing))
    return Match(tool, score, (Call(str(tool["name"]), arguments),))


def _listed(schema: Schema, request: str, tool: str) -> tuple[str, list[Any]] | None:
    """A parameter that takes one value where the request names several: "Oslo and Paris"."""
    properties = _properties(schema)
    for name, one in properties.items():
        if _kind(one) != "string":
            continue
        options = _options(one)
        values: list[Any]
        if options:
            values = [option for option in options if _mentions(request, str(option))]
            values.sort(key=lambda option: _where(request, str(option)))
        elif _is_place(name, one) and sum(_is_place(*other) for other in properties.items()) == 1:
            values = text_extraction.places(request)
        elif _is_person(name, one) and sum(_is_person(*other) for other in properties.items()) == 1:
            values = text_extraction.proper_names(request)
        else:
            continue
        if len(values) > 1 and re.search(
            rf"{re.escape(str(values[0]))}(?:\s*,\s*[^,.;]+)*\s*,?\s*(?:and|&|,|、|和|以及"
            rf"|还有).*{re.escape(str(values[-1]))}",
            request,
            re.IGNORECASE,
        ):
            # "Paris, France" is one place.
            pair = rf"{re.escape(str(values[0]))},\s*{re.escape(str(values[1]))}"
            if len(values) == 2 and re.search(pair, request):
                return None
            return name, values
    return None


# ── Arguments ─────────────────────────────────────────────────────────────────────────────────────────────


def _kind(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, Sequence) and not isinstance(kind, str):
        kind = next((one for one in kind if one != "null"), None)
    for several in ("anyOf", "oneOf"):
        if kind is None and isinstance(schema.get(several), Sequence):
            kind = next(
                (_kind(one) for one in schema[several] if isinstance(one, Mapping) and one.get("type") != "null"),
                None,
            )
    if kind is None and "enum" in schema:
        kind = {bool: "boolean", int: "integer", float: "number"}.get(type(next(iter(schema["enum"]), "")))
    if kind is None and "properties" in schema:
        kind = "object"
    return str(kind or "string")


def _options(schema: Schema) -> list[Any]:
    options = schema.get("enum")
    if options is None and "const" in schema:
        options = [schema["const"]]
    for several in ("anyOf", "oneOf"):
        if options is None:
            for one in schema.get(several) or []:
                if isinstance(one, Mapping) and "enum" in one:
                    options = one["enum"]
    return list(options) if isinstance(options, Sequence) and not isinstance(options, str) else []


def _about(name: str, schema: Schema) -> set[str]:
    """Stems of a parameter's own name; those of its description are too many to decide by."""
    return {text_extraction.stem(word) for word in _split_name(name)}


def _is_place(name: str, schema: Schema) -> bool:
    return bool(
        _about(name, schema)
        & text_extraction.stems(
            "city location place country town destination origin address region where area state room airport station"
        )
    ) or bool(re.search(r"\b(?:city|country|town)\b", str(schema.get("description") or ""), re.IGNORECASE))


def _is_person(name: str, schema: Schema) -> bool:
    return bool(
        _about(name, schema)
        & text_extraction.stems("person contact recipient name who user customer friend guest attendee")
    ) and not _about(name, schema) & {"fil", "product", "song", "item", "event"}


def _where(text: str, option: str) -> int:
    found = re.search(_pattern(option), text, re.IGNORECASE)
    return found.start() if found else len(text)


def _pattern(option: str) -> str:
    spaced = re.escape(option.replace("_", " ").replace("-", " ").strip()).replace(r"\ ", r"[\s_-]+")
    if not option.isascii():
        return spaced
    return rf"(?<!\w){spaced}(?:s|es)?(?!\w)"


_MEANT = {
    "celsius": ("celsius", "centigrade", "metric"),
    "fahrenheit": ("fahrenheit", "imperial"),
    "metric": ("metric", "celsius", "kilometers", "kilometres"),
    "imperial": ("imperial", "fahrenheit", "miles"),
    "c": ("celsius", "centigrade"),
    "f": ("fahrenheit",),
    "on": ("on", "enable", "start"),
    "off": ("off", "disable", "stop"),
    "high": ("high", "urgent", "important"),
    "usd": ("usd", "dollar", "dollars"),
    "eur": ("eur", "euro", "euros"),
    "gbp": ("gbp", "pound", "pounds"),
    "jpy": ("jpy", "yen"),
    "en": ("english",),
    "fr": ("french",),
    "es": ("spanish",),
    "de": ("german",),
    "zh": ("chinese", "mandarin"),
    "add": ("add", "plus"),
    "subtract": ("subtract", "minus"),
    "multiply": ("multiply", "times", "multiplied"),
    "divide": ("divide", "divided", "over"),
}


def _mentions(text: str, option: str) -> bool:
    if not option:
        return False
    if len(option) > 1 or option.isdigit():
        if re.search(_pattern(option), text, re.IGNORECASE):
            return True
    elif re.search(rf"(?<!\w){re.escape(option)}(?!\w)", text):
        return True
    return any(re.search(rf"(?<!\w){word}(?!\w)", text, re.IGNORECASE) for word in _MEANT.get(option.casefold(), ()))


_SECONDS = {"millisecond": 0.001, "second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}


def _unit_after(text: str, number: text_extraction.Number) -> str | None:
    found = re.match(r"[\s-]*(millisecond|second|sec|minute|min|hour|day|week)s?\b", text[number.end :], re.I)
    if not found:
        return None
    return {"sec": "second", "min": "minute"}.get(found[1].casefold(), found[1].casefold())


def _number(name: str, schema: Schema, text: str, used: set[int], siblings: Sequence[str] = ()) -> int | float | None:
    """The number a request gives for this parameter: by the words beside it, else the next one in order."""
    found = [number for number in text_extraction.numbers(text) if number.start not in used]
    about = _about(name, schema)
    described = str(schema.get("description") or "").casefold()
    wanted = next((unit for unit in _SECONDS if text_extraction.stem(unit) in about or f"{unit}s" in described), None)
    wanted = "millisecond" if "ms" in about else wanted
    if wanted is not None:
        timed = [(number, unit) for number in found if (unit := _unit_after(text, number))]
        same = [number for number, unit in timed if unit == wanted]
        # With a parameter for minutes beside the one for seconds each takes its own, alone it takes the sum.
        beside = {text_extraction.stem(word) for other in siblings if other != name for word in _split_name(other)}
        only = any(text_extraction.stem(unit) in beside for unit in _SECONDS)
        total = sum(number.value * _SECONDS[unit] for number, unit in timed) / _SECONDS[wanted]
        if timed and (len(timed) == 1 or not same):
            used.update(number.start for number, _ in timed)
            return total
        if same and only:
            used.add(same[0].start)
            return same[0].value
        if timed:
            used.update(number.start for number, _ in timed)
            return total
    for number in found:
        before = [text_extraction.stem(word) for word in text_extraction.words(text[: number.start])[-2:]]
        after = [text_extraction.stem(word) for word in text_extraction.words(text[number.end :])[:1]]
        if about & {*before, *after} - _WEAK:
            used.add(number.start)
            return number.value
    fitting = [
        number
        for number in found
        if _within(number.value, schema) and not (wanted is None and _unit_after(text, number) and len(found) > 1)
    ]
    if fitting:
        used.add(fitting[0].start)
        return fitting[0].value
    return None


def _within(value: float, schema: Schema) -> bool:
    low, high = schema.get("minimum"), schema.get("maximum")
    return not (isinstance(low, int | float) and value < low) and not (isinstance(high, int | float) and value > high)


def _boolean(name: str, schema: Schema, text: str) -> bool | None:
    low = text.casefold()
    about = _about(name, schema) - _WEAK - {"is", "has", "should", "includ", "with"}
    if about & {"on", "enabl", "activ", "stat", "power", "enabled"} or "turn" in low or "switch" in low:
        if re.search(r"\boff\b|\bdisable\b|关", low):
            return False
        if re.search(r"\bon\b|\benable\b|开", low):
            return True
    said = [text_extraction.stem(word) for word in text_extraction.words(text)]
    for index, word in enumerate(said):
        if word in about:
            near = said[max(0, index - 3) : index] + said[index + 1 : index + 2]
            return not ({"no", "not", "without", "don't", "never", "non", "fals", "off"} & set(near))
    return None


_LEAD = (
    r"(?:(?:that\s+)?(?:saying|says?|reading|titled|called|named|about|containing|to say|with the (?:text"
    r"|message))"
    r"|:|search(?:\s+the\s+web|\s+online|\s+the\s+internet)?(?:\s+for)?|look\s+up|google|find(?:\s+out)?"
    r"|remind\s+me\s+(?:to|that|about)|remember\s+(?:to|that)|(?:make|take|write"
    r"|add)\s+(?:me\s+)?a\s+note(?:\s+(?:that|to|of))?"
    r"|note(?:\s+that)?|play(?:\s+the\s+song)?|order|buy|tell\s+(?:him|her|them)(?:\s+that)?|translate"
    r"|ask(?:\s+them)?"
    r"|搜索|查找|播放|提醒我)(?![a-z])"
)


def _string(name: str, schema: Schema, text: str, tool: str, used: set[str]) -> str | None:
    about = _about(name, schema)
    form = str(schema.get("format") or "")
    described = str(schema.get("description") or "").casefold()

    def fresh(values: Sequence[str]) -> str | None:
        value = next((one for one in values if one not in used), None)
        if value is not None:
            used.add(value)
        return value

    if form == "email" or "email" in about or "e-mail" in described:
        spoken = re.sub(r"\s+at\s+(?=\w+\s+dot\b)", "@", text, flags=re.IGNORECASE)
        spoken = re.sub(r"(?<=\w)\s+dot\s+(?=\w)", ".", spoken, flags=re.IGNORECASE) if "@" in spoken else spoken
        return fresh(re.findall(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", spoken))
    if form in ("uri", "url") or about & {"url", "uri", "link", "websit"}:
        return fresh([url.rstrip(".,!?") for url in re.findall(r"(?:https?://|www\.)\S+", text)])
    if about & {"phon", "telephon", "mobil"}:
        return fresh([number.strip() for number in re.findall(r"\+?\d[\d\s().-]{4,}\d", text)])
    if form == "date" or (about & {"dat", "day"} and "tim" not in about):
        return fresh(text_extraction.dates(text))
    if form == "time" or (about & {"tim", "hour"} and "zon" not in about and "timezon" not in about):
        if about & {"dat"}:
            return fresh([*text_extraction.dates(text), *text_extraction.times(text)])
        return fresh(text_extraction.times(text))
    if form == "date-time" or about & {"when", "datetim", "start", "deadlin"}:
        both = " ".join([*text_extraction.dates(text)[:1], *text_extraction.times(text)[:1]])
        return fresh([both] if both else [])
    if about & {"color", "colour"}:
        return fresh(
            [word.casefold() for word in text_extraction.words(text) if word.casefold() in text_extraction.COLOURS]
        )
    if about & {"languag", "lang", "local"}:
        codes = languages.named(text)
        if not codes:
            return None
        short = bool(re.search(r"iso|code|\ben\b", described)) or about & {"cod", "local"}
        return fresh([code if short else languages.NAMES[code][0] for code in codes])
    if about & {"expression", "calculation", "formula", "equation", "sum"}:
        found = text_extraction.arithmetic(text)
        if found:
            return found[0]
    marked = text_extraction.quoted(text)
    if marked and not _is_place(name, schema):
        return fresh(marked)
    if _is_place(name, schema) or "timezon" in about or "zon" in about:
        way = None
        if about & {"origin", "from", "departur", "start", "sourc"}:
            way = r"\bfrom\s+"
        elif about & {"destination", "to", "arrival", "end"}:
            way = r"\bto\s+"
        found_places = text_extraction.places(text)
        if way is not None:
            for place in found_places:
                if re.search(way + re.escape(place), text, re.IGNORECASE):
                    return fresh([place])
        value = fresh(found_places)
        if value is not None:
            pair = re.search(rf"{re.escape(value)},\s*([A-Z]\w+(?:\s[A-Z]\w+)*)", text)
            return f"{value}, {pair[1]}" if pair else value
        return None
    # "order number A12", "title Dune", "room 12"
    spaced = " ".join(_split_name(name)).casefold()
    last = _split_name(name)[-1].casefold() if _split_name(name) else spaced
    if about & {"id", "cod", "number", "sku", "referenc", "order", "ticket", "symbol", "ticker"}:
        codes = re.findall(r"\b(?=[\w-]*\d)[A-Za-z]*[\w-]+\b|\b[A-Z]{2,6}\b", text)
        value = fresh(codes)
        if value is not None:
            return value
    named = re.search(
        rf"\b(?:{re.escape(spaced)}|{re.escape(last)})\s+(?:is\s+|of\s+|=\s*"
        r"|:\s*)?([A-Z0-9][\w'’-]*(?:\s+[A-Z][\w'’-]*)*)",
        text,
    )
    if named:
        return fresh([named[1]])
    if _is_person(name, schema):
        people = text_extraction.proper_names(text)
        own = text_extraction.last_name([text])
        return fresh([own, *people] if own else people)
    free = about & text_extraction.stems(
        "query question text message note title content body subject topic task item prompt input search"
        " description reminder song summary reason phrase word words song keyword keywords request comment"
    )
    if free:
        lead = re.search(rf"\b{_LEAD}\s*(.+?)[.!?]*$", text, re.IGNORECASE | re.DOTALL) or re.search(
            rf"{_LEAD}\s*(.+?)[.!?]*$", text, re.IGNORECASE | re.DOTALL
        )
        value = (lead[1] if lead else text).strip(" .!?,")
        value = re.sub(r"^(?:please|can you|could you|would you)\s+", "", value, flags=re.IGNORECASE).strip()
        return fresh([value]) if value else None
    people = [one for one in text_extraction.proper_names(text) if one not in used]
    if people:
        return fresh(people)
    return None


def _array(name: str, schema: Schema, text: str, tool: str) -> list[Any] | None:
    item = schema.get("items")
    item = item if isinstance(item, Mapping) else {}
    kind = _kind(item)
    options = _options(item)
    if options:
        chosen = [option for option in options if _mentions(text, str(option))]
        return sorted(chosen, key=lambda option: _where(text, str(option))) or None
    if kind in ("integer", "number"):
        values = [number.value for number in text_extraction.numbers(text)]
        return [int(value) for value in values] if kind == "integer" and values else values or None
    if kind == "string":
        singular = name[:-1] if name.endswith("s") else name
        if _is_place(singular, item) or _is_place(name, schema):
            return text_extraction.places(text) or None
        if marked := text_extraction.quoted(text):
            return marked
        if _is_person(singular, item):
            return text_extraction.proper_names(text) or None
        lead = re.search(
            r"(?::|\b(?:add|buy|order|list|with|of|for|get|pack))\s+(.+?)(?:\s+to\s+(?:my"
            r"|the)\b.*)?[.!?]*$",
            text,
            re.I,
        )
        if lead:
            parts = re.split(r"\s*,\s*(?:and\s+)?|\s+and\s+|、|和", lead[1])
            return [re.sub(r"^(?:a|an|some|the)\s+", "", part).strip() for part in parts if part.strip()] or None
    if kind == "object":
        arguments, missing = fill(item, text, insist=False, tool=tool)
        return [arguments] if arguments and not missing else None
    return None


def fill(schema: Schema, request: str, *, insist: bool, tool: str = "") -> tuple[dict[str, Any], list[str]]:
    """Read the arguments of a call off a request.

    Args:
        schema: The tool's `parameters`, a JSON schema of type object.
        request: The user's words.
        insist: Give required arguments that are not said a value of the right kind anyway.
        tool: The tool's name.

    Returns:
        The arguments, and the names of required ones that are missing (never any if `insist`).
    """
    properties = _properties(schema)
    listed = schema.get("required")
    required = [str(name) for name in listed] if isinstance(listed, Sequence) and not isinstance(listed, str) else []
    arguments: dict[str, Any] = {}
    missing: list[str] = []
    numbers_used: set[int] = set()
    strings_used: set[str] = set()
    # Required ones choose first, and a message's body before its subject.
    order = sorted(
        properties,
        key=lambda name: (
            name not in required,
            bool(_about(name, properties[name]) & {"subject", "titl", "summary", "label"}),
            list(properties).index(name),
        ),
    )
    for name in order:
        one = properties[name]
        kind, options = _kind(one), _options(one)
        value: Any = None
        if options:
            said = sorted(
                (option for option in options if _mentions(request, str(option))),
                key=lambda option: _where(request, str(option)),
            )
            value = said[0] if said else None
            if value is None and name in required and len(options) == 1:
                value = options[0]
        elif kind in ("integer", "number"):
            value = _number(name, one, request, numbers_used, list(properties))
            if value is not None and kind == "integer":
                value = math.floor(value + 0.5)
        elif kind == "boolean":
            value = _boolean(name, one, request)
        elif kind == "array":
            value = _array(name, one, request, tool)
        elif kind == "object":
            inner, lacking = fill(one, request, insist=insist and name in required, tool=tool)
            value = inner if inner and not lacking else None
        elif kind == "string":
            value = _string(name, one, request, tool, strings_used)
            pattern = one.get("pattern")
            if value is not None and isinstance(pattern, str):
                with contextlib.suppress(re.error):
                    value = value if re.search(pattern, value) else None
        if value is None and name in required:
            value = one.get("default")
            if value is None and insist:
                value = _something(kind, one, options, request)
            if value is None:
                missing.append(name)
                continue
        if value is not None:
            arguments[name] = value
    return {name: arguments[name] for name in properties if name in arguments}, missing


def _something(kind: str, schema: Schema, options: Sequence[Any], request: str) -> Any:
    """A value of the right kind for an argument nobody gave, where the client insists on a call."""
    if options:
        return options[0]
    if kind in ("integer", "number"):
        low = schema.get("minimum")
        return low if isinstance(low, int | float) else 0
    if kind == "boolean":
        return False
    if kind == "array":
        return []
    if kind == "object":
        return fill(schema, request, insist=True)[0]
    return request.strip()[:200]
