"""Small checks that compose into the shape of a client event: a value and its dotted path in, the value out.

Each check raises `Problem` in the API's wording. They are pure and know nothing of sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rtnb.server.protocol import api_errors

__all__ = [
    "Check",
    "anything",
    "array",
    "boolean",
    "choice",
    "integer",
    "nullable",
    "number",
    "record",
    "string",
    "tagged",
    "too_deep",
]

# No limit is documented here; it is the one that OpenAI's chat API gives for a text.
_TEXT_CHARACTERS = 1_048_576
_LEVELS = 100
_NESTING = (dict, list)  # as a tuple: `dict | list` would be made anew for every value

Check = Callable[[Any, str], Any]


def anything(value: Any, path: str) -> Any:
    """Takes every JSON value as it is."""
    return value


def boolean(value: Any, path: str) -> Any:
    """true or false."""
    if not isinstance(value, bool):
        raise api_errors.wrong_type(path, "a boolean", value)
    return value


def string(maximum: int | None = _TEXT_CHARACTERS) -> Check:
    """Text of at most `maximum` characters; None means any length."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, str):
            raise api_errors.wrong_type(path, "a string", value)
        if maximum is not None and len(value) > maximum:
            raise api_errors.too_long(path, maximum, len(value))
        return value

    return check


def integer(minimum: int | None = None, maximum: int | None = None) -> Check:
    """A whole number within its bounds; a decimal number is refused even when it is whole."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            raise api_errors.wrong_type(path, "an integer", value)
        if minimum is not None and value < minimum:
            raise api_errors.below_minimum(path, minimum, value)
        if maximum is not None and value > maximum:
            raise api_errors.above_maximum(path, maximum, value)
        return value

    return check


def number(minimum: float, maximum: float) -> Check:
    """A number within its bounds."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise api_errors.wrong_type(path, "a decimal number", value)
        if value < minimum:
            raise api_errors.below_minimum(path, minimum, value, noun="decimal")
        if value > maximum:
            raise api_errors.above_maximum(path, maximum, value, noun="decimal")
        return value

    return check


def choice(*values: str) -> Check:
    """One of the given strings."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, str) or value not in values:
            raise api_errors.invalid_value(value, values, path)
        return value

    return check


def nullable(inner: Check) -> Check:
    """null, or whatever `inner` takes."""

    def check(value: Any, path: str) -> Any:
        return None if value is None else inner(value, path)

    return check


def array(inner: Check, maximum: int | None = None) -> Check:
    """A list whose every element `inner` takes."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise api_errors.wrong_type(path, "an array of objects", value)
        if maximum is not None and len(value) > maximum:
            raise api_errors.too_long(path, maximum, len(value), noun="array")
        return [inner(element, f"{path}[{index}]") for index, element in enumerate(value)]

    return check


def record(fields: Mapping[str, Check], required: Sequence[str] = ()) -> Check:
    """An object with these fields and no others (recorded: an unknown key is refused by its dotted path)."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise api_errors.wrong_type(path, "an object", value)
        dot = f"{path}." if path else ""
        for name in required:
            if name not in value:
                raise api_errors.missing(dot + name)
        for name in value:
            if name not in fields:
                raise api_errors.unknown(dot + name)
        return {name: fields[name](inner, dot + name) for name, inner in value.items()}

    return check


def tagged(shapes: Mapping[str, Check], tag: str = "type") -> Check:
    """An object whose `tag` field says which of the shapes it has."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise api_errors.wrong_type(path, "an object", value)
        if tag not in value:
            raise api_errors.missing(f"{path}.{tag}")
        name = value[tag]
        if not isinstance(name, str) or name not in shapes:
            raise api_errors.invalid_value(name, shapes, f"{path}.{tag}")
        return shapes[name](value, path)

    return check


def too_deep(value: Any) -> bool:
    """Whether a JSON value is nested so deeply that copying it or writing it down would fail."""
    level = [value] if isinstance(value, _NESTING) else []
    for _ in range(_LEVELS):
        inner = (part for outer in level for part in (outer.values() if isinstance(outer, dict) else outer))
        level = [part for part in inner if isinstance(part, _NESTING)]
        if not level:
            return False
    return True
