"""Check the course's exercises: read the events of what the learner made, and return a verdict in a sentence.

What counts is what was sent and received, not how the code was written, so any code that does the job is right.
"""

from dataclasses import dataclass
from inspect import signature
from typing import Any, Literal

from rtnb import html
from rtnb.course.checkers import assistant, conversation, live_voice, money, repair, tools, under_the_hood, walkthrough
from rtnb.course.checkers.evidence import READERS, Exercises, Wrong
from rtnb.errors import InputError
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import say

_NOTEBOOKS = (walkthrough, conversation, live_voice, tools, under_the_hood, money, assistant, repair)
_CHECKERS: Exercises = {number: checker for notebook in _NOTEBOOKS for number, checker in notebook.EXERCISES.items()}
_MARKS = {"right": "✓", "wrong": "✗", "nothing": "·"}
_NOTICES: dict[str, Literal["ok", "warning", "info"]] = {"right": "ok", "wrong": "warning", "nothing": "info"}


@dataclass(frozen=True)
class Verdict:
    """Result of checking an exercise.

    Attributes:
        number: The exercise, for example `"02.1"`.
        status: `"right"`, `"wrong"` or `"nothing"` (nothing was handed over yet).
        sentence: The result in a sentence to the learner.
    """

    number: str
    status: Literal["right", "wrong", "nothing"]
    sentence: str

    def __bool__(self) -> bool:
        return self.status == "right"

    def __repr__(self) -> str:
        return f"{self.number} {_MARKS[self.status]} {self.sentence}"

    def _repr_html_(self) -> str:
        return html.notice(repr(self), _NOTICES[self.status])


def numbers() -> list[str]:
    """Return the numbers of all exercises, in the order of the course."""
    return sorted(_CHECKERS)


@checks_call
def check(number: str, *made: Any) -> Verdict:
    """Check an exercise of the course.

    ```python
    rtnb.check("01.1", answer)
    ```

    Args:
        number: The exercise's number, as the notebook has it.
        *made: What the exercise asks for: a reply, a session, a number …. None stands for what is not there yet.

    Returns:
        A verdict, in the language of `rtnb.language()`.

    Raises:
        InputError: If there is no such exercise, or it needs another number of things.
    """
    if number not in _CHECKERS:
        why = f"Your exercise {number!r} does not exist. Take one of: {', '.join(numbers())}."
        raise InputError(why, number=number)
    if not made or any(thing is None for thing in made):
        sentence = say("Nothing here yet. Put your own line in place of None and run the cell again.")
        return Verdict(number, "nothing", sentence)
    kinds = [parameter.annotation for parameter in signature(_CHECKERS[number]).parameters.values()]
    if len(made) != len(kinds):
        why = f"Your check of {number} was given {len(made)} things, which is not what it reads."
        raise InputError(f"{why} Hand over what the notebook names.", number=number)
    try:
        read = [READERS[kind](thing) if kind in READERS else thing for kind, thing in zip(kinds, made, strict=True)]
        return Verdict(number, "right", _CHECKERS[number](*read))
    except Wrong as wrong:
        return Verdict(number, "wrong", str(wrong))
