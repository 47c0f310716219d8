"""Who gets how much of a total: fixed, by usage, by priority, by share, by tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from math import ceil
from typing import Final, NamedTuple

from langchain_budget.core.accounts import MARK_SCALE, ratio
from langchain_budget.core.amounts import Amount, usd
from langchain_budget.core.faults import (
    InvalidPolicy,
    OverAllocated,
)
from langchain_budget.core.policies.rounding import (
    Number,
    fraction,
    largest_remainder,
    whole,
)
from langchain_budget.core.traits import check_priority

CRITICAL: Final = 8
"""From this priority on an account gets its minimum first (priority pools)."""


class Tier(Enum):
    """Budgets by name (tool costs): $1, $5, $20 and $100."""

    LOW = usd(1)
    MEDIUM = usd(5)
    HIGH = usd(20)
    CRITICAL = usd(100)

    @property
    def amount(self) -> Amount:
        """How much an account of this tier is given."""
        return self.value


class Claim(NamedTuple):
    """
    One who wants a part; all quantities in whole units, such as nano-dollars.

    Attributes:
        name: Who it is, as the result names it.
        priority: 1 to 10, where 10 is the most important; see `check_priority`.
        remaining: What it has now.
        usage: What it spent in each of some periods of equal length.
    """

    name: str
    priority: int
    remaining: int = 0
    usage: tuple[int, ...] = ()


def check_claims(claims: Sequence[Claim]) -> Sequence[Claim]:
    """Claims whose priorities are valid and whose names are all different."""
    names = [claim.name for claim in claims]
    for claim in claims:
        check_priority(claim.priority)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"{twice!r} is named twice: give each claim a name of its own"
        raise InvalidPolicy(msg)
    return claims


def fixed(amounts: Mapping[str, int], total: int | None = None) -> dict[str, int]:
    """
    What each is promised, if *total* covers it; `None` is unlimited.

    Raises:
        OverAllocated: It does not.

    >>> fixed({"analyst": 20, "coder": 20, "reviewer": 10}, total=50)
    {'analyst': 20, 'coder': 20, 'reviewer': 10}
    """
    asked = sum(whole(amount, name) for name, amount in amounts.items())
    if total is not None and asked > whole(total, "total"):
        raise OverAllocated(f"{asked:,}", f"{total:,}")
    return dict(amounts)


def dynamic(
    base: int, usage: Sequence[int], multiplier: Number = Decimal("1.2")
) -> int:
    """
    What one spends on average, times *multiplier*, and at least *base*.

    Rounded up to a whole unit; *base* without usage. The default multiplier is the
    one of priority pools.

    >>> dynamic(50, [40, 60]), dynamic(50, [10]), dynamic(50, [])
    (60, 50, 50)
    """
    wanted = (average(usage) or 0) * fraction(multiplier, "multiplier")
    return max(ceil(wanted), whole(base, "base"))


def average(usage: Sequence[int]) -> Fraction | None:
    """What is spent in a period, in whole units; `None` when nothing is known."""
    if not usage:
        return None
    return Fraction(sum(whole(each, "usage") for each in usage), len(usage))


def portion(balance: int, share: object = "10%") -> int:
    """
    A part of *balance*, rounded down; *share* as `ratio` reads it.

    >>> portion(500)
    50
    """
    return whole(balance, "balance") * ratio(share) // MARK_SCALE


def by_priority(
    claims: Sequence[Claim], total: int, *, minimum: int, critical: int = CRITICAL
) -> dict[str, int]:
    """
    All of *total*: minimums first, then the rest by priority over everybody.

    Those of priority *critical* and above get *minimum*, the most important ones
    first (in the order given where they are equal), as far as *total* goes. What is
    left is divided by priority over all claims. Everybody is in the result, in the
    order given, and the parts add up to *total* exactly.

    >>> by_priority([Claim("a", 9), Claim("b", 8), Claim("c", 5)], 80, minimum=50)
    {'a': 50, 'b': 30, 'c': 0}
    """
    left = whole(total, "total")
    first: dict[str, int] = {}
    for claim in _critical(claims, critical):
        first[claim.name] = min(whole(minimum, "minimum"), left)
        left -= first[claim.name]
    rest = largest_remainder(left, [claim.priority for claim in claims])
    return {
        claim.name: first.get(claim.name, 0) + more
        for claim, more in zip(claims, rest, strict=True)
    }


def by_priority_as_documented(
    claims: Sequence[Claim], total: int, *, minimum: int, critical: int = CRITICAL
) -> dict[str, int]:
    """
    The recipe of the priority pools to the letter; `by_priority` mends its faults.

    Each critical claim gets exactly *minimum*, even when *total* does not cover
    that. If something is left then, every other claim gets that times its priority
    over the priorities of *all*, rounded down; what this leaves is given to nobody.
    If nothing is left, the others are missing from the result. The most important
    come first in it.
    """
    first = {
        claim.name: whole(minimum, "minimum") for claim in _critical(claims, critical)
    }
    left = whole(total, "total") - sum(first.values())
    if left <= 0:
        return first
    everything = sum(claim.priority for claim in claims)
    return first | {
        claim.name: left * claim.priority // everything
        for claim in _by_importance(claims)
        if claim.name not in first
    }


def shares(total: int, fractions: Mapping[str, object]) -> dict[str, int]:
    """
    Parts of *total* by share, such as `0.3` or `"30%"`; they may leave a rest.

    Rounded so that all parts and the rest add up to *total*.

    Raises:
        OverAllocated: The shares are more than all there is.

    >>> shares(100, {"research": "30%", "code": 0.5, "review": "20%"})
    {'research': 30, 'code': 50, 'review': 20}
    """
    marks = {name: ratio(share, percentages=False) for name, share in fractions.items()}
    rest = MARK_SCALE - sum(marks.values())
    if rest < 0:
        raise OverAllocated(f"{(MARK_SCALE - rest) * 100 / MARK_SCALE:.7g}%", "100%")
    parts = largest_remainder(total, [*marks.values(), rest])
    return dict(zip(marks, parts, strict=False))


def _critical(claims: Sequence[Claim], critical: int) -> list[Claim]:
    ordered = _by_importance(check_claims(claims))
    return [claim for claim in ordered if claim.priority >= critical]


def _by_importance(claims: Sequence[Claim]) -> list[Claim]:
    return sorted(claims, key=lambda claim: -claim.priority)
