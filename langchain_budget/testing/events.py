"""Listen to a pool for the length of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from langchain_budget.events import Event
from langchain_budget.pool import BudgetPool

_Kind = TypeVar("_Kind", bound=Event)


class EventLog(list[Event]):
    """Events in the order in which they were told; `log.append` is a listener."""

    @property
    def kinds(self) -> list[type[Event]]:
        """What kind each event is of, to compare with a list of them."""
        return [type(each) for each in self]

    def of(self, kind: type[_Kind]) -> list[_Kind]:
        """The events of one kind."""
        return [each for each in self if isinstance(each, kind)]


@contextmanager
def capture(pool: BudgetPool) -> Iterator[EventLog]:
    """
    Note all events of *pool* inside the block.

    >>> from langchain_budget import BudgetPool, usd
    >>> from langchain_budget.events import Released, Reserved
    >>> pool = BudgetPool("acme", usd(1))
    >>> with capture(pool) as events:
    ...     pool.reserve(usd("0.40")).release()
    >>> events.kinds == [Reserved, Released]
    True
    """
    log = EventLog()
    end = pool.subscribe(log.append)
    try:
        yield log
    finally:
        end()
