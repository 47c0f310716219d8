"""What all shapes of configuration have in common: they can be opened."""

from __future__ import annotations

from abc import ABC, abstractmethod

from langchain_budget.config.sources import store_from_environment
from langchain_budget.pool import BudgetPool
from langchain_budget.pricing.prices import PriceBook
from langchain_budget.stores.base import Store


class Config(ABC):
    """A configuration that was read and checked; nothing is opened yet."""

    @abstractmethod
    def open(
        self,
        name: str = ...,
        *,
        store: Store | str | None = None,
        prices: PriceBook | None = None,
    ) -> Opened:
        """What it describes, in the books of *store*."""


class Opened:
    """
    A pool that a configuration has opened.

    Attributes:
        pool: To be given to handlers, middleware and guards.
    """

    def __init__(self, pool: BudgetPool) -> None:
        self.pool = pool

    def advance(self, window: str = "tick") -> None:
        """End the current `tick`, or `run`: its limits start anew."""
        self.pool.advance(window)

    async def aadvance(self, window: str = "tick") -> None:
        """Awaitable twin of `advance`."""
        await self.pool.aadvance(window)


def pool_of(
    name: str,
    *,
    store: Store | str | None = None,
    prices: PriceBook | None = None,
) -> BudgetPool:
    """A pool without limits of its own, in the books that are meant."""
    return BudgetPool(name, store=store_meant(store), prices=prices)


def store_meant(*said: Store | str | None) -> Store | str | None:
    """The first that was said; else what the environment says, else memory."""
    first = next((each for each in said if each is not None), None)
    return store_from_environment() if first is None else first
