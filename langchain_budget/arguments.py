"""What users give to accounts, checked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from langchain_budget.core.amounts import Amount, Limit, vector
from langchain_budget.core.faults import InvalidAmount, InvalidName
from langchain_budget.core.rules import Order
from langchain_budget.core.traits import Traits, check_metadata, check_priority

Amounts = Amount | Iterable[Amount] | None
Limits = Amount | Limit | Iterable[Amount | Limit] | None


def several(limits: Limits) -> tuple[Amount | Limit, ...]:
    """One limit, many or none, as a tuple."""
    given: Any = () if limits is None else limits
    if isinstance(given, Iterable) and not isinstance(given, Limit):
        return tuple(given)
    return (given,)  # a limit is a tuple, but one thing


def amounts_of(amounts: Amounts) -> tuple[Amount, ...]:
    """One amount, many or none, as a tuple."""
    if amounts is None:
        return ()
    return tuple(amounts) if isinstance(amounts, Iterable) else (amounts,)


def order_of(
    amounts: tuple[Amount, ...],
    ttl_seconds: float,
    labels: Mapping[str, str] | None,
    wait_seconds: float = 0.0,
) -> Order:
    """What a reservation by hand asks for."""
    return Order(
        vector(amounts),
        ttl_seconds=lifetime(ttl_seconds),
        labels=check_metadata(labels, "labels"),
        wait_seconds=patience(wait_seconds),
    )


def patience(wait_seconds: float) -> float:
    """How long somebody waits: a number of seconds, or 0 for not at all."""
    if not 0 <= wait_seconds < math.inf:
        msg = f"wait_seconds={wait_seconds!r}: give a number of seconds, zero or more"
        raise InvalidAmount(msg)
    return wait_seconds


def lifetime(ttl_seconds: float) -> float:
    """How long something lives: a number of seconds above zero."""
    if not 0 < ttl_seconds < math.inf:
        msg = f"ttl_seconds={ttl_seconds!r}: give a number of seconds above zero"
        raise InvalidAmount(msg)
    return ttl_seconds


def traits_asked(
    priority: int | None,
    tradeable: Any,
    enforce: Any,
    metadata: Mapping[str, str] | None,
) -> Traits:
    """What an account is to be, checked."""
    for name, given in (("tradeable", tradeable), ("enforce", enforce)):
        if not isinstance(given, bool):
            msg = f"{name}={given!r}: give True or False"
            raise InvalidName(msg)
    chosen = 0 if priority is None else check_priority(priority)
    return Traits(chosen, tradeable, enforce, check_metadata(metadata))
