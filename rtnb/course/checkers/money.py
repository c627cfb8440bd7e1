"""Check the exercises of notebook 6, money and limits."""

from typing import Any

from rtnb import money
from rtnb.course.checkers.evidence import Exercises, Reply, Session, Wrong, require
from rtnb.errors import BudgetExceeded
from rtnb.texts.language import say, translate


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= max(1e-9, 0.002 * abs(other))


def cost_by_hand(reply: Reply, usd: Any) -> str:
    """Check the cost of a reply in US dollars, as the learner worked it out."""
    try:
        given = float(usd)
    except (TypeError, ValueError):
        raise Wrong("{usd!r} is not an amount of money.", usd=usd) from None
    cost = reply.cost
    if cost.usd is None:
        raise Wrong("No price is known for {model}. Ask one of the models in rtnb.prices().", model=reply.model)
    if _near(given, cost.usd):
        return say("Right: {cost}, to the last digit that matters.", cost=cost)
    require(not _near(given, cost.usd * 100), "The figure is right, but in cents. Give dollars.")
    require(not _near(given, cost.usd * 1e6), "Prices are for a million tokens: divide by 1,000,000.")
    for line in cost.lines:
        if line.usd and _near(given, cost.usd - line.usd):
            raise Wrong("Nearly: one line is missing, {what}.", what=translate(line.what))
    sentence = (
        "You have ${given:.6f}, the lines of reply.cost add up to ${usd:.6f}. Show reply.cost and compare line by line."
    )
    raise Wrong(sentence, given=given, usd=cost.usd)


def stopped(made: Any) -> str:
    """Check that a budget stopped a reply."""
    require(not isinstance(made, Reply) or made.done, "The reply still runs. Await it inside try.")
    error: Any = made.error if isinstance(made, Reply | Session) else made
    require(error is not None, "Nothing stopped it: the budget was large enough. Make it smaller, or talk longer.")
    kind = type(error).__name__
    sentence = "That is of type {kind}. Hand over the exception you caught, or the reply it stopped."
    require(isinstance(error, BaseException), sentence, kind=kind)
    require(isinstance(error, BudgetExceeded), "It ended, but not for money: {kind}: {error}", kind=kind, error=error)
    sentence = "Right: of {limit} {spent} was spent, and rtnb said stop."
    return say(sentence, limit=money.money(error.limit_usd), spent=money.money(error.spent_usd))


def half_the_cost(first: Reply, second: Reply) -> str:
    """Check that the second reply costs at most half of the first and still answers."""
    require(first is not second, "That is the same reply twice.")
    first_usd, second_usd = first.cost.usd, second.cost.usd
    if first_usd is None or second_usd is None:
        raise Wrong("One of the two has no known price. Ask models that are in rtnb.prices().")
    figures = {"cheap": second.cost, "dear": first.cost, "share": second_usd / first_usd}
    sentence = (
        "The second costs {cheap} against {dear}: {share:.0%} of it. "
        "Halve it: text instead of sound, a shorter answer, or the small model."
    )
    require(second_usd <= first_usd / 2, sentence, **figures)
    require(second.text, "The cheap one says nothing. It should still answer.")
    return say("Right: {cheap} instead of {dear}, that is {share:.0%}.", **figures)


EXERCISES: Exercises = {"06.1": cost_by_hand, "06.2": stopped, "06.3": half_the_cost}
