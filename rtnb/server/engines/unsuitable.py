"""Words that do not belong in a classroom, and never leave the recogniser: nobody said most of those it finds."""

import functools
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

from rtnb.server.engines.moonshine import Word

_SURE = 0.9  # probability


@functools.cache
def _pattern(kind: str) -> re.Pattern[str]:
    """Return what finds the words of one kind, in every language."""
    found = [r"\w*[*]{2,}\w*"]
    for table in tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8")).values():
        if words := "|".join(map(re.escape, table.get(kind, "").split())):
            found.append(rf"\b(?:{words})(?:{table['endings']})?\b" if "endings" in table else words)
    return re.compile("|".join(found), re.IGNORECASE)


def suitable(words: Iterable[Word]) -> list[Word]:
    """Leave out what does not belong in a classroom: always, or where the word may be innocent, unless it is sure.

    Where a language is written without spaces a `Word` is a sentence, of which the rest stays.
    """
    kept = []
    for word in words:
        text = _pattern("always").sub("", word.text)
        if word.probability < _SURE:
            text = _pattern("doubtful").sub("", text)
        if text == word.text or re.search(r"\w", text.partition("'")[0]):
            kept.append(Word(text, word.probability))
    return kept
