"""Check the exercises of notebook 5, under the hood: the clinic, where a server has one of four faults a level."""

from collections.abc import Callable, Mapping
from typing import Any

from rtnb.course.checkers.evidence import Exercises, Session, require
from rtnb.texts.language import say

# Of each level's faults, how they show.
SIGNS = (
    {
        "invalid_key": "The first frame is an error, and the socket closes with 3000.",
        "refuse": "The upgrade is answered with an HTTP status, so there is no event at all.",
        "quota": "response.done comes at once: failed, insufficient_quota.",
        "drop": "The socket ends among the events, without a close frame.",
    },
    {
        "unknown": "One event has a type that the API has not.",
        "error": "An error event comes between the others, and the answer is complete all the same.",
        "deaf": "input_audio_transcription.failed stands where the transcript should.",
        "no_rate_limits": "All answers are complete, and rate_limits.updated comes after none of them.",
    },
    {
        "delay": "Every event is late by the same time, session.updated too.",
        "pace": "The deltas of sound come more slowly than they play.",
        "odd_last_chunk": "A delta of sound holds an odd number of bytes, so half a sample.",
        "faint": "All is there and in time, but check() calls the answer's sound very quiet.",
    },
)


def _found(level: int, signs: Mapping[str, str]) -> Callable[[Any, Session, Any], str]:
    """Return the checker of a level."""

    def found(patient: Any, visit: Session, name: Any) -> str:
        sentence = "The first is of type {kind}. Hand over what rtnb.practice(faults=…) returned, then the session."
        require(hasattr(patient, "has_fault"), sentence, kind=type(patient).__name__)
        sentence = "This session was held with another server. Visit this one, and hand over that session."
        require(visit.url.startswith(patient.url), sentence)
        require(any(map(patient.has_fault, signs)), "This server has no fault of level {level}.", level=level)
        sentence = "Nothing was asked in this session, so there is nothing to judge by. Ask something first."
        require(visit.error or any(entry.type == "response.create" for entry in visit.log), sentence)
        names = ", ".join(signs)
        sentence = "{name} is not among the faults of this level. Write one of these between quotes: {names}."
        require(isinstance(name, str) and name in signs, sentence, name=repr(name)[:40], names=names)
        sentence = "It is not {name}. How that shows: {sign} Compare it with this session's log."
        require(patient.has_fault(name), sentence, name=name, sign=say(signs[name]))
        return say("Right: {name}. {sign}", name=name, sign=say(signs[name]))

    return found


EXERCISES: Exercises = {f"05.{level}": _found(level, signs) for level, signs in enumerate(SIGNS, 1)}
