"""Usage, cost, limits and budgets. `from rtnb import costs` is this package."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rtnb.money.budget import Budget, limit_kernel
from rtnb.money.costs import Cost, Line, PriceTable, cost, cost_of_minutes, cost_of_transcription, prices
from rtnb.money.usage import Usage, amounts, money

if TYPE_CHECKING:
    from rtnb.money.estimates import Comparison, Estimate, compare, estimate

__all__ = ["Budget", "Comparison", "Cost", "Estimate", "Line", "PriceTable", "Usage"]
__all__ += ["amounts", "compare", "cost", "cost_of_minutes", "cost_of_transcription", "estimate"]
__all__ += ["limit_kernel", "money", "prices"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # one of the estimates', which read recordings and so take long to import
        return getattr(import_module("rtnb.money.estimates"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
