"""Exact numbers, and a total that is divided without losing or making a unit."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import floor

from langchain_budget.core.faults import InexactAmount, InvalidAmount, InvalidPolicy

Number = int | Fraction | Decimal
"""A number without error; never a float."""


def largest_remainder(total: int, weights: Sequence[Number]) -> tuple[int, ...]:
    """
    Divide *total* whole units by *weights*; the parts add up to it exactly.

    Each gets its quota rounded down, then the units that are left go one by one to
    those who lost most by rounding, earlier ones first where they lost the same
    (Hamilton's method). When all weights are zero, all get equal parts.

    Raises:
        InexactAmount: For a float or a bool.
        InvalidAmount: For a negative total or weight, or one that is not finite.
        InvalidPolicy: There is something to divide and nobody to have it.

    >>> largest_remainder(100, [1, 1, 1])
    (34, 33, 33)
    """
    whole(total, "total")
    exact = [fraction(weight, "weight") for weight in weights]
    if total and not exact:
        msg = f"{total} to divide, but nobody to have it: name at least one"
        raise InvalidPolicy(msg)
    if not any(exact):
        exact = [Fraction(1)] * len(exact)
    everything = sum(exact)
    quotas = [total * weight / everything for weight in exact]
    parts = [floor(quota) for quota in quotas]
    by_loss = sorted(range(len(parts)), key=lambda at: parts[at] - quotas[at])
    for at in by_loss[: total - sum(parts)]:
        parts[at] += 1
    return tuple(parts)


def whole(number: object, what: str) -> int:
    """*number*, if it is a whole one, zero or more; *what* it is goes into errors."""
    if type(number) is not int:
        msg = f"{what} {number!r} is not exact: give a whole number"
        raise InexactAmount(msg)
    _check_sign(number, what)
    return number


def fraction(number: object, what: str) -> Fraction:
    """*number* as a fraction, if it is exact, finite, and zero or more."""
    if isinstance(number, bool) or not isinstance(number, int | Fraction | Decimal):
        msg = (
            f"{what} {number!r} is not exact: "
            f"give a whole number, a Fraction or a Decimal like Decimal('1.2')"
        )
        raise InexactAmount(msg)
    if isinstance(number, Decimal) and not number.is_finite():
        msg = f"{what} {number!r}: give a finite number"
        raise InvalidAmount(msg)
    _check_sign(number, what)
    return Fraction(number)


def _check_sign(number: Number, what: str) -> None:
    if number < 0:
        msg = f"{what} {number!r}: give zero or more"
        raise InvalidAmount(msg)
