"""A slice that may borrow is what a guard reserves for the next step."""

import pytest

from langchain_budget import Account, BudgetExceeded, BudgetPool, MemoryStore, usd
from langchain_budget.core.accounts import join, spec_of
from langchain_budget.tree import open_account
from tests.invariants import assert_admitted, assert_quiet, unchanged


@pytest.fixture
def step(pool: BudgetPool) -> Account:
    spec = spec_of(carve=[usd(2)])._replace(borrows=True)
    path = join(pool.path, "step")
    pool.ledger.run(open_account(pool.ledger, path, spec))
    return Account(pool.ledger, path)


def test_an_empty_slice_borrows_what_its_parent_has_free(
    pool: BudgetPool, step: Account, store: MemoryStore
) -> None:
    first = step.reserve(usd("1.5"))

    second = step.reserve(usd(3))

    assert step.balance().granted == usd("4.5")
    assert pool.balance().available == usd("5.5")
    assert_admitted(store, second.hold)
    first.settle(usd(1))
    second.settle(usd(1))
    step.close()
    assert pool.balance().available == usd(8)
    assert_quiet(store)


def test_a_slice_borrows_no_more_than_its_parent_has(
    pool: BudgetPool, step: Account, store: MemoryStore
) -> None:
    pool.reserve(usd(7))

    with unchanged(store), pytest.raises(BudgetExceeded) as refused:
        step.reserve(usd(4))

    assert refused.value.account == "acme"
    assert refused.value.wanted == usd(2)
