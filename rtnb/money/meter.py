"""Checks what may be spent and books what was; no other place does.

A meter belongs to one session; its budget may be shared. Before a response is asked for, its likely cost is
reserved, so that several at once cannot each count on the same rest; after `response.done` the real cost is booked.
"""

from __future__ import annotations

import contextlib

from rtnb.errors import BudgetExceeded
from rtnb.money.budget import Budget
from rtnb.money.costs import Cost
from rtnb.money.usage import Usage
from rtnb.protocol.conversation import Conversation

_AUDIO_TOKENS_PER_SECOND = 10  # of the user's speech (OpenAI docs, guide realtime-costs)


def next_input(conversation: Conversation, seconds_of_audio: float) -> Usage:
    """Estimate the tokens that the next response reads: the history again, and the new audio.

    The whole conversation is billed as input for each response (OpenAI docs, guide realtime-costs).
    """
    last = next((response for response in reversed(conversation.responses.values()) if response.usage), None)
    history = Usage.from_event(last.usage if last is not None else None)
    new = int(seconds_of_audio * _AUDIO_TOKENS_PER_SECOND)
    return Usage(
        input_text_tokens=history.input_text_tokens + history.output_text_tokens,
        input_audio_tokens=history.input_audio_tokens + history.output_audio_tokens + new,
        input_image_tokens=history.input_image_tokens,
    )


class Reservation:
    """Money set aside for one turn: nothing at first, then for one response after the other."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._held = contextlib.ExitStack()

    def renew(self, likely: Cost | float | None) -> None:
        """Set aside what the next response is likely to cost, in place of what was set aside before.

        Raises:
            BudgetExceeded: If the budget does not cover it.
        """
        self.release()
        if self._meter.overspent is not None:
            raise self._meter.overspent
        if self._meter.budget is not None:
            self._held.enter_context(self._meter.budget.hold(likely))

    def release(self) -> None:
        """Set nothing aside any more: the response was booked, or there will be none."""
        self._held.close()


class Meter:
    """Check and book everything that one session spends.

    Attributes:
        budget: The budget it spends from. None for no limit.
        overspent: The refusal after which nothing more is asked for. None while there is money left.
    """

    def __init__(self, budget: Budget | None) -> None:
        self.budget = budget
        self.overspent: BudgetExceeded | None = None

    @property
    def exhausted(self) -> bool:
        """True where nothing is left to spend."""
        return self.budget is not None and self.budget.left <= 0

    def covers(self, likely: float) -> bool:
        """Return whether this many US dollars fit into what is left."""
        return self.budget is None or likely <= self.budget.left

    def check(self, likely: Cost | float | None) -> None:
        """Refuse what does not fit, without setting anything aside.

        Raises:
            BudgetExceeded: If the budget does not cover it.
        """
        if self.budget is not None:
            self.budget.check_before(likely)

    def book(self, cost: Cost) -> BudgetExceeded | None:
        """Book what something cost; return the refusal where more than the budget has now been spent."""
        if self.budget is not None:
            try:
                self.budget.add(cost)
            except BudgetExceeded as over:
                self.overspent = over
                return over
        return None
