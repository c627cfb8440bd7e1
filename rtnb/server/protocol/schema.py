"""Checks that compose into the shape of a client event: each takes a value and its dotted path, and returns the value.

A check raises `ApiError` in the API's wording. All are pure and know nothing of sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rtnb.server.protocol import api_errors

# No limit is documented here; it is the one that OpenAI's chat API has for a text.
_TEXT_CHARACTERS = 1_048_576
_LEVELS = 100
_NESTING = (dict, list)  # as a tuple: `dict | list` would be made anew for every value

Check = Callable[[Any, str], Any]
Shape = Check | Mapping[str, Check]


def anything(value: Any, path: str) -> Any:
    """Take every JSON value as it is."""
    return value


def boolean(value: Any, path: str) -> Any:
    """Take true or false."""
    if not isinstance(value, bool):
        raise api_errors.wrong_type(path, "a boolean", value)
    return value


def string(maximum: float = _TEXT_CHARACTERS) -> Check:
    """Take text of at most `maximum` characters."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, str):
            raise api_errors.wrong_type(path, "a string", value)
        if len(value) > maximum:
            raise api_errors.too_long(path, int(maximum), len(value))
        return value

    return check


def integer(minimum: float, maximum: float = float("inf")) -> Check:
    """Take a whole number within its bounds; a decimal number is refused even when it is whole."""
    return _number(int, "an integer", "integer", minimum, maximum)


def number(minimum: float, maximum: float) -> Check:
    """Take a number within its bounds."""
    return _number((int, float), "a decimal number", "decimal", minimum, maximum)


def _number(kinds: Any, expected: str, noun: str, minimum: float, maximum: float) -> Check:
    def check(value: Any, path: str) -> Any:
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise api_errors.wrong_type(path, expected, value)
        if not minimum <= value <= maximum:
            raise api_errors.out_of_bounds(path, minimum if value < minimum else maximum, value, noun=noun)
        return value

    return check


def choice(*values: str) -> Check:
    """Take one of the given strings."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, str) or value not in values:
            raise api_errors.invalid_value(value, values, path)
        return value

    return check


def unless(inner: Check, *constants: Any) -> Check:
    """Take one of the constants, or whatever `inner` takes."""
    return lambda value, path: value if value in constants else inner(value, path)


def nullable(inner: Check) -> Check:
    """Take null, or whatever `inner` takes."""
    return unless(inner, None)


def where(kind: type, then: Check, otherwise: Check) -> Check:
    """Take a value of that Python type by the first check, every other by the second."""
    return lambda value, path: (then if isinstance(value, kind) else otherwise)(value, path)


def array(inner: Check, maximum: float = float("inf")) -> Check:
    """Take a list whose every element `inner` takes."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise api_errors.wrong_type(path, "an array of objects", value)
        if len(value) > maximum:
            raise api_errors.too_long(path, int(maximum), len(value), noun="array")
        return [inner(element, f"{path}[{index}]") for index, element in enumerate(value)]

    return check


@dataclass(frozen=True)
class Required:
    """Check of a field that must be there."""

    check: Check

    def __call__(self, value: Any, path: str) -> Any:
        """Take what the check takes."""
        return self.check(value, path)


def mapping(value: Any, path: str) -> Any:
    """Take an object of any fields."""
    if not isinstance(value, dict):
        raise api_errors.wrong_type(path, "an object", value)
    return value


def record(**fields: Check) -> Check:
    """Take an object with these fields and no others (recorded: an unknown key is refused by its dotted path)."""
    required = [name for name, inner in fields.items() if isinstance(inner, Required)]

    def check(value: Any, path: str) -> Any:
        mapping(value, path)
        dot = f"{path}." if path else ""
        for name in required:
            if name not in value:
                raise api_errors.missing(dot + name)
        for name in value:
            if name not in fields:
                raise api_errors.unknown(dot + name)
        return {name: fields[name](inner, dot + name) for name, inner in value.items()}

    return check


def tagged(shapes: Mapping[str, Shape], tag: str = "type", *, default: str | None = None) -> Check:
    """Take an object whose `tag` field names its shape: its further fields, or a check of the whole."""
    checks = {name: shape if callable(shape) else record(**{tag: anything, **shape}) for name, shape in shapes.items()}

    def check(value: Any, path: str) -> Any:
        mapping(value, path)
        if default is None and tag not in value:
            raise api_errors.missing(f"{path}.{tag}")
        name = value.get(tag, default)
        if not isinstance(name, str) or name not in shapes:
            raise api_errors.invalid_value(name, shapes, f"{path}.{tag}")
        return checks[name](value, path)

    return check


def too_deep(value: Any) -> bool:
    """Return whether a JSON value is nested so deeply that copying or serialising it would fail."""
    level = [value] if isinstance(value, _NESTING) else []
    for _ in range(_LEVELS):
        inner = (part for outer in level for part in (outer.values() if isinstance(outer, dict) else outer))
        level = [part for part in inner if isinstance(part, _NESTING)]
        if not level:
            return False
    return True
