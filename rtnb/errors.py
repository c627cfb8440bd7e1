"""The tree of things that go wrong.

Every message says first who is to blame ("Your key …", "The file …", "The server …") and last what to do.
Whatever a program may want to act on is an attribute, so that nobody has to parse a sentence. A key never
survives into a message: masking happens in the one constructor all errors share.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = [
    "AudioError",
    "BudgetExceeded",
    "ConnectionFailed",
    "InputError",
    "KeyMissing",
    "KeyRefused",
    "ReplayError",
    "ResponseFailed",
    "RtnbError",
    "RtnbWarning",
    "ServerError",
    "ToolFailed",
    "mask_secrets",
]

# What looks like a secret: OpenAI's own prefixes (sk-, sk-proj-, ek_), with the stars the server itself puts in the
# middle of a key it quotes back ("sk-xx***…AAAA", recorded), the browser subprotocol that carries a key, and the
# headers that carry one, whatever its form (Azure's keys have no prefix).
_SECRET = re.compile(
    r"(?P<prefix>\b(?:sk-(?:proj-|svcacct-|admin-)?|ek_))[A-Za-z0-9_*.…\-]{3,}"
    r"|(?P<protocol>openai-insecure-api-key\.)[^\s,\"']+"
    r"|(?P<header>(?:authorization[\"']?\s*[:=]\s*[\"']?bearer|\bbearer|api-key[\"']?\s*[:=])\s+[\"']?)[A-Za-z0-9_*.\-]{8,}",
    re.IGNORECASE,
)


def mask_secrets(text: str) -> str:
    """Replace everything in `text` that looks like an API key by its kind and an ellipsis.

    Args:
        text: Any text, for example a server's error message, which may quote part of a key.

    Returns:
        The text with `sk-…`, `ek_…`, bearer tokens and key-carrying subprotocols cut to their prefix.
    """

    def cut(match: re.Match[str]) -> str:
        return (match["prefix"] or match["protocol"] or match["header"]) + "…"

    return _SECRET.sub(cut, text)


class RtnbError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        message: Who is to blame, what happened, and last what to do. Secrets in it are masked.
        **data: What a program may want to act on; each becomes an attribute.
    """

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(mask_secrets(message))
        for name, value in data.items():
            setattr(self, name, value)


class RtnbWarning(UserWarning):
    """Something a person should know, which stops nothing."""


class InputError(RtnbError, ValueError):
    """An argument is not what the call takes."""


class AudioError(RtnbError, ValueError):
    """A recording cannot be read, or not written as asked.

    Attributes:
        name: The file's name, or a description of where the sound came from.
        problem: What was wrong, in a few words.
    """

    name: str = ""
    problem: str = ""


class KeyMissing(RtnbError):
    """No API key was found.

    Attributes:
        looked: Where it was looked for and what was found there, as `(place, outcome)` pairs.
    """

    looked: tuple[tuple[str, str], ...] = ()


class KeyRefused(RtnbError):
    """The server does not accept the key.

    Attributes:
        code: The server's error code or HTTP status, for example `"invalid_api_key"`. None where it gave none.
    """

    code: str | None = None


class ConnectionFailed(RtnbError, ConnectionError):
    """The socket could not be opened, or ended before the work was done.

    Attributes:
        code: WebSocket close code (1000–4999) or HTTP status. None where the failure came before either.
        reason: The close reason or what the operating system said, as it came; "" where nothing was said.
        url: The address without query secrets.
    """

    code: int | None = None
    reason: str = ""
    url: str = ""


class ServerError(RtnbError):
    """The server answered a client event with an `error` event.

    Attributes:
        type: The server's error type, for example `"invalid_request_error"`.
        code: The server's error code, for example `"unknown_parameter"`. None where it gave none.
        param: Which field it complains of. None where it named none.
        event: The whole `error` event as it came.
    """

    type: str = ""
    code: str | None = None
    param: str | None = None
    event: dict[str, Any] | None = None


class ResponseFailed(RtnbError):
    """A response ended with status `failed`.

    Attributes:
        reply: The `Reply`, with everything that arrived before the failure.
        code: The server's error code, for example `"rate_limit_exceeded"`. None where it gave none.
    """

    reply: Any = None
    code: str | None = None


class BudgetExceeded(RtnbError):
    """The next response would cost, or the last one has cost, more than the budget allows.

    Attributes:
        limit_usd: The budget in US dollars.
        spent_usd: What has been spent of it, in US dollars.
        reply: The `Reply` that was stopped or refused. None where no reply was under way.
    """

    limit_usd: float = 0.0
    spent_usd: float = 0.0
    reply: Any = None


class ToolFailed(RtnbError):
    """A tool's function raised, timed out, was unknown or was called with arguments it does not take.

    Attributes:
        tool: The tool's name.
        arguments: The arguments as the model wrote them.
    """

    tool: str = ""
    arguments: str = ""


class ReplayError(RtnbError):
    """A recording of a session cannot be read, or does not hold what was asked of it."""
