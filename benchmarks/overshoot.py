"""
Fan-out with money for a tenth of the calls: how much more is admitted or spent.

Admitted calls wait until all the others were refused, so all overlap. Every call
costs just what is held for it; the limit is a whole number of calls.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from langchain_budget import BudgetCallbackHandler, BudgetExceeded, BudgetPool, calls
from langchain_budget.events import Event, Refused
from langchain_budget.testing import FakeChatModel, Gate

FAN_OUTS = (2, 4, 8, 16, 32, 64, 128, 256)


class Row(NamedTuple):
    """One fan-out."""

    way: str
    fan_out: int
    affordable: int
    admitted: int
    over_admitted: int
    spent: int
    """Of the limit, in percent."""


def table() -> str:
    """All fan-outs, threads and tasks."""
    rows = [
        row
        for fan_out in FAN_OUTS
        for row in (_threads(fan_out), asyncio.run(_tasks(fan_out)))
    ]
    heads = ("way", "fan-out", "affordable", "admitted", "over", "spent %")
    return "\n".join("".join(f"{cell:>12}" for cell in row) for row in [heads, *rows])


class _Rush:
    def __init__(self, fan_out: int) -> None:
        self.fan_out, self.affordable = fan_out, max(1, fan_out // 10)
        self.gate, self.refused = Gate(timeout=60), 0
        self.model = FakeChatModel(replies=["Hello."], usage=(12, 3), gate=self.gate)
        self.pool = BudgetPool("acme", calls(self.affordable))
        self.pool.subscribe(self._count)
        self.config: Any = {"callbacks": [BudgetCallbackHandler(self.pool)]}

    def _count(self, event: Event) -> None:
        self.refused += isinstance(event, Refused)
        if self.refused >= self.fan_out - self.affordable:
            self.gate.open()

    def row(self, way: str) -> Row:
        admitted = self.model.total.calls
        over = max(0, admitted - self.affordable)
        spent = self.pool.balance("calls").spent.value * 100 // self.affordable
        return Row(way, self.fan_out, self.affordable, admitted, over, spent)


def _threads(fan_out: int) -> Row:
    rush = _Rush(fan_out)

    def call(_: int) -> None:
        try:
            rush.model.invoke("Hi", rush.config)
        except BudgetExceeded:
            return

    with ThreadPoolExecutor(fan_out) as threads:
        list(threads.map(call, range(fan_out)))
    return rush.row("threads")


async def _tasks(fan_out: int) -> Row:
    rush = _Rush(fan_out)
    tasks = [rush.model.ainvoke("Hi", rush.config) for _ in range(fan_out)]
    await asyncio.gather(*tasks, return_exceptions=True)
    return rush.row("tasks")
