"""Each behaviour is tested by the blocking method and by its awaitable twin."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from langchain_budget import BudgetPool, MemoryStore, usd
from langchain_budget.core.events import Event
from langchain_budget.testing import StillClock
from tests.invariants import assert_books_add_up
from tests.twins import Do


@pytest.fixture(params=["blocking", "awaited"])
def do(request: pytest.FixtureRequest) -> Do:
    async def call(method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if request.param == "blocking":
            return method(*args, **options)
        owner = cast("Any", method).__self__
        return await getattr(owner, f"a{method.__name__}")(*args, **options)

    return call


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
