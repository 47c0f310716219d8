"""Limits and thresholds that are crossed: what should be announced, and what is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from langchain_budget.core.accounts import MARK_SCALE, Row
from langchain_budget.core.amounts import LARGEST
from langchain_budget.core.events import (
    AccountFrozen,
    AccountThawed,
    Event,
    ThresholdCrossed,
)
from langchain_budget.core.postings import Entry
from tests.invariants import effects
from tests.simulation.naive import Key

Edge = tuple[str, str, str, int]
"""What was crossed: the kind of event, the account, the unit, and the mark."""


def edge_of(event: Event) -> Edge | None:
    match event:
        case ThresholdCrossed(account=account, unit=unit, mark=mark):
            return "crossed", account, unit, mark
        case AccountFrozen(account=account, unit=str(unit), reason="exhausted"):
            return "exhausted", account, unit, 0
        case AccountThawed(account=account, unit=str(unit), reason="credit"):
            return "credit", account, unit, 0
    return None


def edges(journal: Iterable[Entry], rows: Mapping[str, Row]) -> dict[int, list[Edge]]:
    """What each entry crossed, from nothing but the journal."""
    found: dict[int, list[Edge]] = {}
    limits: dict[Key, int] = {}
    used: Counter[Key] = Counter()
    for entry in journal:
        keys = keys_of(entry)
        before = {key: (limits.get(key, LARGEST), used[key]) for key in keys}
        change(entry, limits, used)
        found[entry.seq] = [
            edge
            for key in keys
            if key in limits and key not in lent_by(entry)
            for edge in edges_of(
                key, before[key], (limits[key], used[key]), rows[key[0]].spec.marks
            )
        ]
        for row in entry.rows:
            for unit, ceiling in row.ceilings:
                limits.setdefault((row.path, unit), ceiling)
    return found


def keys_of(entry: Entry) -> list[Key]:
    """The counters that the entry has used, or granted more or less."""
    moved = [each for each in effects(entry) if each.granted or each.spent or each.lent]
    return list(dict.fromkeys((each.key.account, each.key.unit) for each in moved))


def lent_by(entry: Entry) -> set[Key]:
    """What an entry only lends to an account below is not used: it crosses nothing."""
    lent = (each.counters for each in entry.deltas if each.lent)
    return {(key.account, key.unit) for keys in lent for key in keys}


def change(entry: Entry, limits: dict[Key, int], used: Counter[Key]) -> None:
    for (account, unit, _), granted, _, spent, lent in effects(entry):
        key = account, unit
        if granted:
            limits[key] = limits.get(key, 0) + granted
        used[key] += spent + lent


def edges_of(
    key: Key,
    before: tuple[int, int],
    after: tuple[int, int],
    marks: Iterable[int],
) -> list[Edge]:
    had, has = before[0] - before[1], after[0] - after[1]
    found: list[Edge] = []
    if had > 0 >= has:
        found.append(("exhausted", *key, 0))
    if had <= 0 < has:
        found.append(("credit", *key, 0))
    first, last = share(*before), share(*after)
    found += [("crossed", *key, mark) for mark in marks if first < mark <= last]
    return found


def share(granted: int, used: int) -> int:
    return used * MARK_SCALE // granted if granted > 0 else MARK_SCALE
