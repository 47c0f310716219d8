"""
How a ratio is measured: both sides in turn, many times, the best round of each.

The two sides take turns within one process, so that whatever else the machine does
falls on both; the fastest round is the one that was disturbed least. What counts is
the processor time of this process: nothing here waits for anything else.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import NamedTuple

Step = Callable[[], object]


class Effort(NamedTuple):
    """How many rounds, and how many calls in each."""

    rounds: int
    calls: int


class Ratio(NamedTuple):
    """One row of the table."""

    what: str
    ours: float
    theirs: float
    aim: str
    unit: str = "us"

    @property
    def value(self) -> float:
        """How many times the other side's time ours is."""
        return self.ours / self.theirs


def ratio(what: str, ours: Step, theirs: Step, aim: str, effort: Effort) -> Ratio:
    """Time *ours* and *theirs* in turn; microseconds a call, of the best round."""
    rounds, calls = effort
    best = [float("inf"), float("inf")]
    for step in (ours, theirs):
        _time(step, calls)
    for _ in range(rounds):
        for side, step in enumerate((ours, theirs)):
            best[side] = min(best[side], _time(step, calls))
    return Ratio(what, best[0] * 1e6, best[1] * 1e6, aim)


def _time(step: Step, calls: int) -> float:
    gc.collect()
    start = time.process_time()
    for _ in range(calls):
        step()
    return (time.process_time() - start) / calls


def show(rows: list[Ratio]) -> str:
    """The rows as a table: ours, theirs, the ratio, and what was aimed at."""
    lines = [
        f"{'what':<58} {'ours':>11} {'beside':>11} {'ratio':>6}  aim",
        "-" * 100,
    ]
    lines += [
        f"{row.what:<58} {row.ours:>8.1f} {row.unit} {row.theirs:>8.1f} {row.unit} "
        f"{row.value:>6.2f}  {row.aim}"
        for row in rows
    ]
    return "\n".join(lines)
