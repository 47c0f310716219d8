"""Books in PostgreSQL, shared by many processes and machines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg

from langchain_budget.errors import StoreLost
from langchain_budget.stores._away import in_thread
from langchain_budget.stores._postgres_address import address_of
from langchain_budget.stores._postgres_connections import Line, Pools
from langchain_budget.stores._postgres_dialect import PostgresDialect
from langchain_budget.stores._postgres_faults import Trial
from langchain_budget.stores._postgres_schema import (
    Book,
    Talk,
    arun,
    open_book,
    run,
)
from langchain_budget.stores._remote import Answer, Question, RemoteStore

BOOK: Final = "budget"
"""The book of whoever names none."""


class PostgresStore(RemoteStore):
    """
    Accounts, counters, holds and journal in a database.

    Tables and functions are made at the first question, in the first schema of the
    search path: `?options=-csearch_path%3Dbudget` gives them one of their own. Each
    posting is one statement and one transaction, so poolers that lend a connection
    for a transaction will do.

    Args:
        url: `postgresql://user:password@host:5432/database`, with any option of
            libpq, and with these of ours: `timeout=10`, seconds that a question may
            take; `connections=10`, how many there are at most in a process or loop;
            `prepare=no`, for a pooler that cannot pass on prepared statements; and
            `book=name`.
        book: Which of the books in the database; others do not see it.
        clock: Seconds since 1970 for tests; otherwise the server's own.

    Raises:
        UnknownStore, UnusableStore: The URL makes no sense.
    """

    def __init__(
        self, url: str, *, book: str = BOOK, clock: Callable[[], float] | None = None
    ) -> None:
        self.dialect = PostgresDialect(clock)
        self._address = address_of(url, book)
        self._pools = Pools(self._address.target)
        self._book: Book | None = None
        self._seen = 0
        """How far the book had come when it was last asked."""

    def ask(self, question: Question[Answer]) -> Answer:
        """Send *question*, wait for the reply, and read it."""
        trial = Trial(self._address)
        while True:
            try:
                with self._pools.own().lend(trial.deadline) as cursor:
                    book = self._book or self._opened(run(self._opening(), cursor))
                    seen = self._seen
                    cursor.execute(*_sent(question, book))
                    return self._read(question, cursor.fetchall(), seen)
            except psycopg.Error as error:
                pause = trial.pause(error, known=self._book is not None)
            time.sleep(pause)

    async def aask(self, question: Question[Answer]) -> Answer:
        """Awaitable twin of `ask`, without a thread."""
        trial = Trial(self._address)
        while True:
            try:
                async with self._pools.running().lend(trial.deadline) as cursor:
                    book = self._book
                    if book is None:
                        book = self._opened(await arun(self._opening(), cursor))
                    seen = self._seen
                    await cursor.execute(*_sent(question, book))
                    return self._read(question, await cursor.fetchall(), seen)
            except psycopg.Error as error:
                known = self._book is not None
                pause = await in_thread(lambda: trial.pause(error, known=known))
            await asyncio.sleep(pause)

    def close(self) -> None:
        """Hang up; a store that is used again connects anew."""
        self._pools.close()

    async def aclose(self) -> None:
        """Awaitable twin of `close`."""
        self._pools.close()

    def _opening(self) -> Talk[Book]:
        return open_book(self._address.book, self._address.where)

    def _opened(self, book: Book) -> Book:
        self._book, self._seen = book, book.seq
        return book

    def _read(
        self, question: Question[Answer], lines: Sequence[Line], seen: int
    ) -> Answer:
        """Every line begins with how far the book has come; it never goes back."""
        seq = lines[0][0] if lines else None
        if seq is None or seq < seen:
            raise StoreLost(self._address.book, self._address.where)
        self._seen = max(self._seen, seq)
        return question.read(lines)


def _sent(question: Question[Any], book: Book) -> tuple[str, tuple[Any, ...]]:
    return question.command, (book.id, book.epoch, *question.args)
