"""What a tool says that it has cost, by its result or by the error that it raised."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from langchain_core.messages import BaseMessage
from langgraph.types import Command

from langchain_budget.core.amounts import USD, Amount, countable, usd
from langchain_budget.core.faults import InvalidAmount

COST: Final = "cost_usd"
"""The attribute or key under which a tool reports its cost in dollars."""

_DETAILS: Final = (
    "artifact",
    "response_metadata",
    "additional_kwargs",
    "usage_metadata",
)

_log = logging.getLogger("langchain_budget")


def actual_cost(result: object) -> Amount | None:
    """
    The dollars that *result* says it has cost, rounded up to the nano-dollar.

    Looked for, in this order: an attribute `cost_usd`; keys `cost_usd` and, in
    `usage`, `cost_usd`; of a message, all that in its artifact and its metadata; of a
    `Command`, in the messages that it adds; of several of them, the sum. The text of
    a message is never read: it may be from anybody.

    The tool has run, so nothing is raised here. A figure that cannot be true, such as
    NaN or -1, is logged and is no figure.

    Returns:
        What it says, or `None` if it does not say.

    >>> print(actual_cost({"answer": 42, "usage": {"cost_usd": 0.0002}}))
    $0.0002
    >>> actual_cost("42") is None
    True
    """
    try:
        return _reported(result)
    except Exception:  # noqa: BLE001  # the tool has run: its call must be booked
        _log.exception("the cost of a tool cannot be read off its result")
        return None


def _reported(result: object) -> Amount | None:
    said = _figure(result)
    if said is not None:
        return _amount(said)
    if isinstance(result, BaseMessage):
        found = (_reported(getattr(result, name, None)) for name in _DETAILS)
        return next((cost for cost in found if cost is not None), None)
    costs = [_reported(each) for each in _parts(result)]
    known = [cost for cost in costs if cost is not None]
    return sum(known[1:], known[0]) if known else None


def _figure(result: object) -> Any:
    if not isinstance(result, Mapping):
        return getattr(result, COST, None)
    usage, found = result.get("usage"), result.get(COST)
    if found is None and isinstance(usage, Mapping):
        return usage.get(COST)
    return found


def _parts(result: object) -> Sequence[object]:
    """The results that *result* is made of; a list of data is none."""
    if isinstance(result, Command) and isinstance(result.update, Mapping):
        return _parts(result.update.get("messages"))
    if isinstance(result, list):
        return [each for each in result if isinstance(each, BaseMessage | Command)]
    return result[1:] if isinstance(result, tuple) else ()  # a content, an artifact


def _amount(said: Any) -> Amount | None:
    try:
        if isinstance(said, Amount) and said.unit == USD:
            return countable(said)
        return usd(Decimal(str(said)) if isinstance(said, float) else said)
    except InvalidAmount as error:
        _log.warning("a tool reports a cost that cannot be true: %s", error)
        return None
