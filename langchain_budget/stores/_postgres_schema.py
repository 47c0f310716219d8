"""Finding a book in a database, and making what is not there yet."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final, NamedTuple, TypeVar

import psycopg

from langchain_budget.errors import UnusableStore
from langchain_budget.stores._postgres_address import Address
from langchain_budget.stores._postgres_connections import Line

Statement = tuple[str, Sequence[Any] | None]
Lines = Sequence[Line]
Result = TypeVar("Result")
Talk = Generator[Statement, Lines, Result]
"""Statements, one after the other on one connection; each is sent its lines."""

SCRIPTS: Final = ("postgres_1.sql",)
"""Each makes the next version of the tables."""

OLDEST_SERVER: Final = 13

TABLES: Final[Mapping[str, str]] = {
    "budget_meta": "version",
    "budget_books": "id name epoch seq generation",
    "budget_accounts": "book path version frozen closed expires_at ceilings body",
    "budget_counters": "book account unit window granted held spent lent",
    "budget_holds": ("book id account opened_at expires_at status basis charged body"),
    "budget_journal": (
        "book seq at kind posting account hold unseen content balances spilled body"
    ),
}
"""The columns of each in the newest version."""

_SERVER: Final = (
    "SELECT current_setting('server_version_num')::integer / 10000, "
    "current_setting('server_encoding'), "
    "current_setting('transaction_read_only') = 'on'"
)
_COLUMNS: Final = (
    "SELECT asked.name, string_agg(a.attname, ' ' ORDER BY a.attnum) "
    "FROM unnest(%s::text[]) AS asked (name) JOIN pg_attribute a "
    "ON a.attrelid = to_regclass(asked.name) AND a.attnum > 0 AND NOT a.attisdropped "
    "GROUP BY asked.name"
)
_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
_ALONE: Final = "SELECT pg_advisory_xact_lock(hashtextextended('langchain-budget', 0))"
_FIND: Final = "SELECT id, epoch::text, seq FROM budget_books WHERE name = %s"
_MAKE: Final = "INSERT INTO budget_books (name) VALUES (%s) ON CONFLICT DO NOTHING"


class Book(NamedTuple):
    """Which book a store is about, as its database knows it."""

    id: int
    epoch: str
    """Another one in another database, or in one that was emptied."""
    seq: int


def run(talk: Talk[Result], cursor: psycopg.Cursor[Line]) -> Result:
    """Run *talk* on one connection, waiting for each answer."""
    try:
        statement = next(talk)
        while True:
            cursor.execute(*statement)
            statement = talk.send(cursor.fetchall() if cursor.description else ())
    except StopIteration as done:
        result: Result = done.value
        return result


def open_book(address: Address) -> Talk[Book]:
    """
    Find the book, or make it; make the tables first, if there are none.

    Raises:
        UnusableStore: This database cannot keep it.
    """
    name, where = address.book, address.where
    yield from _check_server(where)
    if (yield from _version(where)) < len(SCRIPTS):
        yield from _install(where)
    found = yield _FIND, (name,)
    if not found:
        yield _MAKE, (name,)
        found = yield _FIND, (name,)
    return Book(*found[0])


def _check_server(where: str) -> Talk[None]:
    ((version, encoding, read_only),) = yield _SERVER, None
    if version < OLDEST_SERVER:
        msg = f"{where}: PostgreSQL {version} is too old, use {OLDEST_SERVER} or newer"
        raise UnusableStore(msg)
    if encoding not in ("UTF8", "SQL_ASCII"):
        msg = f"{where}: the database is encoded in {encoding}: make one in UTF8"
        raise UnusableStore(msg)
    if read_only:
        msg = (
            f"{where}: it can only be read. Give the URL of the server that is written "
            f"to, or several hosts and target_session_attrs=read-write"
        )
        raise UnusableStore(msg)


def _install(where: str) -> Talk[None]:
    """Bring the tables up to date, while no other process does."""
    yield _BEGIN, None
    yield _ALONE, None
    for script in SCRIPTS[(yield from _version(where)) :]:
        yield files(__package__).joinpath("sql", script).read_text("utf-8"), None
    yield "COMMIT", None


def _version(where: str) -> Talk[int]:
    """Which version the tables are of; 0 if there are none."""
    found: dict[str, str] = dict((yield _COLUMNS, (list(TABLES),)))
    if not found:
        return 0
    if found.get("budget_meta") != TABLES["budget_meta"]:
        raise _foreign(found, where)
    lines = yield "SELECT max(version) FROM budget_meta", None
    version = int(lines[0][0] or 0)
    if version > len(SCRIPTS):
        msg = (
            f"{where}: its tables are of version {version}, made by a newer release "
            f"of langchain-budget; this one knows {len(SCRIPTS)}. Upgrade it"
        )
        raise UnusableStore(msg)
    if version == 0 or (version == len(SCRIPTS) and found != TABLES):
        raise _foreign(found, where)
    return version


def _foreign(found: Mapping[str, str], where: str) -> UnusableStore:
    odd = sorted(name for name in found if found[name] != TABLES[name]) or [*found]
    return UnusableStore(
        f"{where}: it has tables of the names of ours which are not ours "
        f"({', '.join(odd)}). Give the books a schema of their own: CREATE SCHEMA "
        f"budget, and ?options=-csearch_path%3Dbudget behind the URL"
    )
