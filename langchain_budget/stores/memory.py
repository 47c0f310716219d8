"""The books of one process, behind one lock: nothing here waits for the world."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

from langchain_budget.core.accounts import SEPARATOR, Row
from langchain_budget.core.postings import (
    Balance,
    CounterKey,
    Entry,
    Hold,
    Posting,
    Receipt,
    Refusal,
)
from langchain_budget.forks import alone, new_lock
from langchain_budget.stores._journal import entry_of, hold_of
from langchain_budget.stores._tables import Tables
from langchain_budget.stores.base import Store

Clock = Callable[[], float]


class MemoryStore(Store):
    """
    Accounts, counters, holds and journal in this process's memory.

    Args:
        clock: Seconds since 1970. Tests pass a clock that stands still.
    """

    blocking: ClassVar[bool] = False

    def __init__(self, clock: Clock = time.time) -> None:
        self._clock = clock
        self._lock = new_lock()
        self._tables = Tables()

    def post(self, posting: Posting) -> Receipt | Refusal:
        """Apply *posting*, or say why not and change nothing."""
        with alone(self._lock):
            return self._tables.post(posting, self._clock())

    def rows(self, paths: Iterable[str]) -> Mapping[str, Row]:
        """The accounts at *paths*; those that do not exist are left out."""
        rows = self._tables.rows
        with alone(self._lock):
            return {path: rows[path] for path in paths if path in rows}

    def below(self, path: str) -> tuple[Row, ...]:
        """The account at *path* and all under it, parents first; all, for `""`."""
        inside = path and path + SEPARATOR
        with alone(self._lock):
            rows = self._tables.rows.values()
            found = [row for row in rows if (row.path + SEPARATOR).startswith(inside)]
        return tuple(sorted(found, key=lambda row: row.path.split(SEPARATOR)))

    def balances(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        """Every counter of these accounts, those of untouched limits included."""
        with alone(self._lock):
            return {
                counter.key: counter.balance()
                for account in accounts
                for counter in self._tables.counters.of(account)
            }

    def hold(self, hold_id: str) -> Hold | None:
        """One hold, `None` when it never was or is no longer kept."""
        with alone(self._lock):
            return self._tables.find(hold_id)

    def open_holds(self) -> tuple[Hold, ...]:
        """The holds that are open, overdue ones included."""
        tables = self._tables
        with alone(self._lock):
            return tuple(hold_of(tables.chains, each) for each in tables.open.values())

    def overdue(self) -> tuple[Hold, ...]:
        """The open holds past their time to live."""
        now = self._clock()
        with alone(self._lock):
            return self._tables.overdue(now)

    def journal(self, after: int = 0, limit: int | None = None) -> tuple[Entry, ...]:
        """The first *limit* entries numbered above *after*, in order; all, if None."""
        tables = self._tables
        until = None if limit is None else after + limit
        with alone(self._lock):
            lines = tables.lines[after:until]
        return tuple(
            entry_of(tables.chains, seq, line)
            for seq, line in enumerate(lines, after + 1)
        )

    def lapsed(self) -> tuple[Row, ...]:
        """The accounts that are open past their own time to live."""
        now = self._clock()
        with alone(self._lock):
            return tuple(
                row
                for row in self._tables.mortal.values()
                if row.expires_at is not None and row.expires_at <= now
            )

    def now(self) -> float:
        """Seconds since 1970 by the store's own clock."""
        return self._clock()
