"""Leases are tested under a clock that stands still, the store's and the worker's."""

from collections.abc import Callable, Iterator

import pytest

from langchain_budget import Account, Amount, BudgetPool, usd
from langchain_budget.core.events import Event
from langchain_budget.leases.lease import Lease
from langchain_budget.stores.memory import MemoryStore
from langchain_budget.testing import StillClock
from tests.failing_store import FailingStore
from tests.invariants import assert_books_add_up

TTL = 30.0


@pytest.fixture
def clock() -> StillClock:
    return StillClock(1_000_000)


@pytest.fixture
def shared(clock: StillClock) -> Iterator[FailingStore]:
    store = FailingStore()
    store.memory = MemoryStore(clock=clock)
    yield store
    store.mend()
    assert_books_add_up(store)


@pytest.fixture
def pool(shared: FailingStore) -> BudgetPool:
    return BudgetPool("acme", usd(10), store=shared)


@pytest.fixture
def events(pool: BudgetPool) -> list[Event]:
    heard: list[Event] = []
    pool.subscribe(heard.append)
    return heard


Take = Callable[..., Lease[Account]]


@pytest.fixture
def take(pool: BudgetPool, clock: StillClock) -> Iterator[Take]:
    """Take a lease of the pool, whose own books add up in the end as well."""
    taken: list[Lease[Account]] = []

    def lease(*amounts: Amount, of: Account = pool) -> Lease[Account]:
        taken.append(of.lease(*(amounts or (usd(1),)), ttl_seconds=TTL, clock=clock))
        return taken[-1]

    yield lease
    for each in taken:
        assert_books_add_up(each.ledger.store)
