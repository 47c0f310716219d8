"""
Reserve and settle on the memory store, against a lock and a dictionary.

Three levels, one dollar amount held and less of it settled. The bare version checks
and changes the same three counters under one lock, and keeps the hold; it has no
journal, no replay, no routes, no events.
"""

from __future__ import annotations

import itertools
import threading

from benchmarks.measure import Effort, Ratio, ratio
from langchain_budget import BudgetPool, usd
from langchain_budget.core.rules import Charge, Order

HELD, SPENT = 1_000, 900


class Bare:
    """What must be done at the least, and nothing else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters = {level: [10**18, 0, 0] for level in "abc"}
        self._holds: dict[int, int] = {}
        self._serial = itertools.count()

    def reserve(self) -> int:
        counters = self._counters
        with self._lock:
            for level in "abc":
                granted, held, spent = counters[level]
                if granted - held - spent < HELD:
                    raise ValueError
            for level in "abc":
                counters[level][1] += HELD
            hold = next(self._serial)
            self._holds[hold] = HELD
            return hold

    def settle(self, hold: int) -> None:
        counters = self._counters
        with self._lock:
            held = self._holds.pop(hold)
            for level in "abc":
                counters[level][1] -= held
                counters[level][2] += SPENT


def rows(rounds: int) -> list[Ratio]:
    """The row of the memory store."""
    bare = Bare()
    pool = BudgetPool("acme", usd(1_000_000))
    path = pool.open("team", limit=usd(900_000)).open("web", limit=usd(800_000)).path
    order, charge, ledger = Order({"usd": HELD}), Charge({"usd": SPENT}), pool.ledger

    def ours() -> None:
        hold = ledger.run(ledger.reserve(path, order))
        ledger.run(ledger.settle(hold, charge))

    def theirs() -> None:
        bare.settle(bare.reserve())

    what = "reserve + settle, 3 levels, memory store / lock and dict"
    return [ratio(what, ours, theirs, "<= 4", Effort(rounds * 3, 500))]
