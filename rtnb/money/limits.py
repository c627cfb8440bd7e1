"""Limits of the account, read from the server's words, and how long to wait before asking again.

Limits are per organisation and model. `rate_limits.updated` names tokens only (recorded), so a limit on requests is
seen first when a response fails; its message says how long to wait, or that the day's allowance is gone.
"""

import asyncio
import gc
import random
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from rtnb.errors import ConnectionFailed
from rtnb.texts.language import say, translate

CODES = frozenset({"rate_limit_exceeded", "inference_rate_limit_exceeded", "tokens_rate_limit_exceeded"})
"""Codes of a failed response that mean "later", not "never"."""

MAX_SESSIONS = 100
"""How many sessions one process holds at a time; the next one waits for its turn. No number is documented today, the
preview of 2024 allowed about 100 for the whole account."""

_TRIES = 3
_LONGEST_SECONDS = 60.0
_AGAIN = re.compile(r"try again in ((?:[\d.]+\s*(?:ms|h|m|s)\s*)+)", re.IGNORECASE)
_PART = re.compile(r"([\d.]+)\s*(ms|h|m|s)", re.IGNORECASE)
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Limit:
    """One allowance.

    Attributes:
        name: What it counts: `"tokens"` or `"requests"`.
        limit: How many there are in all.
        remaining: How many are left.
        reset_seconds: In how many seconds they will all be there again.
    """

    name: str
    limit: float
    remaining: float
    reset_seconds: float

    def __str__(self) -> str:
        counts = {"remaining": f"{self.remaining:,.0f}", "limit": f"{self.limit:,.0f}", "name": translate(self.name)}
        counts["seconds"] = f"{self.reset_seconds:.3g}"
        return say("{remaining} of {limit} {name} left, all again in {seconds} s", **counts)


class Limits(tuple[Limit, ...]):
    """Allowances as the server last stated them; empty where it never did.

    Examples:
        >>> with rtnb.connect(practice=True) as chat:
        ...     chat.limits  # before the first answer
        The server has told of no limits.
    """

    @classmethod
    def of(cls, stated: Iterable[Mapping[str, Any]]) -> "Limits":
        """Read the `rate_limits` of a `rate_limits.updated` event; what is missing counts as 0."""
        numbers = ("limit", "remaining", "reset_seconds")
        return cls(Limit(one.get("name") or "", *(float(one.get(name) or 0) for name in numbers)) for one in stated)

    def __repr__(self) -> str:
        return "\n".join(map(str, self)) or translate("The server has told of no limits.")


def wait_before(stated: Iterable[Mapping[str, Any]], age_seconds: float, tokens: int) -> float:
    """Return how long to wait before a response so that it is not refused.

    Args:
        stated: The `rate_limits` that the server stated last.
        age_seconds: How long ago it stated them.
        tokens: How many tokens the next response will read.

    Returns:
        Seconds, 0.0–60.0; 0.0 where there is room, or where nothing is known.
    """
    waits = [0.0]
    for limit in Limits.of(stated):
        needed = tokens if limit.name == "tokens" else 1
        # A response larger than the whole allowance is not helped by waiting.
        if limit.remaining < needed <= limit.limit:
            waits.append(limit.reset_seconds - age_seconds)
    return _jittered(min(max(waits), _LONGEST_SECONDS)) if max(waits) > 0 else 0.0


def wait_after(error: Mapping[str, Any], stated: Iterable[Mapping[str, Any]], tries: int) -> float | None:
    """Return how long to wait after a response failed at a limit, before asking again.

    Args:
        error: The `status_details.error` of the failed response.
        stated: The `rate_limits` that the server stated last.
        tries: How often this response was asked for already, at least 1.

    Returns:
        Seconds. None where waiting is no use: another kind of failure, the day's allowance, more than a minute, nothing
        that says how long, or after three tries.
    """
    code = str(error.get("code") or error.get("type") or "")
    said = str(error.get("message") or "")
    if code not in CODES or tries >= _TRIES or "per day" in said or "(RPD)" in said:
        return None
    if match := _AGAIN.search(said):
        seconds = sum(float(n) * _UNIT_SECONDS[unit.lower()] for n, unit in _PART.findall(match[1]))
    elif resets := [limit.reset_seconds for limit in Limits.of(stated) if not limit.remaining]:
        seconds = max(resets)
    else:
        return None
    return _jittered(seconds) if seconds <= _LONGEST_SECONDS else None


def _jittered(seconds: float) -> float:
    """Return a little more, each time by another amount, so that thirty learners do not come back at once."""
    return seconds * (1 + random.random() / 4) + random.random() * 0.1


# --- sessions at a time, on the I/O thread only ---------------------------------------------------------------------

_places = asyncio.Semaphore(MAX_SESSIONS)
_holders: set[Callable[[float], bool]] = set()
_IDLE_SECONDS = 5.0


@asynccontextmanager
async def slot(tell: Callable[[str], None], busy: Callable[[float], bool]) -> AsyncIterator[None]:
    """Hold one of the places for sessions, waiting for it where all are taken, as long as there is hope.

    Args:
        tell: Called with a plain sentence where it must wait.
        busy: Returns whether anything happened in this session in the last so many seconds.

    Raises:
        ConnectionFailed: If nothing happens in any of the others.
    """
    places, remedy = _places, "Close those you no longer need with their close()."
    if places.locked():
        gc.collect()  # those that nobody holds any more close now, also where they are part of a circle
        tell(f"You have {MAX_SESSIONS} sessions open, so this one waits until another ends. {remedy}")
    while True:
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                await places.acquire()
            break
        except TimeoutError:
            if not any(is_busy(_IDLE_SECONDS) for is_busy in _holders):
                idle = f"You have {MAX_SESSIONS} sessions open, and nothing happens in any, so no other is opened."
                raise ConnectionFailed(f"{idle} {remedy}") from None
    _holders.add(busy)
    try:
        yield
    finally:
        _holders.discard(busy)
        places.release()
