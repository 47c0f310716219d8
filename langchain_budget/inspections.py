"""Talks that look at books for operators, and change nothing but what is overdue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from langchain_budget.core.accounts import SEPARATOR, Row
from langchain_budget.core.faults import InvalidAmount, told
from langchain_budget.core.postings import Balance, CounterKey, Entry, Hold
from langchain_budget.ledger import Ledger
from langchain_budget.reports.audit import Audit, Seen, concluded
from langchain_budget.reports.doubts import Doubts, Unconfirmed, unconfirmed_of
from langchain_budget.reports.explanation import HoldInfo, hold_info
from langchain_budget.reports.fold import Fold
from langchain_budget.stores._drive import Ask, Talk

PAGE: Final = 1_000
"""How many entries are read at a time."""


def read_journal(
    add: Callable[[Entry], object], after: int = 0, until: int | None = None
) -> Talk[int]:
    """
    Give each entry to *add*, page by page; the number of the last one.

    It ends where the journal does, or at *until*, however fast others write.
    """
    while until is None or after < until:
        limit = PAGE if until is None else min(PAGE, until - after)
        page: tuple[Entry, ...] = yield Ask("journal", (after, limit))
        for entry in page:
            add(entry)
            after = entry.seq
        if len(page) < limit:
            break
    return after


def verify(ledger: Ledger) -> Talk[Audit]:
    """
    Compare all of the books with their journal, while others may post.

    What is posted while balances are read is read last, so each of them can be
    found in the journal at some moment of that time.
    """
    now: float = yield Ask("now")
    yield from ledger.sweep()
    fold = Fold()
    yield from read_journal(fold.add)
    rows: tuple[Row, ...] = yield Ask("below", ("",))
    paths = tuple({row.path for row in rows} | fold.rows.keys())
    balances: dict[CounterKey, Balance] = yield Ask("balances", (paths,))
    holds: tuple[Hold, ...] = yield Ask("open_holds")
    later: list[Entry] = []
    yield from read_journal(later.append, fold.seq)
    return concluded(fold, Seen(rows, balances, holds, now), later)


def holds_of(ledger: Ledger, path: str) -> Talk[tuple[HoldInfo, ...]]:
    """The open holds of an account and all below it, oldest first."""
    yield from ledger.sweep()
    yield from ledger.route(path)
    holds: tuple[Hold, ...] = yield Ask("open_holds")
    now: float = yield Ask("now")
    mine = [hold for hold in holds if is_within(hold.account, path)]
    mine.sort(key=lambda hold: (hold.opened_at, hold.id))
    return tuple(hold_info(hold, now) for hold in mine)


def unconfirmed(ledger: Ledger, path: str) -> Talk[Unconfirmed]:
    """The charges of an account and all below it that may be too low."""
    yield from ledger.sweep()
    yield from ledger.route(path)
    doubts = Doubts()
    yield from read_journal(doubts.add)
    return unconfirmed_of(path, doubts.left.values())


def entries_of(
    ledger: Ledger, path: str, after: int, last: int | None
) -> Talk[tuple[Entry, ...]]:
    """The last entries about an account and all below it."""
    if last is not None and (type(last) is not int or last < 0):
        msg = f"last={told(last)}: give a whole number of entries, or None for all"
        raise InvalidAmount(msg)
    yield from ledger.route(path)
    kept: deque[Entry] = deque(maxlen=last)

    def keep(entry: Entry) -> None:
        if is_within(entry.account, path):
            kept.append(entry)

    yield from read_journal(keep, after)
    return tuple(kept)


def is_within(account: str, path: str) -> bool:
    """Whether an account is at *path* or below it."""
    return (account + SEPARATOR).startswith(path + SEPARATOR)
