"""Books in a file of SQLite, shared by the threads and processes of one machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Final

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
from langchain_budget.stores import _codec as codec
from langchain_budget.stores._sqlite_counters import Memo
from langchain_budget.stores._sqlite_file import File
from langchain_budget.stores._sqlite_page import HOLD, Page, entry_id, hold_from
from langchain_budget.stores.base import Store

Clock = Callable[[], float]

BOOK: Final = "budget"
"""The book of whoever names none."""

WAIT_SECONDS: Final = 10.0
"""How long to wait for other processes to be done with the file."""

_ROWS: Final = (
    "SELECT path, version, frozen, closed, expires_at, body FROM budget_accounts "
    "WHERE book = ? AND "
)
_HOLDS: Final = HOLD.replace("SELECT", "SELECT id,").partition(" AND ")[0]


class SqliteStore(Store):
    """
    Accounts, counters, holds and journal in a file.

    Each posting is one transaction, on the disk when it is answered. Waiting for
    other processes is fair: none is kept out for long by busier ones.

    Args:
        path: The file; made when it is not there.
        book: Which of the books in the file; others do not see it.
        clock: Seconds since 1970. Tests pass a clock that stands still.
        wait_seconds: How long to wait while others are writing.
        synchronous: SQLite's setting: with `"normal"` a loss of power, but no
            crash of the program, may take the last postings with it.

    Raises:
        UnusableStore: The file is no SQLite database, cannot be written, was made
            by a newer release, or has tables of the same names that are not ours.
        StoreError: Another process did not let go of the file.
    """

    blocking: ClassVar[bool] = True

    def __init__(
        self,
        path: str | Path,
        *,
        book: str = BOOK,
        clock: Clock = time.time,
        wait_seconds: float = WAIT_SECONDS,
        synchronous: str = "full",
    ) -> None:
        self._clock = clock
        self._file = File(Path(path), book, wait_seconds, synchronous)
        self._memo = Memo()
        self._file.prepare()

    @property
    def place(self) -> Hashable:
        """Which books these are: equal where two stores keep the same ones."""
        return self._file.epoch

    def post(self, posting: Posting) -> Receipt | Refusal:
        """Apply *posting*, or say why not and change nothing."""
        with self._file.writing() as (db, book):
            self._memo.see(book.generation)
            return Page(db, book, self._clock(), self._memo).post(posting)

    def rows(self, paths: Iterable[str]) -> Mapping[str, Row]:
        """The accounts at *paths*; those that do not exist are left out."""
        asked = tuple(paths)
        marks = ",".join("?" * len(asked))
        found = self._rows(f"path IN ({marks})", *asked)
        return {row.path: row for row in found}

    def below(self, path: str) -> tuple[Row, ...]:
        """The account at *path* and all under it, parents first; all, for `""`."""
        inside = path + SEPARATOR
        after = inside[:-1] + chr(ord(SEPARATOR) + 1)
        within = "(path = ? OR path >= ? AND path < ?)" if path else "? || ? || ? <> ''"
        found = self._rows(within, path, inside, after)
        return tuple(sorted(found, key=lambda row: row.path.split(SEPARATOR)))

    def balances(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        """Every counter of these accounts, those of untouched limits included."""
        found: dict[CounterKey, Balance] = {}
        with self._file.reading() as (db, book):
            for account in dict.fromkeys(accounts):
                lines = db.execute(
                    'SELECT unit, "window", granted, held, spent, lent '
                    "FROM budget_counters WHERE book = ? AND account = ?",
                    (book.id, account),
                )
                for unit, window, *balance in lines:
                    found[CounterKey(account, unit, window)] = Balance(*balance)
        return found

    def hold(self, hold_id: str) -> Hold | None:
        """One hold, `None` when it never was or is no longer kept."""
        with self._file.reading() as (db, book):
            found = db.execute(HOLD, (book.id, hold_id)).fetchone()
        return hold_from(hold_id, found) if found else None

    def open_holds(self) -> tuple[Hold, ...]:
        """The holds that are open, overdue ones included."""
        return self._holds("status = 'open'")

    def overdue(self) -> tuple[Hold, ...]:
        """The open holds past their time to live."""
        return self._holds("status = 'open' AND expires_at <= ?", self._clock())

    def journal(self, after: int = 0, limit: int | None = None) -> tuple[Entry, ...]:
        """The first *limit* entries numbered above *after*, in order; all, if None."""
        with self._file.reading() as (db, book):
            first, end = entry_id(book.id, 0), entry_id(book.id + 1, 0)
            found = db.execute(
                "SELECT id - ?, at, kind, posting, account, hold, unseen, spilled, "
                "body FROM budget_journal WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
                (first, first + after, end, -1 if limit is None else limit),
            ).fetchall()
        return tuple(
            codec.entry_of(seq, at, tuple(words), body, spilled, unseen=bool(unseen))
            for seq, at, *words, unseen, spilled, body in found
        )

    def lapsed(self) -> tuple[Row, ...]:
        """The accounts that are open past their own time to live."""
        return self._rows("closed = 0 AND expires_at <= ?", self._clock())

    def now(self) -> float:
        """Seconds since 1970 by the store's own clock."""
        return self._clock()

    def close(self) -> None:
        """Let go of the file; a store that is used again opens it again."""
        self._file.close()

    def _rows(self, which: str, *args: object) -> tuple[Row, ...]:
        with self._file.reading() as (db, book):
            found = db.execute(_ROWS + which, (book.id, *args)).fetchall()
        return tuple(
            codec.row_of(path, version, (frozen, closed, until), body)
            for path, version, frozen, closed, until, body in found
        )

    def _holds(self, which: str, *args: object) -> tuple[Hold, ...]:
        with self._file.reading() as (db, book):
            asked = f"{_HOLDS} AND {which} ORDER BY opened_at, id"
            found = db.execute(asked, (book.id, *args)).fetchall()
        return tuple(hold_from(hold_id, tuple(line)) for hold_id, *line in found)
