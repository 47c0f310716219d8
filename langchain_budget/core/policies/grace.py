"""How far a limit may be exceeded before that counts as a failure."""

from __future__ import annotations

from enum import StrEnum

from langchain_budget.core.accounts import MARK_SCALE, ratio
from langchain_budget.core.policies.rounding import whole


class Overage(StrEnum):
    """What usage is, measured by a limit with grace."""

    OK = "ok"
    """Up to the limit, the limit itself included."""
    WARNING = "warning"
    """Above the limit and within its grace: go on, and say so."""
    SOFT = "soft"
    """Above the grace where that stops nothing: go on, and say so."""
    HARD_FAIL = "hard_fail"
    """Above the grace: stop."""


def with_grace(limit: int, percent: object) -> int:
    """
    *limit* and its grace in whole units, rounded down.

    *percent* is more than 0 and at most 100 %: `5`, `"5%"` and `0.05` are the same.
    A number up to 1 is a fraction, so write half a percent as `"0.5%"`. `None` is no
    grace.

    Raises:
        InvalidAmount: For any other percentage, or a negative or inexact limit.

    >>> with_grace(32_000, 5)
    33600
    """
    more = 0 if percent is None else ratio(percent)
    return whole(limit, "limit") * (MARK_SCALE + more) // MARK_SCALE


def severity(
    used: int, limit: int | None, grace_percent: object = None, *, hard: bool = True
) -> Overage:
    """
    What *used* is, measured by *limit* (`None` for unlimited) with grace.

    Above the grace it is `hard_fail`, or `soft` where *hard* is off (metering).

    >>> severity(105, 100, 10).value, severity(115, 100, 10).value
    ('warning', 'hard_fail')
    """
    if limit is None or used <= limit:
        return Overage.OK
    if used <= with_grace(limit, grace_percent):
        return Overage.WARNING
    return Overage.HARD_FAIL if hard else Overage.SOFT
