"""Names of people and places, days and times of day in a text, by rule."""

import re
from collections.abc import Iterable

from rtnb.server.responder.lexicon import bag, cue, patterns, source
from rtnb.server.responder.numbers import numbers
from rtnb.server.responder.text_extraction import stem

_NOT_NAMES = bag("not_names")


def proper_names(text: str) -> list[str]:
    """List runs of capitalised words that do not merely start a sentence, such as "New York" or "Ana Ruiz"."""
    found: list[str] = []
    capital = r"[A-ZÀ-ÖØ-ÞŁŚŻČŠŽ]"
    pattern = rf"{capital}[\w'’.\-]*(?:\s+(?:(?:de|da|del|la|le|of|van|von|am)\s+)?{capital}[\w'’\-]*)*"
    for match in re.finditer(pattern, text):
        parts = [re.sub("['’]s$", "", part.strip(".’'")) for part in match.group().split()]
        names = [at for at, part in enumerate(parts) if part not in _NOT_NAMES]
        found += [" ".join(parts[names[0] : names[-1] + 1]).strip(".,'’")] if names else []
    return [*filter(None, dict.fromkeys(found))]


_NO_PLACES = ("general", "fact", "short", "total", "order", "weather", "forecast", "temperature")


def places(text: str) -> list[str]:
    """List the places a request names: "in Oslo", "from Berlin to New York", "weather for london", "巴黎的天气".

    Capitals decide where there are any, since recognisers write them; otherwise what follows in, for, at, of, to.
    """
    if named := proper_names(text):
        return named
    found = [place for place in cue("place").findall(text) if not cue("no_place").search(place)]
    found = [place for place in found if not numbers(place) and stem(place) not in _NO_PLACES]
    for first in list(found):  # "in oslo and paris"
        row = rf"{re.escape(first)}((?:\s*,\s*|\s*,?\s+and\s+)[a-zà-öø-ÿ'’\-]+)+"
        if more := re.search(rf"\b{row}{source('place_end')}", text):
            found += re.split(r"\s*,\s*(?:and\s+)?|\s+and\s+", more.group())
    if not found:
        found = cue("room").findall(text)
        if found and found not in (["morning"], ["afternoon"], ["evening"], ["moment"], ["end"]):
            return list(dict.fromkeys(found))
        found = re.findall(r"(?:在|查询|查一下|问)?([\u4e00-\u9fff]{2,4}?)(?:的|今天|明天|现在)", text)
        found = [place for place in found if place not in ("今天", "明天", "现在", "请问", "什么")]
    return [name.title() if name.isascii() else name for name in dict.fromkeys(found)]


def last_name(texts: Iterable[str]) -> str | None:
    """Return the name the user last gave for themselves, in any of a few languages; None where none did."""
    searches = ((pattern, text[:20_000]) for text in reversed([*texts]) for pattern in patterns("own_name"))
    for match in (match for search in searches for match in reversed([*re.finditer(*search, re.IGNORECASE)])):
        name = match[1].strip(".,’'")
        if name.casefold() not in bag("not_my_name") and name not in _NOT_NAMES:
            return name if name[:1].isupper() or not name.isascii() else name.title()
    return None


def dates(text: str) -> list[str]:
    """List the days of a text: "2026-03-01", "tomorrow", "next Friday", "March 3rd", "the 5th of May", "3/4/2026"."""
    return [match[0] for match in cue("dates").finditer(text)]


def times(text: str) -> list[str]:
    """List the times of day of a text: "5 pm", "17:30", "noon", "half past nine", "seven o'clock"."""
    found = [match[0] for match in cue("times").finditer(text)]
    return [time.strip() for time in found or [match[1] for match in cue("bare_hour").finditer(text)]]
