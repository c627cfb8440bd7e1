"""Say the practice brain's set phrases, in the languages it has them in."""

from __future__ import annotations

import tomllib
from pathlib import Path

__all__ = ["PHRASES", "phrase"]

PHRASES: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_name("templates.toml").read_text("utf-8"))
"""The phrases by their names, for each language; English has all of them."""


def phrase(language: str, key: str, **filled: object) -> str:
    """Return one set phrase in a language, or in English where it is not known in that one."""
    text = PHRASES.get(language, {}).get(key) or PHRASES["en"][key]
    return text.format(**filled)
