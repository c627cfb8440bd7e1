"""Compare a guess, which the learner wrote down before running a cell, with what came out."""

from numbers import Real
from typing import Any

from rtnb.course.checkers.conditions import near
from rtnb.course.checkers.readers import Wrong, read
from rtnb.texts.language import say


def compare(guess: Any, actual: Any) -> str:
    """Return the sentence for a guess that is right, a number up to 5 %.

    Args:
        guess: What the learner wrote.
        actual: What came out: a number, a text, True or False.

    Raises:
        Wrong: If it is another one, with how far off it is.
    """
    if isinstance(actual, bool) or not isinstance(actual, Real):
        if str(guess).strip().casefold() != str(actual).casefold():
            raise Wrong(say("It is {actual}, not {guess}.", actual=actual, guess=str(guess)[:60]))
        return say("Right: {actual}.", actual=actual)
    number, actual = read("number", guess), float(actual)
    values = {"actual": f"{actual:.6g}", "guess": f"{number:.6g}"}
    if number == actual:
        return say("Right: {actual}.", actual=values["actual"])
    if near(number, actual, 0.05):
        return say("Right: {actual}, and your guess of {guess} is close.", **values)
    if not actual:
        raise Wrong(say("It is {actual}, not {guess}.", **values))
    sentence = "It is {actual}. Your guess of {guess} is {times:.2g} times that."
    raise Wrong(say(sentence, **values, times=number / actual))
