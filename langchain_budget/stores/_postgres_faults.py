"""What goes wrong between a store and its server, and what that means."""

from __future__ import annotations

from time import monotonic
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from langchain_budget.errors import StoreError, StoreLost, UnusableStore
from langchain_budget.stores._postgres_address import Address
from langchain_budget.stores._postgres_connections import NotConnected
from langchain_budget.stores._postgres_schema import TABLES

PAUSES: Final = (0.0, 0.1, 0.3, 0.6, 1.0)
"""Seconds before a lost question is sent once more; postings bear being repeated."""

_SERIAL: Final = frozenset({"40001", "40P01"})
"""Somebody else was first; the next try sees what they did."""

_AWAY: Final = frozenset({"25006", "53300", "57P01", "57P02", "57P03", "57P05"})
"""The server stops, starts, is full, or is no longer the one that is written to."""

_MIXED_UP: Final = frozenset({"26000", "42P05"})
"""A pooler has lent a connection on which other statements were prepared."""

_GONE: Final = frozenset({"3F000", "42703", "42883", "42P01"})
"""What the books are made of is not there."""


class Trial:
    """
    One question, sent until it is answered, its time is up, or nobody is there.

    Args:
        address: Who is asked.
        opening: Whether the book has not been found before.
    """

    def __init__(self, address: Address, *, opening: bool = False) -> None:
        self._address = address
        self._opening = opening
        self._pinged = False
        self._pauses = iter(PAUSES)
        self.deadline = monotonic() + address.seconds

    def pause(self, error: psycopg.Error) -> float:
        """
        How long to wait before the next try, after *error*.

        Raises:
            StoreError: There is no next try.
        """
        if self._opening:
            self._refuse_unusable(error)
        elif error.sqlstate in _GONE:
            raise StoreLost(self._address.book, self._address.where) from error
        pause = 0.0 if error.sqlstate in _SERIAL else self._next(error)
        if pause is None or monotonic() + pause >= self.deadline:
            remedy = _UNPREPARED if error.sqlstate in _MIXED_UP else ""
            msg = f"{self._address.where}: {_text(error)}{remedy}"
            raise StoreError(msg) from error
        return pause

    def _next(self, error: psycopg.Error) -> float | None:
        state = error.sqlstate
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        if not (lost and (state is None or state.startswith("08") or state in _AWAY)):
            return None
        return next(self._pauses, None)

    def _refuse_unusable(self, error: psycopg.Error) -> None:
        remedy = ""
        if isinstance(error, NotConnected):
            remedy = self._remedy_of_rejected()
        elif error.sqlstate in ("42501", "3F000"):
            remedy = _GRANTS
        if remedy:
            msg = f"{self._address.where}: {_text(error)}. {remedy}"
            raise UnusableStore(msg) from error

    def _remedy_of_rejected(self) -> str:
        """Something, if it is us whom the server does not want."""
        if self._pinged:
            return ""
        self._pinged = True
        asked = make_conninfo(self._address.target.conninfo, connect_timeout=2)
        if PGconn.ping(asked.encode()) != Ping.OK:
            return ""
        return "Check the user, the password and the database in the URL"


_UNPREPARED: Final = ". Behind a pooler, put prepare=no in the URL"
_GRANTS: Final = (
    "Whoever opens the books for the first time needs a schema in the search path and "
    "GRANT USAGE, CREATE ON SCHEMA; whoever only uses them needs GRANT USAGE ON SCHEMA "
    f"and GRANT SELECT, INSERT, UPDATE ON {', '.join(TABLES)}"
)


def _text(error: psycopg.Error) -> str:
    return error.diag.message_primary or " ".join(str(error).split())
