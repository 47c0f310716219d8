"""Whether a posting may be applied: the one place where a budget says no."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from langchain_budget.core.accounts import Row
from langchain_budget.core.amounts import LARGEST, Vector
from langchain_budget.core.postings import (
    Balance,
    CounterKey,
    Delta,
    Kind,
    Posting,
    Refusal,
)

Rows = Mapping[str, Row]


class Readable(Protocol):
    """A balance, or a counter that a store goes on changing."""

    @property
    def granted(self) -> int | None: ...
    @property
    def held(self) -> int: ...
    @property
    def spent(self) -> int: ...
    @property
    def lent(self) -> int: ...


ReadBalance = Callable[[CounterKey], Readable]


def judge(posting: Posting, rows: Rows, balance: ReadBalance) -> Refusal | None:
    """The first reason against *posting*, `None` when it may be applied."""
    _, _, _, deltas, admit, _, _, seen, unpriced, *_ = posting
    refusal = None
    if admit or seen:
        refusal = refuse_accounts(posting, rows)
    if refusal is None and unpriced:
        refusal = _refuse_unpriced(unpriced, balance)
    if refusal is None:
        refusal = refuse_deltas(deltas, balance)
    return refusal


def refuse_time(posting: Posting, now: float) -> Refusal | None:
    """A reason in the clock: the windows were reckoned for another time."""
    if posting.during is None or posting.during[0] <= now < posting.during[1]:
        return None
    return Refusal(Kind.OUTSIDE, posting.account, detail=str(now))


def refuse_accounts(posting: Posting, rows: Rows) -> Refusal | None:
    """A reason in the accounts themselves: unknown, changed, frozen or closed."""
    for path, version in posting.admit:
        row = rows.get(path)
        if row is None or row.version != version:
            return _stale(path, row)
        if row.closed or row.frozen:
            return _blocked(row)
    for path, version in posting.seen:
        row = rows.get(path)
        if (row.version if row else 0) != version:
            return _stale(path, row)
    return None


def refuse_rows(rows: Iterable[Row]) -> Refusal | None:
    """A reason in accounts that are known: the first that is frozen or closed."""
    return next((_blocked(row) for row in rows if row.closed or row.frozen), None)


def _stale(path: str, row: Row | None) -> Refusal:
    return Refusal(Kind.STALE if row else Kind.UNKNOWN, path)


def _blocked(row: Row) -> Refusal:
    if row.closed:
        return Refusal(Kind.CLOSED, row.path)
    return Refusal(Kind.FROZEN, row.path, detail=row.frozen)


def _refuse_unpriced(
    unpriced: tuple[CounterKey, ...], balance: ReadBalance
) -> Refusal | None:
    for key in unpriced:
        seen = balance(key)
        if seen.granted is not None:
            return Refusal(Kind.UNPRICED, key.account, key.unit, 0, _kept(seen))
    return None


def refuse_deltas(deltas: tuple[Delta, ...], balance: ReadBalance) -> Refusal | None:
    """A reason in the balances: less is available than is wanted, or too much."""
    for keys, granted, held, spent, lent, guarded, _ in deltas:
        if guarded:
            refusal = _refuse_guarded(keys, held + spent + lent - granted, balance)
            if refusal is not None:
                return refusal
        if granted > 0:
            refusal = _refuse_grant(keys, granted, balance)
            if refusal is not None:
                return refusal
    return None


def _refuse_guarded(
    keys: tuple[CounterKey, ...], wanted: int, balance: ReadBalance
) -> Refusal | None:
    for key in keys:
        seen = balance(key)
        # Reckoned in place: `seen.available` would take as long as all the rest.
        limit = seen.granted
        if limit is None:
            continue
        if limit - seen.held - seen.spent - seen.lent < wanted:
            return short(key, wanted, seen)
    return None


def _refuse_grant(
    keys: tuple[CounterKey, ...], granted: int, balance: ReadBalance
) -> Refusal | None:
    for key in keys:
        seen = balance(key)
        if (seen.granted or 0) + granted > LARGEST:
            return Refusal(Kind.OVERFLOW, key.account, key.unit, granted, _kept(seen))
    return None


def too_large(account: str, wanted: Vector, most: Vector) -> Refusal | None:
    """A reason in the call itself: it may need more than a single one may."""
    for unit, limit in most.items():
        if wanted.get(unit, 0) > limit:
            balance = Balance(limit)
            return Refusal(Kind.TOO_LARGE, account, unit, wanted[unit], balance)
    return None


def short(key: CounterKey, wanted: int, seen: Readable) -> Refusal:
    """Too little is left; contended when open holds may yet free enough."""
    balance = _kept(seen)
    free_when_quiet = (balance.available or 0) + balance.held
    kind = Kind.CONTENDED if free_when_quiet >= wanted else Kind.EXHAUSTED
    return Refusal(kind, key.account, key.unit, wanted, balance, window=key.window)


def _kept(seen: Readable) -> Balance:
    """The balance as it is now: a store may show one that goes on changing."""
    return Balance(seen.granted, seen.held, seen.spent, seen.lent)
