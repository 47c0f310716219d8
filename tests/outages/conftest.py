"""A store that breaks, and a clock by which it is left alone for a while."""

from collections.abc import Iterator

import pytest

from langchain_budget import BudgetPool, OnOutage, PriceTable, usd
from langchain_budget.core.events import Event
from langchain_budget.stores.memory import MemoryStore
from langchain_budget.testing import StillClock
from tests.failing_store import FailingStore
from tests.invariants import assert_books_add_up

EVERYTHING = (
    *("read", "reserve", "settle", "release", "keep", "expire", "supersede", "open"),
    *("close", "top_up", "freeze", "thaw", "set_limit", "lease", "lapse", "outage"),
)


class Shaky:
    """One store, the pools that were opened in it, and what their listeners heard."""

    def __init__(self) -> None:
        self.clock = StillClock(1_000_000)
        self.store = FailingStore()
        self.store.memory = MemoryStore(clock=self.clock)
        self.events: list[Event] = []

    def open(self, policy: OnOutage, prices: PriceTable | None = None) -> BudgetPool:
        pool = BudgetPool(
            "acme",
            usd(10),
            store=self.store,
            prices=prices,
            on_outage=policy._replace(clock=self.clock),
        )
        pool.subscribe(self.events.append)
        return pool

    def fail(self) -> None:
        """Nothing works any more."""
        self.store.breaks(*EVERYTHING)

    def mend(self) -> None:
        """Everything works again, and it is time to find out."""
        self.store.mend()
        self.clock.advance(1)


@pytest.fixture
def shaky() -> Iterator[Shaky]:
    shaky = Shaky()
    yield shaky
    shaky.mend()
    assert_books_add_up(shaky.store)
