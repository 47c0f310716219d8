"""Limits as people write them: `$5 per day`."""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal
from difflib import get_close_matches
from typing import Final

from langchain_budget.core.amounts import USD, Amount, Limit, meter, usd
from langchain_budget.core.faults import InvalidAmount
from langchain_budget.core.written import UNITS, ungrouped

_NUMBER: Final = r"(?P<number>[0-9][0-9_,]*(?:\.[0-9]+)?)"
_WINDOW: Final = r"(?:\s+(?:per|in any)\s+(?P<window>\w+)(?:\s+in\s+(?P<zone>\S+))?)?"
_DOLLARS: Final = re.compile(rf"\$\s*{_NUMBER}{_WINDOW}")
_UNITS: Final = re.compile(
    rf"{_NUMBER}\s*(?P<unit>(?!(?:per|in)\b)[A-Za-z_]+(?: (?!(?:per|in)\b)[A-Za-z_]+)*)"
    rf"{_WINDOW}"
)
_EXAMPLES: Final = "'$10', '$5 per day in Europe/Berlin' or '100000 tokens per hour'"


def parse_limit(text: str, *, meters: Collection[str] = ()) -> Amount | Limit:
    """
    The limit that *text* says.

    Args:
        text: An amount, and how often it starts anew: `$5 per day`. Dollars, or a
            number and its unit: `tokens`, `input tokens`, `output tokens`, `calls`,
            `tool calls`. Commas may group thousands, and underscores any digits.
        meters: Units of your own that it may be in.

    Raises:
        InvalidAmount: It says nothing that can be kept; the message says why.

    >>> parse_limit("$10"), parse_limit("1_000 tokens")
    (usd('10.00'), tokens(1000))
    >>> print(parse_limit("$5 per day in Europe/Berlin"))
    $5.00 per day in Europe/Berlin
    >>> print(parse_limit("20 calls per run"))
    20 calls per run
    """
    parts = _parts(text)
    amount = _amount(parts["number"] or "", parts.get("unit") or USD, meters, text)
    if parts["window"] is None:
        return amount
    return amount.per(parts["window"], parts["zone"] or "UTC")


def _parts(text: object) -> dict[str, str | None]:
    stripped = text.strip() if isinstance(text, str) else ""
    found = _DOLLARS.fullmatch(stripped) or _UNITS.fullmatch(stripped)
    if found is None:
        msg = f"{text!r} is no limit: write it like {_EXAMPLES}"
        raise InvalidAmount(msg)
    return found.groupdict()


def _amount(number: str, unit: str, meters: Collection[str], text: str) -> Amount:
    value = Decimal(ungrouped(number).replace("_", ""))
    unit = _unit(unit, meters, text)
    if unit == USD:
        return usd(value)
    if value != int(value):
        msg = f"{text!r}: give a whole number of {unit.replace('_', ' ')}"
        raise InvalidAmount(msg)
    return meter(unit)(int(value))


def _unit(said: str, meters: Collection[str], text: str) -> str:
    """The unit, also where it is said of one, or in capitals."""
    names = said.lower().replace(" ", "_")
    known = (*UNITS, *meters)
    for name in (said, names, f"{names}s"):
        if name in known:
            return name
    near = get_close_matches(names, known, n=1)
    instead = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    msg = f"{text!r}: unknown unit {said!r}: {instead} Name your own under `meters`"
    raise InvalidAmount(msg)


def parse_limits(
    given: object, meters: Collection[str] = ()
) -> tuple[Amount | Limit, ...]:
    """
    One limit, several, or none, as a configuration has them.

    Raises:
        InvalidAmount: One of them makes no sense.
    """
    texts = () if given is None else given
    many = texts if isinstance(texts, list | tuple) else (texts,)
    return tuple(parse_limit(text, meters=meters) for text in many)


def parse_amounts(given: object, meters: Collection[str] = ()) -> tuple[Amount, ...]:
    """Likewise amounts, which have no window."""
    amounts = []
    for limit in parse_limits(given, meters):
        if not isinstance(limit, Amount):
            msg = f"{limit} starts anew: give an amount, like '$3'"
            raise InvalidAmount(msg)
        amounts.append(limit)
    return tuple(amounts)
