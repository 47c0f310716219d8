"""What happens when the store breaks: before it did what it was told, or after."""

import logging

import pytest

from langchain_budget import BudgetPool, StoreError, StoreUnavailable, usd
from langchain_budget.core.events import Event, Settled, SettleDeferred
from tests.failing_store import FailingStore
from tests.invariants import assert_quiet
from tests.twins import Do


@pytest.fixture
def broken() -> FailingStore:
    return FailingStore()


@pytest.fixture
def pool(broken: FailingStore) -> BudgetPool:
    return BudgetPool("acme", usd(10), store=broken)


@pytest.mark.parametrize("fault", ["reserve", "read"])
async def test_a_reserve_fails_closed(
    pool: BudgetPool, broken: FailingStore, fault: str, do: Do
) -> None:
    broken.breaks(fault)

    with pytest.raises(StoreUnavailable, match=f"broke at {fault}") as refused:
        await do(pool.reserve, usd(1))

    assert isinstance(refused.value.__cause__, StoreError)
    assert (refused.value.account, refused.value.kind) == ("acme", "store")
    assert "nothing is admitted until it answers again" in str(refused.value)
    broken.mend()
    assert await do(pool.reserve, usd(10))


async def test_a_hold_that_the_store_took_before_it_broke_is_given_back(
    pool: BudgetPool, broken: FailingStore, do: Do
) -> None:
    broken.breaks("reserve", lost=True)
    with pytest.raises(StoreUnavailable):
        await do(pool.reserve, usd(10))
    broken.mend()

    hold = await do(pool.reserve, usd(10))

    await do(hold.release)
    assert_quiet(broken.memory)


@pytest.mark.parametrize("lost", ["", "lost"])
@pytest.mark.parametrize("end", ["settle", "release"])
async def test_what_the_store_cannot_take_is_announced_and_tried_again(
    pool: BudgetPool, broken: FailingStore, end: str, lost: str, do: Do
) -> None:
    """Exactly once, also where the store had taken it before it broke."""
    events: list[Event] = []
    hold = await do(pool.reserve, usd(4))
    pool.subscribe(events.append)
    broken.breaks(end, lost=bool(lost))

    await (do(hold.settle, usd(3)) if end == "settle" else do(hold.release))
    broken.mend()
    balance = await do(pool.balance)

    (deferred,) = (each for each in events if isinstance(each, SettleDeferred))
    assert (deferred.account, deferred.hold) == ("acme", hold.hold.id)
    assert f"the connection broke at {end}" in deferred.error
    assert balance.spent == usd(3 if end == "settle" else 0)
    assert balance.available == usd(10) - balance.spent
    assert_quiet(broken.memory)


async def test_a_broken_store_never_costs_the_caller_the_paid_answer(
    pool: BudgetPool, broken: FailingStore, caplog: pytest.LogCaptureFixture
) -> None:
    def ask() -> str:
        with pool.reserve(usd(4)) as hold:
            broken.breaks("settle", "read")
            hold.settle(usd(3))
            return "the answer"

    answer = ask()
    broken.mend()

    assert answer == "the answer"
    assert "the budget store did not take hold" in caplog.text
    assert pool.balance().spent == usd(3)


async def test_the_error_of_a_block_is_not_hidden_by_the_stores(
    pool: BudgetPool, broken: FailingStore
) -> None:
    hold = pool.reserve(usd(4))
    broken.breaks("release")

    with pytest.raises(ZeroDivisionError), hold:
        _ = 1 / 0

    broken.mend()
    assert pool.balance().available == usd(10)


async def test_a_store_that_stays_broken_is_asked_once_an_operation(
    pool: BudgetPool, broken: FailingStore, do: Do
) -> None:
    """However much waits, or each operation would wait for all of it."""
    holds = [await do(pool.reserve, usd(1)) for _ in range(5)]
    broken.breaks("settle")
    for hold in holds:
        await do(hold.settle, usd(1))
    broken.attempts.clear()

    await do(pool.reserve, usd(1))

    assert broken.attempts.count("settle") == 1
    broken.mend()
    assert (await do(pool.balance)).spent == usd(5)


async def test_nothing_is_affordable_while_the_store_is_broken(
    pool: BudgetPool, broken: FailingStore, do: Do
) -> None:
    broken.breaks("read")

    answer = await do(pool.can_afford, usd(1))

    assert not answer
    assert "nothing is admitted until it answers again" in answer.reason


async def test_a_change_that_the_store_cannot_take_says_so(
    pool: BudgetPool, broken: FailingStore, do: Do
) -> None:
    """The caller may try again: with a key it happens once."""
    broken.breaks("top_up", lost=True)
    with pytest.raises(StoreError, match="broke at top_up"):
        await do(pool.top_up, usd(5), key="invoice 7")
    broken.mend()

    await do(pool.top_up, usd(5), key="invoice 7")

    assert pool.balance().granted == usd(15)


async def test_a_charge_that_nobody_keeps_a_hold_for_is_dropped_with_a_warning(
    pool: BudgetPool, caplog: pytest.LogCaptureFixture, do: Do
) -> None:
    """As after a restart without the books; trying again would never end."""
    hold = await do(pool.reserve, usd(1))
    hold.hold = hold.hold._replace(id="lost with the old store")
    events: list[Event] = []
    pool.subscribe(events.append)

    with caplog.at_level(logging.WARNING, "langchain_budget"):
        await do(hold.settle, usd(1))

    assert "'lost with the old store' is unknown" in caplog.text
    assert not any(isinstance(each, Settled | SettleDeferred) for each in events)
    assert not pool.ledger.late
