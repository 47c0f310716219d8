from typing import Any

import pytest

from langchain_budget import (
    AccountClosed,
    AccountFrozen,
    BudgetExceeded,
    BudgetPool,
    InvalidAmount,
    InvalidTransfer,
    LimitConflict,
    MemoryStore,
    calls,
    tokens,
    usd,
)
from langchain_budget.core.events import Event, Settled, ToppedUp
from langchain_budget.errors import IdConflict
from tests.invariants import unchanged
from tests.twins import Do


async def test_a_raised_limit_admits_more(pool: BudgetPool, do: Do) -> None:
    await do(pool.reserve, usd(10))

    await do(pool.set_limit, usd(12))

    assert (await do(pool.reserve, usd(2))).amounts == (usd(2),)
    with pytest.raises(BudgetExceeded):
        await do(pool.reserve, usd("0.01"))


async def test_a_limit_below_what_is_spent_and_held_honours_the_holds(
    pool: BudgetPool, do: Do
) -> None:
    await do((await do(pool.reserve, usd(4))).settle, usd(4))
    hold = await do(pool.reserve, usd(2))

    await do(pool.set_limit, usd(3))

    assert pool.balance().available == usd(3) - usd(6)
    assert pool.balance().state == "exhausted"
    with pytest.raises(BudgetExceeded, match=r"-\$3.00 left of \$3.00"):
        await do(pool.reserve, usd(1))
    await do(hold.settle, usd(2))
    assert pool.balance().spent == usd(6)


@pytest.mark.parametrize("limit", [calls(0), calls(1)])
async def test_a_unit_that_had_no_limit_can_be_given_one(
    pool: BudgetPool, limit: Any, do: Do
) -> None:
    await do((await do(pool.reserve, usd(1), calls(1))).settle, usd(1), calls(1))

    await do(pool.set_limit, limit)

    assert pool.balance("calls").granted == limit
    with pytest.raises(BudgetExceeded) as refused:
        await do(pool.reserve, usd(1), calls(1))
    assert refused.value.wanted == calls(1)


async def test_a_limit_that_was_set_is_the_one_to_open_with(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    await do(pool.set_limit, usd(12))

    assert BudgetPool("acme", usd(12), store=store).balance().granted == usd(12)
    with pytest.raises(LimitConflict):
        BudgetPool("acme", usd(10), store=store)


async def test_a_slice_takes_from_its_parent_what_is_set_more(
    pool: BudgetPool, do: Do
) -> None:
    web = await do(pool.open, "web", carve=usd(3))

    await do(web.set_limit, usd(5))

    assert web.balance().available == usd(5)
    assert pool.balance().available == usd(5)


async def test_a_slice_cannot_take_more_than_its_parent_has(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    web = await do(pool.open, "web", carve=usd(3))

    with unchanged(store), pytest.raises(BudgetExceeded) as refused:
        await do(web.set_limit, usd(11))

    assert refused.value.account == "acme"


async def test_a_lowered_slice_returns_what_it_has_left(
    pool: BudgetPool, do: Do
) -> None:
    web = await do(pool.open, "web", carve=usd(6))
    await do((await do(web.reserve, usd(2))).settle, usd(2))
    await do(web.reserve, usd(1))

    await do(web.set_limit, usd(1))

    assert web.balance().granted == usd(3)
    assert web.balance().available == usd(0)
    assert pool.balance().available == usd(7)


@pytest.mark.parametrize("limit", [usd(1) - usd(2), 5, 0.5, None])
async def test_a_limit_to_set_is_an_amount_of_nothing_or_more(
    pool: BudgetPool, store: MemoryStore, limit: Any, do: Do
) -> None:
    with unchanged(store), pytest.raises(InvalidAmount):
        await do(pool.set_limit, limit)


async def test_limits_of_a_closed_account_stay_as_they_are(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    web = await do(pool.open, "web", carve=usd(3))
    await do(web.close)

    for change in (web.set_limit, web.top_up):
        with unchanged(store), pytest.raises(AccountClosed):
            await do(change, usd(5))


async def test_a_top_up_grants_more(pool: BudgetPool, do: Do) -> None:
    await do((await do(pool.reserve, usd(10))).settle, usd(11))
    await do(pool.top_up, usd(1))
    still = (await do(pool.can_afford, usd("0.01"))).affordable

    await do(pool.top_up, usd(2), reason="new month")

    assert not still
    assert pool.balance().available == usd(2)
    assert pool.balance().granted == usd(13)


async def test_a_top_up_with_a_key_happens_once(
    pool: BudgetPool, events: list[Event], do: Do
) -> None:
    for _ in range(3):
        await do(pool.top_up, usd(2), key="invoice 7")

    assert pool.balance().granted == usd(12)
    told = [each for each in events if isinstance(each, ToppedUp)]
    assert len({each.seq for each in told}) == 1


@pytest.mark.parametrize(
    "change", [{"amount": usd(3)}, {"reason": "other"}, {"account": "web"}]
)
async def test_a_key_means_one_top_up(
    pool: BudgetPool, store: MemoryStore, change: dict[str, Any], do: Do
) -> None:
    await do(pool.open, "web", limit=usd(1))
    await do(pool.top_up, usd(2), key="invoice 7")
    account = pool.account("web") if "account" in change else pool

    with unchanged(store), pytest.raises(IdConflict, match=r"'invoice 7'.*of its own"):
        await do(
            account.top_up,
            change.get("amount", usd(2)),
            reason=change.get("reason", ""),
            key="invoice 7",
        )


async def test_a_slice_is_topped_up_by_its_parent(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    team = await do(pool.open, "team", carve=usd(6))
    web = await do(team.open, "web", carve=usd(3))

    await do(web.top_up, usd(2))

    assert web.balance().available == usd(5)
    assert team.balance().available == usd(1)
    assert pool.balance().available == usd(4)
    with unchanged(store), pytest.raises(BudgetExceeded) as refused:
        await do(web.top_up, usd(2))
    assert refused.value.account == "acme/team"


async def test_a_frozen_parent_gives_a_slice_nothing(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    web = await do(pool.open, "web", carve=usd(3))
    await do(pool.freeze)

    for change in (web.top_up, web.set_limit):
        with unchanged(store), pytest.raises(AccountFrozen):
            await do(change, usd(4))


async def test_a_frozen_account_can_be_topped_up(pool: BudgetPool, do: Do) -> None:
    await do(pool.freeze)

    await do(pool.top_up, usd(1))

    assert pool.balance().granted == usd(11)


@pytest.mark.parametrize("amount", [usd(0), usd(0) - usd(1), 1, 0.5, None])
async def test_nothing_and_less_is_no_top_up(
    pool: BudgetPool, store: MemoryStore, amount: Any, do: Do
) -> None:
    with unchanged(store), pytest.raises(InvalidAmount):
        await do(pool.top_up, amount)


async def test_what_has_no_limit_cannot_be_topped_up(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    with (
        unchanged(store),
        pytest.raises(InvalidTransfer, match="no tokens limit"),
    ):
        await do(pool.top_up, tokens(5))


async def test_a_change_seen_too_late_is_made_on_the_newest_version(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    elsewhere = BudgetPool("acme", usd(10), store=store)
    web = await do(elsewhere.open, "web", limit=usd(3))
    await do(web.reserve, usd(1))
    await do(pool.account("web").set_limit, usd(4))

    await do(web.top_up, usd(1))
    await do(web.freeze)
    await do(pool.account("web").thaw)
    await do(web.set_limit, usd(7))

    assert web.balance().granted == usd(7)
    assert web.balance().state == "active"


async def test_an_event_of_a_change_has_its_place_in_the_journal(
    pool: BudgetPool, store: MemoryStore, events: list[Event], do: Do
) -> None:
    await do(pool.open, "web")
    await do(pool.top_up, usd(1))
    await do((await do(pool.reserve, usd(1))).settle, usd(1))
    await do(pool.freeze)

    kinds = {entry.seq: entry.kind for entry in store.journal()}
    assert [kinds[each.seq] for each in events] == [
        *("open", "top_up", "reserve", "settle", "freeze"),
    ]
    assert isinstance(events[3], Settled)
