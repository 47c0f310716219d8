"""Whether a posting may be applied: the one place where a budget says no."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from langchain_budget.core.accounts import Row
from langchain_budget.core.postings import (
    Balance,
    CounterKey,
    Delta,
    Kind,
    Posting,
    Refusal,
)

Rows = Mapping[str, Row]
ReadBalance = Callable[[CounterKey], Balance]


def judge(posting: Posting, rows: Rows, balance: ReadBalance) -> Refusal | None:
    """The first reason against *posting*, `None` when it may be applied."""
    return (
        refuse_accounts(posting, rows)
        or _refuse_unpriced(posting, balance)
        or _refuse_deltas(posting.deltas, balance)
    )


def refuse_accounts(posting: Posting, rows: Rows) -> Refusal | None:
    """A reason in the accounts themselves: unknown, changed, frozen or closed."""
    for path, version in posting.admit:
        row = rows.get(path)
        if row is None or row.version != version:
            return _stale(path, row)
        if row.blocked:
            return _blocked(row)
    for path, version in posting.seen:
        row = rows.get(path)
        if (row.version if row else 0) != version:
            return _stale(path, row)
    return None


def _stale(path: str, row: Row | None) -> Refusal:
    return Refusal(Kind.STALE if row else Kind.UNKNOWN, path)


def _blocked(row: Row) -> Refusal:
    if row.closed:
        return Refusal(Kind.CLOSED, row.path)
    return Refusal(Kind.FROZEN, row.path, detail=row.frozen)


def _refuse_unpriced(posting: Posting, balance: ReadBalance) -> Refusal | None:
    for key in posting.unpriced:
        seen = balance(key)
        if seen.granted is not None:
            return Refusal(Kind.UNPRICED, key.account, key.unit, balance=seen)
    return None


def _refuse_deltas(
    deltas: tuple[Delta, ...], balance: ReadBalance
) -> Refusal | None:
    for delta in deltas:
        if not delta.guarded:
            continue
        wanted = delta.held + delta.spent + delta.lent - delta.granted
        for key in delta.counters:
            seen = balance(key)
            available = seen.available
            if available is not None and available < wanted:
                return short(key, wanted, seen)
    return None


def short(key: CounterKey, wanted: int, seen: Balance) -> Refusal:
    """Too little is left; contended when open holds may yet free enough."""
    free_when_quiet = (seen.available or 0) + seen.held
    kind = Kind.CONTENDED if free_when_quiet >= wanted else Kind.EXHAUSTED
    return Refusal(kind, key.account, key.unit, wanted, seen)
