"""General knowledge of the responder, from TOML: facts, tables of words, units, texts to tell, mistakes to correct."""

import contextlib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rtnb.server.languages import named
from rtnb.server.nlu.lexicon import cue, read
from rtnb.server.nlu.numbers import numbers, part_of, spoken_number
from rtnb.server.nlu.text_extraction import beside, quoted, sentences

Row = dict[str, str]


KNOWN = read(__file__, "knowledge_", "en", "zh")
"""What is known in each language, as the files say it."""


def _rows(table: dict[str, str]) -> list[Row]:
    """Read a table: columns and cells between bars, a row a line; an empty cell is left out."""
    columns = table["columns"].split()
    cells = ([cell.strip() for cell in line.split("|")] for line in table["rows"].strip().splitlines())
    return [{key: cell for key, cell in zip(columns, row, strict=True) if cell} for row in cells]


TABLES = {name: _rows(table) for name, table in read(__file__, "", "tables")["tables"].items()}
"""Tables by their names; a cell may hold several words for one thing, the one to say first, with commas between."""


class Fact(NamedTuple):
    """Answer with the word of it that is said where one word is asked for; "" where there is no such word."""

    text: str
    word: str = ""
    supposed: bool = False  # whether a question may suppose another word: "Is Rome the capital of Spain?"


_MARKS = " .,!?'\"“”‘’「」《》。，！？"


def _plain(text: str) -> str:
    return re.sub(r"^(?:the|a|an)\s+", "", text.strip(_MARKS).casefold())


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern once: there are more of them than `re` keeps, and all are tried at each question."""
    return re.compile(pattern, re.IGNORECASE)


@cache
def _table(name: str, column: str) -> dict[str, Row]:
    """Return the rows of a table by the words in a column of theirs."""
    cells = ((one.strip(), row) for row in TABLES[name] for one in row.get(column, "").split(","))
    return {one.casefold(): row for one, row in cells if one}


def _only(found: re.Match[str], *known: str, most: int = 0) -> bool:
    """Return whether the sentence of a match asks about hardly anything else."""
    text = found.string
    start = max(text.rfind(mark, 0, found.start()) for mark in ".!?。！？") + 1
    end = next((at for at in range(found.end(), len(text)) if text[at] in ".!?。！？"), len(text))
    return len(beside(cue("accounted").sub(" ", text[start:end]), " ".join(known))) <= most


def _relations(text: str, known: dict[str, Any]) -> Iterator[Fact]:
    for relation in known["relations"]:
        for match in (match for pattern in relation["asks"] for match in _compiled(pattern).finditer(text)):
            row = _table(relation["table"], relation["of"]).get(_plain(match[1]), {})
            if (values := row.get(relation["is"])) and _only(match, *relation["asks"], *row.values()):
                filled = {"x": row[relation["of"]].split(",")[0], "y": values.split(",")[0].strip()}
                yield Fact(relation["says"].format(**filled), filled["y"], supposed=True)


def know(text: str, language: str) -> Fact | None:
    """Find the fact that a question asks for, or the quantity that it asks to convert; None where none is known."""
    if not text or (known := KNOWN.get(language)) is None:
        return None
    # 哪个国家最大 asks for 最大的国家, 华氏一百度 is 一百华氏度.
    for pattern, instead in known.get("rewrites", ()):
        text = re.sub(pattern, instead, text)
    if fact := _convert(text, language):
        return fact
    for entry in known["facts"]:
        found = next(filter(None, (_compiled(pattern).search(text) for pattern in entry["asks"])), None)
        if found and _only(found, *entry["asks"], most=entry.get("beside", 0)):
            other = _convert(f"{entry['says']} {text}", language)  # "How far is the moon in miles?"
            return Fact(f"{entry['says']} {other.text}" if other else entry["says"], entry.get("word", ""))
    return next(_relations(text, known), None)


_PAIRS = (("sequence", "en", "zh"), ("countries", "country", "国家"), ("countries", "capital", "首都"))
_SAID = [{"en": row[en], "zh": row[zh]} for table, en, zh in _PAIRS for row in TABLES[table]]
_PHRASES = {
    _plain(phrase): (code, row)
    for row in [*_SAID, *reversed(TABLES["phrases"])]  # of two rows that hold a word the first phrase counts
    for code, cell in row.items()
    for phrase in cell.split(",")
}


def know_instead(before: str, thing: str, language: str) -> Fact | None:
    """Find what a question before asked for of something else: "The capital of Kenya?" – "And of Norway?"."""
    relations = KNOWN[language]["relations"] if before and language in KNOWN else ()
    asks = (pattern for relation in relations for pattern in relation["asks"])
    for match in filter(None, (re.search(pattern, before, re.IGNORECASE) for pattern in asks)):
        if fact := know(before[: match.start(1)] + thing + before[match.end(1) :], language):
            return fact
    return None


def translate(text: str, language: str) -> tuple[str, str] | None:
    """Translate what a request names into the language that it names, or that it is in; None where it is not known."""
    patterns = [pattern for known in KNOWN.values() for pattern in known["to_translate"]]
    found = [match[1] for pattern in patterns for match in re.finditer(pattern, text, re.IGNORECASE)]
    for phrase in [*quoted(text), *found]:
        code, row = _PHRASES.get(_plain(phrase), ("", {}))
        given = [*named(text), language, "en" if code == "zh" else "zh"]
        target = next(one for one in given if one != code)
        if target in row:
            return phrase.strip(_MARKS), row[target].split(",")[0].strip()
    return None


def counted(language: str) -> list[str]:
    """List the numbers from one to ten in a language."""
    return [row[language].split(",")[0] for row in TABLES["phrases"][:10] if language in row]


def _convert(text: str, language: str) -> Fact | None:
    """Convert a quantity into the other unit that a text names: "10 kilometres to miles"."""
    units = _table("units", language)
    names = sorted((re.escape(unit) for unit in units), key=len, reverse=True)
    unit = rf"(?:\b(?:{'|'.join(names)})\b)" if language == "en" else f"(?:{'|'.join(names)})"
    into = r"\b(?:many|in|into|to)\s+(?:an?\s+)?|多少个?|几个?(?!月)|[成为]"
    wanted = re.search(rf"(?:{into})({unit})", text, re.IGNORECASE)
    for given in re.finditer(unit, text, re.IGNORECASE):
        source, target = units[given[0].casefold()], units[wanted[1].casefold()] if wanted else {"kind": ""}
        other = source is not target and source["kind"] == target["kind"]
        if not other or (quantity := _quantity(text, given, source, language)) is None:
            continue
        base, value, rest = quantity
        exact = (base - float(target.get("offset", 0))) / float(target["factor"])
        result = spoken_number(round(exact, 1) if abs(exact) > 1000 else exact)
        filled = {"a": value, "x": given[0] + rest, "b": result, "y": target[language].split(",")[0]}
        holds = re.search(KNOWN[language]["holds"], text)
        return Fact(KNOWN[language]["held" if holds else "converted"].format(**filled), result)
    return None


def _quantity(text: str, unit: re.Match[str], source: Row, language: str) -> tuple[float, str, str] | None:
    """Read the quantity that has a unit: "half a kilo", "5 feet 11 inches", 三公里半, 一米八.

    Returns:
        It in the first unit of its kind, and what of it stands before and behind the unit; None where it is not
        understood whole.
    """
    units, found, head, end = _table("units", language), numbers(text), text[: unit.start()], unit.end()
    before = [one for one in found if one.end <= len(head) and re.fullmatch(r"[-个°度\s]*", head[one.end :])]
    # "Of two and a bit pounds" nothing is known.
    if not before and (cue("unsolved").search(head[-12:]) or re.fullmatch(r"(?i)\w{3,}(?<!celsiu)s", unit[0])):
        return None
    value = before[-1].value if before else 1
    value = -value if before and cue("below_zero").search(head[: before[-1].start]) else value
    factor = float(source["factor"])
    base = value * factor + float(source.get("offset", 0))
    if more := cue("unit_and_part").match(text, end):  # "an hour and a quarter"
        base, end = base + factor * part_of(more[0]), more.end()
    for one in (one for one in found if one.start >= end and cue("joins_amounts").fullmatch(text[end : one.start])):
        named = (name for name in units if re.match(rf"[\s-]*{re.escape(name)}", text[one.end :], re.IGNORECASE))
        name = max(named, key=len, default="inch" if unit[0].casefold() in ("foot", "feet", "ft") else "")
        digits = text[one.start : one.end]
        if name and units[name]["kind"] == source["kind"] and float(units[name]["factor"]) < factor:
            base += one.value * float(units[name]["factor"])
            end = max(one.end, text.casefold().find(name, one.end) + len(name))
        elif not name and source["kind"] != "time" and cue("decimals").match(text, one.start):
            base, end = base + one.value / 10 ** len(digits) * factor, one.end
        else:
            return None
    raw = text[before[-1].start : unit.start()].strip() if before and end > unit.end() else ""
    return base, raw or spoken_number(value), text[unit.end() : end]


def _fit(about: str, request: str) -> int:
    """Weigh how many words of a list are in a request; the later ones say what it is to be about."""
    each = (re.search(rf"\b{word}" if word.isascii() else word, request, re.IGNORECASE) for word in about.split())
    return sum(1 + found.start() for found in each if found)


def tell(kind: str, request: str, told: str, language: str) -> tuple[str, bool]:
    """Choose a text to tell.

    Args:
        kind: One of the tables of texts, such as "story".
        request: What was asked for: how long, how it should be and what it should be about.
        told: Everything said before: what has been told is not told again while there is more.
        language: In which language.

    Returns:
        The text, and whether it is about what the request names.
    """
    texts: list[dict[str, str]] = KNOWN[language]["texts"][kind]
    fits = [_fit(one["about"], request) for one in texts]
    best = [one for one, fit in zip(texts, fits, strict=True) if fit == max(fits)]
    return next((one for one in best if sentences(one["text"])[0] not in told), best[0])["text"], max(fits) > 0


def zone(text: str, language: str) -> tuple[str | None, ZoneInfo | None]:
    """Find the place that a text names and its time zone; (None, None) for none that is known here."""
    cities = _table("zones", "zh" if language == "zh" else "en")
    for city in sorted(cities, key=len, reverse=True):
        if found := re.search(rf"\b{re.escape(city)}\b" if city.isascii() else city, text, re.IGNORECASE):
            with contextlib.suppress(ZoneInfoNotFoundError):  # Windows has no zones without the package tzdata
                return found[0], ZoneInfo(cities[city]["zone"])
    return None, None
