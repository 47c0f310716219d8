"""What users give to accounts, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from langchain_budget.core.accounts import check_name
from langchain_budget.core.amounts import Amount, Limit, vector
from langchain_budget.core.dividing import BETWEEN, Each
from langchain_budget.core.faults import InvalidAmount, InvalidName, told
from langchain_budget.core.rules import Order
from langchain_budget.core.traits import Traits, check_metadata, check_priority

LONGEST_SECONDS: Final = 10**12
"""Some thirty thousand years: longer, and stores differ in what they can keep."""

Marks = float | str | Iterable[float | str]
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
    if not _is_time(wait_seconds) or wait_seconds < 0:
        said = f"wait_seconds={told(wait_seconds)}"
        msg = f"{said}: give a number of seconds, zero or more"
        raise InvalidAmount(msg)
    return wait_seconds


def lifetime(ttl_seconds: float) -> float:
    """How long something lives: a number of seconds above zero."""
    if not _is_time(ttl_seconds) or ttl_seconds <= 0:
        said = f"ttl_seconds={told(ttl_seconds)}"
        msg = f"{said}: give a number of seconds above zero"
        raise InvalidAmount(msg)
    return ttl_seconds


def _is_time(seconds: object) -> bool:
    """Whether it can be added to the time: an int or float, finite, no bool."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return False
    return -LONGEST_SECONDS <= seconds <= LONGEST_SECONDS


def given_by_value(named: object) -> Mapping[str, Limits]:
    """What `limit_each(named=...)` was given, checked to be a mapping."""
    given = {} if named is None else named
    if isinstance(given, Mapping):
        return given
    msg = f"named={told(named)}: give limits by value, like {{'ada': usd(5)}}"
    raise InvalidName(msg)


def _labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    for label in labels:
        check_name(label)
    if not labels or len(set(labels)) < len(labels):
        msg = f"labels {labels!r}: name one, or several different ones"
        raise InvalidName(msg)
    if any(BETWEEN in label for label in labels):
        msg = f"labels {labels!r}: give several one by one, not with a {BETWEEN!r}"
        raise InvalidName(msg)
    return labels


def divided(each: Each) -> Each:
    """What `limit_each` was asked for, checked."""
    labels, most = _labels(each.labels), each.most
    if not any(spec.limits for spec in (each.spec, *each.named.values())):
        msg = f"limit_each of {each.name!r} limits nothing: give limit= or named="
        raise InvalidAmount(msg)
    strange = sorted(set(each.missing) - set(labels))
    if strange:
        msg = f"missing {', '.join(strange)}: labels are {', '.join(labels)}"
        raise InvalidName(msg)
    for value in each.named:
        if not isinstance(value, str) or not value:
            msg = f"named {value!r}: give the label's value as text, like '5'"
            raise InvalidName(msg)
    if type(most) is not int or most < 1:
        msg = f"most={most!r}: give a whole number above zero"
        raise InvalidAmount(msg)
    return each


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
