"""
The tests that every store passes, for stores of your own too.

Subclass `StoreConformance` in a test file and say how a store is made:

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def new_store(self):
            return lambda clock: MyStore(clock=clock)

pytest then runs every case twice, by the methods that wait and by their awaitable
twins. This module needs pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import langchain_budget.testing._conformance  # noqa: F401  # says so without pytest

import pytest  # isort: skip

from langchain_budget.stores.base import Store
from langchain_budget.testing._conformance.accounts import Accounts
from langchain_budget.testing._conformance.amounts import Amounts
from langchain_budget.testing._conformance.closing import Closing
from langchain_budget.testing._conformance.counters import Counters
from langchain_budget.testing._conformance.holds import Holds
from langchain_budget.testing._conformance.journal import Journal
from langchain_budget.testing._conformance.judging import Judging
from langchain_budget.testing._conformance.names import Names
from langchain_budget.testing._conformance.races import Races
from langchain_budget.testing._conformance.repeats import Repeats
from langchain_budget.testing._conformance.slices import Slices
from langchain_budget.testing._conformance.ways import RACERS, Awaited, Blocking, Way
from langchain_budget.testing._conformance.windows import Windows
from langchain_budget.testing._conformance.words import START
from langchain_budget.testing.clock import StillClock

NewStore = Callable[[StillClock], Store]
"""Makes a fresh store without any books, on which that clock is the time."""

__all__ = ["NewStore", "StoreConformance"]


class StoreConformance(
    Amounts,
    Judging,
    Repeats,
    Holds,
    Closing,
    Accounts,
    Names,
    Counters,
    Windows,
    Slices,
    Journal,
    Races,
):
    """What a store promises, case by case: override `new_store`, and maybe `again`."""

    @pytest.fixture
    def new_store(self) -> NewStore:
        """How to make a fresh, empty store with a given clock: yours to say."""
        msg = f"give {type(self).__name__} a fixture new_store: lambda clock: MyStore()"
        raise NotImplementedError(msg)

    @pytest.fixture
    def again(self) -> Callable[[Store], Store]:
        """How to get one more store object on the books of a store: here, itself."""
        return lambda store: store

    @pytest.fixture
    def clock(self) -> StillClock:
        """The time, as the store has it."""
        return StillClock(START)

    @pytest.fixture(params=[Blocking, Awaited], ids=["blocking", "awaited"])
    def way(self, request: pytest.FixtureRequest) -> Iterator[Way]:
        """How the store is asked."""
        with request.param() as way:
            yield way

    @pytest.fixture
    def made(self, new_store: NewStore, clock: StillClock, way: Way) -> Iterator[Store]:
        """The store itself."""
        store = new_store(clock)
        yield store
        way.of(store).close()
        store.close()

    @pytest.fixture
    def store(self, made: Store, way: Way) -> Store:
        """The store, asked in one way or the other."""
        return way.of(made)

    @pytest.fixture
    def handles(self, made: Store, again: Callable[[Store], Store]) -> list[Store]:
        """As many store objects on the same books as there are racers."""
        return [made, *(again(made) for _ in range(RACERS - 1))]
