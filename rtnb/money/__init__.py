"""Usage, cost, limits and budgets. `from rtnb import costs` is this package."""

from rtnb.money.budget import Budget, kernel_budget, limit_kernel
from rtnb.money.costs import Cost, Line, cost, cost_of_minutes, cost_of_transcription
from rtnb.money.estimates import Comparison, Estimate, compare, estimate
from rtnb.money.price_table import PriceTable, prices
from rtnb.money.usage import Usage, money

__all__ = ["Budget", "Comparison", "Cost", "Estimate", "Line", "PriceTable", "Usage"]
__all__ += ["compare", "cost", "cost_of_minutes", "cost_of_transcription", "estimate"]
__all__ += ["kernel_budget", "limit_kernel", "money", "prices"]
