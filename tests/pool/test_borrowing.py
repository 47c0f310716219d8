"""A slice that may borrow is what a guard reserves for the next step."""

import pytest

from langchain_budget import Account, BudgetExceeded, BudgetPool, MemoryStore, usd
from langchain_budget.core.accounts import join, spec_of
from langchain_budget.testing import StillClock
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


@pytest.mark.parametrize(
    ("charged", "lent"),
    [("0.5", "2"), ("3", "3"), ("3.5", "3.5"), ("4.5", "4.5")],
    ids=["little", "some of it", "all of it", "more"],
)
def test_what_a_settled_call_has_not_used_of_its_loan_goes_back(
    pool: BudgetPool, step: Account, store: MemoryStore, charged: str, lent: str
) -> None:
    held = step.reserve(usd("3.5"))
    assert pool.balance().available == usd("6.5")

    held.settle(usd(charged))

    assert step.balance().granted == usd(lent)
    assert pool.balance().available == usd(10) - usd(lent)
    assert pool.admin.verify().ok
    assert_quiet(store)


def test_a_loan_goes_back_whole_when_its_call_is_not_made(
    pool: BudgetPool, step: Account, store: MemoryStore, clock: StillClock
) -> None:
    released, voided = step.reserve(usd(3)), step.reserve(usd(1))
    step.reserve(usd(1), ttl_seconds=10)
    assert pool.balance().lent == usd(5)

    released.release()
    assert pool.balance().lent == usd(4)
    pool.admin.void(voided.hold.id, reason="gone")
    assert pool.balance().lent == usd(3)
    clock.advance(11)
    pool.balance()

    assert pool.balance().lent == step.balance().available == usd(2)
    assert pool.admin.verify().ok
    assert_quiet(store)


def test_of_a_reserve_that_never_came_nothing_goes_back(
    pool: BudgetPool, step: Account, store: MemoryStore
) -> None:
    held = step.reserve(usd(3))
    unseen = held.hold._replace(id="never came")
    held.settle(usd(1))
    assert step.balance().available == usd(1)

    pool.ledger.run(pool.ledger.release(unseen))

    assert step.balance().available == usd(1)
    assert pool.balance().available == usd(8)
    assert pool.admin.verify().ok
    assert_quiet(store)
