"""Parameters of a tool, as its JSON schema describes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rtnb.server.responder import lexicon
from rtnb.server.responder.text_extraction import stem, stems

Schema = Mapping[str, Any]
_PLACES = stems(lexicon.bag("place_parameters"))
_PEOPLE = stems(lexicon.bag("person_parameters"))
_NO_PEOPLE = {"fil", "product", "song", "item", "event"}
# What is said for a value: "dollars" for "usd".
_VALUES = {option: said.split() for option, said in lexicon.entries("values").items()}


def split_name(name: str) -> list[str]:
    """Divide a name of code into its words: `get_weather`, `getWeather` → get, weather."""
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a tool, or the items of one that is a list."""

    name: str
    schema: Schema

    @property
    def stems(self) -> set[str]:
        """Stems of its own name; those of its description are too many to decide by."""
        return {stem(word) for word in split_name(self.name)}

    @property
    def format(self) -> str:
        """Format that its schema names, such as "date"; "" for none. A description may call for an e-mail."""
        return "email" if "e-mail" in self.description else str(self.schema.get("format") or "")

    @property
    def description(self) -> str:
        """Description of it in its schema, in small letters."""
        return str(self.schema.get("description") or "").casefold()

    @property
    def kind(self) -> str:
        """JSON type of its values; "string" where the schema leaves it open."""
        kind = self.schema.get("type")
        if isinstance(kind, Sequence) and not isinstance(kind, str):
            kind = next((one for one in kind if one != "null"), None)
        if kind is None:
            branches = (one for one in self._branches("anyOf", "oneOf") if one.get("type") != "null")
            kind = next((Parameter("", one).kind for one in branches), None)
        if kind is None and "enum" in self.schema:
            kind = {bool: "boolean", int: "integer", float: "number"}.get(type(next(iter(self.schema["enum"]), "")))
        if kind is None and "properties" in self.schema:
            kind = "object"
        return str(kind or "string")

    @property
    def options(self) -> list[Any]:
        """Values that it allows; empty where any is allowed."""
        only = [self.schema["const"]] if "const" in self.schema else None
        within = [one.get("enum") for one in reversed(self._branches("oneOf", "anyOf"))]
        options = next((one for one in (self.schema.get("enum"), only, *within) if one is not None), None)
        return list(options) if isinstance(options, Sequence) and not isinstance(options, str) else []

    @property
    def is_place(self) -> bool:
        """True where it takes the name of a place."""
        return bool(self.stems & _PLACES or re.search(r"\b(?:city|country|town)\b", self.description))

    @property
    def is_person(self) -> bool:
        """True where it takes the name of a person."""
        return bool(self.stems & _PEOPLE) and not self.stems & _NO_PEOPLE

    def _branches(self, *several: str) -> list[Schema]:
        """List the schemas that it may follow instead, under these keywords."""
        listed = [self.schema[key] for key in several if isinstance(self.schema.get(key), Sequence)]
        return [one for branches in listed for one in branches if isinstance(one, Mapping)]

    def mentioned(self, text: str) -> list[Any]:
        """List the values it allows that a text mentions, in the order of the text."""
        found = [option for option in self.options if _mentions(text, str(option))]
        return sorted(found, key=lambda option: _position(text, str(option)))


def parameters(schema: Schema | None) -> list[Parameter]:
    """List the parameters of a schema of type object."""
    properties = (schema or {}).get("properties")
    listed = properties.items() if isinstance(properties, Mapping) else ()
    return [Parameter(str(name), one if isinstance(one, Mapping) else {}) for name, one in listed]


def _pattern(option: str) -> str:
    spaced = re.escape(option.replace("_", " ").replace("-", " ").strip()).replace(r"\ ", r"[\s_-]+")
    return rf"(?<!\w){spaced}(?:s|es)?(?!\w)" if option.isascii() else spaced


def _position(text: str, option: str) -> int:
    found = re.search(_pattern(option), text, re.IGNORECASE)
    return found.start() if found else len(text)


def _mentions(text: str, option: str) -> bool:
    if len(option) > 1 or option.isdigit():
        found = re.search(_pattern(option), text, re.IGNORECASE)
    else:
        found = re.search(rf"(?<!\w){re.escape(option)}(?!\w)", text)
    said = _VALUES.get(option.casefold(), ())
    return bool(option and found) or any(re.search(rf"(?<!\w){word}(?!\w)", text, re.IGNORECASE) for word in said)
