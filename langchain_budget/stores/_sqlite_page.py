"""One transaction on the books in SQLite: what is read, judged and written in it."""

from __future__ import annotations

import sqlite3
from typing import Any, Final, NamedTuple

from langchain_budget.core.accounts import Row, Spec
from langchain_budget.core.judge import judge, refuse_time
from langchain_budget.core.postings import (
    Change,
    CloseHold,
    Hold,
    KeepHold,
    Kind,
    OpenHold,
    Posting,
    Receipt,
    Refusal,
    new,
)
from langchain_budget.core.rules import FRESH
from langchain_budget.stores import _codec as codec
from langchain_budget.stores._sqlite_counters import Counters, Memo
from langchain_budget.stores._wire import (
    Work,
    close_refused,
    same_hold,
    work_of,
)

HOLD: Final = (
    "SELECT account, opened_at, expires_at, status, basis, charged, body "
    "FROM budget_holds WHERE book = ? AND id = ?"
)
_NO_SPEC: Final = Spec()
_ENTRIES: Final = 1 << 40
"""How many entries a book may have; there may be eight million books in a file."""


class Book(NamedTuple):
    """Where in the file the books are, and how far they are."""

    id: int
    seq: int
    generation: int


class Page:
    """
    The books within one transaction.

    Args:
        db: A connection on which the transaction has begun.
        book: What its row says now.
        now: The time that all of the transaction happens at.
        memo: What this process knows.
    """

    def __init__(
        self, db: sqlite3.Connection, book: Book, now: float, memo: Memo
    ) -> None:
        self._db = db
        self._book = book
        self._now = now
        self._memo = memo
        self._counters = Counters(db, book.id, memo)

    def post(self, posting: Posting) -> Receipt | Refusal:
        """Judge, then apply; a posting that comes again is answered again."""
        asked = posting.hold
        if type(asked) is OpenHold:
            return self._open(posting, asked)
        if type(asked) is CloseHold:
            return self._close(posting, asked)
        if type(asked) is KeepHold:
            return self._keep(posting, asked)
        return self._other(posting)

    def _find(self, hold_id: str) -> tuple[Any, ...] | None:
        """The hold's line in the table."""
        found: tuple[Any, ...] | None = self._db.execute(
            HOLD, (self._book.id, hold_id)
        ).fetchone()
        return found

    def _open(self, posting: Posting, asked: OpenHold) -> Receipt | Refusal:
        text = codec.hold_text(posting, asked)
        found = self._find(asked.id)
        if found is not None:
            hold = hold_from(asked.id, found)
            if same_hold(hold, found[6], text):
                return Receipt(0, (), hold)
            return Refusal(Kind.CONFLICT, posting.account, detail=posting.id)
        work = work_of(posting)
        refusal = self._refuse(posting, work)
        if refusal is not None:
            return refusal
        self._db.execute(
            "INSERT INTO budget_holds VALUES (?, ?, ?, ?, ?, 'open', '', '', ?)",
            (
                *(self._book.id, asked.id, posting.account),
                *(self._now, self._now + asked.ttl_seconds, text),
            ),
        )
        return self._write(posting, work, asked.id)

    def _close(self, posting: Posting, asked: CloseHold) -> Receipt | Refusal:
        found = self._find(asked.id)
        refusal = _close_refused(posting, asked, found)
        if refusal is not None:
            return refusal
        work = work_of(posting)
        refusal = self._refuse(posting, work)
        if refusal is not None:
            return refusal
        if found is None:
            return self._give_up(posting, asked)
        self._db.execute(
            "UPDATE budget_holds SET status = ?, basis = ?, charged = ? "
            "WHERE book = ? AND id = ?",
            (
                *(asked.status, asked.basis, codec.text_of(asked.charged)),
                *(self._book.id, asked.id),
            ),
        )
        return self._write(posting, work, asked.id)

    def _give_up(self, posting: Posting, asked: CloseHold) -> Receipt:
        """Keep that a hold was released before it was seen: it is never opened."""
        self._db.execute(
            "INSERT INTO budget_holds VALUES (?, ?, ?, ?, ?, ?, ?, ?, '')",
            (
                *(self._book.id, asked.id, posting.account, self._now, self._now),
                *(asked.status, asked.basis, ""),
            ),
        )
        return self._enter(posting, asked.id, unseen=True)

    def _keep(self, posting: Posting, asked: KeepHold) -> Receipt | Refusal:
        refusal = _close_refused(posting, asked, self._find(asked.id))
        if refusal is None:
            self._db.execute(
                "UPDATE budget_holds SET expires_at = ? WHERE book = ? AND id = ?",
                (self._now + asked.ttl_seconds, self._book.id, asked.id),
            )
        return refusal or Receipt(0)

    def _other(self, posting: Posting) -> Receipt | Refusal:
        """Post what has no hold."""
        content = codec.content_text(posting)
        known = self._db.execute(
            "SELECT seq, content, changes FROM budget_postings "
            "WHERE book = ? AND id = ?",
            (self._book.id, posting.id),
        ).fetchone()
        if known is not None:
            if known[1] != content:
                return Refusal(Kind.CONFLICT, posting.account, detail=posting.id)
            return Receipt(known[0], codec.changes_of(known[2]))
        work = work_of(posting)
        refusal = self._refuse(posting, work)
        if refusal is not None:
            return refusal
        receipt = self._write(posting, work)
        for row in posting.rows:
            self._put(row, posting.ttl_seconds)
        self._db.execute(
            "INSERT INTO budget_postings VALUES (?, ?, ?, ?, ?)",
            (
                *(self._book.id, posting.id, receipt.seq),
                *(content, codec.text_of(receipt.changes)),
            ),
        )
        return receipt

    def _refuse(self, posting: Posting, work: Work) -> Refusal | None:
        """What the core says; accounts that passed do so again until one changes."""
        self._counters.read([net.key for net in work.nets])
        if posting.unpriced:
            self._counters.read(posting.unpriced)
        refusal = refuse_time(posting, self._now)
        if refusal is not None:
            return refusal
        admit = posting.admit
        asked = posting.seen
        if admit in self._memo.passed:
            posting = posting._replace(admit=())
        else:
            asked = admit + asked
        rows = self._rows([path for path, _ in asked]) if asked else {}
        refusal = judge(posting, rows, self._counters.balance)
        if refusal is None and admit:
            self._memo.passed.add(admit)
        return refusal

    def _rows(self, paths: list[str]) -> dict[str, Row]:
        """As much of these accounts as is needed to judge."""
        marks = ",".join("?" * len(paths))
        found = self._db.execute(
            "SELECT path, version, frozen, closed FROM budget_accounts "
            f"WHERE book = ? AND path IN ({marks})",
            (self._book.id, *paths),
        )
        return {
            path: Row(path, version, _NO_SPEC, frozen=frozen, closed=bool(closed))
            for path, version, frozen, closed in found
        }

    def _write(self, posting: Posting, work: Work, hold_id: str = "") -> Receipt:
        changes = self._counters.move(work.nets)
        spilled = self._counters.pour(work.pours, changes) if work.pours else []
        return self._enter(
            posting, hold_id, tuple(changes), codec.effects_text(spilled)
        )

    def _enter(
        self,
        posting: Posting,
        hold_id: str,
        changes: tuple[Change, ...] = (),
        spilled: str = "",
        *,
        unseen: bool = False,
    ) -> Receipt:
        """Write the journal's next entry."""
        seq = self._book.seq + 1
        self._db.execute(
            "INSERT INTO budget_journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(entry_id(self._book.id, seq), self._now, posting.kind, posting.id),
                *(posting.account, hold_id, unseen, spilled),
                codec.entry_text(posting),
            ),
        )
        self._db.execute(
            "UPDATE budget_books SET seq = ?, generation = generation + ? WHERE id = ?",
            (seq, bool(posting.rows), self._book.id),
        )
        return new(Receipt, (seq, changes, None))

    def _put(self, row: Row, ttl_seconds: float | None) -> None:
        """Write an account, and the counters of its ceilings if they are not there."""
        until = row.expires_at if ttl_seconds is None else self._now + ttl_seconds
        self._db.execute(
            "INSERT OR REPLACE INTO budget_accounts VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *(self._book.id, row.path, row.version, row.frozen),
                *(row.closed, until, codec.row_text(row)),
            ),
        )
        self._db.execute(
            "DELETE FROM budget_ceilings WHERE book = ? AND account = ?",
            (self._book.id, row.path),
        )
        self._db.executemany(
            "INSERT INTO budget_ceilings VALUES (?, ?, ?, ?)",
            [(self._book.id, row.path, *ceiling) for ceiling in row.ceilings],
        )
        self._db.executemany(
            "INSERT OR IGNORE INTO budget_counters "
            '(book, account, unit, "window", granted, held, spent, lent) '
            "VALUES (?, ?, ?, '', ?, 0, 0, 0)",
            [
                (self._book.id, row.path, unit, row.ceiling(unit))
                for unit in row.lifelong
            ],
        )


def _close_refused(
    posting: Posting, asked: CloseHold | KeepHold, found: tuple[Any, ...] | None
) -> Refusal | None:
    """Likewise; all of a hold is read only where something is against it."""
    if found is None:
        return close_refused(posting, asked, None)
    before = asked.before if type(asked) is CloseHold else FRESH
    if found[3:5] in before:  # words that are equal to the members of enumerations
        return None
    return close_refused(posting, asked, hold_from(asked.id, found))


def entry_id(book: int, seq: int) -> int:
    """Under which number the table keeps an entry of a book."""
    return book * _ENTRIES + seq


def hold_from(hold_id: str, found: tuple[Any, ...]) -> Hold:
    """A hold from its line in the table."""
    account, opened_at, expires_at, status, basis, charged, body = found
    if not body:
        return codec.never_opened(hold_id, account, opened_at)
    times = (opened_at, expires_at)
    return codec.hold_of(hold_id, times, (status, basis, charged), body)
