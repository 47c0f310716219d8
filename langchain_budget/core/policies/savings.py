"""What a cheaper way saves: another model or tool, or work done in batches."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import NamedTuple

from langchain_budget.core.amounts import Amount, countable
from langchain_budget.core.faults import InvalidAmount
from langchain_budget.core.policies.rounding import whole


class Savings(NamedTuple):
    """
    Two ways compared.

    Attributes:
        before: What the dear way costs.
        after: What the cheap way costs.
        saved: The difference, negative when it is no saving.
        share: The part of *before* that is saved, 0 when that was free.
        times: How many times as dear *before* is, `None` when *after* is free.
    """

    before: Amount
    after: Amount
    saved: Amount
    share: Fraction
    times: Fraction | None


def savings(before: Amount, after: Amount) -> Savings:
    """
    What is saved by paying *after* instead of *before*.

    Raises:
        UnitMismatch: They have different units.

    >>> from langchain_budget.core.amounts import usd
    >>> gained = savings(usd("0.01"), usd("0.001"))
    >>> print(gained.saved, gained.times)
    $0.009 10
    """
    saved = countable(before) - countable(after)
    share = Fraction(saved.value, before.value) if before else Fraction(0)
    times = Fraction(before.value, after.value) if after else None
    return Savings(before, after, saved, share, times)


def batched(single: Amount, count: int, batch: Amount, size: int) -> Savings:
    """
    What is saved by *count* pieces of work in batches of *size*; the last is padded.

    Args:
        single: What one piece costs alone.
        count: How many pieces there are.
        batch: What one batch costs, however full it is.
        size: How many pieces fit in one, 1 or more.

    >>> from langchain_budget.core.amounts import usd
    >>> print(batched(usd("0.005"), 10, usd("0.01"), size=10).saved)
    $0.04
    """
    if whole(size, "size") < 1:
        msg = f"size {size!r}: a batch holds 1 piece or more"
        raise InvalidAmount(msg)
    batches = ceil(Fraction(whole(count, "count"), size))
    before = Amount(single.unit, single.value * count)
    return savings(before, Amount(batch.unit, batch.value * batches))
