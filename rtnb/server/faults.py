"""Things going wrong on purpose, repeatably: what a server option or a URL's `fault=` asks for.

A fault is `name`, `name:number` or `name:number:number`; several are separated by commas, as in
`?fault=delay:0.2,drop:40&seed=7`. Some change how a session answers (`Options`), the rest what happens to its frames
on their way out (`Line`). Both are pure: times in, times out, chance only from the seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import orjson

from rtnb.errors import InputError
from rtnb.server.protocol.effects import Close, Send
from rtnb.server.protocol.session import Options

__all__ = ["FAULTS", "Drop", "FaultInjector", "Faults", "Frame", "read_faults"]

FAULTS: Mapping[str, str] = {
    "quota": "every response fails with insufficient_quota; quota:N only the Nth",
    "rate_limit": "every response fails with rate_limit_exceeded; rate_limit:N only the Nth",
    "server_error": "every response fails with server_error; server_error:N only the Nth",
    "error": "error:N sends a server_error event after the Nth event",
    "no_rate_limits": "rate_limits.updated never comes",
    "late_rate_limits": "late_rate_limits:S sends rate_limits.updated S seconds after response.done",
    "delay": "delay:S holds every event back by S seconds",
    "jitter": "jitter:S holds every event back by up to S seconds more, keeping their order",
    "drip": "drip:S leaves at least S seconds between two events",
    "burst": "sound comes all at once",
    "pace": "pace:X sends sound X times faster than it plays (1 is as fast as it plays)",
    "drop": "drop:N ends the socket without a word after the Nth event",
    "close": "close:CODE:N closes with CODE after the Nth event (N 1 if left out)",
    "malformed": "malformed:N cuts the Nth event in half, so that it is no JSON",
    "unknown": "unknown:N sends an event of an unknown type after the Nth event",
    "odd_last_chunk": "the last audio delta begins in the middle of a sample",
    "reorder": "input transcription events come later, between whatever else comes",
    "deaf": "the recogniser fails: input_audio_transcription.failed",
    "mute": "the voice fails in the middle of an answer",
    "expire": "expire:S ends the session after S seconds (session_expired, then 1001)",
    "refuse": "refuse:STATUS answers the upgrade with this HTTP status (403, 401, 429 …)",
    "invalid_key": "the key is refused inside the socket (close 3000)",
}
"""Every fault, and what it does."""

_FAILURES: Mapping[str, dict[str, Any]] = {
    "quota": {
        "type": "insufficient_quota",
        "code": "insufficient_quota",
        "message": "You exceeded your current quota, please check your plan and billing details.",
    },
    "rate_limit": {
        "type": "rate_limit_exceeded",
        "code": "rate_limit_exceeded",
        "message": "Rate limit reached on requests per day (RPD): Limit 1000, Used 1000, Requested 1.",
    },
    "server_error": {
        "type": "server_error",
        "code": None,
        "message": "The server had an error while processing your request. Sorry about that!",
    },
}


@dataclass(frozen=True)
class Faults:
    """What is to go wrong; None or False for what is not. Counts are from 1, times in seconds."""

    quota: int | None = None
    rate_limit: int | None = None
    server_error: int | None = None
    error: int | None = None
    no_rate_limits: bool = False
    late_rate_limits: float | None = None
    delay: float = 0.0
    jitter: float = 0.0
    drip: float = 0.0
    burst: bool = False
    pace: float | None = None
    drop: int | None = None
    close: tuple[int, int] | None = None
    malformed: int | None = None
    unknown: int | None = None
    odd_last_chunk: bool = False
    reorder: bool = False
    deaf: bool = False
    mute: bool = False
    expire: float | None = None
    refuse: int | None = None
    invalid_key: bool = False

    def __bool__(self) -> bool:
        return self != Faults()

    def merged(self, other: Faults) -> Faults:
        """These, with the other's wherever it has any."""
        plain = Faults()
        changed: dict[str, Any] = {f.name: getattr(other, f.name) for f in fields(self)}
        return replace(self, **{name: value for name, value in changed.items() if value != getattr(plain, name)})

    def options(self, options: Options) -> Options:
        """The session options with what these change of them."""
        for name, failure in _FAILURES.items():
            which = getattr(self, name)
            if which is not None:
                options = replace(options, failure=failure, failing=which or None)
        if self.no_rate_limits:
            options = replace(options, rate_limits_after=None)
        if self.late_rate_limits is not None:
            options = replace(options, rate_limits_after=self.late_rate_limits)
        if self.burst or self.pace is not None:
            options = replace(options, pace=0.0 if self.burst else self.pace or 0.0)
        if self.expire is not None:
            options = replace(options, session_seconds=self.expire)
        return replace(options, odd_last_chunk=self.odd_last_chunk or options.odd_last_chunk)


def _flag(numbers: list[str]) -> bool:
    if numbers:
        raise ValueError
    return True


def _count(numbers: list[str]) -> int:
    (number,) = numbers
    if int(number) < 1:
        raise ValueError
    return int(number)


def _which(numbers: list[str]) -> int:
    return _count(numbers) if numbers else 0


def _seconds(numbers: list[str]) -> float:
    (number,) = numbers
    seconds = float(number)
    if not 0 <= seconds <= 86_400:
        raise ValueError
    return seconds


def _close(numbers: list[str]) -> tuple[int, int]:
    code, *rest = numbers
    if not (1000 <= int(code) <= 4999) or int(code) in (1004, 1005, 1006, 1015) or len(rest) > 1:
        raise ValueError
    return int(code), _count(rest or ["1"])


def _status(numbers: list[str]) -> int:
    (number,) = numbers
    if not 400 <= int(number) <= 599:
        raise ValueError
    return int(number)


_READERS: Mapping[str, Callable[[list[str]], Any]] = {
    "quota": _which,
    "rate_limit": _which,
    "server_error": _which,
    "error": _count,
    "drop": _count,
    "malformed": _count,
    "unknown": _count,
    "late_rate_limits": _seconds,
    "delay": _seconds,
    "jitter": _seconds,
    "drip": _seconds,
    "pace": _seconds,
    "expire": _seconds,
    "close": _close,
    "refuse": _status,
}


def read_faults(text: str) -> Faults:
    """Read a list of faults.

    Args:
        text: As in `"delay:0.2,drop:40"`; "" for none.

    Raises:
        InputError: There is no such fault, or its numbers make no sense.
    """
    found: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, *numbers = part.split(":")
        if name not in FAULTS:
            raise InputError(
                f"There is no fault {name!r}. These exist: {', '.join(FAULTS)}.", fault=name, known=tuple(FAULTS)
            )
        try:
            found[name] = _READERS.get(name, _flag)(numbers)
        except ValueError as error:
            raise InputError(
                f"The fault {part!r} cannot be read: {FAULTS[name]}. Write it like that.", fault=name
            ) from error
    return Faults(**found)


# ---------------------------------------------------------------------- on the way out


@dataclass(frozen=True)
class Frame:
    """A text frame, to go out at `at`."""

    at: float
    text: bytes


@dataclass(frozen=True)
class Drop:
    """End the socket without a closing handshake."""

    at: float


class FaultInjector:
    """One socket's way out, with its faults.

    Args:
        faults: What is to go wrong.
        chance: Where jitter and reordering come from.
    """

    def __init__(self, faults: Faults, chance: random.Random) -> None:
        self._faults = faults
        self._chance = chance
        self._count = 0
        self._last_at = 0.0
        self._held: list[tuple[int, dict[str, Any]]] = []  # transcription events and how many others go first
        self._ended = False

    def send(self, output: Send | Close) -> list[Frame | Drop | Close]:
        """What goes out for one output of the state machine, in order."""
        if self._ended:
            return []
        if isinstance(output, Close):
            self._ended = True
            held, self._held = self._held, []
            frames = [frame for _, event in held for frame in self._frames(output.at, event)]
            return [*frames, Close(self._due(output.at), output.code, output.reason)]
        return [frame for event in self._ordered(output.event) for frame in self._frames(output.at, event)]

    def _ordered(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        if not self._faults.reorder:
            return [event]
        if "input_audio_transcription" in event["type"]:
            # Recorded: they come anywhere between a response's events; among themselves they keep their order.
            behind = self._held[-1][0] if self._held else 0
            self._held.append((behind + self._chance.randrange(6), event))
            return []
        self._held = [(left - 1, late) for left, late in self._held]
        ready = [late for left, late in self._held if left <= 0]
        self._held = [(left, late) for left, late in self._held if left > 0]
        if event["type"] == "rate_limits.updated":  # the last event of a turn: nothing is kept behind it
            ready += [late for _, late in self._held]
            self._held = []
        return [event, *ready]

    def _frames(self, at: float, event: dict[str, Any]) -> list[Frame | Drop | Close]:
        if self._ended:
            return []
        faults = self._faults
        self._count += 1
        due = self._due(at)
        text = orjson.dumps(event)
        if faults.malformed == self._count:
            text = text[: len(text) // 2]
        frames: list[Frame | Drop | Close] = [Frame(due, text)]
        if faults.unknown == self._count:
            extra: dict[str, Any] = {
                "type": "practice.unknown",
                "event_id": f"event_unknown{self._count}",
                "note": "An unknown event.",
            }
            frames.append(Frame(due, orjson.dumps(extra)))
        if faults.error == self._count:
            error = {**_FAILURES["server_error"], "param": None, "event_id": None}
            extra = {"type": "error", "event_id": f"event_fault{self._count}", "error": error}
            frames.append(Frame(due, orjson.dumps(extra)))
        if faults.drop == self._count:
            frames.append(Drop(due))
            self._ended = True
        elif faults.close is not None and faults.close[1] == self._count:
            frames.append(Close(due, faults.close[0], ""))
            self._ended = True
        return frames

    def _due(self, at: float) -> float:
        due = at + self._faults.delay
        if self._faults.jitter:
            due += self._chance.uniform(0, self._faults.jitter)
        due = max(due, self._last_at + self._faults.drip)
        self._last_at = due
        return due
