"""Check the course's exercises: read the events of what the learner made, and return a verdict in a sentence.

What counts is what was sent and received, not how the code was written, so any code that does the job is right.
"""

import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from rtnb import html
from rtnb.course.checkers.conditions import exercises, judge
from rtnb.course.checkers.guesses import compare
from rtnb.course.checkers.readers import Wrong
from rtnb.errors import InputError
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import joined, say

_GUESS = {
    "made": {"guess": "any", "actual": "any"},
    "hand_in": "Write what you expect in place of None, before you run the cell.",
}
_MARKS = {"right": "✓", "wrong": "✗", "nothing": "·"}
_NOTICES: dict[str, Literal["ok", "warning", "info"]] = {"right": "ok", "wrong": "warning", "nothing": "info"}


@dataclass(frozen=True)
class Verdict:
    """Result of checking an exercise.

    Attributes:
        number: The exercise, for example `"02.1"`.
        status: `"right"`, `"wrong"` or `"nothing"` (nothing was handed over yet).
        sentence: The result in a sentence to the learner.

    Examples:
        >>> verdict = rtnb.check("guess", 20_000, 24_000)
        >>> verdict.status, bool(verdict)
        ('wrong', False)
        >>> verdict.sentence
        'It is 24000. Your guess of 20000 is 0.83 times that.'
    """

    number: str
    status: Literal["right", "wrong", "nothing"]
    sentence: str

    def __bool__(self) -> bool:
        return self.status == "right"

    def __repr__(self) -> str:
        label = say("Your guess") if self.number == "guess" else self.number
        return f"{label} {_MARKS[self.status]} {self.sentence}"

    def _repr_html_(self) -> str:
        return html.notice(repr(self), _NOTICES[self.status])


def numbers() -> list[str]:
    """Return the numbers of all exercises, in the order of the course."""
    return list(exercises())


@checks_call
def check(number: str, *made: Any) -> Verdict:
    """Check an exercise of the course, or a guess: what you wrote before you ran a cell, and what came out.

    ```python
    rtnb.check("01.1", answer)
    rtnb.check("guess", guess, len(text))
    ```

    Args:
        number: The exercise's number as text, `"1.1"` or `"01.1"`; `"guess"` for a guess.
        *made: What the exercise asks for: a reply, a session, a number …. None stands for what is not there yet.

    Returns:
        A verdict, in the language of `rtnb.language()`.

    Raises:
        InputError: If there is no such exercise, or it needs another number of things.

    Examples:
        >>> rtnb.check("guess", 24_000, 24_000).status
        'right'
        >>> rtnb.check("1.1", None)
        01.1 · Not filled in yet: answer. ...
    """
    number = re.sub(r"^(?=\d\.)", "0", number.strip())
    if number != "guess" and number not in exercises():
        why = f"Your exercise {number!r} does not exist. Take one of: {', '.join(numbers())}."
        raise InputError(why, number=number)
    exercise = exercises().get(number, _GUESS)
    empty = [name for name, thing in zip_longest(exercise["made"], made[: len(exercise["made"])]) if thing is None]
    if empty:
        blame = say("Not filled in yet: {names}.", names=", ".join(empty))
        return Verdict(number, "nothing", joined(blame, say(exercise["hand_in"])))
    if len(made) != len(exercise["made"]):
        why = f"Your check of {number} was given {len(made)} things, which is not what it reads."
        raise InputError(f"{why} Hand over what the notebook names.", number=number)
    try:
        return Verdict(number, "right", compare(*made) if exercise is _GUESS else judge(exercise, made))
    except Wrong as wrong:
        return Verdict(number, "wrong", str(wrong))
