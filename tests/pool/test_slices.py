from typing import Any

import pytest

from langchain_budget import (
    BudgetExceeded,
    BudgetPool,
    InvalidAmount,
    MemoryStore,
    calls,
    tokens,
    usd,
)
from tests.invariants import assert_admitted, assert_quiet, unchanged
from tests.twins import Do


async def test_what_is_carved_out_is_no_longer_the_parents(
    pool: BudgetPool, do: Do
) -> None:
    web = await do(pool.open, "web", carve=usd(3))

    mine, theirs = await do(web.balance), await do(pool.balance)
    assert (mine.granted, mine.available) == (usd(3), usd(3))
    assert (theirs.lent, theirs.available) == (usd(3), usd(7))


async def test_a_slice_spends_its_own_money_only(pool: BudgetPool, do: Do) -> None:
    web = await do(pool.open, "web", carve=usd(3))
    await do((await do(web.reserve, usd(2))).settle, usd(2))

    with pytest.raises(BudgetExceeded) as refused:
        await do(web.reserve, usd(2))

    assert refused.value.account == "acme/web"
    assert refused.value.available == usd(1)
    assert pool.balance().available == usd(7)
    assert pool.balance().spent == usd(2)


async def test_more_than_is_left_cannot_be_carved_out(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    await do(pool.open, "web", carve=usd(8))

    with unchanged(store), pytest.raises(BudgetExceeded) as refused:
        await do(pool.open, "mail", carve=usd(3))

    assert refused.value.account == "acme"
    assert refused.value.wanted == usd(3)
    assert refused.value.available == usd(2)


async def test_what_is_held_cannot_be_carved_out(pool: BudgetPool, do: Do) -> None:
    await do(pool.reserve, usd(9))

    with pytest.raises(BudgetExceeded) as refused:
        await do(pool.open, "web", carve=usd(2))

    assert refused.value.kind == "contended"


async def test_a_share_is_of_what_is_available_now(pool: BudgetPool, do: Do) -> None:
    first = await do(pool.open, "first", share="30%")
    await do(pool.reserve, usd(1))
    second = await do(pool.open, "second", share=0.5)

    assert first.balance().granted == usd(3)
    assert second.balance().granted == usd(3)
    assert pool.balance().available == usd(3)


async def test_a_share_is_of_every_limit_on_the_way_up(
    store: MemoryStore, do: Do
) -> None:
    pool = BudgetPool("acme", usd(10), tokens(1_000), store=store)
    team = await do(pool.open, "team", limit=[usd(4), calls(10)])

    web = await do(team.open, "web", share="50%")

    granted = {each.unit: each.granted for each in web.report().balances}
    assert granted == {"usd": usd(2), "tokens": tokens(500), "calls": calls(5)}


def test_a_share_attaches_although_less_is_left_by_now(pool: BudgetPool) -> None:
    pool.open("web", share="30%")

    again = pool.open("web", share="30%")

    assert again.balance().granted == usd(3)


@pytest.mark.parametrize("share", [0, "130%", -1, "lots", True])
async def test_what_is_no_share_opens_nothing(
    pool: BudgetPool, store: MemoryStore, share: Any, do: Do
) -> None:
    with unchanged(store), pytest.raises(InvalidAmount, match="'30%'"):
        await do(pool.open, "web", share=share)


async def test_of_nothing_left_there_is_no_share(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    await do((await do(pool.reserve, usd(10))).settle, usd(10))

    with unchanged(store), pytest.raises(BudgetExceeded, match=r"\$0.00 left of \$10"):
        await do(pool.open, "web", share="30%")


async def test_of_no_limit_there_is_no_share(store: MemoryStore, do: Do) -> None:
    pool = BudgetPool("meter", store=store)

    with pytest.raises(InvalidAmount, match="no limit to share: give the child"):
        await do(pool.open, "web", share="30%")


async def test_all_limits_above_a_slice_bind_in_other_units(
    store: MemoryStore, do: Do
) -> None:
    pool = BudgetPool("acme", usd(10), calls(2), store=store)
    web = await do(pool.open, "web", carve=usd(3))
    for _ in range(2):
        await do(web.reserve, usd(1), calls(1))

    with pytest.raises(BudgetExceeded) as refused:
        await do(web.reserve, usd("0.1"), calls(1))

    assert refused.value.account == "acme"
    assert refused.value.limit == calls(2)


async def test_an_overrun_in_a_slice_is_paid_by_its_parent(
    pool: BudgetPool, do: Do
) -> None:
    web = await do(pool.open, "web", carve=usd(3))
    hold = await do(web.reserve, usd(3))

    await do(hold.settle, usd(5))

    assert web.balance().spent == web.balance().granted == usd(5)
    assert web.balance().state == "exhausted"
    assert (pool.balance().spent, pool.balance().available) == (usd(5), usd(5))


async def test_an_overrun_spills_up_to_the_root(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    """Slices in slices, with a shared account between them and one inside."""
    team = await do(pool.open, "team", carve=usd(4))
    desk = await do(team.open, "desk", limit=usd(4))
    web = await do(desk.open, "web", carve=usd(2))
    page = await do(web.open, "page")
    hold = await do(page.reserve, usd(2))

    await do(hold.settle, usd(15))

    assert web.balance().granted == usd(15)
    assert desk.balance().available == usd(4) - usd(15)
    assert (team.balance().granted, team.balance().available) == (usd(15), usd(0))
    assert pool.balance().available == usd(10) - usd(15)
    assert {each.balance().spent for each in (pool, team, desk, web, page)} == {usd(15)}
    assert_quiet(store)


async def test_an_overrun_spares_what_other_calls_hold(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    web = await do(pool.open, "web", carve=usd(4))
    long, short = await do(web.reserve, usd(2)), await do(web.reserve, usd(2))

    await do(short.settle, usd(3))

    assert web.balance().granted == usd(5)
    assert_admitted(store, long.hold)
    await do(long.settle, usd(2))
    assert web.balance().available == usd(0)
    assert pool.balance().available == usd(5)


async def test_a_slice_returns_what_it_has_left(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    web = await do(pool.open, "web", carve=usd("1.000000007"))
    await do((await do(web.reserve, usd(1))).settle, usd("0.000000002"))

    await do(web.close)

    assert web.balance().state == "closed"
    assert web.balance().available == usd(0)
    assert pool.balance().available == usd("9.999999998")
    assert pool.balance().spent == usd("0.000000002")
    assert_quiet(store)


def test_what_is_carved_out_is_not_used_up():
    pool = BudgetPool("acme", usd(20), warn_at=["50%"])
    heard = []
    pool.subscribe(heard.append)

    big = pool.open("big", carve=usd(12))
    pool.open("small", carve=usd(8))

    assert [type(each).__name__ for each in heard] == ["Opened", "Opened"]
    assert pool.report().balances[0].state == "active"
    big.reserve(usd(12)).settle()
    states = {each.account: each.state for each in pool.report().balances}
    assert states == {"acme": "active", "acme/big": "exhausted", "acme/small": "active"}
