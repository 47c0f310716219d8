"""Stores on a server: each question is made and read purely, and asked both ways."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final, Generic, NamedTuple, TypeVar

from langchain_budget.core.accounts import Row
from langchain_budget.core.postings import (
    Balance,
    CounterKey,
    Entry,
    Hold,
    Posting,
    Receipt,
    Refusal,
)
from langchain_budget.errors import StoreReentered
from langchain_budget.stores.base import Store

Answer = TypeVar("Answer")


class Question(NamedTuple, Generic[Answer]):
    """What is sent in one round trip, and how the reply to it is read."""

    command: str
    """Which of the store's scripts or statements."""
    args: tuple[Any, ...]
    read: Callable[[Any], Answer]


class Dialect(ABC):
    """The port as questions; nothing here talks to a server."""

    @abstractmethod
    def post(self, posting: Posting) -> Question[Receipt | Refusal]: ...
    @abstractmethod
    def rows(self, paths: Iterable[str]) -> Question[Mapping[str, Row]]: ...
    @abstractmethod
    def below(self, path: str) -> Question[tuple[Row, ...]]: ...
    @abstractmethod
    def balances(
        self, accounts: Iterable[str]
    ) -> Question[Mapping[CounterKey, Balance]]: ...
    @abstractmethod
    def hold(self, hold_id: str) -> Question[Hold | None]: ...
    @abstractmethod
    def open_holds(self) -> Question[tuple[Hold, ...]]: ...
    @abstractmethod
    def overdue(self) -> Question[tuple[Hold, ...]]: ...
    @abstractmethod
    def journal(self, after: int, limit: int | None) -> Question[tuple[Entry, ...]]: ...
    @abstractmethod
    def lapsed(self) -> Question[tuple[Row, ...]]: ...
    @abstractmethod
    def now(self) -> Question[float]: ...


class _ThisThread(threading.local):
    asks = False
    """Whether it waits for some server: the clients' locks are not ours to look at."""


_this_thread: Final = _ThisThread()


class RemoteStore(Store):
    """A store that is asked over a connection, waiting or awaiting."""

    blocking: ClassVar[bool] = True
    dialect: Dialect

    def ask(self, question: Question[Answer]) -> Answer:
        """
        Send *question*, wait for the reply, and read it.

        Raises:
            StoreReentered: A finaliser asks while this thread has a connection in
                hand, and perhaps a lock of the client.
        """
        if _this_thread.asks:
            raise StoreReentered
        _this_thread.asks = True
        try:
            return self._ask(question)
        finally:
            _this_thread.asks = False

    @abstractmethod
    def _ask(self, question: Question[Answer]) -> Answer:
        """Likewise."""

    @abstractmethod
    async def aask(self, question: Question[Answer]) -> Answer:
        """Awaitable twin of `ask`, without a thread."""

    def post(self, posting: Posting) -> Receipt | Refusal:
        """Apply *posting*, or say why not and change nothing."""
        return self.ask(self.dialect.post(posting))

    def rows(self, paths: Iterable[str]) -> Mapping[str, Row]:
        """The accounts at *paths*; those that do not exist are left out."""
        return self.ask(self.dialect.rows(paths))

    def below(self, path: str) -> tuple[Row, ...]:
        """The account at *path* and all under it, parents first; all, for `""`."""
        return self.ask(self.dialect.below(path))

    def balances(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        """Every counter of these accounts, those of untouched limits included."""
        return self.ask(self.dialect.balances(accounts))

    def hold(self, hold_id: str) -> Hold | None:
        """One hold, `None` when it never was or is no longer kept."""
        return self.ask(self.dialect.hold(hold_id))

    def open_holds(self) -> tuple[Hold, ...]:
        """The holds that are open, overdue ones included."""
        return self.ask(self.dialect.open_holds())

    def overdue(self) -> tuple[Hold, ...]:
        """The open holds past their time to live."""
        return self.ask(self.dialect.overdue())

    def journal(self, after: int = 0, limit: int | None = None) -> tuple[Entry, ...]:
        """The first *limit* entries numbered above *after*, in order; all, if None."""
        return self.ask(self.dialect.journal(after, limit))

    def lapsed(self) -> tuple[Row, ...]:
        """The accounts that are open past their own time to live."""
        return self.ask(self.dialect.lapsed())

    def now(self) -> float:
        """Seconds since 1970 by the store's own clock."""
        return self.ask(self.dialect.now())

    async def apost(self, posting: Posting) -> Receipt | Refusal:
        """Awaitable twin of `post`."""
        return await self.aask(self.dialect.post(posting))

    async def arows(self, paths: Iterable[str]) -> Mapping[str, Row]:
        """Awaitable twin of `rows`."""
        return await self.aask(self.dialect.rows(paths))

    async def abelow(self, path: str) -> tuple[Row, ...]:
        """Awaitable twin of `below`."""
        return await self.aask(self.dialect.below(path))

    async def abalances(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        """Awaitable twin of `balances`."""
        return await self.aask(self.dialect.balances(accounts))

    async def ahold(self, hold_id: str) -> Hold | None:
        """Awaitable twin of `hold`."""
        return await self.aask(self.dialect.hold(hold_id))

    async def aopen_holds(self) -> tuple[Hold, ...]:
        """Awaitable twin of `open_holds`."""
        return await self.aask(self.dialect.open_holds())

    async def aoverdue(self) -> tuple[Hold, ...]:
        """Awaitable twin of `overdue`."""
        return await self.aask(self.dialect.overdue())

    async def ajournal(
        self, after: int = 0, limit: int | None = None
    ) -> tuple[Entry, ...]:
        """Awaitable twin of `journal`."""
        return await self.aask(self.dialect.journal(after, limit))

    async def alapsed(self) -> tuple[Row, ...]:
        """Awaitable twin of `lapsed`."""
        return await self.aask(self.dialect.lapsed())

    async def anow(self) -> float:
        """Awaitable twin of `now`."""
        return await self.aask(self.dialect.now())
