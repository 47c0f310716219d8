"""The one port: a store posts, and answers a few questions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import ClassVar, TypeVar

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
from langchain_budget.stores._away import in_thread

_Answer = TypeVar("_Answer")


class Store(ABC):
    """
    Where accounts, counters, holds and the journal live.

    `post` applies a posting whole or not at all. Answers of the world, such as a
    lost connection, are raised as `StoreError`; answers of the books are returned.
    Every method has an awaitable twin. Those below call the methods that wait: in
    a thread, if the store is *blocking*; a store that can do better overrides them.

    `langchain_budget.testing.conformance` has the tests that every store passes.
    """

    blocking: ClassVar[bool]
    """Whether a call may wait for something outside of this process."""

    @property
    def place(self) -> Hashable:
        """Which books these are: equal where two stores keep the same ones."""
        return id(self)

    @abstractmethod
    def post(self, posting: Posting) -> Receipt | Refusal:
        """Apply *posting*, or say why not and change nothing."""

    @abstractmethod
    def rows(self, paths: Iterable[str]) -> Mapping[str, Row]:
        """The accounts at *paths*; those that do not exist are left out."""

    @abstractmethod
    def below(self, path: str) -> tuple[Row, ...]:
        """The account at *path* and all under it, parents first; all, for `""`."""

    @abstractmethod
    def balances(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        """Every counter of these accounts, those of untouched limits included."""

    def outlook(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        """
        Every counter of these accounts, as far as calls may count on it.

        A store that holds only a part of the money has what it could get as well.
        """
        return self.balances(accounts)

    @abstractmethod
    def hold(self, hold_id: str) -> Hold | None:
        """One hold, `None` when it never was or is no longer kept."""

    @abstractmethod
    def open_holds(self) -> tuple[Hold, ...]:
        """The holds that are open, overdue ones included."""

    @abstractmethod
    def overdue(self) -> tuple[Hold, ...]:
        """The open holds past their time to live."""

    @abstractmethod
    def journal(self, after: int = 0, limit: int | None = None) -> tuple[Entry, ...]:
        """The first *limit* entries numbered above *after*, in order; all, if None."""

    @abstractmethod
    def lapsed(self) -> tuple[Row, ...]:
        """The accounts that are open past their own time to live."""

    @abstractmethod
    def now(self) -> float:
        """Seconds since 1970 by the store's own clock."""

    def close(self) -> None:  # noqa: B027  # most have nothing to let go of
        """Let go of connections; a store that is used again opens new ones."""

    async def apost(self, posting: Posting) -> Receipt | Refusal:
        """Awaitable twin of `post`."""
        return await self._away(self.post, posting)

    async def arows(self, paths: Iterable[str]) -> Mapping[str, Row]:
        """Awaitable twin of `rows`."""
        return await self._away(self.rows, paths)

    async def abelow(self, path: str) -> tuple[Row, ...]:
        """Awaitable twin of `below`."""
        return await self._away(self.below, path)

    async def abalances(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        """Awaitable twin of `balances`."""
        return await self._away(self.balances, accounts)

    async def aoutlook(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        """Awaitable twin of `outlook`."""
        return await self.abalances(accounts)

    async def ahold(self, hold_id: str) -> Hold | None:
        """Awaitable twin of `hold`."""
        return await self._away(self.hold, hold_id)

    async def aopen_holds(self) -> tuple[Hold, ...]:
        """Awaitable twin of `open_holds`."""
        return await self._away(self.open_holds)

    async def aoverdue(self) -> tuple[Hold, ...]:
        """Awaitable twin of `overdue`."""
        return await self._away(self.overdue)

    async def ajournal(
        self, after: int = 0, limit: int | None = None
    ) -> tuple[Entry, ...]:
        """Awaitable twin of `journal`."""
        return await self._away(self.journal, after, limit)

    async def alapsed(self) -> tuple[Row, ...]:
        """Awaitable twin of `lapsed`."""
        return await self._away(self.lapsed)

    async def anow(self) -> float:
        """Awaitable twin of `now`."""
        return await self._away(self.now)

    async def aclose(self) -> None:
        """Awaitable twin of `close`."""
        await self._away(self.close)

    async def _away(self, ask: Callable[..., _Answer], *args: object) -> _Answer:
        return await in_thread(ask, *args) if self.blocking else ask(*args)
