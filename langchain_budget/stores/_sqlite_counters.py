"""The counters of books in SQLite, within one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from langchain_budget.core.postings import Balance, Change, CounterKey, Effect, new
from langchain_budget.stores._wire import Net, Pour, change_of

_SET: Final = (
    "UPDATE budget_counters SET granted = ?, held = ?, spent = ?, lent = ? WHERE id = ?"
)
_REMEMBERED: Final = 100_000
"""How many counters' numbers a process keeps in mind."""


class Memo:
    """What a process need not read again."""

    def __init__(self) -> None:
        self.passed: set[tuple[tuple[str, int], ...]] = set()
        """Sets of accounts that admitted something since any account changed."""
        self.counters: dict[CounterKey, int] = {}
        self._generation = -1

    def see(self, generation: int) -> None:
        """Forget who passed when an account has changed meanwhile."""
        if self._generation != generation:
            self._generation = generation
            self.passed.clear()

    def remember(self, key: CounterKey, number: int) -> None:
        """Keep the number of a counter, which never changes."""
        if len(self.counters) >= _REMEMBERED:
            self.counters.clear()
        self.counters[key] = number


class Counters:
    """
    The counters that a posting touches, as they are and as it leaves them.

    Args:
        db: A connection on which the transaction has begun.
        book: The number of the book.
        memo: What this process knows.
    """

    def __init__(self, db: sqlite3.Connection, book: int, memo: Memo) -> None:
        self._db = db
        self._book = book
        self._memo = memo
        self._seen: dict[CounterKey, Balance] = {}
        self._numbers: dict[CounterKey, int] = {}

    def balance(self, key: CounterKey) -> Balance:
        return self._seen.get(key) or self._untouched(key)

    def _untouched(self, key: CounterKey) -> Balance:
        """A counter that nothing has touched yet; one of a window has a ceiling."""
        granted = None
        if key.window:
            found = self._db.execute(
                "SELECT granted FROM budget_ceilings "
                'WHERE book = ? AND account = ? AND "limit" = ?',
                (self._book, key.account, key.limit),
            ).fetchone()
            granted = found[0] if found else None
        return Balance(granted)

    def read(self, keys: Iterable[CounterKey]) -> None:
        """Read these counters, all at once; only new ones are looked for by name."""
        known: dict[int, CounterKey] = {}
        for key in keys:
            number = self._memo.counters.get(key) or self._number(key)
            if number:
                known[number] = key
                self._numbers[key] = number
        marks = ",".join("?" * len(known))
        found = self._db.execute(
            "SELECT id, granted, held, spent, lent FROM budget_counters "
            f"WHERE id IN ({marks})",
            tuple(known),
        )
        for number, *balance in found:
            self._seen[known[number]] = new(Balance, balance)

    def _number(self, key: CounterKey) -> int:
        """The number of a counter, 0 when nothing has touched it yet."""
        found = self._db.execute(
            "SELECT id FROM budget_counters "
            'WHERE book = ? AND account = ? AND unit = ? AND "window" = ?',
            (self._book, *key),
        ).fetchone()
        if found is None:
            return 0
        number: int = found[0]
        self._memo.remember(key, number)
        return number

    def move(self, nets: Iterable[Net]) -> list[Change]:
        """Change the counters, and note each limit's use before and after."""
        changes: list[Change] = []
        updates: list[tuple[int | None, ...]] = []
        for net in nets:
            key, granted, held, spent, lent, grants, _ = net
            seen = self._seen.get(key) or self._create(key)
            limit = (seen[0] or 0) + granted if grants else seen[0]
            now = (limit, seen[1] + held, seen[2] + spent, seen[3] + lent)
            updates.append((*now, self._numbers[key]))
            self._seen[key] = new(Balance, now)
            change = change_of(net, seen)
            if change is not None:
                changes.append(change)
        self._db.executemany(_SET, updates)
        return changes

    def _create(self, key: CounterKey) -> Balance:
        balance = self._untouched(key)
        made = self._db.execute(
            "INSERT INTO budget_counters "
            '(book, account, unit, "window", granted, held, spent, lent) '
            "VALUES (?, ?, ?, ?, ?, 0, 0, 0)",
            (self._book, *key, balance.granted),
        )
        self._numbers[key] = made.lastrowid or 0
        return balance

    def pour(self, pours: Iterable[Pour], changes: list[Change]) -> list[Effect]:
        """What a slice has overrun is granted to it and lent by its payers."""
        spilled: list[Effect] = []
        for slice_, payers in pours:
            over = -(self.balance(slice_).available or 0)
            if over <= 0:
                continue
            effects = [Effect(slice_, granted=over)]
            effects += [Effect(payer, lent=over) for payer in payers]
            self.read(payer for payer in payers if payer not in self._seen)
            nets = [Net(*effect, grants=effect.granted, shown=1) for effect in effects]
            changes += self.move(nets)
            spilled += effects
        return spilled
