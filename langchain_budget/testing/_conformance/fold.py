"""Every balance, worked out from nothing but the journal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from langchain_budget.core.accounts import Row
from langchain_budget.core.postings import Balance, CounterKey, Effect, Entry


def folded(journal: Iterable[Entry]) -> dict[CounterKey, Balance]:
    """The balance of each counter that has one."""
    rows: dict[str, Row] = {}
    books: dict[CounterKey, Balance] = {}
    for entry in journal:
        for effect in effects(entry):
            seen = books.get(effect.key) or _untouched(effect.key, rows)
            books[effect.key] = changed(seen, effect)
        for row in entry.rows:
            if row.path not in rows:
                for unit in row.lifelong:
                    counter = CounterKey(row.path, unit)
                    books.setdefault(counter, _untouched(counter, {row.path: row}))
            rows[row.path] = row
    return books


def effects(entry: Entry) -> Iterator[Effect]:
    """What an entry did, counter by counter."""
    for delta in entry.released:
        for key in delta.counters:
            yield Effect(key, held=-delta.held)
    for delta in entry.deltas:
        for key in delta.counters:
            yield Effect(key, delta.granted, delta.held, delta.spent, delta.lent)
    yield from entry.spilled


def changed(seen: Balance, effect: Effect) -> Balance:
    """The balance after *effect*: a grant limits what had no limit."""
    _, granted, held, spent, lent = effect
    limit = (seen.granted or 0) + granted if granted else seen.granted
    return Balance(limit, seen.held + held, seen.spent + spent, seen.lent + lent)


def _untouched(key: CounterKey, rows: dict[str, Row]) -> Balance:
    row = rows.get(key.account)
    return Balance(row.ceiling(key.limit) if row else None)
