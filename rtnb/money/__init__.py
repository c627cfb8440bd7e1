"""Usage, cost, limits and budgets. `from rtnb import costs` is this package."""

from rtnb.money.budget import Budget, limit_kernel
from rtnb.money.costs import Cost, Line, PriceTable, cost, cost_of_minutes, cost_of_transcription, prices
from rtnb.money.estimates import Comparison, Estimate, compare, estimate
from rtnb.money.usage import Usage, amounts, money

__all__ = ["Budget", "Comparison", "Cost", "Estimate", "Line", "PriceTable", "Usage"]
__all__ += ["amounts", "compare", "cost", "cost_of_minutes", "cost_of_transcription", "estimate"]
__all__ += ["limit_kernel", "money", "prices"]
