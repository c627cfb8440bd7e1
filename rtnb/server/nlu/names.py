"""Names of people and places, days and times of day in a text, by rule."""

import re
from collections.abc import Iterable

from rtnb.server.nlu.lexicon import bag, cue, entries, patterns, source
from rtnb.server.nlu.numbers import numbers
from rtnb.server.nlu.text_extraction import stem

_NOT_NAMES = bag("not_names")
# Words of what is asked for are no places: "Is it going to rain in Dublin?"
_NO_PLACES = {*map(stem, (word for line in entries("alike").values() for word in line.split())), *bag("no_places")}


def proper_names(text: str) -> list[str]:
    """List runs of capitalised words that do not merely start a sentence, such as "New York" or "Ana Ruiz"."""
    found: list[str] = []
    capital = r"[A-ZÀ-ÖØ-ÞŁŚŻČŠŽ]"
    pattern = rf"{capital}[\w'’.\-]*(?:\s+(?:(?:de|da|del|la|le|of|van|von|am)\s+)?{capital}[\w'’\-]*)*"
    for match in re.finditer(pattern, text):
        parts = [re.sub("['’]s$", "", part.strip(".’'")) for part in match.group().split()]
        starts = not re.search(r"\w[^.!?]*$", text[: match.start()])  # a small word has a capital there
        small = bag("empty") if starts and len(parts) == 1 else frozenset()
        names = [at for at, part in enumerate(parts) if not (part in _NOT_NAMES or part.casefold() in small)]
        found += [" ".join(parts[names[0] : names[-1] + 1]).strip(".,'’")] if names else []
    return [*filter(None, dict.fromkeys(found))]


def places(text: str) -> list[str]:
    """List the places a request names: "in Oslo", "from Berlin to New York", "weather for london", "巴黎的天气".

    Capitals decide where there are any, since recognisers write them; otherwise what follows in, for, at, of, to.
    """
    if named := [name for name in proper_names(text) if stem(name) not in _NO_PLACES]:
        return named
    found = [place for place in cue("place").findall(text) if not cue("no_place").search(place)]
    found = [place for place in found if not numbers(place) and stem(place) not in _NO_PLACES]
    for first in list(found):  # "in oslo and paris"
        row = rf"{re.escape(first)}((?:\s*,\s*|\s*,?\s+and\s+)[a-zà-öø-ÿ'’\-]+)+"
        if more := re.search(rf"\b{row}{source('place_end')}", text):
            found += re.split(r"\s*,\s*(?:and\s+)?|\s+and\s+", more.group())
    if not found:
        found = [room for rooms in cue("room").findall(text) for room in rooms if room and room not in _NO_PLACES]
        if found := found or _chinese_places(text):
            return [*dict.fromkeys(found)]
    return [name.title() if name.isascii() else name for name in dict.fromkeys(found)]


def _chinese_places(text: str) -> list[str]:
    """List what is left of a Chinese request without the words of weather and time, where it can be a place."""
    if ends := [place for ends in cue("ends_of_way").findall(text) for place in ends if place]:
        return ends
    runs = re.findall(r"[\u4e00-\u9fff·]+", cue("beside_places").sub(" ", text))
    parts = [part for run in runs for part in re.split("(?<=..)[和与跟](?=..)", run.split("的")[0].split("在")[-1])]
    found = [cue("edge_of_place").sub("", part) for part in parts]
    return [place for place in found if 2 <= len(place) <= 7 and not cue("no_place").search(place)]


def last_name(texts: Iterable[str]) -> str | None:
    """Return the name the user last gave for themselves, in any of a few languages; None where none did."""
    searches = ((pattern, text[:20_000]) for text in reversed([*texts]) for pattern in patterns("own_name"))
    for match in (match for search in searches for match in reversed([*re.finditer(*search, re.IGNORECASE)])):
        name = match[1].strip(".,’'")
        if name.casefold() not in bag("not_my_name") | bag("empty") and not {name, name.title()} & _NOT_NAMES:
            return name if name[:1].isupper() or not name.isascii() else name.title()
    return None


def dates(text: str) -> list[str]:
    """List the days of a text: "2026-03-01", "tomorrow", "next Friday", "March 3rd", "the 5th of May", "3/4/2026"."""
    return [match[0] for match in cue("dates").finditer(text)]


def clock(said: str) -> str:
    """Write a time of day in hours and minutes: "7 pm" as "19:00", 下午三点半 as "15:30"; as it is if it is unclear."""
    found = [int(one.value) for one in numbers(re.sub("[:：点时]", " ", said))]
    if not 1 <= len(found) <= 2 or found[0] > 24 or re.search(r"(?i)quarter|past|\bto\b|noon|night|后|\bin\b", said):
        return said
    hour, minute = [*found, 0][:2]
    minute = 30 if "半" in said else 15 * minute if "刻" in said else minute
    hour += 12 if hour < 12 and cue("late").search(said) and not (hour > 9 and "中午" in said) else 0
    hour -= 12 if hour == 12 and cue("night").search(said) else 0
    return f"{hour % 24:02}:{minute:02}"


def times(text: str) -> list[str]:
    """List the times of day of a text: "5 pm", "17:30", "noon", "half past nine", "seven o'clock"."""
    found = [match[0] for match in cue("times").finditer(text)]
    return [time.strip() for time in found or [match[1] for match in cue("bare_hour").finditer(text)]]
