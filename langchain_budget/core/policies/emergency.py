"""What an emergency is granted out of a reserve."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from langchain_budget.core.policies.allocation import portion
from langchain_budget.core.policies.rounding import whole
from langchain_budget.core.traits import check_priority

HIGH: Final = 7
"""From this priority on an emergency is granted in full (priority pools)."""

CRITICAL_SHARE: Final = Decimal("0.5")
"""What a critical reason gets, whoever gives it (priority pools)."""


class Approval(NamedTuple):
    """
    What an emergency gets, in whole units.

    Attributes:
        approved: What it gets; 0 is a no.
        wanted: What it would get if the reserve were large enough.
        why: The ground of the decision, for people and audits.
    """

    approved: int
    wanted: int
    why: str


def approve(  # noqa: PLR0913  # the defaults are the recipe's, most callers give four
    requested: int,
    priority: int,
    reason: str,
    available: int | None,
    *,
    high: int = HIGH,
    critical_share: object = CRITICAL_SHARE,
    critical: bool | None = None,
    as_documented: bool = False,
) -> Approval:
    """
    All for a high priority, a part if it is critical, else nothing.

    Args:
        requested: Whole units that are asked for.
        priority: 1 to 10, of whoever asks.
        reason: Why; kept by the caller for the audit. It decides nothing, because
            anybody can write "critical".
        available: What the reserve has; no more than this is ever approved. `None`
            is a reserve without end, which makes money from nothing.
        high: The priority from which on all is granted.
        critical_share: What a critical request gets otherwise, such as `"50%"`;
            rounded down.
        critical: Whether it is. `None` is: nobody has said so.
        as_documented: Read "critical" out of *reason* where nobody has said, in any
            spelling and sense: "not critical at all" gets a half. With *available*
            `None`, this is the recipe of the priority pools to the letter.

    Raises:
        InvalidPriority: For a priority that is none.
        InvalidAmount: For a negative or inexact amount.

    >>> approve(40, 7, "the deadline is today", available=30)
    Approval(approved=30, wanted=40, why='priority 7 is high; the reserve has only 30')
    """
    asked = whole(requested, "requested")
    if critical is None:
        critical = as_documented and "critical" in reason.lower()
    if check_priority(priority) >= high:
        wanted, why = asked, f"priority {priority} is high"
    elif critical:
        wanted, why = portion(asked, critical_share), "it is critical"
    else:
        wanted, why = 0, f"priority {priority} is below {high} and it is not critical"
    return _capped(wanted, why, available)


def _capped(wanted: int, why: str, available: int | None) -> Approval:
    if available is None or wanted <= available:
        return Approval(wanted, wanted, why)
    rest = max(available, 0)
    return Approval(rest, wanted, f"{why}; the reserve has only {rest:,}")
