"""Sums of a journal that was folded, each in two ways that must agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from langchain_budget.core.accounts import Row, is_beside, lineage, parent_of
from langchain_budget.core.postings import Balance, CounterKey
from langchain_budget.reports.fold import Finding, Fold, Sums


def inconsistencies(fold: Fold) -> Iterator[Finding]:
    """What does not fit together among the sums of a journal."""
    yield from _compared("I14", held_by_holds(fold), _all(fold, "held"), "held")
    yield from _compared("I3", granted_to_slices(fold), _all(fold, "lent"), "lent")
    yield from _compared("I2", charged_below(fold), spent_below(fold), "spent")
    yield from _compared("I8", fold.attributed, report_lines(fold), "reported")
    for key in slices(fold):
        left = fold.balances.get(key, Balance()).available or 0
        if left < 0:
            words = "a slice is overdrawn: its parent should have paid"
            yield _finding("I3", key, 0, left, words)


def _compared(
    invariant: str,
    expected: Mapping[CounterKey, int],
    found: Mapping[CounterKey, int],
    what: str,
) -> Iterator[Finding]:
    for key in sorted(expected.keys() | found.keys()):
        want, have = expected.get(key, 0), found.get(key, 0)
        if want != have:
            yield _finding(invariant, key, want, have, f"{what}: the sums differ")


def _finding(
    invariant: str, key: CounterKey, expected: int, found: int, words: str
) -> Finding:
    return Finding(
        invariant=invariant,
        account=key.account,
        unit=key.unit,
        expected=expected,
        found=found,
        words=words,
    )


def _all(fold: Fold, field: str) -> Sums:
    return {key: getattr(seen, field) for key, seen in fold.balances.items()}


def held_by_holds(fold: Fold) -> Sums:
    """What the open holds hold, by counter."""
    sums: Sums = {}
    for deltas in fold.open.values():
        for delta in deltas:
            _add_to(sums, delta.counters, delta.held)
    return sums


def slices(fold: Fold) -> Iterator[CounterKey]:
    """The counters that were carved out of their account's parent."""
    for row in fold.rows.values():
        for unit in row.slices:
            yield CounterKey(row.path, unit)


def granted_to_slices(fold: Fold) -> Sums:
    """What slices were granted, by the counters that lend it."""
    sums: Sums = {}
    for key in slices(fold):
        granted = fold.balances.get(key, Balance()).granted or 0
        _add_to(sums, payers(fold.rows, key), granted)
    return sums


def payers(rows: Mapping[str, Row], key: CounterKey) -> Iterator[CounterKey]:
    """The counters above a slice, up to the next slice or the root."""
    path: str | None = key.account
    while (path := parent_of(path or "")) is not None:
        yield CounterKey(path, key.unit)
        if path in rows and key.unit in rows[path].slices:
            return


def charged_below(fold: Fold) -> Sums:
    """What the journal charged to each account and all below it."""
    sums: Sums = {}
    for key, value in fold.charged.items():
        _add_to(sums, _above(key), value)
    return sums


def spent_below(fold: Fold) -> Sums:
    """
    What each account spent by its own counter, and the slices below it.

    Accounts of `limit_each` count what others are charged with, a second time.
    """
    sums: Sums = {}
    carved = set(slices(fold))
    for key, seen in fold.balances.items():
        if not key.window and not is_beside(key.account):
            above = _above(key) if key in carved else [key]
            _add_to(sums, above, seen.spent)
    return sums


def report_lines(fold: Fold) -> Sums:
    """What each account alone was charged, by the lines of a report."""
    sums: Sums = {}
    for line_key, line in fold.statement.within("").items():
        for unit, value in line.amounts.items():
            _add_to(sums, [CounterKey(line_key.account, unit)], value)
    return sums


def _above(key: CounterKey) -> list[CounterKey]:
    return [CounterKey(path, key.unit) for path in lineage(key.account)]


def _add_to(sums: Sums, keys: Iterable[CounterKey], value: int) -> None:
    for key in keys:
        sums[key] = sums.get(key, 0) + value
