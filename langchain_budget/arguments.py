"""What users give to accounts, checked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from langchain_budget.core.amounts import Amount, vector
from langchain_budget.core.faults import InvalidAmount
from langchain_budget.core.rules import Order

Limits = Amount | Iterable[Amount] | None


def several(limit: Limits) -> tuple[Amount, ...]:
    """One amount, many or none, as a tuple."""
    if limit is None:
        return ()
    return tuple(limit) if isinstance(limit, Iterable) else (limit,)


def order_of(
    amounts: tuple[Amount, ...], ttl_seconds: float, labels: Mapping[str, str] | None
) -> Order:
    """What a reservation by hand asks for."""
    ttl = lifetime(ttl_seconds)
    return Order(vector(amounts), {}, ttl, labels=dict(labels or {}))


def lifetime(ttl_seconds: float) -> float:
    """How long something lives: a number of seconds above zero."""
    if not 0 < ttl_seconds < math.inf:
        msg = f"ttl_seconds={ttl_seconds!r}: give a number of seconds above zero"
        raise InvalidAmount(msg)
    return ttl_seconds
