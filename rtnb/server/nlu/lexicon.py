"""Words and templates of each language the responder knows, from the TOML file of that language.

`en.toml` says what the entries mean. The lists of all languages count together: which language a request is in is not
asked before its words are looked for.
"""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any


def read(beside: str, name: str, *languages: str) -> dict[str, dict[str, Any]]:
    """Read the TOML files that stand beside a file, one for each language: `name` and its code."""
    folder = Path(beside).parent
    return {code: tomllib.loads((folder / f"{name}{code}.toml").read_text("utf-8")) for code in languages}


FILES = read(__file__, "", "en", "fr", "es", "de", "it", "pt", "nl", "sv", "zh", "ja")
# Inside a character class: kana and Chinese characters, which stand beside each other without a space.
LETTERS = r"\u3040-\u30ff\u3400-\u9fff"
TEMPLATES: dict[str, dict[str, str]] = {code: file["templates"] for code, file in FILES.items() if "templates" in file}
"""Templates by their names, for each language; English has all of them."""
_FRAMES = {"words": r"\b(?:{})\b", "starts": r"\b(?:{})", "parts": "{}", "opens": r"^\W*(?:{})\b"}


@cache
def patterns(key: str, table: str = "cues") -> list[str]:
    """Return a cue of all languages as regular expressions, in the order of the languages."""
    found: list[str] = []
    for file in FILES.values():
        entry = file.get(table, {}).get(key, {})
        found += [frame.format("|".join(map(re.escape, entry[k]))) for k, frame in _FRAMES.items() if k in entry]
        found += [re.sub(r"\{([a-z_]+)\}", lambda name: source(name[1]), one) for one in entry.get("patterns", ())]
    if not found:
        raise KeyError(key)  # an empty expression would be found everywhere
    return found


def having(trait: str) -> tuple[str, ...]:
    """Return the intents that have a trait, in their order."""
    return tuple(intent for intent, entry in FILES["en"]["intents"].items() if trait in entry.get("traits", ()))


def source(key: str, table: str = "cues") -> str:
    """Return a cue of all languages as the text of one regular expression."""
    return f"(?:{'|'.join(patterns(key, table))})"


@cache
def cue(key: str, table: str = "cues") -> re.Pattern[str]:
    """Return a cue of all languages as one regular expression, which ignores case."""
    return re.compile(source(key, table), re.IGNORECASE)


TOLD: list[list[str]] = [pair for file in FILES.values() for pair in file.get("memory", {}).get("pairs", ())]
"""Questions about the user, each with what the sentence holds that answers it."""

INTENTS = {intent: cue(intent, "intents") for intent in FILES["en"]["intents"]}
"""Intents of requests, each with the words that ask for it, in the order in which they are tried."""


def extract(key: str, text: str) -> str:
    """Return what a cue's patterns catch in a text: the group of the first one that matches; "" for none."""
    found = next(filter(None, (re.search(pattern, text, re.IGNORECASE) for pattern in patterns(key))), None)
    return next(filter(None, found.groups()), "") if found else ""


@cache
def bag(key: str) -> frozenset[str]:
    """Return a word list of all languages."""
    return frozenset(word for file in FILES.values() for word in file.get("lists", {}).get(key, "").split())


def entries(table: str) -> dict[str, Any]:
    """Return a table of all languages as one."""
    return {key: value for file in FILES.values() for key, value in file.get(table, {}).items()}
