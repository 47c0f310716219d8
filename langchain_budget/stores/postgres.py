"""Books in PostgreSQL, shared by many processes and machines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Final

import psycopg

from langchain_budget.errors import StoreLost
from langchain_budget.stores._postgres_address import address_of
from langchain_budget.stores._postgres_connections import Line, Pools
from langchain_budget.stores._postgres_dialect import PostgresDialect
from langchain_budget.stores._postgres_faults import Trial
from langchain_budget.stores._postgres_schema import Book, open_book, run
from langchain_budget.stores._remote import Answer, Question, RemoteStore

BOOK: Final = "budget"
"""The book of whoever names none."""


class PostgresStore(RemoteStore):
    """
    Accounts, counters, holds and journal in a database.

    Tables and functions are made when there are none, in the first schema of the
    search path: `?options=-csearch_path%3Dbudget` gives them one of their own. Each
    posting is one statement and one transaction, so poolers that lend a connection
    for a transaction will do.

    Args:
        url: `postgresql://user:password@host:5432/database`, with any option of
            libpq, and with these of ours: `timeout=10`, seconds that a question may
            take, two more where it has to connect; `connections=10`, how many there
            are at most in a process or loop; `prepare=no`, for a pooler that cannot
            pass on prepared statements; and `book=name`.
        book: Which of the books in the database; others do not see it.
        clock: Seconds since 1970 for tests; otherwise the server's own.

    Raises:
        UnknownStore: An option of ours makes no sense.
        UnusableStore: The rest of the URL makes none, or what is there cannot keep
            books: the message says why, and what to do.
        StoreError: Nobody answers there.
    """

    def __init__(
        self, url: str, *, book: str = BOOK, clock: Callable[[], float] | None = None
    ) -> None:
        self.dialect = PostgresDialect(clock)
        self._address = address_of(url, book)
        self._pools = Pools(self._address.target)
        self._book = self._open()
        self._seen = self._book.seq
        """How far the book had come when it was last asked."""

    @property
    def place(self) -> Hashable:
        """Which books these are: equal where two stores keep the same ones."""
        return self._book.epoch

    def _ask(self, question: Question[Answer]) -> Answer:
        trial = Trial(self._address)
        while True:
            try:
                with self._pools.own().lend(trial.deadline) as cursor:
                    seen = self._seen
                    cursor.execute(question.command, self._about_book(question))
                    return self._read(question, cursor.fetchall(), seen)
            except psycopg.Error as error:
                pause = trial.pause(error)
            time.sleep(pause)

    async def aask(self, question: Question[Answer]) -> Answer:
        """Awaitable twin of `ask`, without a thread."""
        trial = Trial(self._address)
        while True:
            try:
                async with self._pools.running().lend(trial.deadline) as cursor:
                    seen = self._seen
                    await cursor.execute(question.command, self._about_book(question))
                    return self._read(question, await cursor.fetchall(), seen)
            except psycopg.Error as error:
                pause = trial.pause(error)
            await asyncio.sleep(pause)

    def close(self) -> None:
        """Hang up; a store that is used again connects anew."""
        self._pools.close()

    async def aclose(self) -> None:
        """Awaitable twin of `close`."""
        self._pools.close()

    def _open(self) -> Book:
        trial = Trial(self._address, opening=True)
        while True:
            try:
                with self._pools.own().lend(trial.deadline) as cursor:
                    return run(open_book(self._address), cursor)
            except psycopg.Error as error:
                pause = trial.pause(error)
            time.sleep(pause)

    def _about_book(self, question: Question[Answer]) -> tuple[object, ...]:
        return self._book.id, self._book.epoch, *question.args

    def _read(
        self, question: Question[Answer], lines: Sequence[Line], seen: int
    ) -> Answer:
        """Every line begins with how far the book has come; it never goes back."""
        seq = lines[0][0] if lines else None
        if seq is None or seq < seen:
            raise StoreLost(self._address.book, self._address.where)
        self._seen = max(self._seen, seq)
        return question.read(lines)
