"""A file of SQLite: its connection, its turns, and whether it can keep books."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final

from langchain_budget.errors import StoreError, StoreLost, UnusableStore
from langchain_budget.forks import alone, new_lock
from langchain_budget.stores._sqlite_page import Book

SCHEMA: Final = 1
SYNCHRONOUS: Final = ("off", "normal", "full", "extra")
_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_PAUSES: Final = (0.0002, 0.002)
"""
Seconds between two looks at a locked file, the least and the most.

SQLite's own waiting sleeps up to a tenth of a second, so that of four processes one
was kept out for three seconds. With pauses as short as these none waits for long.
"""


class File:
    """
    The file that the books of one name are in.

    There is one connection in each process, and its threads take turns.
    """

    def __init__(
        self, path: Path, book: str, wait_seconds: float, synchronous: str
    ) -> None:
        if synchronous not in SYNCHRONOUS:
            msg = f"synchronous={synchronous!r}: choose of {', '.join(SYNCHRONOUS)}"
            raise UnusableStore(msg)
        self._path = path
        self._name = book
        self._wait_seconds = wait_seconds
        self._synchronous = synchronous
        self._epoch = ""
        self._lock = new_lock(self._hang_up)
        self._db: sqlite3.Connection | None = None

    @property
    def epoch(self) -> str:
        """What the book drew when it was made."""
        return self._epoch

    def prepare(self) -> None:
        """Make the tables and the book, or see that they are what they should be."""
        with self._said("cannot be opened"), self._turn() as db:
            self._begin(db)
            try:
                _check_schema(db, self._path)
                self._epoch = _book_epoch(db, self._name)
                db.execute("COMMIT")
            except BaseException:
                db.execute("ROLLBACK")
                raise

    @contextmanager
    def writing(self) -> Iterator[tuple[sqlite3.Connection, Book]]:
        """Hold the file alone; all that is written is kept, or nothing."""
        with self._said("failed"), self._turn() as db:
            self._begin(db)
            try:
                yield db, self._book(db)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[tuple[sqlite3.Connection, Book]]:
        """See the books as they are at one moment."""
        with self._said("failed"), self._turn() as db:
            self._patiently(db, "BEGIN")
            try:
                yield db, self._book(db)
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def close(self) -> None:
        """Let go of the file."""
        with alone(self._lock):
            self._hang_up()

    @contextmanager
    def _turn(self) -> Iterator[sqlite3.Connection]:
        """Have the process's connection alone."""
        with alone(self._lock):
            if self._db is None:
                self._db = self._connect()
            yield self._db

    def _hang_up(self) -> None:
        """
        Close the file, also before a fork; it is opened again when it is needed.

        SQLite has locks inside, which a child would find locked for ever if another
        thread had them, and notes which locks on the file this process has, which a
        child would believe of itself: it would write to a log that others delete.
        """
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._path, timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            self._patiently(db, "PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA synchronous = {self._synchronous}")
        except BaseException:
            db.close()
            raise
        return db

    def _begin(self, db: sqlite3.Connection) -> None:
        self._patiently(db, "BEGIN IMMEDIATE")

    def _patiently(self, db: sqlite3.Connection, statement: str) -> None:
        """Execute *statement*; while other processes have the file, try again."""
        deadline = None
        while True:
            try:
                db.execute(statement)
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _BUSY:
                    raise
                now = time.monotonic()
                deadline = deadline or now + self._wait_seconds
                if now >= deadline:
                    raise
                threading.Event().wait(random.uniform(*_PAUSES))  # noqa: S311
            else:
                return

    def _book(self, db: sqlite3.Connection) -> Book:
        found = db.execute(
            "SELECT id, seq, generation, epoch FROM budget_books WHERE name = ?",
            (self._name,),
        ).fetchone()
        if found is None or found[3] != self._epoch:
            raise StoreLost(self._name, str(self._path))
        return Book(*found[:3])

    @contextmanager
    def _said(self, what: str) -> Iterator[None]:
        """Turn what SQLite complains of into what to do about it."""
        try:
            yield
        except sqlite3.Error as error:
            raise _complaint(error, self._path, what, self._wait_seconds) from error
        except OverflowError as error:
            msg = f"{self._path}: a sum does not fit 64 bits; nothing was changed"
            raise StoreError(msg) from error


def _complaint(
    error: sqlite3.Error, path: Path, what: str, waited: float
) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _BUSY:
        return StoreError(
            f"{path} is locked: for {waited:g} seconds another process had it open "
            f"for writing; end that transaction, or give more wait_seconds"
        )
    kind = UnusableStore if code in _UNUSABLE else StoreError
    return kind(f"{path} {what}: {error}{_UNUSABLE.get(code, '')}")


_UNUSABLE: Final = {
    sqlite3.SQLITE_NOTADB: "; name another file, this one is left as it is",
    sqlite3.SQLITE_CORRUPT: "; restore it from a backup, or export and import it",
    sqlite3.SQLITE_CANTOPEN: "; see that the directory exists and may be written",
    sqlite3.SQLITE_READONLY: "; see that the file and its directory may be written",
    sqlite3.SQLITE_PERM: "; see that the file and its directory may be written",
    sqlite3.SQLITE_AUTH: "; see that the file may be written",
}


def _check_schema(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables where there are none; complain of any that are not ours."""
    wanted = _shape_wanted()
    found = {name: _columns(db, name) for name in wanted}
    if not any(found.values()):
        for statement in _script():
            db.execute(statement)
        db.execute("INSERT INTO budget_meta VALUES (?)", (SCHEMA,))
        return
    version = _version(db, found.get("budget_meta", ()))
    if version is not None and version > SCHEMA:
        msg = (
            f"{path} was made by a newer release: its schema is {version}, this one "
            f"knows {SCHEMA}. Upgrade langchain-budget, or name another file"
        )
        raise UnusableStore(msg)
    if version is None or found != wanted:
        odd = sorted(name for name in wanted if found[name] != wanted[name])
        msg = (
            f"{path} has other tables of our names: {', '.join(odd)}. Name another "
            f"file; nothing was changed in this one"
        )
        raise UnusableStore(msg)


def _version(db: sqlite3.Connection, columns: tuple[str, ...]) -> int | None:
    if columns != ("schema",):
        return None
    found = db.execute("SELECT max(schema) FROM budget_meta").fetchone()[0]
    return found if isinstance(found, int) else None


def _columns(db: sqlite3.Connection, table: str) -> tuple[str, ...]:
    found = db.execute("SELECT name FROM pragma_table_info(?)", (table,))
    return tuple(name for (name,) in found)


def _shape_wanted() -> dict[str, tuple[str, ...]]:
    """The tables that the schema makes, and their columns."""
    with_schema = sqlite3.connect(":memory:")
    try:
        with_schema.executescript(_text())
        names = with_schema.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall()
        return {name: _columns(with_schema, name) for (name,) in names}
    finally:
        with_schema.close()


def _script() -> list[str]:
    return [each for each in _text().split(";") if each.strip()]


def _text() -> str:
    here = files("langchain_budget.stores").joinpath("sql", "sqlite.sql")
    return here.read_text(encoding="utf-8")


def _book_epoch(db: sqlite3.Connection, name: str) -> str:
    """Find the book, or make it."""
    db.execute(
        "INSERT INTO budget_books (name, epoch) VALUES (?, ?) "
        "ON CONFLICT (name) DO NOTHING",
        (name, uuid.uuid4().hex),
    )
    found = db.execute("SELECT epoch FROM budget_books WHERE name = ?", (name,))
    epoch: str = found.fetchone()[0]
    return epoch
