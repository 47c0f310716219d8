"""Every store of ours keeps what a store promises."""

from collections.abc import Callable

import pytest

from langchain_budget.stores._open import open_store
from langchain_budget.stores.base import Store
from langchain_budget.testing import StillClock
from langchain_budget.testing.conformance import NewStore, StoreConformance


class TestStores(StoreConformance):
    @pytest.fixture
    def new_store(self, store_url: str) -> NewStore:
        return lambda clock: open_store(store_url, clock=clock)

    @pytest.fixture
    def again(
        self, store_url: str, new_store: NewStore, clock: StillClock
    ) -> Callable[[Store], Store]:
        """Memory is one object's own; the others are found by their URL."""
        if store_url == "memory://":
            return lambda store: store
        return lambda _: new_store(clock)
