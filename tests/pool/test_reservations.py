import asyncio
from decimal import Decimal
from typing import Any

import pytest

from langchain_budget import (
    BudgetPool,
    HoldNotOpen,
    InvalidAmount,
    MemoryStore,
    UnitMismatch,
    calls,
    tokens,
    usd,
)
from langchain_budget.errors import InexactAmount
from tests.invariants import assert_admitted, assert_quiet, unchanged
from tests.twins import Do


async def test_money_is_held_on_every_account_up_to_the_root(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    team = await do(pool.open, "team")
    web = await do(team.open, "web", limit=usd(5))

    hold = await do(web.reserve, usd(2), labels={"agent": "web"})

    assert {each.balance().held for each in (pool, team, web)} == {usd(2)}
    assert hold.amounts == (usd(2),)
    assert repr(hold) == "<Reservation of $2.00 on 'acme/team/web'>"
    assert_admitted(store, hold.hold)


async def test_a_settle_books_what_was_used_and_gives_back_the_rest(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    hold = await do(pool.reserve, usd(4), tokens(500))

    await do(hold.settle, usd("1.25"), tokens(300))

    assert pool.balance().spent == usd("1.25")
    assert pool.balance().available == usd("8.75")
    assert pool.balance("tokens").spent == tokens(300)
    assert_quiet(store)


async def test_an_overrun_is_booked_not_refused(pool: BudgetPool, do: Do) -> None:
    hold = await do(pool.reserve, usd(1))

    await do(hold.settle, usd(12))

    assert pool.balance().spent == usd(12)
    assert pool.balance().available == usd(10) - usd(12)


async def test_settling_twice_is_settling_once(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    hold = await do(pool.reserve, usd(4))
    await do(hold.settle, usd(1))

    with unchanged(store):
        await do(hold.settle, usd(3))

    assert pool.balance().spent == usd(1)


async def test_a_unit_that_was_not_held_is_booked_as_well(
    pool: BudgetPool, do: Do
) -> None:
    hold = await do(pool.reserve, usd(1))

    await do(hold.settle, usd(1), calls(1))

    assert pool.balance("calls").spent == calls(1)


async def test_a_unit_that_is_left_out_is_booked_as_it_was_held(
    pool: BudgetPool, do: Do
) -> None:
    hold = await do(pool.reserve, usd(1), calls(1))

    await do(hold.settle, usd("0.25"))

    assert pool.balance("calls").spent == calls(1)
    assert pool.balance().spent == usd("0.25")


async def test_a_settle_that_does_not_know_the_usage_books_an_estimate(
    pool: BudgetPool, do: Do
) -> None:
    hold = await do(pool.reserve, usd(4))

    await do(hold.settle)

    assert pool.balance().spent == usd(4)
    assert pool.report().total.estimated == 1


async def test_what_was_reported_later_takes_the_place_of_an_estimate(
    pool: BudgetPool, do: Do
) -> None:
    hold = await do(pool.reserve, usd(4))
    await do(hold.settle)

    await do(hold.settle, usd(1))
    await do(hold.settle, usd(2))

    assert pool.balance().spent == usd(1)
    assert pool.report().total.estimated == 0


async def test_nothing_used_is_told_by_a_settle_of_nothing(
    pool: BudgetPool, do: Do
) -> None:
    hold = await do(pool.reserve, usd(4))

    await do(hold.settle, usd(0))

    assert pool.balance().spent == usd(0)
    assert pool.report().total.estimated == 0


async def test_a_release_gives_all_of_it_back(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    hold = await do(pool.reserve, usd(4))

    await do(hold.release)
    await do(hold.release)

    assert pool.balance().available == usd(10)
    assert_quiet(store)


async def test_what_was_released_cannot_be_settled(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    hold = await do(pool.reserve, usd(4))
    await do(hold.release)

    with unchanged(store), pytest.raises(HoldNotOpen, match="is released") as error:
        await do(hold.settle, usd(1))

    assert error.value.hold == hold.hold.id
    assert error.value.status == "released"


async def test_what_was_settled_cannot_be_released(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    hold = await do(pool.reserve, usd(4))
    await do(hold.settle, usd(1))

    with unchanged(store), pytest.raises(HoldNotOpen, match="is settled"):
        await do(hold.release)


@pytest.mark.parametrize("amount", [0.1, 1, "1", Decimal(1), True, None])
async def test_only_amounts_are_held_and_booked(
    pool: BudgetPool, store: MemoryStore, amount: Any, do: Do
) -> None:
    hold = await do(pool.reserve, usd(1))

    for method in (pool.reserve, pool.can_afford, hold.settle):
        with unchanged(store), pytest.raises(InexactAmount, match="no Amount"):
            await do(method, amount)


async def test_less_than_nothing_is_neither_held_nor_booked(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    hold = await do(pool.reserve, usd(1))

    for method in (pool.reserve, pool.can_afford, hold.settle):
        with unchanged(store), pytest.raises(InvalidAmount, match="zero or more"):
            await do(method, usd(1) - usd(2))


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
async def test_a_time_to_live_is_a_number_of_seconds(
    pool: BudgetPool, store: MemoryStore, seconds: float, do: Do
) -> None:
    with unchanged(store), pytest.raises(InvalidAmount, match="seconds above zero"):
        await do(pool.reserve, usd(1), ttl_seconds=seconds)


def test_a_block_settles_what_it_says(pool: BudgetPool, store: MemoryStore) -> None:
    with pool.reserve(usd(4)) as hold:
        hold.settle(usd(1))

    assert pool.balance().spent == usd(1)
    assert_quiet(store)


async def test_an_awaited_block_settles_what_it_says(
    pool: BudgetPool, store: MemoryStore
) -> None:
    async with await pool.areserve(usd(4)) as hold:
        await hold.asettle(usd(1))

    assert pool.balance().spent == usd(1)
    assert_quiet(store)


def test_a_block_that_says_nothing_has_used_what_it_held(pool: BudgetPool) -> None:
    with pool.reserve(usd(4)):
        pass

    assert pool.balance().spent == usd(4)
    assert pool.report().total.estimated == 1


def test_a_block_that_fails_has_used_nothing(
    pool: BudgetPool, store: MemoryStore
) -> None:
    with pytest.raises(ZeroDivisionError), pool.reserve(usd(4)):
        _ = 1 / 0

    assert pool.balance().available == usd(10)
    assert_quiet(store)


def test_a_block_that_fails_after_it_settled_has_used_what_it_said(
    pool: BudgetPool,
) -> None:
    def settle_and_fail() -> None:
        with pool.reserve(usd(4)) as hold:
            hold.settle(usd(1))
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        settle_and_fail()

    assert pool.balance().spent == usd(1)


def test_a_block_whose_settle_fails_has_used_what_it_held(pool: BudgetPool) -> None:
    """The call was made: a slip in counting it does not make it free."""
    with pytest.raises(InexactAmount), pool.reserve(usd(4)) as hold:
        hold.settle(0.25)  # type: ignore[arg-type]  # the slip

    assert pool.balance().spent == usd(4)
    assert pool.report().total.estimated == 1


def test_a_block_may_release_by_itself(pool: BudgetPool, store: MemoryStore) -> None:
    with pool.reserve(usd(4)) as hold:
        hold.release()

    assert pool.balance().spent == usd(0)
    assert_quiet(store)


async def test_a_cancelled_block_gives_back_what_it_held(
    pool: BudgetPool, store: MemoryStore
) -> None:
    entered = asyncio.Event()

    async def wait_for_ever() -> None:
        async with await pool.areserve(usd(4)):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(wait_for_ever())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert pool.balance().available == usd(10)
    assert_quiet(store)


def test_amounts_of_a_reservation_keep_their_units(pool: BudgetPool) -> None:
    dollars, counted = pool.reserve(usd(1), tokens(1)).amounts

    with pytest.raises(UnitMismatch):
        _ = dollars + counted
