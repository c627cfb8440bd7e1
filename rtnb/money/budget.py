"""Hard stop in US dollars, shared by all that are given the same budget."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from numbers import Real

from rtnb.errors import BudgetExceeded, InputError, RtnbWarning
from rtnb.money.costs import Cost
from rtnb.money.usage import money
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import say

_LOCK = threading.RLock()  # one for all budgets: what is spent from one counts against the wider ones too


class Hold:
    """Money set aside in a budget and in all wider ones: nothing at first.

    Args:
        standing: Whether it stays for as long as its session is open, so that to wait for its release is no use.

    Attributes:
        usd: US dollars set aside.
        standing: As given.
    """

    def __init__(self, *, standing: bool = False) -> None:
        self.usd, self.standing = 0.0, standing
        self._budgets: list[Budget] = []

    def take(self, budget: Budget, usd: float, unasked: str = "the next response was not asked for") -> None:
        """Set this much aside in place of what was set aside before, which stays where this raises.

        Args:
            budget: Where from.
            usd: US dollars, 0 or more.
            unasked: What is not done where this raises, as a clause.

        Raises:
            BudgetExceeded: If the budget does not cover it.
        """
        with _LOCK:
            if usd > self.usd:
                budget._check(usd, unasked, self)
            self._fill(usd, budget.chain)

    def release(self) -> None:
        """Set nothing aside any more."""
        self._fill(0.0, [])

    def move(self, to: Hold) -> None:
        """Set all of it aside for something else."""
        with _LOCK:
            to._fill(self.usd, self._budgets)
            self.release()

    def book(self, budget: Budget, spent: Cost | float, keep: float = 0.0) -> None:
        """Count what was spent where it was set aside, else in `budget`; at most `keep` stays set aside."""
        with _LOCK:
            for one in self._budgets or budget.chain:
                one.spent += float(spent)
            self._fill(min(self.usd, keep), self._budgets)

    def _fill(self, usd: float, budgets: list[Budget]) -> None:
        with _LOCK:
            for one in self._budgets:
                one.holds.discard(self)
            for one in budgets if usd else ():
                one.holds.add(self)
            self.usd, self._budgets = usd, budgets


@checks_call
class Budget:
    """Hard stop: so many US dollars and not more. Sessions may share one; it may be used from any thread.

    Before a response is asked for, what it reads and the most it may write are set aside, and that most goes to the
    server as `max_output_tokens`: at most 4,096 tokens, and no response is asked for that could not have at least 200
    (600 where the model reasons), unless its caller asked for fewer. What is billed by the minute is set aside before
    its audio is sent. So `spent` never exceeds `limit_usd`, however many share it; where the server begins a response
    by itself (turn detection, calls), by no more than the input that was on its way. It lives as long as the kernel:
    what was spent before a restart does not count.

    Args:
        limit_usd: US dollars that may be spent, more than 0.
        parent: A wider budget that everything spent here counts against too. None means that of the whole
            kernel, where `limit_kernel` set one.

    Attributes:
        spent: US dollars spent.
        holds: What is set aside of it.

    Raises:
        InputError: `limit_usd` is not a number above 0.

    Examples:
        >>> budget = rtnb.Budget(0.25)
        >>> reply = rtnb.ask("Hello", practice=True, modalities="text", budget=budget, show=False).wait()
        >>> budget.limit_usd, budget.spent == reply.cost.usd, budget.left < 0.25
        (0.25, True, True)
    """

    def __init__(self, limit_usd: float, *, parent: Budget | None = None) -> None:
        amount = float(limit_usd) if isinstance(limit_usd, Real | Decimal) and not isinstance(limit_usd, bool) else 0.0
        if not 0 < amount < math.inf:
            wrong = f"Your budget {limit_usd!r} is not an amount of money. Give US dollars, as in budget=0.25."
            raise InputError(wrong, limit_usd=limit_usd)
        self.limit_usd = amount
        self.holds: set[Hold] = set()
        self._parent = parent
        self.spent = 0.0
        self._warned = self._noticed = False

    @classmethod
    def of(cls, value: Budget | float | None) -> Budget | None:
        """Return the budget that a `budget=` argument means.

        Args:
            value: US dollars, a `Budget` to share, or None for the whole kernel's.

        Returns:
            A budget, or None where none was given and the kernel has none.

        Raises:
            InputError: The value is neither.
        """
        if value is None or isinstance(value, Budget):
            return value if value is not None else _kernel
        return cls(value)

    @property
    def parent(self) -> Budget | None:
        """Wider budget that counts this one too. None where there is none."""
        return self._parent if self._parent is not None or self is _kernel else _kernel

    @property
    def chain(self) -> list[Budget]:
        """Itself and all wider budgets."""
        return [self, *(self.parent.chain if self.parent is not None else ())]

    @property
    def left(self) -> float:
        """US dollars neither spent nor held for responses under way, here and in wider budgets; 0 or more."""
        with _LOCK:
            return max(0.0, min(one.limit_usd - one.spent - one.held for one in self.chain))

    @property
    def held(self) -> float:
        """US dollars set aside for what is under way."""
        return math.fsum(hold.usd for hold in self.holds)

    def check_before(self, next_estimate: Cost | float | None = 0.0) -> None:
        """Refuse what would not fit. Call it before each response.

        Args:
            next_estimate: What the next response may cost, in US dollars. None and an unknown price count
                as nothing.

        Raises:
            BudgetExceeded: It does not fit into what is left, or nothing is left.
        """
        self._check(self._usd(next_estimate), "the next response was not asked for")

    def _check(self, usd: float, unasked: str, own: Hold | None = None) -> None:
        with _LOCK:
            for one in self.chain:
                held = math.fsum(hold.usd for hold in one.holds if hold is not own)
                if one.spent + held + usd > one.limit_usd or one.spent >= one.limit_usd:
                    aside = f", {money(held)} is held for responses under way" if held else ""
                    why = f"{money(one.spent)} is spent{aside}, {money(usd)} more is needed, and {unasked}"
                    raise _exceeded(one, f"does not cover this: {why}; raise budget= to go on.", own)

    def notice(self) -> str | None:
        """Return a sentence once, when 80 % of it or of a wider budget is spent. None otherwise."""
        for one in self.chain:
            if not one._noticed and one.spent >= one.limit_usd * 0.8:
                one._noticed, rest = True, max(0.0, one.limit_usd - one.spent)
                share = f"{money(one.spent)} of your budget of {money(one.limit_usd)} is spent"
                return f"{share} ({one.spent / one.limit_usd:.0%}), and {money(rest)} is left."
        return None

    def add(self, spent: Cost | float | None) -> None:
        """Count what was spent, after each `response.done`; it is counted even where this raises.

        Args:
            spent: The cost, 0 or more. A price that is not known cannot be counted, which is warned of once.

        Raises:
            InputError: It is below 0, or no number.
            BudgetExceeded: More has now been spent than the limit.
        """
        if isinstance(spent, Cost) and spent.usd is None and not self._warned:
            self._warned = True
            names = ", ".join(sorted({line.model for line in spent.lines if line.usd is None}))
            sentence = f"Your budget cannot watch {names}: its price is not known here, so it counts as nothing. "
            sentence += "Watch the account's usage page instead."
            warnings.warn(sentence, RtnbWarning, stacklevel=2)
        Hold().book(self, self._usd(spent))
        for one in reversed(self.chain):
            if one.spent > one.limit_usd:
                kept = "What was received is kept; raise budget= to go on."
                raise _exceeded(one, f"is used up: {money(one.spent)} is spent. {kept}")

    @contextmanager
    def hold(self, next_estimate: Cost | float | None) -> Iterator[None]:
        """Set money aside while a response runs, so that several at once cannot each count on the same rest.

        Args:
            next_estimate: What the response may cost, in US dollars.

        Raises:
            BudgetExceeded: It does not fit into what is left.
        """
        hold = Hold()
        hold.take(self, self._usd(next_estimate))
        try:
            yield
        finally:
            hold.release()

    @staticmethod
    def _usd(amount: Cost | float | None) -> float:
        usd = amount.known_usd if isinstance(amount, Cost) else float(amount or 0)
        if not 0 <= usd < math.inf:
            raise InputError(f"Your {amount!r} is no amount of money. Give US dollars of 0 or more.")
        return usd

    def __repr__(self) -> str:
        return say("Budget({spent} of {all} spent)", spent=money(self.spent), all=money(self.limit_usd))


def _exceeded(budget: Budget, sentence: str, own: Hold | None = None) -> BudgetExceeded:
    sentence = f"Your budget of {money(budget.limit_usd)} {sentence}"
    held_usd = math.fsum(hold.usd for hold in budget.holds if not hold.standing and hold is not own)
    return BudgetExceeded(sentence, limit_usd=budget.limit_usd, spent_usd=budget.spent, held_usd=held_usd)


_kernel: Budget | None = None


@checks_call
def limit_kernel(limit_usd: float | None) -> Budget | None:
    """Set a budget for everything this kernel does from now on.

    Args:
        limit_usd: US dollars above 0, or None to lift the limit.

    Returns:
        The new budget, or None where it was lifted.

    Raises:
        InputError: The limit is not an amount of money.

    Examples:
        >>> budget = rtnb.limit_kernel(1.00)
        >>> budget.left
        1.0
        >>> rtnb.limit_kernel(None)
    """
    global _kernel
    _kernel = None
    _kernel = None if limit_usd is None else Budget(limit_usd)
    return _kernel
