"""Errors in the API's own codes and wording.

Codes, params and wording follow recorded errors where there are recordings, else the SDK's docstrings; where the
wording is our best guess the function says so.
"""

from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Any


class ApiError(Exception):
    """Error that one `error` event reports. The session goes on.

    Attributes:
        message: The sentence that the client reads.
        code: The API's error code, or None where it has none.
        param: The dotted path of the field at fault, or None.
        type: The API's type of error: the client is to blame. What the server fails at is a fault (`faults.py`).
    """

    type = "invalid_request_error"

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message, self.code, self.param = message, code, param

    def error(self, event_id: str | None = None) -> dict[str, Any]:
        """Return the event's `error` object; `event_id` is the client event's own, if it had one."""
        return {**{name: getattr(self, name) for name in ("type", "code", "message", "param")}, "event_id": event_id}


_SENTENCES = {
    "insufficient_quota": "You exceeded your current quota, please check your plan and billing details.",
    "rate_limit_exceeded": "Rate limit reached on requests per day (RPD): Limit 1000, Used 1000, Requested 1.",
    "server_error": "The server had an error while processing your request. Sorry about that!",
}
# Errors of responses that fail, by their codes (the last one has only a type).
FAILURES: Mapping[str, dict[str, Any]] = {
    kind: {"type": kind, "code": None if kind == "server_error" else kind, "message": sentence}
    for kind, sentence in _SENTENCES.items()
}


class Ended(Exception):
    """Raised where a response ends early; its arguments are its status and what `status_details` says besides."""


_KINDS: dict[type, str] = {NoneType: "null", bool: "a boolean", int: "an integer", float: "a decimal number"}
_KINDS |= {str: "a string", list: "an array", dict: "an object"}


def unknown(path: str) -> ApiError:
    """Return the error for a field that the API does not have (recorded wording)."""
    return ApiError(f"Unknown parameter: '{path}'.", code="unknown_parameter", param=path)


def missing(path: str) -> ApiError:
    """Return the error for a field that must be there (recorded wording)."""
    return ApiError(f"Missing required parameter: '{path}'.", code="missing_required_parameter", param=path)


def invalid_value(value: Any, supported: Iterable[str], path: str) -> ApiError:
    """Return the error for a value outside its list (recorded wording)."""
    shown, names = value if isinstance(value, str) else repr(value), [f"'{value}'" for value in supported]
    # Recorded: the list of event types has the serial comma.
    listed = " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])}, and {names[-1]}"
    message = f"Invalid value: '{shown[:100]}'. Supported values are: {listed}."
    return ApiError(message, code="invalid_value", param=path)


def wrong_type(path: str, expected: str, value: Any) -> ApiError:
    """Return the error for a value of another JSON kind (wording reported for `audio_end_ms`)."""
    message = f"Invalid type for '{path}': expected {expected}, but got {_KINDS[type(value)]} instead."
    return ApiError(message, code="invalid_type", param=path)


def out_of_bounds(path: str, bound: float, value: float, *, noun: str = "integer") -> ApiError:
    """Return the error for a number on the wrong side of a bound.

    The wording is recorded for the minimum of the PCM rate and reported for `audio_end_ms`; the code for a maximum
    is unconfirmed.
    """
    side, sign, code = ("below minimum", ">=", "below_min") if value < bound else ("above maximum", "<=", "above_max")
    message = f"Invalid '{path}': {noun} {side} value. Expected a value {sign} {bound}, but got {value} instead."
    return ApiError(message, code=f"{noun}_{code}_value", param=path)


def too_long(path: str, maximum: int, length: int, *, noun: str = "string") -> ApiError:
    """Return the error for a text, list or object over its length (unconfirmed; as in OpenAI's other APIs)."""
    article = "an" if noun[0] in "ao" else "a"
    expected = f"Expected {article} {noun} with maximum length {maximum}, but got one with length {length} instead."
    return ApiError(f"Invalid '{path}': {noun} too long. {expected}", code=f"{noun}_above_max_length", param=path)
