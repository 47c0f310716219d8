"""Limits by name: a unit, with its window behind it if it has one."""

from __future__ import annotations

from collections.abc import Iterable

from langchain_budget.core.amounts import Amount, Limit, countable, show
from langchain_budget.core.faults import InvalidAmount
from langchain_budget.core.windows import Window, window_of


def limits(given: Iterable[Amount | Limit]) -> dict[str, int]:
    """Amounts by the names of their limits; two of one name are a mistake."""
    by_name: dict[str, int] = {}
    for each in given:
        windowed = isinstance(each, Limit)
        amount = countable(each.amount if isinstance(each, Limit) else each)
        name = each.name if isinstance(each, Limit) else amount.unit
        if name in by_name:
            what = "limit" if windowed else "unit"
            msg = f"{amount!r}: the {what} {name!r} is given twice, give it once"
            raise InvalidAmount(msg)
        by_name[name] = amount.value
    return by_name


def window_in(name: str) -> Window | None:
    """The window in a limit's name, `None` for one that never resets."""
    _, found, window = name.partition("@")
    return window_of(window) if found else None


def show_limit(name: str, value: int | None) -> str:
    """A limit as people read it: `$2.00 per day`."""
    unit, _, _ = name.partition("@")
    window = window_in(name)
    return show(unit, value) + (f" {window.words}" if window else "")
