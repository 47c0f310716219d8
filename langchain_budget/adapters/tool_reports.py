"""What tools cost, as a log while it happens and beside the estimates afterwards."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from langchain_budget.account import Account, account_of
from langchain_budget.core.amounts import USD, show
from langchain_budget.core.events import Event, Settled
from langchain_budget.inspections import read_journal
from langchain_budget.ledger import Ledger
from langchain_budget.reports.estimation import TOOL_CALLS, Estimates, Estimation
from langchain_budget.reports.statement import is_inside
from langchain_budget.stores._drive import Talk

LOGGER: Final = "langchain_budget.costs"
"""The name of the logger that costs are written to."""


def estimation_errors(pool: Account) -> Estimation:
    """
    How far the estimates of tools were from what they reported, by tool.

    It reads the journal of an account and of all below it. What was spent out of a
    lease is not told apart by tools.

    >>> from langchain_core.tools import tool
    >>> from langchain_budget import BudgetPool
    >>> from langchain_budget.adapters.tools import budgeted_tool
    >>> @tool
    ... def search(query: str) -> dict:
    ...     "Search for something."
    ...     return {"found": 3, "cost_usd": 0.0125}
    >>> pool = BudgetPool("acme")
    >>> _ = budgeted_tool(search, pool).invoke("tea")
    >>> print(estimation_errors(pool))
    tool    calls  estimated   actual  error   not reported
    ------  -----  ---------  -------  ------  ------------
    search      1      $0.01  $0.0125  +25.0%             0
    """
    ledger = account_of(pool).ledger
    return ledger.run(_estimation(ledger, pool.path))


async def aestimation_errors(pool: Account) -> Estimation:
    """Awaitable twin of `estimation_errors`."""
    ledger = account_of(pool).ledger
    return await ledger.arun(_estimation(ledger, pool.path))


def _estimation(ledger: Ledger, path: str) -> Talk[Estimation]:
    yield from ledger.route(path)
    estimates = Estimates(path)
    yield from read_journal(estimates.add)
    return estimates.result()


def log_costs(
    pool: Account, logger: logging.Logger | None = None
) -> Callable[[], None]:
    """
    Log each tool call at what it is charged, exactly, and the sum of those logged.

    A line is at level INFO and has `tool`, `cost` and `total` as attributes, the sums
    in whole nano-dollars. It is written once the charge is in the books, and only by
    the process that made the call.

    Args:
        pool: A pool, or an account of one to log only what is charged there or below.
        logger: Where to write; left out, the logger `langchain_budget.costs`.

    Returns:
        A function that ends it.
    """
    ledger, log = account_of(pool).ledger, _CostLog(pool.path, logger)
    return ledger.listeners.add(log)


class _CostLog:
    """Sums up what it is told: a balance that is read later has others' costs in it."""

    def __init__(self, path: str, logger: logging.Logger | None) -> None:
        self._path = path
        self._log = logger or logging.getLogger(LOGGER)
        self._total = 0
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        if not isinstance(event, Settled) or not is_inside(event.account, self._path):
            return
        if TOOL_CALLS not in event.amounts or USD not in event.amounts:
            return
        tool, cost = event.labels.get("tool", ""), event.amounts[USD]
        with self._lock:
            self._total += cost
            total = self._total
            self._log.info(
                "tool %s cost %s (%s), %s in all",
                *(tool, show(USD, cost), event.basis, show(USD, total)),
                extra={"tool": tool, "cost": cost, "total": total},
            )
