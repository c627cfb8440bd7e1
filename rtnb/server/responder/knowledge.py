"""General knowledge of the responder, from TOML: facts, tables of words, units, texts to tell, mistakes to correct."""

import contextlib
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rtnb.server.languages import named
from rtnb.server.responder.numbers import numbers, spoken_number
from rtnb.server.responder.text_extraction import content, quoted, words

Row = dict[str, str]


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name(f"{name}.toml").read_text("utf-8"))


KNOWN = {code: _read(f"knowledge_{code}") for code in ("en", "zh")}
"""What is known in each language, as the files say it."""


def _rows(table: dict[str, str]) -> list[Row]:
    """Read a table: columns and cells between bars, a row a line; an empty cell is left out."""
    columns = table["columns"].split()
    cells = ([cell.strip() for cell in line.split("|")] for line in table["rows"].strip().splitlines())
    return [{key: cell for key, cell in zip(columns, row, strict=True) if cell} for row in cells]


TABLES = {name: _rows(table) for name, table in _read("tables").items()}
"""Tables by their names; a cell may hold several words for one thing, the one to say first, with commas between."""


class Fact(NamedTuple):
    """Answer with the word of it that is said where one word is asked for; "" where there is no such word."""

    text: str
    word: str = ""


def _plain(text: str) -> str:
    return re.sub(r"^(?:the|a|an)\s+", "", text.strip(" .,!?'\"“”‘’「」《》。，！？").casefold())


@cache
def _table(name: str, column: str) -> dict[str, Row]:
    """Return the rows of a table by the words in a column of theirs."""
    return {
        one.strip().casefold(): row for row in TABLES[name] for one in row.get(column, "").split(",") if one.strip()
    }


def _relations(text: str, known: dict[str, Any]) -> Iterator[Fact]:
    for relation in known["relations"]:
        for match in (match for pattern in relation["asks"] for match in re.finditer(pattern, text, re.IGNORECASE)):
            row = _table(relation["table"], relation["of"]).get(_plain(match[1]), {})
            if values := row.get(relation["is"]):
                filled = {"x": row[relation["of"]].split(",")[0], "y": values.split(",")[0].strip()}
                yield Fact(relation["says"].format(**filled), filled["y"])


def know(text: str, language: str) -> Fact | None:
    """Find the fact that a question asks for; None where none is known."""
    known = KNOWN.get(language, {"facts": [], "relations": []})
    for entry in known["facts"]:
        if any(re.search(pattern, text, re.IGNORECASE) for pattern in entry["asks"]):
            return Fact(entry["says"], entry.get("word", ""))
    return next(_relations(text, known), None)


def translate(text: str) -> tuple[str, str] | None:
    """Translate the word or phrase that a request names into the language that it names; None where it is not known."""
    targets = named(text)
    given = [*quoted(text), *(match[1] for known in KNOWN.values() for match in _given(text, known["to_translate"]))]
    for phrase in map(_plain, given):
        for code in _rows_of_phrases():
            row = _table("phrases", code).get(phrase)
            target = next((one for one in targets if one != code), None) or {"en": "zh", "zh": "en"}.get(code, "")
            if row and target in row:
                return row[code].split(",")[0], row[target].split(",")[0].strip()
    return None


def _rows_of_phrases() -> list[str]:
    return [*TABLES["phrases"][0]]


def _given(text: str, patterns: list[str]) -> Iterator[re.Match[str]]:
    for pattern in patterns:
        yield from re.finditer(pattern, text, re.IGNORECASE)


def counted(language: str) -> list[str]:
    """List the numbers from one to ten in a language."""
    return [row[language].split(",")[0] for row in TABLES["phrases"][:10] if language in row]


def convert(text: str, language: str) -> Fact | None:
    """Convert a quantity into the other unit that a text names: "10 kilometres to miles"."""
    if language not in KNOWN:
        return None
    units = sorted(_table("units", language).items(), key=lambda unit: -len(unit[0]))
    pattern = "|".join(rf"\b{re.escape(word)}\b" if word.isascii() else re.escape(word) for word, _ in units)
    found = [(match, dict(units)[match[0].casefold()]) for match in re.finditer(pattern, text, re.IGNORECASE)]
    if len(found) < 2 or found[0][1] is found[-1][1] or found[0][1]["kind"] != found[-1][1]["kind"]:
        return None
    amounts = [
        (one, unit, row)
        for one in numbers(text)
        for unit, row in found
        if re.fullmatch(r"[-个°度\s]*", text[one.end : unit.start()] or "?" * (unit.start() < one.end))
    ]
    value, unit, source = (amounts[0][0].value, *amounts[0][1:]) if amounts else (1, *found[-1])
    target = next((row for _, row in reversed(found) if row is not source), source)
    base = value * float(source["factor"]) + float(source.get("offset", 0))
    result = spoken_number((base - float(target.get("offset", 0))) / float(target["factor"]))
    name = target[language].split(",")[0]
    says = {"en": "{a} {x} is {b} {y}.", "zh": "{a}{x}等于{b}{y}。"}[language]
    return Fact(says.format(a=spoken_number(value), x=unit[0], b=result, y=name), result)


def tell(kind: str, request: str, told: int, language: str) -> tuple[str, bool]:
    """Choose a text to tell.

    Args:
        kind: One of the tables of texts, such as "story".
        request: What was asked for: how long, how it should be and what it should be about.
        told: How many of this kind have been told before.
        language: In which language.

    Returns:
        The text, and whether it is about what the request names.
    """
    texts: list[dict[str, str]] = KNOWN[language]["texts"][kind]
    asked = {*content(request), *words(request.casefold())}
    fits = [len(asked & {*content(one["about"]), *words(one["about"])}) for one in texts]
    best = [one for one, fit in zip(texts, fits, strict=True) if fit == max(fits)]
    return best[told % len(best)]["text"], max(fits) > 0


def zone(text: str, language: str) -> tuple[str | None, ZoneInfo | None]:
    """Find the place that a text names and its time zone; (None, None) for none that is known here."""
    cities = _table("zones", "zh" if language == "zh" else "en")
    for city in sorted(cities, key=len, reverse=True):
        if found := re.search(rf"\b{re.escape(city)}\b" if city.isascii() else city, text, re.IGNORECASE):
            with contextlib.suppress(ZoneInfoNotFoundError):  # Windows has no zones without the package tzdata
                return found[0], ZoneInfo(cities[city]["zone"])
    return None, None
