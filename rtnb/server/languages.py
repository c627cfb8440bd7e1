"""Language of a text, by its script and its commonest words.

Rules are enough here: the practice server has to pick a voice and a template, and a wrong guess costs an accent.
"""

import functools
import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_LANGUAGES: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


def _column(key: str) -> dict[str, Any]:
    """Return one entry of every language that has it."""
    return {code: entries[key] for code, entries in _LANGUAGES.items() if key in entries}


# Names of the languages: in English first, in the language itself, and in others.
NAMES: dict[str, list[str]] = _column("names")
_CODES = {name.casefold(): code for code, names in NAMES.items() for name in names}
_EACH = (rf"(?<!\w){name}(?!\w)" if name.isascii() else name for name in sorted(_CODES, key=len, reverse=True))
_NAMED = re.compile("|".join(_EACH))
_COMMON = {code: frozenset(words.split()) for code, words in _column("words").items()}
_MARKS = _column("marks")
_WRITTEN_LIKE = _column("script")
_LETTERS = _column("letters")
_BLOCKS = [(first, last, code) for code, blocks in _column("blocks").items() for first, last in blocks]

# Names of code and products are Latin in any language: response.create, output_audio, WebRTC, gpt-4o.
_IDENTIFIER = re.compile(r"\b[A-Za-z]+(?:[._]\w|-?\d|(?<=[a-z])[A-Z])[\w.\-]*", re.ASCII)


def _script(character: str) -> str | None:
    """Return the language of a character's script; "" for Latin letters, None for what belongs to any."""
    code = ord(character)
    if code < 0x0250:
        return "" if character.isalpha() else None
    for first, last, language in _BLOCKS:
        if first <= code <= last:
            return language if character.isalnum() or language in ("th", "hi", "ar", "he") else None
    return "" if 0x1E00 <= code <= 0x1EFF else None


def guess(text: str, default: str = "en") -> str:
    """Guess the language of a text.

    Args:
        text: Any text.
        default: What to return where no script and no word shows it, as for `"OK 42"`.

    Returns:
        An ISO 639-1 code such as `"en"`, `"zh"` or `"fr"`.
    """
    text = _IDENTIFIER.sub(" ", text[:4000])
    if not (scripts := Counter(script for character in text if (script := _script(character)) is not None)):
        return default
    if scripts["ja"]:  # kana between Chinese characters make it Japanese
        scripts["ja"] += scripts.pop("zh", 0)
    # One Chinese character stands for a word, which Latin writes with about four letters.
    weights = {script: count * (4 if script in ("zh", "ja", "ko") else 1) for script, count in scripts.items()}
    top = max(weights, key=lambda script: weights[script])
    if top:
        low = text.casefold()
        alike = (code for code, letters in _LETTERS.items() if _WRITTEN_LIKE[code] == top and set(letters) & set(low))
        return next(alike, top)
    low = text.casefold()
    words = set(re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?", low.replace("’", "'")))
    # "die", "no" and "a" are words of many languages: one of up to three plain letters is half a sign ("I'm" is not).
    scores = {
        language: sum(0.5 if len(word) <= 3 and word.isascii() and word.isalpha() else 1.0 for word in words & common)
        + 1.5 * sum(low.count(mark) for mark in _MARKS.get(language, ""))
        for language, common in _COMMON.items()
    }
    best = max(scores, key=lambda language: (scores[language], language == default, language == "en"))
    return best if scores[best] >= 1 else default


def runs(text: str, language: str) -> list[tuple[str, str]]:
    """Cut a text where its script changes to one the language is not written in.

    Args:
        text: One sentence.
        language: What the sentence as a whole is in.

    Returns:
        (language, text) pairs which joined give the text again. Latin words inside another script stay where they
        are, as most voices of such languages read them.
    """
    home = _WRITTEN_LIKE.get(language, language)
    found: list[tuple[str, str]] = []
    for character in text:
        script = _script(character)
        now = script if script and script != home and not (home == "ja" and script == "zh") else language
        if script is None and found:  # spaces, digits and marks stay with what they follow
            now = found[-1][0]
        if found and found[-1][0] == now:
            found[-1] = (now, found[-1][1] + character)
        else:
            found.append((now, character))
    return found


def named(text: str) -> list[str]:
    """List the languages a text names, such as "answer in French" or "用中文回答".

    Returns:
        ISO 639-1 codes in the order in which they are named.
    """
    return list(dict.fromkeys(_CODES[match[0]] for match in _NAMED.finditer(text.casefold())))


# Chinese and Japanese characters and marks.
_UNSPACED = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


def gap(before: str, after: str) -> str:
    """Return what stands between two sentences: a space, but nothing between Chinese or Japanese ones."""
    if not before or before[-1].isspace() or after[:1].isspace() or _UNSPACED.match(before[-1]):
        return ""
    # 你说：“今天很冷”关于… : these quotation marks are those of English too.
    return "" if before[-1] in "”’" and _UNSPACED.match(after) else " "


def together(texts: Iterable[str]) -> str:
    """Join sentences, with a space between them where their language has one; empty ones are left out."""
    return functools.reduce(lambda joined, text: joined + gap(joined, text) + text, filter(None, texts), "")


def closed(text: str) -> str:
    """Return a text with a mark at its end."""
    return text if text[-1:] in ".!?。！？…" else text + ("。" if _UNSPACED.match(text[-1:]) else ".")
