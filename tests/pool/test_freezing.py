import pytest

from langchain_budget import AccountFrozen, BudgetExceeded, BudgetPool, MemoryStore, usd
from langchain_budget import events as happened
from langchain_budget.core.events import Event
from tests.invariants import assert_quiet, unchanged
from tests.twins import Do


async def test_a_frozen_account_refuses_until_it_is_thawed(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    await do(pool.freeze, "month end")

    with unchanged(store), pytest.raises(AccountFrozen) as refused:
        await do(pool.reserve, usd(1))
    assert refused.value.account == "acme"
    assert refused.value.kind == "frozen"
    assert "(month end). Thaw it" in str(refused.value)

    await do(pool.thaw)
    assert (await do(pool.reserve, usd(1))).amounts == (usd(1),)


async def test_a_freeze_binds_all_the_way_down(pool: BudgetPool, do: Do) -> None:
    """In slices as well, which pay from their own purse."""
    team = await do(pool.open, "team", carve=usd(4))
    web = await do(team.open, "web", carve=usd(2))
    page = await do(web.open, "page")
    await do(team.freeze)

    for account in (team, web, page):
        with pytest.raises(AccountFrozen) as refused:
            await do(account.reserve, usd(1))
        assert refused.value.account == "acme/team"
    assert (await do(pool.reserve, usd(1))).amounts == (usd(1),)


async def test_a_settle_passes_a_freeze(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    settled, released = await do(pool.reserve, usd(1)), await do(pool.reserve, usd(1))
    await do(pool.freeze)

    await do(settled.settle, usd(2))
    await do(released.release)

    assert pool.balance().spent == usd(2)
    assert pool.balance().state == "frozen"
    assert_quiet(store)


async def test_other_processes_learn_of_a_freeze(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    elsewhere = BudgetPool("acme", usd(10), store=store)
    await do(elsewhere.reserve, usd(1))

    await do(pool.freeze)

    with pytest.raises(AccountFrozen):
        await do(elsewhere.reserve, usd(1))


@pytest.mark.parametrize("reason", ["again", ""])
async def test_freezing_twice_is_freezing_once(
    pool: BudgetPool, events: list[Event], reason: str, do: Do
) -> None:
    await do(pool.freeze, reason)
    await do(pool.freeze, "another reason")
    await do(pool.thaw)
    await do(pool.thaw)

    assert [type(each) for each in events] == [
        happened.AccountFrozen,
        happened.AccountThawed,
    ]
    assert pool.balance().state == "active"


async def test_exhausted_is_what_was_spent_not_what_is_held(
    pool: BudgetPool, do: Do
) -> None:
    hold = await do(pool.reserve, usd(10))
    held = (await do(pool.balance)).state

    await do(hold.settle, usd(10))

    assert (held, (await do(pool.balance)).state) == ("active", "exhausted")


async def test_a_thaw_does_not_fill_an_account(pool: BudgetPool, do: Do) -> None:
    await do((await do(pool.reserve, usd(10))).settle, usd(10))
    await do(pool.freeze)

    await do(pool.thaw)

    with pytest.raises(BudgetExceeded):
        await do(pool.reserve, usd(1))


async def test_open_holds_may_free_enough(pool: BudgetPool, do: Do) -> None:
    await do(pool.reserve, usd(6))

    with pytest.raises(BudgetExceeded, match="try again when they settle") as refused:
        await do(pool.reserve, usd(5))

    assert refused.value.kind == "contended"
    assert refused.value.held == usd(6)


async def test_open_holds_cannot_free_enough(pool: BudgetPool, do: Do) -> None:
    await do((await do(pool.reserve, usd(6))).settle, usd(6))
    await do(pool.reserve, usd(1))

    with pytest.raises(BudgetExceeded, match="Top it up, transfer to it") as refused:
        await do(pool.reserve, usd(5))

    assert refused.value.kind == "exhausted"
    assert refused.value.spent == usd(6)
