"""The one port: a store posts, and answers a few questions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

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


class Store(ABC):
    """
    Where accounts, counters, holds and the journal live.

    `post` applies a posting whole or not at all. Answers of the world, such as a
    lost connection, are raised as `StoreError`; answers of the books are returned.
    Every method has an awaitable twin.
    """

    blocking: ClassVar[bool]
    """Whether a call may wait for something outside of this process."""

    @abstractmethod
    def post(self, posting: Posting) -> Receipt | Refusal:
        """Apply *posting*, or say why not and change nothing."""

    @abstractmethod
    def rows(self, paths: Iterable[str]) -> Mapping[str, Row]:
        """The accounts at *paths*; those that do not exist are left out."""

    @abstractmethod
    def below(self, path: str) -> tuple[Row, ...]:
        """The account at *path* and all under it, parents first."""

    @abstractmethod
    def balances(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        """Every counter of these accounts."""

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
    def journal(self, after: int = 0) -> tuple[Entry, ...]:
        """The entries whose sequence number is above *after*, in order."""

    @abstractmethod
    def lapsed(self) -> tuple[Row, ...]:
        """The accounts that are open past their own time to live."""

    @abstractmethod
    def now(self) -> float:
        """Seconds since 1970 by the store's own clock."""

    @abstractmethod
    async def apost(self, posting: Posting) -> Receipt | Refusal:
        """Awaitable twin of `post`."""

    @abstractmethod
    async def arows(self, paths: Iterable[str]) -> Mapping[str, Row]:
        """Awaitable twin of `rows`."""

    @abstractmethod
    async def abelow(self, path: str) -> tuple[Row, ...]:
        """Awaitable twin of `below`."""

    @abstractmethod
    async def abalances(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        """Awaitable twin of `balances`."""

    @abstractmethod
    async def ahold(self, hold_id: str) -> Hold | None:
        """Awaitable twin of `hold`."""

    @abstractmethod
    async def aopen_holds(self) -> tuple[Hold, ...]:
        """Awaitable twin of `open_holds`."""

    @abstractmethod
    async def aoverdue(self) -> tuple[Hold, ...]:
        """Awaitable twin of `overdue`."""

    @abstractmethod
    async def ajournal(self, after: int = 0) -> tuple[Entry, ...]:
        """Awaitable twin of `journal`."""

    @abstractmethod
    async def alapsed(self) -> tuple[Row, ...]:
        """Awaitable twin of `lapsed`."""

    @abstractmethod
    async def anow(self) -> float:
        """Awaitable twin of `now`."""
