"""What the server refuses, in the API's own codes and wording.

Codes, params and wording follow recorded errors where there are recordings, else the SDK's docstrings; where the
wording is our best guess the function says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = [
    "ApiError",
    "above_maximum",
    "below_minimum",
    "invalid_value",
    "missing",
    "too_long",
    "unknown",
    "wrong_type",
]


class ApiError(Exception):
    """One refusal: what a single `error` event says. The session goes on.

    Args:
        message: The sentence the client reads.
        code: The API's error code, or None where it gives none.
        param: The dotted path of the field at fault, or None.
        type: `"invalid_request_error"` or `"server_error"`.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        type: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.type = type

    def error(self, event_id: str | None = None) -> dict[str, Any]:
        """The `error` object of the event; `event_id` is the client event's own, if it had one."""
        return {
            "type": self.type,
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "event_id": event_id,
        }


def _quoted(values: Iterable[str]) -> str:
    names = [f"'{value}'" for value in values]
    if len(names) < 2:
        return "".join(names)
    if len(names) == 2:
        return " and ".join(names)
    return ", ".join(names[:-1]) + ", and " + names[-1]  # recorded: the list of event types has the serial comma


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, float):
        return "a decimal number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


def unknown(path: str) -> ApiError:
    """A field the API does not have (recorded wording)."""
    return ApiError(f"Unknown parameter: '{path}'.", code="unknown_parameter", param=path)


def missing(path: str) -> ApiError:
    """A field that must be there (recorded wording)."""
    return ApiError(f"Missing required parameter: '{path}'.", code="missing_required_parameter", param=path)


def invalid_value(value: Any, supported: Iterable[str], path: str) -> ApiError:
    """A value outside its list (recorded wording)."""
    shown = value if isinstance(value, str) else repr(value)
    message = f"Invalid value: '{str(shown)[:100]}'. Supported values are: {_quoted(supported)}."
    return ApiError(message, code="invalid_value", param=path)


def wrong_type(path: str, expected: str, value: Any) -> ApiError:
    """A value of another JSON kind (wording reported for `audio_end_ms`)."""
    message = f"Invalid type for '{path}': expected {expected}, but got {_kind(value)} instead."
    return ApiError(message, code="invalid_type", param=path)


def below_minimum(path: str, minimum: float, value: float, *, noun: str = "integer") -> ApiError:
    """A number under its minimum (wording recorded for the PCM rate, reported for `audio_end_ms`)."""
    message = f"Invalid '{path}': {noun} below minimum value. Expected a value >= {minimum}, but got {value} instead."
    return ApiError(message, code=f"{noun}_below_min_value", param=path)


def above_maximum(path: str, maximum: float, value: float, *, noun: str = "integer") -> ApiError:
    """A number over its maximum (message reported; the code is unconfirmed)."""
    message = f"Invalid '{path}': {noun} above maximum value. Expected a value <= {maximum}, but got {value} instead."
    return ApiError(message, code=f"{noun}_above_max_value", param=path)


def too_long(path: str, maximum: int, length: int, *, noun: str = "string") -> ApiError:
    """Text, a list or an object over its maximum length (unconfirmed here; the form of OpenAI's other APIs)."""
    message = (
        f"Invalid '{path}': {noun} too long. Expected {'an' if noun[0] in 'ao' else 'a'} {noun} "
        f"with maximum length {maximum}, but got one with length {length} instead."
    )
    return ApiError(message, code=f"{noun}_above_max_length", param=path)
