"""Language of the user: English, which stands in the code, or Simplified Chinese, from `zh.toml`.

Widgets follow the browser's language, which the kernel does not know; what Python itself writes follows the
environment (`LANG`). `rtnb.language("zh")` decides for both.
"""

from __future__ import annotations

import locale
import os
import tomllib
from functools import cache
from importlib.resources import files

from rtnb.errors import InputError

_KNOWN = ("en", "zh")

_chosen: str | None = None


@cache
def chinese(*areas: str) -> dict[str, str]:
    """Return the Chinese of sentences by their English.

    Args:
        *areas: Tables of `zh.toml`; none means all. A short sentence may have another Chinese in another table.
    """
    tables = tomllib.loads((files("rtnb") / "texts" / "zh.toml").read_text("utf-8"))
    return {english: words for area in areas or tables for english, words in tables[area].items()}


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
    """
    global _chosen
    if name is not None:
        known = None if name == "auto" else _known(name)
        if name != "auto" and known is None:
            message = f"Your language {name!r} is not one rtnb has texts in. Take one of: {', '.join(_KNOWN)}, auto."
            raise InputError(message, name=name)
        _chosen = known
    return _chosen or _of_environment()


def chosen() -> str:
    """Return the language that was chosen: "en", "zh", or "" where the browser decides."""
    return _chosen or ""


def _known(tag: str) -> str | None:
    """Return the language of a tag such as `zh_CN.UTF-8`, or None where there are no texts in it."""
    first = tag.replace("_", "-").split("-")[0].split(".")[0].lower()
    return first if first in _KNOWN else None


def _of_environment() -> str:
    # The order in which POSIX and gettext look: LANGUAGE, LC_ALL, LC_MESSAGES, LANG.
    values = (os.environ.get(name, "") for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"))
    tag = next(filter(None, ":".join(values).split(":")), None)
    # Windows sets none of them.
    return _known(tag or locale.getlocale()[0] or "en") or "en"


def say(english: str, **values: object) -> str:
    """Return a sentence in the language in force.

    Args:
        english: The sentence in English, which is its key in `zh.toml`.
        **values: What its braces stand for.
    """
    sentence = chinese().get(english, english) if language() == "zh" else english
    return sentence.format(**values) if values else sentence
