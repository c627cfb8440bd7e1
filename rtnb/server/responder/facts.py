"""Facts about the course's own subject: which question asks for one, and its answer with the catalogue's figures."""

import re
from functools import cache

from rtnb import models
from rtnb.server.nlu.lexicon import LETTERS, read
from rtnb.server.nlu.text_extraction import sentences

_SHEETS = read(__file__, "facts_", "en", "zh")
_WORDS = [sheet.pop("words") for sheet in _SHEETS.values()]
FACTS = _SHEETS["en"]
"""Facts by their names, in the order in which they are tried."""


@cache
def _any(words: str) -> re.Pattern[str]:
    """Compile what finds any of these words: whole or as its plural in Latin letters, anywhere in Chinese.

    A bar stands between alternatives of a word. All Latin ones stand in one group: each by itself, two thousand of
    them take a quarter of a second to compile.
    """
    each = {one for word in words.split() for one in ([f"(?:{word})"] if "(" in word else word.split("|"))}
    found = sorted(each, key=len, reverse=True)
    latin = "|".join(filter(str.isascii, found))
    found = [one for one in found if not one.isascii()]
    found += [rf"(?<![a-z\d_])(?:{latin})(?:e?s)?(?![a-z\d_])"] if latin else []
    return re.compile("|".join(found), re.IGNORECASE)


@cache
def _phrases(*names: str, asked: bool = True) -> list[str]:
    """List the phrases of some facts, those that only a question has among them."""
    keys = ("subject", "asked") if asked else ("subject",)
    return [
        phrase for name in names for sheet in _SHEETS.values() for key in keys for phrase in sheet[name].get(key, ())
    ]


_ASKS, _OTHERS = (
    re.compile("|".join(pattern for words in _WORDS for pattern in words[key]), re.IGNORECASE)
    for key in ("asks", "others")
)
_COMMON = " ".join(words[key] for words in _WORDS for key in ("common", "field"))


def _beside(sentence: str, *names: str) -> list[str]:
    """List the words of a question that neither these facts nor any question has, of Chinese pairs of characters."""
    rest = _ASKS.sub(" ", _any(_COMMON).sub(" ", _any(" ".join(_phrases(*names))).sub(" ", sentence)))
    return re.findall(rf"[{LETTERS}]{{1,2}}|[^\W\d_{LETTERS}]+", rest)


def fact(text: str, *, role: bool = False) -> str | None:
    """Return the name of the fact that a text asks for; None for none.

    Args:
        text: What the user said.
        role: Whether the talk is about something else, a role or a recording, which has prices and voices of its own.
    """
    asking = (one for one in sentences(text)[-3:] if _ASKS.search(one) and not _OTHERS.search(one))
    for sentence in asking:
        if _beside(sentence, *FACTS):
            continue
        for name in FACTS:
            closed = (role and FACTS[name].get("everyday")) or _beside(sentence, name)
            phrases = _phrases(name, asked=not closed)
            if any(all(_any(word).search(sentence) for word in phrase.split()) for phrase in phrases):
                return name
    return None


def about_fact(name: str, language: str, question: str = "") -> str:
    """Return the answer of a fact in a language, in English where that has none.

    The figures are those of the model that the question names, where the catalogue has them, else of the usual one.
    """
    ended = next(ending["on"] for ending in models.read()["ending"] if "Beta" in ending["what"])
    text: str = _SHEETS.get(language, _SHEETS["en"])[name]["answer"]
    asked, usual = re.sub(r"[\s-]+", "-", question.casefold()), models.get(models.DEFAULT)
    named = models.get(max((one for one in models.load() if one in asked), key=len, default=models.DEFAULT))
    known = {"models": models.load(), "default": usual, "limits": models.limits(), "azure": models.provider("azure")}
    model = named if named.kind == "realtime" and named.prices else usual
    return text.format(**known, model=model, voices=", ".join(models.VOICES), beta_end=ended)
