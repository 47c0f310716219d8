"""A store that breaks, and a clock by which it is left alone for a while."""

from collections.abc import Callable, Iterator

import pytest

from langchain_budget import BudgetPool, OnOutage, usd
from langchain_budget.core.events import Event
from langchain_budget.stores.memory import MemoryStore
from langchain_budget.testing import StillClock
from tests.failing_store import FailingStore
from tests.invariants import assert_books_add_up
from tests.leases.conftest import do

__all__ = ["do"]

EVERYTHING = (
    *("read", "reserve", "settle", "release", "keep", "expire", "supersede", "open"),
    *("close", "top_up", "freeze", "thaw", "set_limit", "lease", "lapse", "outage"),
)

Open = Callable[[OnOutage], BudgetPool]


@pytest.fixture
def clock() -> StillClock:
    return StillClock(1_000_000)


@pytest.fixture
def store(clock: StillClock) -> Iterator[FailingStore]:
    store = FailingStore()
    store.memory = MemoryStore(clock=clock)
    yield store
    store.mend()
    assert_books_add_up(store)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def opened(store: FailingStore, clock: StillClock, events: list[Event]) -> Open:
    """Open the same pool with a policy."""

    def pool(policy: OnOutage) -> BudgetPool:
        timed = policy._replace(clock=clock)
        made = BudgetPool("acme", usd(10), store=store, on_outage=timed)
        made.subscribe(events.append)
        return made

    return pool


@pytest.fixture
def fail(store: FailingStore) -> Callable[[], None]:
    """Nothing works any more."""
    return lambda: store.breaks(*EVERYTHING)


@pytest.fixture
def mend(store: FailingStore, clock: StillClock) -> Callable[[], None]:
    """Everything works again, and it is time to find out."""

    def again() -> None:
        store.mend()
        clock.advance(1)

    return again
