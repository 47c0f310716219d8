"""A total divided anew by priority and by what each has used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

from langchain_budget.core.amounts import NANOS
from langchain_budget.core.policies.allocation import (
    Claim,
    average,
    check_claims,
)
from langchain_budget.core.policies.rounding import (
    Number,
    fraction,
    largest_remainder,
)
from langchain_budget.core.traits import PRIORITIES

BY_PRIORITY: Final = Decimal("0.7")
"""How much the priority counts (priority pools)."""

BY_USAGE: Final = Decimal("0.3")
"""How much the usage counts (priority pools)."""

UNKNOWN_USAGE: Final = Fraction(1)
"""What counts as usage where none is known (priority pools)."""


def rebalance(
    claims: Sequence[Claim],
    total: int,
    *,
    by_priority: Number = BY_PRIORITY,
    by_usage: Number = BY_USAGE,
    as_documented: bool = False,
) -> dict[str, int]:
    """
    All of *total*, divided by `weights`; the parts add up to it exactly.

    >>> rebalance([Claim("a", 8, usage=(900,)), Claim("b", 8, usage=(100,))], 1000)
    {'a': 592, 'b': 408}
    """
    heavy = weights(
        claims,
        by_priority=by_priority,
        by_usage=by_usage,
        as_documented=as_documented,
    )
    parts = largest_remainder(total, heavy)
    return dict(zip((claim.name for claim in claims), parts, strict=True))


def weights(
    claims: Sequence[Claim],
    *,
    by_priority: Number = BY_PRIORITY,
    by_usage: Number = BY_USAGE,
    as_documented: bool = False,
) -> tuple[Fraction, ...]:
    """
    What each claim weighs: `0.7 * priority + 0.3 * usage`, in the order given.

    The usage is what was spent on average in a period. So that it is of the size of
    a priority, whoever spends most counts 10 and the others in proportion. With
    *as_documented* it counts in dollars, as the recipe of the priority pools has it:
    then whoever spends hundreds has nearly all. Unknown usage counts 1 either way.
    """
    check_claims(claims)
    scale = Fraction(1, NANOS) if as_documented else _scale(claims)
    priorities = fraction(by_priority, "by_priority")
    usages = fraction(by_usage, "by_usage")
    return tuple(
        priorities * claim.priority + usages * _usage(claim, scale) for claim in claims
    )


def changes(claims: Sequence[Claim], parts: Mapping[str, int]) -> dict[str, int]:
    """
    What each gains, or loses where it is negative, against what remains to it now.

    >>> changes([Claim("a", 5, remaining=70), Claim("b", 5)], {"a": 40, "b": 30})
    {'a': -30, 'b': 30}
    """
    return {claim.name: parts[claim.name] - claim.remaining for claim in claims}


def _scale(claims: Sequence[Claim]) -> Fraction:
    most = max((average(claim.usage) or Fraction() for claim in claims), default=0)
    return Fraction(PRIORITIES[-1], most) if most else Fraction()


def _usage(claim: Claim, scale: Fraction) -> Fraction:
    spent = average(claim.usage)
    return UNKNOWN_USAGE if spent is None else spent * scale
