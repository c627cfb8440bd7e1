"""Parameters of a tool, as its JSON schema describes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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


class Parameter:
    """One parameter of a tool, or the items of one that is a list.

    Attributes:
        name: Its name.
        schema: Its JSON schema.
        stems: Stems of its own name; those of its description are too many to decide by.
        description: Description of it in its schema, in small letters.
        format: Format that its schema names, such as "date"; "" for none. A description may call for an e-mail.
        options: Values that it allows; empty where any is allowed.
        kind: JSON type of its values; "string" where the schema leaves it open.
        is_place: True where it takes the name of a place.
        is_person: True where it takes the name of a person.
    """

    def __init__(self, name: str, schema: Any) -> None:
        self.name = name
        self.schema: Schema = schema if isinstance(schema, Mapping) else {}
        self.stems = {stem(word) for word in split_name(name)}
        self.description = str(self.schema.get("description") or "").casefold()
        self.format = "email" if "e-mail" in self.description else str(self.schema.get("format") or "")
        self.options = self._options()
        self.kind = self._kind()
        self.is_place = bool(self.stems & _PLACES or re.search(r"\b(?:city|country|town)\b", self.description))
        self.is_person = bool(self.stems & _PEOPLE) and not self.stems & _NO_PEOPLE

    def _kind(self) -> str:
        kind = self.schema.get("type")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), None)
        if kind is None:
            branches = (one for one in self._branches("anyOf", "oneOf") if one.get("type") != "null")
            kind = next((Parameter("", one).kind for one in branches), None)
        if kind is None and "enum" in self.schema:
            kind = {bool: "boolean", int: "integer", float: "number"}.get(type(next(iter(self.options), "")))
        return str(kind or ("object" if "properties" in self.schema else "string"))

    def _options(self) -> list[Any]:
        only = [self.schema["const"]] if "const" in self.schema else None
        within = [one.get("enum") for one in reversed(self._branches("oneOf", "anyOf"))]
        options = next((one for one in (self.schema.get("enum"), only, *within) if one is not None), None)
        return options if isinstance(options, list) else []

    def _branches(self, *several: str) -> list[Schema]:
        """List the schemas that it may follow instead, under these keywords."""
        listed = [self.schema[key] for key in several if isinstance(self.schema.get(key), list)]
        return [one for branches in listed for one in branches if isinstance(one, Mapping)]

    def mentioned(self, text: str) -> list[Any]:
        """List the values it allows that a text mentions, in the order of the text."""
        found = [option for option in self.options if _mentions(text, str(option))]
        return sorted(found, key=lambda option: _position(text, str(option)))


def functions(tools: Sequence[Schema]) -> list[Schema]:
    """List the tools that are functions with a name, whatever else a client may have listed."""
    return [tool for tool in tools if tool["type"] == "function" and tool["name"]]


def parameters(schema: Any) -> list[Parameter]:
    """List the parameters of a schema of type object."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    return [Parameter(*entry) for entry in properties.items()] if isinstance(properties, Mapping) else []


def _find(option: str, text: str) -> re.Match[str] | None:
    spaced = re.escape(option.replace("_", " ").replace("-", " ").strip()).replace(r"\ ", r"[\s_-]+")
    pattern = rf"(?<!\w){spaced}(?:s|es)?(?!\w)" if option.isascii() else spaced
    return re.search(pattern, text, re.IGNORECASE)


def _position(text: str, option: str) -> int:
    found = _find(option, text)
    return found.start() if found else len(text)


def _mentions(text: str, option: str) -> bool:
    alone = len(option) == 1 and not option.isdigit()
    found = re.search(rf"(?<!\w){re.escape(option)}(?!\w)", text) if alone else option and _find(option, text)
    said = _VALUES.get(option.casefold(), ())
    return bool(found) or any(re.search(rf"(?<!\w){word}(?!\w)", text, re.IGNORECASE) for word in said)
