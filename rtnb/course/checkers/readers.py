"""Read what was handed over as the kind that an exercise names, or say what it is instead and what to do."""

import math
from typing import Any, Protocol, runtime_checkable

from rtnb.session.reply import Reply
from rtnb.session.session import Session
from rtnb.texts.language import joined, say
from rtnb.texts.shortening import in_one_line


@runtime_checkable
class Socket(Protocol):
    """Socket of `websockets`, as far as it is read here; only the transport imports that."""

    request: Any
    close_code: int | None
    close_reason: str | None


@runtime_checkable
class Patient(Protocol):
    """Practice server, as far as it is read here."""

    url: str

    def has_fault(self, name: str) -> bool:
        """Return whether it has a fault of this name."""
        ...


# By the kind that an exercise names, its type, and what to do where another was handed over.
_KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "reply": (Reply, "Hand over a reply: what await … ask(…) returned."),
    "session": (Session, "Hand over a session: what rtnb.connect(…) returned."),
    "number": (float, "Hand over a single number, without its unit."),
    "text": (str, "Hand over text, between quotes."),
    "bytes": ((bytes, bytearray), "Hand over bytes: decode each delta, then join what comes of it."),
    "list": (list, "Hand over the list that the cell above made."),
    "socket": (Socket, "Hand over the socket that connect(…) opened."),
    "server": (Patient, "Hand over what rtnb.practice(faults=…) returned."),
    "error": (BaseException, "Hand over the exception that you caught: except … as error."),
}


class Wrong(Exception):
    """Answer that is not right, and why."""


def read(kind: str, thing: Any, ended: str = "Fix the cell above and run both again.") -> Any:
    """Return what was handed over as a kind.

    Args:
        kind: A key of `_KINDS`.
        thing: What was handed over.
        ended: What to do where that is an exception, in a sentence.

    Raises:
        Wrong: If it is of another one, or a reply that is not complete.
    """
    wanted, remedy = _KINDS[kind]
    known = _number(thing) if kind == "number" else thing
    if kind != "error" and isinstance(known, BaseException):
        raise Wrong(joined(say("It still ends with {error}.", error=in_one_line(repr(thing), 100)), say(ended)))
    if not isinstance(known, wanted):
        raise Wrong(joined(say("That is of type {kind}.", kind=type(thing).__name__), say(remedy)))
    if isinstance(known, str) and not known.strip():
        raise Wrong(joined(say("That text is empty."), say(remedy)))
    if isinstance(known, Reply) and not known.done:
        raise Wrong(say("The reply is not over yet. Write await before ask(…), or wait a moment and check again."))
    if isinstance(known, Reply) and known.status != "completed":
        sentence = "The reply ended as {status!r}. Read reply.error and reply.status_details, and ask again."
        raise Wrong(say(sentence, status=known.status))
    return known


def _number(thing: Any) -> float | None:
    """Return a number, also one in a text; None for anything else."""
    try:
        number = float("nan" if isinstance(thing, bool | bytes) else thing)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
