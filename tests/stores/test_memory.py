"""What is special to the store in memory; the rest is in test_conformance.py."""

import pytest

from langchain_budget import BudgetPool, MemoryStore, Reservation, usd
from langchain_budget.stores import _tables
from tests.invariants import assert_quiet


def test_the_oldest_ids_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tables, "RETAINED", 3)
    store = MemoryStore()
    pool = BudgetPool("acme", usd(10), store=store)
    reservations = [pool.reserve(usd(1)) for _ in range(5)]

    for each in reservations:
        each.settle(usd(1))
        pool.top_up(usd(1), key=each.hold.id)

    assert [is_known(store, each) for each in reservations] == [False] * 2 + [True] * 3
    assert_quiet(store)


def is_known(store: MemoryStore, reservation: Reservation) -> bool:
    return store.hold(reservation.hold.id) is not None


def test_an_open_hold_is_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tables, "RETAINED", 1)
    pool = BudgetPool("acme", usd(10))
    first = pool.reserve(usd(1))
    for _ in range(3):
        pool.reserve(usd(1)).release()

    first.settle(usd(1))

    assert pool.balance().spent == usd(1)


def test_each_store_in_memory_has_books_of_its_own() -> None:
    first, second = (BudgetPool("acme", usd(1), store=MemoryStore()) for _ in range(2))

    first.reserve(usd(1)).settle(usd(1))

    assert second.balance().spent == usd(0)
