"""Language of the user: English, which stands in the code, or one that has a file here: Simplified Chinese, `zh.toml`.

Widgets follow the browser's language, which the kernel does not know; what Python itself writes follows the
environment (`LANG`). `rtnb.language("zh")` decides for both.
"""

import locale
import os
import re
import string
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from rtnb import errors
from rtnb.errors import InputError
from rtnb.texts.arguments import checks_call

_chosen: str | None = None
# Values that are other people's words: a server's, an exception's.
_FOREIGN = ("said", "text", "message", "error", "reason")
_LONGEST = 4000  # characters of a sentence that is looked for; what is longer is a server's page or a user's text


@cache
def languages() -> tuple[str, ...]:
    """Return the languages there are texts in: English, and one for each file beside this one."""
    files = Path(__file__).parent.iterdir()
    return ("en", *sorted(file.stem for file in files if file.suffix == ".toml" and len(file.stem) == 2))


@cache
def sentences(code: str, *areas: str) -> dict[str, str]:
    """Return the sentences of a language by their English; none in English.

    Args:
        code: ISO 639-1 code, for example `"zh"`.
        *areas: Tables of the language's file; none means all. A short sentence may differ from table to table.
    """
    tables = {} if code == "en" else _file_of(code)["sentences"]
    return {english: words for area in areas or tables for english, words in tables[area].items()}


def widget_texts(*areas: str) -> dict[str, dict[str, Any]]:
    """Return every language but English as a page takes it: the `tag` of its texts, and their `sentences`."""
    return {code: {"tag": _file_of(code)["tag"], "sentences": sentences(code, *areas)} for code in languages()[1:]}


@cache
def _file_of(code: str) -> dict[str, Any]:
    tables = tomllib.loads(Path(__file__).with_name(f"{code}.toml").read_text("utf-8"))
    return {"tag": tables.pop("tag"), "sentences": tables}


@checks_call
def language(name: str | None = None) -> str:
    """Choose the language of widgets and cards, or return the one in force.

    ```python
    rtnb.language("zh")
    ```

    Args:
        name: "en" or "zh" (also "en-GB", "zh-Hans", "zh_CN" …); "auto" follows the browser and the environment again.
            None changes nothing.

    Returns:
        The language Python's own texts now have: "en" or "zh".

    Raises:
        InputError: There are no texts in that language.

    Examples:
        >>> rtnb.language("zh")
        'zh'
        >>> rtnb.check("1.1", None)
        01.1 · 还没有填写：answer。...
        >>> rtnb.language("en")
        'en'
    """
    global _chosen
    if name is not None:
        known, names = _code_of(name), ", ".join((*languages(), "auto"))
        if name != "auto" and known is None:
            raise InputError(f"Your language {name!r} is not one rtnb has texts in. Take one of: {names}.", name=name)
        _chosen = known
    return _chosen or _of_environment()


def chosen() -> str:
    """Return the language that was chosen: "en", "zh", or "" where the browser decides."""
    return _chosen or ""


def _code_of(tag: str) -> str | None:
    """Return the language of a tag such as `zh_CN.UTF-8`, or None where there are no texts in it."""
    first = tag.replace("_", "-").split("-")[0].split(".")[0].lower()
    return first if first in languages() else None


def _of_environment() -> str:
    # The order in which POSIX and gettext look: LANGUAGE, LC_ALL, LC_MESSAGES, LANG.
    values = (os.environ.get(name, "") for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"))
    tag = next(filter(None, ":".join(values).split(":")), None)
    # Windows sets none of them.
    return _code_of(tag or locale.getlocale()[0] or "en") or "en"


class Said(str):
    """Text in the language in force already: what it quotes stays as it is, wherever it is translated again."""


def say(english: str, **values: object) -> str:
    """Return a sentence in the language in force.

    Args:
        english: The sentence in English, which is its key in the other languages' files.
        **values: What its braces stand for.
    """
    sentence = sentences(language()).get(english, english)
    return Said(sentence.format(**values) if values else sentence)


def joined(*parts: str) -> str:
    """Return sentences one after another, with a blank behind each that does not end as in Chinese."""
    return Said(re.sub(r"(?<=[。；！？]) ", "", " ".join(filter(None, parts))))


@cache
def _templates(code: str) -> list[tuple[re.Pattern[str], str]]:
    """Return the sentences of a language that have braces, as patterns of what they become.

    Those that begin with words of their own come first, then the longest.
    """
    found = {}
    for english, words in sentences(code).items():
        pattern, names, letters = "", set[str](), 0
        for literal, name, _, _ in string.Formatter().parse(english):
            pattern, letters = pattern + re.escape(literal), letters + sum(map(str.isalpha, literal))
            if name is not None:
                # A name may hold anything; of what stands beside another value, as little as possible is taken.
                some = ".*" if name in ("name", "path") else ".*?"
                pattern += f"(?P={name})" if name in names else f"(?P<{name}>{some})"
                names.add(name)
        if re.search(rf"(?<![.!?;] )\{{(?!sentence|{'|'.join(_FOREIGN)})\w+\}}\.?$", english):  # the end of a sentence
            pattern = re.sub(r"\.\*\??\)(?=(\\\.)?$)", lambda _: r"(?:(?![.!?;] ).)*)", pattern)
        # A part of a sentence that begins with a value: without a limit it would be found in the midst of another one.
        pattern = re.sub(r"^(\(\?P<\w+>)\.\*\??\)(?!\.|\\ [A-Z])", r"\1(?:(?![.!?:;] ).){1,120}?)", pattern)
        # With too few words of its own it would be found in a server's; other names are code with braces of its own.
        if names and all(map(str.isidentifier, names)) and (letters >= 8 or re.match(r"[A-Za-z ]{6}", english)):
            found[re.compile(pattern, re.DOTALL)] = words
    return sorted(found.items(), key=lambda pair: (pair[0].pattern[:2] == "(?", -len(pair[0].pattern)))


def _whole(sentence: str) -> str | None:
    code = language()
    if (words := sentences(code).get(sentence)) is not None:
        return words
    matches = ((pattern.fullmatch(sentence), words) for pattern, words in _templates(code))
    if (found := next(((match, words) for match, words in matches if match), None)) is None:
        return None
    # A single word is a name: a tool may be called "time".
    values = {k: v if k in _FOREIGN or " " not in v else translate(v) for k, v in found[0].groupdict().items()}
    return found[1].format(**values)


def _known(text: str) -> str | None:
    """Return a sentence, or part of one, in the language in force. None where it has no words there."""
    stripped = text.strip()
    if (words := _whole(stripped)) is not None or not re.search(r" .*[.;]$", stripped, re.DOTALL):
        return words
    return (words := _whole(stripped[:-1])) and words + {".": "。", ";": "；"}[stripped[-1]]


def translate(sentence: str) -> str:
    """Return a finished sentence, or several, in the language in force; what has no words there stays English.

    The sentences of errors and warnings are written with what they are about in them. They are recognised by their
    template, so that the code that raises an error says it in one place.

    Args:
        sentence: English, as the code has put it together.
    """
    if language() == "en" or isinstance(sentence, Said) or len(sentence) > _LONGEST:
        return sentence
    if (words := _known(sentence)) is not None:
        return words
    parts = re.split(r"(?<=[.!?;]) ", sentence)
    for end in range(len(parts) - 1, 0, -1):
        if (words := _known(" ".join(parts[:end]))) is not None:
            return joined(words, translate(" ".join(parts[end:])))
    return joined(parts[0], translate(" ".join(parts[1:]))) if len(parts) > 1 else sentence


class Warnings(list[str]):
    """Sentences about what was odd, each once and in the language of the user."""

    def append(self, sentence: str) -> None:
        """Add a sentence, if it is not there."""
        if (words := translate(sentence)) not in self:
            super().append(words)


errors.translate = translate
