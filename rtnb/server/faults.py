"""Faults on purpose, repeatably: what a server option or a URL's `fault=` asks for.

A fault is `name`, `name:number` or `name:number:number`; several are separated by commas, as in
`?fault=delay:0.2,drop:40&seed=7`. Some change how a session answers (`Options`), the rest what happens to its frames
on their way out (`FaultInjector`). Both are pure: times in, times out, chance only from the seed.
"""

import functools
import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import orjson

from rtnb.errors import InputError
from rtnb.server.protocol.api_errors import FAILURES
from rtnb.server.protocol.effects import Close, Send
from rtnb.server.protocol.session import Options
from rtnb.web.send_queue import CloseFrame, Drop, Frame, Outgoing


def _flag(numbers: list[str]) -> bool:
    if numbers:
        raise ValueError
    return True


def _between(numbers: list[str], least: float, most: float, convert: Callable[[str], Any] = int) -> Any:
    (text,) = numbers
    if not least <= (number := convert(text)) <= most:
        raise ValueError
    return number


_count = functools.partial(_between, least=1, most=math.inf)
_seconds = functools.partial(_between, least=0, most=86_400, convert=float)
_status = functools.partial(_between, least=400, most=599)


def _which(numbers: list[str]) -> int:
    return int(_count(numbers)) if numbers else 0


def _close(numbers: list[str]) -> tuple[int, int]:
    code = int(_between(numbers[:1], 1000, 4999))
    if code in (1004, 1005, 1006, 1015):  # none of them may be sent (RFC 6455, section 7.4.1)
        raise ValueError
    return code, int(_count(numbers[1:] or ["1"]))


def _fault(read: Callable[[list[str]], Any], what: str, default: Any = None) -> Any:
    """Declare a fault: what reads its numbers, what it does, its value where it is absent."""
    return field(default=default, metadata={"read": read, "what": what})


@dataclass(frozen=True)
class Faults:
    """Faults of one session; None or False for those that it has not. Counts are from 1, times in seconds."""

    quota: int | None = _fault(_which, "every response fails with insufficient_quota; quota:N only the Nth")
    rate_limit: int | None = _fault(_which, "every response fails with rate_limit_exceeded; rate_limit:N only the Nth")
    server_error: int | None = _fault(_which, "every response fails with server_error; server_error:N only the Nth")
    error: int | None = _fault(_count, "error:N sends a server_error event after the Nth event")
    no_rate_limits: bool = _fault(_flag, "rate_limits.updated never comes", False)
    late_rate_limits: float | None = _fault(_seconds, "late_rate_limits:S sends rate_limits.updated S seconds late")
    delay: float = _fault(_seconds, "delay:S holds every event back by S seconds", 0.0)
    jitter: float = _fault(_seconds, "jitter:S holds every event back by up to S seconds more, in their order", 0.0)
    drip: float = _fault(_seconds, "drip:S leaves at least S seconds between two events", 0.0)
    burst: bool = _fault(_flag, "sound comes all at once", False)
    pace: float | None = _fault(_seconds, "pace:X sends sound X times faster than it plays (1 is as fast as it plays)")
    drop: int | None = _fault(_count, "drop:N ends the socket without a word after the Nth event")
    close: tuple[int, int] | None = _fault(_close, "close:CODE:N closes with CODE after the Nth event (1 if left out)")
    malformed: int | None = _fault(_count, "malformed:N cuts the Nth event in half, so that it is no JSON")
    unknown: int | None = _fault(_count, "unknown:N sends an event of an unknown type after the Nth event")
    odd_last_chunk: bool = _fault(_flag, "the last audio delta begins in the middle of a sample", False)
    reorder: bool = _fault(_flag, "input transcription events come later, between whatever else comes", False)
    deaf: bool = _fault(_flag, "the recogniser fails: input_audio_transcription.failed", False)
    mute: bool = _fault(_flag, "the voice fails in the middle of an answer", False)
    faint: bool = _fault(_flag, "the voice speaks at a fortieth of its strength", False)
    expire: float | None = _fault(_seconds, "expire:S ends the session after S seconds (session_expired, then 1001)")
    refuse: int | None = _fault(_status, "refuse:STATUS answers the upgrade with this HTTP status (403, 401, 429 …)")
    invalid_key: bool = _fault(_flag, "the key is refused inside the socket (close 3000)", False)

    def merged(self, other: "Faults") -> "Faults":
        """Return these, with the other's wherever it has any."""
        changed = {f.name: getattr(other, f.name) for f in fields(self) if getattr(other, f.name) != f.default}
        return replace(self, **changed)

    def has(self, name: str) -> bool:
        """Return whether there is something of this name, without numbers."""
        return name in FAULTS and getattr(self, name) != Faults.__dataclass_fields__[name].default

    def options(self, options: Options) -> Options:
        """Return the session options with what these change of them."""
        changed: dict[str, Any] = {"odd_last_chunk": self.odd_last_chunk or options.odd_last_chunk}
        for name, failure in zip(("quota", "rate_limit", "server_error"), FAILURES.values(), strict=True):
            if (which := getattr(self, name)) is not None:
                changed |= {"failure": failure, "failing": which or None}
        if self.no_rate_limits or self.late_rate_limits is not None:
            changed["rate_limits_after"] = self.late_rate_limits
        if self.burst or self.pace is not None:
            changed["pace"] = 0.0 if self.burst else self.pace
        if self.expire is not None:
            changed["session_seconds"] = self.expire
        return replace(options, **changed)


# Every fault, and what it does.
FAULTS: Mapping[str, str] = {f.name: f.metadata["what"] for f in fields(Faults)}


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
            text = f"There is no fault {name!r}. These exist: {', '.join(FAULTS)}."
            raise InputError(text, fault=name, known=tuple(FAULTS))
        try:
            found[name] = Faults.__dataclass_fields__[name].metadata["read"](numbers)
        except ValueError as error:
            text = f"The fault {part!r} cannot be read: {FAULTS[name]}. Write it like that."
            raise InputError(text, fault=name) from error
    return Faults(**found)


# Four faults a level, from what an error names to what only times and audio show.
CLINIC = (
    ("invalid_key", "refuse:403", "quota", "drop:14"),
    ("unknown:9", "error:9", "deaf", "no_rate_limits"),
    ("delay:1.5", "pace:0.7", "odd_last_chunk", "faint"),
)


def draw(text: str, seed: int | None = None) -> str:
    """Replace each `clinic:LEVEL` (1 to 3) in a list of faults with one of `CLINIC`, by chance."""
    chance = random.Random(seed)
    return re.sub(r"\bclinic:([123])\b", lambda level: chance.choice(CLINIC[int(level[1]) - 1]), text)


# ---------------------------------------------------------------------- on the way out


class FaultInjector:
    """Frames of one socket, with its faults.

    Args:
        faults: What is to go wrong.
        chance: Where jitter and reordering come from.
    """

    def __init__(self, faults: Faults, chance: random.Random) -> None:
        self._faults, self._chance = faults, chance
        self._count = 0
        self._last_at = 0.0
        self._held: list[tuple[int, dict[str, Any]]] = []  # transcription events and how many others go first
        self._ended = False

    def frames(self, output: Send | Close) -> list[Outgoing]:
        """Return what goes out for one output of the state machine, in order."""
        if self._ended:
            return []
        if isinstance(output, Close):
            self._ended = True
            return [CloseFrame(self._due(output.at), output.code, output.reason)]
        return [frame for event in self._ordered(output.event) for frame in self._frames(output.at, event)]

    def _ordered(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        if not self._faults.reorder:
            return [event]
        if "input_audio_transcription" in event["type"]:
            # Recorded: they come anywhere between a response's events; among themselves they keep their order.
            self._held.append(((self._held[-1][0] if self._held else 0) + self._chance.randrange(6), event))
            return []
        last = event["type"] == "rate_limits.updated"  # of a turn: nothing is kept behind it
        ready = [late for left, late in self._held if left <= 1 or last]
        self._held = [(left - 1, late) for left, late in self._held if left > 1 and not last]
        return [event, *ready]

    def _frames(self, at: float, event: dict[str, Any]) -> list[Outgoing]:
        if self._ended:
            return []
        faults = self._faults
        self._count += 1
        due = self._due(at)
        text = orjson.dumps(event)
        if faults.malformed == self._count:
            text = text[: len(text) // 2]
        more: list[dict[str, Any]] = []
        if faults.unknown == self._count:
            event_id = f"event_unknown{self._count}"
            more.append({"type": "practice.unknown", "event_id": event_id, "note": "An unknown event."})
        if faults.error == self._count:
            error = {**FAILURES["server_error"], "param": None, "event_id": None}
            more.append({"type": "error", "event_id": f"event_fault{self._count}", "error": error})
        frames: list[Outgoing] = [Frame(due, each) for each in (text, *map(orjson.dumps, more))]
        if faults.drop == self._count:
            frames.append(Drop(due))
        elif faults.close is not None and faults.close[1] == self._count:
            frames.append(CloseFrame(due, faults.close[0], ""))
        self._ended = not isinstance(frames[-1], Frame)
        return frames

    def _due(self, at: float) -> float:
        due = at + self._faults.delay
        if self._faults.jitter:
            due += self._chance.uniform(0, self._faults.jitter)
        self._last_at = max(due, self._last_at + self._faults.drip)
        return self._last_at
