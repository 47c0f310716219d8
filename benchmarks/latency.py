"""
What one budget operation takes: the 95th percentile, beside a millisecond.

An estimate of what a tool costs, a check whether that fits, and a record of it, which
is a hold and its charge: each is timed by itself, by the clock on the wall, because
whoever waits for it waits by that clock. Three levels, on the memory store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from benchmarks.measure import Ratio
from langchain_budget import Account, BudgetPool, ToolCosts, usd
from langchain_budget.pricing.tool_costs import STANDARD_TOOL_COSTS

CALLS = 1_000
"""Of each operation in a round."""

MILLISECOND = 1_000.0


class Subject(NamedTuple):
    """What is measured, and the books that it leaves."""

    account: Account
    operations: Mapping[str, Callable[[], object]]


def subject() -> Subject:
    """The three operations on an account of their own."""
    pool = BudgetPool("acme", usd(1_000_000))
    web = pool.open("team", limit=usd(900_000)).open("web", limit=usd(800_000))
    costs = ToolCosts(STANDARD_TOOL_COSTS)
    cost, params = costs.estimate("Read"), {"prompt": "Explain this. " * 100}

    def estimate() -> object:
        return costs.estimate("LLM", params)

    def check() -> object:
        return web.can_afford(cost)

    def record() -> None:
        web.reserve(cost).settle(cost)

    return Subject(web, {"estimate": estimate, "check": check, "record": record})


def rows(rounds: int, calls: int = CALLS) -> list[Ratio]:
    """One row for each operation."""
    return [
        Ratio(
            f"P95 of one {name} / a millisecond",
            percentile(timed(operation, rounds * calls)),
            MILLISECOND,
            "< 1",
        )
        for name, operation in subject().operations.items()
    ]


def timed(operation: Callable[[], object], times: int) -> list[float]:
    """Microseconds of each of so many calls."""
    taken = []
    for _ in range(times):
        start = time.perf_counter_ns()
        operation()
        taken.append((time.perf_counter_ns() - start) / 1_000)
    return taken


def percentile(taken: list[float], percent: int = 95) -> float:
    """The least time that so many percent do not exceed."""
    return sorted(taken)[-(-len(taken) * percent // 100) - 1]
