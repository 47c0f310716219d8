"""The balances of the store in memory."""

from __future__ import annotations

from collections.abc import Iterable

from langchain_budget.core.accounts import Row
from langchain_budget.core.amounts import LARGEST
from langchain_budget.core.postings import Balance, Change, CounterKey, Delta, Effect


class Counter:
    """A balance that changes; it never leaves the store."""

    __slots__ = ("granted", "held", "key", "lent", "spent")

    def __init__(self, key: CounterKey, granted: int | None) -> None:
        self.key = key
        self.granted = granted
        self.held = 0
        self.spent = 0
        self.lent = 0

    @property
    def available(self) -> int | None:
        """What may still be held; `None` is unlimited."""
        return self.balance().available

    def balance(self) -> Balance:
        """What this counter says now."""
        return Balance(self.granted, self.held, self.spent, self.lent)


class Counters(dict[CounterKey, Counter]):
    """Those that were touched; another one reads as its account's ceiling says."""

    def __init__(self, rows: dict[str, Row]) -> None:
        super().__init__()
        self._rows = rows
        self._keys: dict[str, list[CounterKey]] = {}

    def __missing__(self, key: CounterKey) -> Counter:
        row = self._rows.get(key.account)
        return Counter(key, row.ceiling(key.limit) if row else None)

    def touch(self, key: CounterKey) -> Counter:
        """The counter, kept from now on."""
        counter = self[key]
        if key not in self:
            self[key] = counter
            self._keys.setdefault(key.account, []).append(key)
        return counter

    def of(self, account: str) -> list[Counter]:
        """Every counter of an account."""
        return [self[key] for key in self._keys.get(account, ())]


def change(
    counters: Iterable[Counter], by: Delta | Effect, changes: list[Change]
) -> None:
    """Change each of *counters*; note each limit's use before and after."""
    granted, held, spent, lent = by[1:5]
    for counter in counters:
        used = counter.spent + counter.lent
        limit = before = counter.granted
        if granted:
            before = LARGEST if limit is None else limit
            limit = counter.granted = (limit or 0) + granted
        counter.held += held
        counter.spent += spent
        counter.lent += lent
        if limit is not None and before is not None:
            changes.append((counter.key, before, used, limit, used + spent + lent))
