"""Usage, cost, limits and budgets. `from rtnb import costs` is this package."""

from rtnb.money.costs import (
    Budget,
    Comparison,
    Cost,
    Estimate,
    Line,
    PriceTable,
    Usage,
    compare,
    cost,
    cost_of_minutes,
    cost_of_transcription,
    estimate,
    kernel_budget,
    limit_kernel,
    money,
    prices,
)

__all__ = [
    "Budget",
    "Comparison",
    "Cost",
    "Estimate",
    "Line",
    "PriceTable",
    "Usage",
    "compare",
    "cost",
    "cost_of_minutes",
    "cost_of_transcription",
    "estimate",
    "kernel_budget",
    "limit_kernel",
    "money",
    "prices",
]
