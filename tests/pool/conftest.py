"""Each behaviour is tested by the blocking method and by its awaitable twin."""

from collections.abc import Iterator

import pytest

from langchain_budget import BudgetPool, MemoryStore, usd
from langchain_budget.core.events import Event
from langchain_budget.testing import StillClock
from tests.invariants import assert_books_add_up


@pytest.fixture
def clock() -> StillClock:
    return StillClock(1_000_000)


@pytest.fixture
def store(clock: StillClock) -> Iterator[MemoryStore]:
    store = MemoryStore(clock=clock)
    yield store
    assert_books_add_up(store)


@pytest.fixture
def pool(store: MemoryStore) -> BudgetPool:
    return BudgetPool("acme", usd(10), store=store)


@pytest.fixture
def events(pool: BudgetPool) -> list[Event]:
    heard: list[Event] = []
    pool.subscribe(heard.append)
    return heard
