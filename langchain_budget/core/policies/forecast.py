"""How fast a budget burns, and when it will be gone."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import floor, isfinite
from typing import NamedTuple

from langchain_budget.core.faults import InvalidPolicy
from langchain_budget.core.policies.rounding import whole


class Spend(NamedTuple):
    """Whole units that were spent, and when, in seconds since any fixed time."""

    at: float
    amount: int


def burn_rate(history: Iterable[Spend], *, start: float, now: float) -> Fraction:
    """
    Whole units a second, over the time from *start* to *now*.

    What was spent at *start* or after *now* is not counted. *start* is said, not
    taken from the history: a single charge a moment ago is no rate.

    Raises:
        InvalidPolicy: No time lies between *start* and *now*.

    >>> burn_rate([Spend(10, 300), Spend(60, 300)], start=0, now=60)
    Fraction(10, 1)
    """
    if not (isfinite(start) and isfinite(now) and start < now):
        msg = f"no time from {start!r} to {now!r}: give a start before now"
        raise InvalidPolicy(msg)
    spent = sum(
        whole(each.amount, "spent") for each in history if start < each.at <= now
    )
    return spent / (Fraction(now) - Fraction(start))


def exhausted_in(available: int | None, rate: Fraction) -> int | None:
    """
    Seconds until nothing is left at that *rate*, rounded down.

    `None` when nothing is burning, or when it is unlimited; 0 when nothing is left.

    >>> exhausted_in(available=600, rate=Fraction(10))
    60
    """
    if available is None or rate <= 0:
        return None
    return floor(max(available, 0) / rate)
