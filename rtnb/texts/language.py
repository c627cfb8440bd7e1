"""The language a person reads: English or Simplified Chinese, from one file of texts.

Widgets follow the browser's language, which the kernel does not know; what Python itself writes follows the
environment (`LANG`). `rtnb.language("zh")` decides for both.
"""

from __future__ import annotations

import json
import locale
import os
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from rtnb.errors import InputError

_chosen: str | None = None


@cache
def _chinese() -> dict[str, str]:
    """Return the Chinese of every sentence, by its English."""
    areas = tomllib.loads((files("rtnb") / "texts" / "zh.toml").read_text("utf-8"))
    return {english: chinese for sentences in areas.values() for english, chinese in sentences.items()}


@cache
def _all() -> dict[str, dict[str, str]]:
    return dict(json.loads((files("rtnb") / "texts" / "texts.json").read_text("utf-8")))


def language(name: str | None = None) -> str:
    """Choose the language of widgets and cards, or ask which one is in force.

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
    """
    global _chosen
    if name is not None:
        known = None if name == "auto" else _known(name)
        if name != "auto" and known is None:
            raise InputError(
                f"Your language {name!r} is not one rtnb has texts in. Take one of: {', '.join(_all())}, auto.",
                name=name,
            )
        _chosen = known
    return _chosen or _of_environment()


def chosen() -> str:
    """What `language` was told: "en", "zh", or "" where the browser decides."""
    return _chosen or ""


def _known(tag: str) -> str | None:
    """The language of a tag such as `zh_CN.UTF-8`. None where there are no texts in it."""
    first = tag.replace("_", "-").split("-")[0].split(".")[0].lower()
    return first if first in _all() else None


def _of_environment() -> str:
    # The order in which POSIX and gettext look: LANGUAGE, LC_ALL, LC_MESSAGES, LANG.
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        for tag in filter(None, os.environ.get(name, "").split(":")):
            return _known(tag) or "en"
    # Windows sets none of them.
    return _known(locale.getlocale()[0] or "en") or "en"


def say(english: str, **values: object) -> str:
    """Return a sentence in the language in force.

    Args:
        english: The sentence in English, which is its key in `zh.toml`.
        **values: What its braces stand for.
    """
    sentence = _chinese().get(english, english) if language() == "zh" else english
    return sentence.format(**values) if values else sentence


def text(key: str, **values: object) -> str:
    """One text in the language in force.

    Args:
        key: Its name in `texts.json`, for example `"live.sending"`.
        **values: What its braces stand for.

    Raises:
        KeyError: There is no such text.
    """
    return _all()[language()][key].format(**values)


def texts(*prefixes: str) -> Mapping[str, Mapping[str, str]]:
    """All texts whose names begin with one of the prefixes and a dot, by language and name, for a widget's page."""
    starts = tuple(f"{prefix}." for prefix in prefixes)
    return {
        name: {key: value for key, value in entries.items() if key.startswith(starts)}
        for name, entries in _all().items()
    }
