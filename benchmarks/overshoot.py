"""
Fan-out with money for a tenth of the calls: how much more is admitted or spent.

First under a handler: admitted calls wait until all the others were refused, so all
overlap; every call costs just what is held for it, and the limit is a whole number of
calls. Then with the wrapped model on each store: answers are of any length, and the
limit is in tokens; what was spent beyond it, by the model's own count, is the excess.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

from benchmarks.stores import servers
from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    budgeted,
    calls,
    tokens,
)
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
    """Both tables."""
    return f"{_admissions()}\n\nwrapped model, tokens\n{_excesses()}"


class Excess(NamedTuple):
    """One fan-out of calls of a wrapped model."""

    store: str
    way: str
    fan_out: int
    answered: int
    limit: int
    spent: int
    excess: int
    held: int


def _excesses() -> str:
    with servers() as settings:
        urls = {"memory": None} | {each.name: each.url for each in settings}
        rows = [
            _excess(name, url, way, fan_out)
            for name, url in urls.items()
            for fan_out in FAN_OUTS
            for way in ("threads", "tasks")
        ]
    heads = Excess._fields
    return "\n".join("".join(f"{cell:>12}" for cell in row) for row in [heads, *rows])


def _excess(name: str, url: str | None, way: str, fan_out: int) -> Excess:
    limit = max(200, fan_out * 12)
    pool = BudgetPool(f"{way}-{fan_out}", tokens(limit), store=url)
    usage = [(5, length) for length in (3, 60, 1, 25, 90)]
    counted = FakeChatModel(replies=["word " * 90], usage=usage)
    model = budgeted(counted, pool)
    if way == "threads":
        with ThreadPoolExecutor(min(fan_out, 64)) as threads:
            list(threads.map(lambda _: _tried(model), range(fan_out)))
    else:
        asyncio.run(_all_at_once(model, fan_out))
    total, balance = counted.total, pool.balance("tokens")
    spent = total.input_tokens + total.output_tokens
    excess, held = max(0, spent - limit), balance.held.value
    return Excess(name, way, fan_out, total.calls, limit, spent, excess, held)


def _tried(model: FakeChatModel) -> None:
    with suppress(BudgetExceeded):
        model.invoke("Hi")


async def _all_at_once(model: FakeChatModel, fan_out: int) -> None:
    calls = [model.ainvoke("Hi") for _ in range(fan_out)]
    await asyncio.gather(*calls, return_exceptions=True)


def _admissions() -> str:
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
