"""Hard stop in US dollars, shared by all that are given the same budget."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from rtnb.errors import BudgetExceeded, InputError, RtnbWarning
from rtnb.money.costs import Cost
from rtnb.money.usage import money


class Budget:
    """Hard stop: so many US dollars and not more. Sessions may share one; it may be used from any thread.

    Args:
        limit_usd: US dollars that may be spent, more than 0.
        parent: A wider budget that everything spent here counts against too. None means that of the whole
            kernel, where `limit_kernel` set one.

    Raises:
        InputError: `limit_usd` is not a number above 0.
    """

    def __init__(self, limit_usd: float, *, parent: Budget | None = None) -> None:
        if not (isinstance(limit_usd, int | float) and not isinstance(limit_usd, bool) and 0 < limit_usd < math.inf):
            wrong = f"Your budget {limit_usd!r} is not an amount of money. Give US dollars, as in budget=0.25."
            raise InputError(wrong, limit_usd=limit_usd)
        self.limit_usd = float(limit_usd)
        self.parent = parent if parent is not None else _kernel
        self._spent = 0.0
        self._held = 0.0
        self._warned = False
        self._lock = threading.Lock()

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
    def spent(self) -> float:
        """US dollars spent."""
        return self._spent

    @property
    def left(self) -> float:
        """US dollars neither spent nor held for responses under way, here and in wider budgets; 0 or more."""
        own = max(0.0, self.limit_usd - self._spent - self._held)
        return own if self.parent is None else min(own, self.parent.left)

    def check_before(self, next_estimate: Cost | float | None = 0.0) -> None:
        """Refuse what would not fit. Call it before each response.

        Args:
            next_estimate: What the next response may cost, in US dollars. None and an unknown price count
                as nothing.

        Raises:
            BudgetExceeded: It does not fit into what is left, or nothing is left.
        """
        usd = self._usd(next_estimate)
        if self._spent + self._held + usd > self.limit_usd or self._spent >= self.limit_usd:
            held = f", {money(self._held)} is held for responses under way" if self._held else ""
            raise self._exceeded(
                f"does not cover this: {money(self._spent)} is spent{held} and the next response may cost {money(usd)}."
                " Raise budget=, or start afresh: a long talk pays for its whole history at every turn."
            )
        if self.parent is not None:
            self.parent.check_before(usd)

    def add(self, spent: Cost | float | None) -> None:
        """Count what was spent, after each `response.done`; it is counted even where this raises.

        Args:
            spent: The cost. A price that is not known cannot be counted, which is warned of once.

        Raises:
            BudgetExceeded: More has now been spent than the limit.
        """
        if isinstance(spent, Cost) and spent.usd is None and not self._warned:
            self._warned = True
            unknown = sorted({line.model for line in spent.lines if line.usd is None})
            sentence = (
                f"Your budget cannot watch {', '.join(unknown)}: its price is not known here, so it "
                "counts as nothing. Watch the account's usage page instead."
            )
            warnings.warn(sentence, RtnbWarning, stacklevel=2)
        usd = self._usd(spent)
        with self._lock:
            self._spent += usd
        over = self._spent > self.limit_usd
        if self.parent is not None:
            self.parent.add(usd)
        if over:
            kept = "What was received is kept; raise budget= to go on."
            raise self._exceeded(f"is used up: {money(self._spent)} is spent. {kept}")

    @contextmanager
    def hold(self, next_estimate: Cost | float | None) -> Iterator[None]:
        """Set money aside while a response runs, so that several at once cannot each count on the same rest.

        Args:
            next_estimate: What the response may cost, in US dollars.

        Raises:
            BudgetExceeded: It does not fit into what is left.
        """
        usd = self._usd(next_estimate)
        with self._lock:
            self.check_before(usd)
            self._held += usd
        try:
            if self.parent is None:
                yield
            else:
                with self.parent.hold(usd):
                    yield
        finally:
            with self._lock:
                self._held -= usd

    def _exceeded(self, how: str) -> BudgetExceeded:
        sentence = f"Your budget of {money(self.limit_usd)} {how}"
        return BudgetExceeded(sentence, limit_usd=self.limit_usd, spent_usd=self._spent)

    @staticmethod
    def _usd(amount: Cost | float | None) -> float:
        return amount.known_usd if isinstance(amount, Cost) else float(amount or 0)

    def __repr__(self) -> str:
        return f"Budget({money(self._spent)} of {money(self.limit_usd)} spent)"


_kernel: Budget | None = None


def limit_kernel(limit_usd: float | None) -> Budget | None:
    """Set a budget for everything this kernel does from now on.

    Args:
        limit_usd: US dollars above 0, or None to lift the limit.

    Returns:
        The new budget, or None where it was lifted.

    Raises:
        InputError: The limit is not an amount of money.
    """
    global _kernel
    _kernel = None
    _kernel = None if limit_usd is None else Budget(limit_usd)
    return _kernel


def kernel_budget() -> Budget | None:
    """Return the budget of the whole kernel, or None where none is set."""
    return _kernel
