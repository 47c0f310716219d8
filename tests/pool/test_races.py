"""Two things at once; the overlap is forced, never hoped for."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from langchain_budget import (
    Account,
    AccountClosed,
    AccountFrozen,
    BudgetExceeded,
    BudgetPool,
    Reservation,
    usd,
)
from tests.interrupted_store import InterruptedStore
from tests.invariants import assert_admitted, assert_books_add_up, assert_quiet


@pytest.fixture
def stop() -> InterruptedStore:
    return InterruptedStore()


@pytest.fixture
def pool(stop: InterruptedStore) -> BudgetPool:
    return BudgetPool("acme", usd(10), store=stop)


@pytest.mark.parametrize("threads", [2, 16, 64])
def test_threads_are_admitted_as_far_as_the_budget_goes(threads: int) -> None:
    affordable = max(threads // 10, 1)
    pool = BudgetPool("acme", usd(affordable))
    agents = [pool.open(f"agent-{number % 3}") for number in range(threads)]
    barrier = Barrier(threads)

    def reserve(agent: Account) -> Reservation | None:
        barrier.wait()
        try:
            return agent.reserve(usd(1))
        except BudgetExceeded:
            return None

    with ThreadPoolExecutor(threads) as workers:
        holds = [hold for hold in workers.map(reserve, agents) if hold]

    assert len(holds) == affordable
    for hold in holds:
        hold.settle(usd(1))
    assert pool.balance().spent == usd(affordable)
    assert_quiet(pool.ledger.store)


def test_many_settles_of_one_hold_are_one(
    pool: BudgetPool, stop: InterruptedStore
) -> None:
    hold = pool.reserve(usd(5))
    stop.before["settle"] = lambda: hold.settle(usd(2))

    hold.settle(usd(3))

    assert pool.balance().spent == usd(2)
    assert_quiet(stop)


def test_a_freeze_that_comes_first_refuses(
    pool: BudgetPool, stop: InterruptedStore
) -> None:
    pool.reserve(usd(1)).release()
    stop.before["reserve"] = pool.freeze

    with pytest.raises(AccountFrozen):
        pool.reserve(usd(1))

    assert_quiet(stop)


def test_a_freeze_of_what_has_changed_meanwhile_is_a_freeze(
    pool: BudgetPool, stop: InterruptedStore
) -> None:
    stop.before["freeze"] = lambda: pool.set_limit(usd(20))

    pool.freeze()

    assert pool.balance().state == "frozen"
    assert pool.balance().granted == usd(20)


def test_a_change_that_does_not_matter_refuses_nobody(
    pool: BudgetPool, stop: InterruptedStore
) -> None:
    pool.reserve(usd(1)).release()
    stop.before["reserve"] = lambda: pool.set_limit(usd(20))

    hold = pool.reserve(usd(15))

    assert_admitted(stop, hold.hold)


def test_two_open_an_account_at_once(pool: BudgetPool, stop: InterruptedStore) -> None:
    stop.before["open"] = lambda: pool.open("web", carve=usd(3))

    web = pool.open("web", carve=usd(3))

    assert web.balance().granted == usd(3)
    assert pool.balance().available == usd(7)


def test_an_account_is_not_opened_in_one_that_has_closed(
    pool: BudgetPool, stop: InterruptedStore
) -> None:
    team = pool.open("team", carve=usd(5))
    stop.before["open"] = team.close

    with pytest.raises(AccountClosed):
        team.open("web", carve=usd(3))

    assert pool.balance().available == usd(10)
    assert_quiet(stop)


def test_a_hold_that_settles_while_its_slice_closes_leaves_nothing_behind(
    pool: BudgetPool, stop: InterruptedStore
) -> None:
    web = pool.open("web", carve=usd(5))
    hold = web.reserve(usd(4))
    stop.before["settle"] = web.close

    hold.settle(usd(1))

    assert pool.balance().available == usd(9)
    assert_quiet(stop)


@pytest.mark.parametrize("used", [0, 2, 6])
def test_a_slice_that_closes_while_a_hold_settles_leaves_nothing_behind(
    pool: BudgetPool, stop: InterruptedStore, used: int
) -> None:
    web = pool.open("web", carve=usd(5))
    hold = web.reserve(usd(2))
    stop.before["return"] = lambda: hold.settle(usd(used))

    web.close()

    assert pool.balance().available == usd(10 - used)
    assert_quiet(stop)


def test_a_slice_that_closes_while_another_process_settles_leaves_nothing_behind(
    pool: BudgetPool, stop: InterruptedStore
) -> None:
    """It knows nothing of the closing, so what its hold leaves is not its business."""
    elsewhere = BudgetPool("acme", usd(10), store=stop)
    web = pool.open("web", carve=usd(5))
    hold = elsewhere.account("web").reserve(usd(2))
    stop.before["return"] = lambda: hold.settle(usd(4))

    web.close()

    assert pool.balance().available == usd(6)
    assert_quiet(stop)


def test_a_lowered_slice_that_spends_meanwhile_returns_what_is_left_then(
    pool: BudgetPool, stop: InterruptedStore
) -> None:
    web = pool.open("web", carve=usd(6))
    hold = web.reserve(usd(1))
    stop.before["set_limit"] = lambda: hold.settle(usd(4))

    web.set_limit(usd(0))

    assert web.balance().granted == usd(4)
    assert pool.balance().available == usd(6)


def test_a_raised_slice_gets_nothing_that_was_spent_meanwhile(
    pool: BudgetPool, stop: InterruptedStore
) -> None:
    web = pool.open("web", carve=usd(6))
    stop.before["set_limit"] = lambda: pool.reserve(usd(4))

    with pytest.raises(BudgetExceeded) as refused:
        web.set_limit(usd(7))

    assert refused.value.account == "acme"
    assert_books_add_up(stop)


async def cancel_when_stuck(task: asyncio.Task[None], stop: InterruptedStore) -> None:
    await stop.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    stop.stuck.clear()


async def test_a_charge_whose_task_is_cancelled_is_booked_all_the_same(
    pool: BudgetPool, stop: InterruptedStore
) -> None:
    hold = await pool.areserve(usd(4))
    stop.stuck.add("settle")
    task = asyncio.create_task(hold.asettle(usd(3)))

    await cancel_when_stuck(task, stop)

    assert (await pool.abalance()).spent == usd(3)
    assert_quiet(stop)


async def test_a_hold_whose_task_is_cancelled_is_given_back(
    pool: BudgetPool, stop: InterruptedStore
) -> None:
    """The store may have taken it: the answer alone was lost."""
    stop.stuck.add("reserve")

    async def reserve() -> None:
        await pool.areserve(usd(4))

    await cancel_when_stuck(asyncio.create_task(reserve()), stop)

    assert (await pool.abalance()).available == usd(10)
    assert not pool.ledger.late
    assert_quiet(stop)
