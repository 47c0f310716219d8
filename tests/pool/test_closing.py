import pytest

from langchain_budget import AccountClosed, BudgetPool, MemoryStore, usd
from langchain_budget.core.events import Closed, Event
from langchain_budget.testing import StillClock
from tests.invariants import assert_books_add_up, assert_quiet
from tests.twins import Do


async def test_a_closed_account_admits_nothing(pool: BudgetPool, do: Do) -> None:
    web = await do(pool.open, "web")

    await do(web.close)

    with pytest.raises(AccountClosed, match="'acme/web' is closed") as refused:
        await do(web.reserve, usd(1))
    assert refused.value.kind == "closed"
    assert (await do(pool.reserve, usd(1))).amounts == (usd(1),)


async def test_children_close_first(
    pool: BudgetPool, events: list[Event], do: Do
) -> None:
    team = await do(pool.open, "team", carve=usd(6))
    web = await do(team.open, "web", carve=usd(4))
    await do(web.open, "page", carve=usd(1))

    await do(team.close)

    closed = [each.account for each in events if isinstance(each, Closed)]
    assert closed == ["acme/team/web/page", "acme/team/web", "acme/team"]
    assert pool.balance().available == usd(10)


async def test_closing_twice_is_closing_once(
    pool: BudgetPool, events: list[Event], do: Do
) -> None:
    web = await do(pool.open, "web", carve=usd(6))

    await do(web.close)
    await do(web.close)

    assert sum(isinstance(each, Closed) for each in events) == 1
    assert pool.balance().available == usd(10)


async def test_what_an_open_hold_leaves_follows_when_it_settles(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    team = await do(pool.open, "team", carve=usd(6))
    web = await do(team.open, "web", carve=usd(4))
    hold = await do(web.reserve, usd(3))

    await do(team.close)
    meanwhile = pool.balance().available
    await do(hold.settle, usd(1))

    assert meanwhile == usd(7)
    assert pool.balance().available == usd(9)
    assert_quiet(store)


@pytest.mark.parametrize("end", ["release", "expire", "overrun"])
async def test_however_a_hold_in_a_closed_slice_ends_nothing_is_stuck(
    pool: BudgetPool, store: MemoryStore, clock: StillClock, end: str, do: Do
) -> None:
    web = await do(pool.open, "web", carve=usd(4))
    page = await do(web.open, "page")
    hold = await do(page.reserve, usd(3), ttl_seconds=60)
    await do(web.close)

    if end == "release":
        await do(hold.release)
    elif end == "overrun":
        await do(hold.settle, usd(5))
    else:
        clock.advance(61)
        await do(pool.report)

    spent = pool.balance().spent
    assert pool.balance().available == usd(10) - spent
    assert pool.balance().lent == usd(0)
    assert_quiet(store)


async def test_a_late_charge_in_a_closed_slice_returns_the_rest(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    web = await do(pool.open, "web", carve=usd(4))
    async with web.reserve(usd(3)) as hold:
        await do(web.close)
    estimated = pool.balance().spent

    await do(hold.settle, usd(1))

    assert estimated == usd(3)
    assert pool.balance().available == usd(9)
    assert_quiet(store)


async def test_a_child_that_is_opened_while_its_parent_closes_is_closed_too(
    store: MemoryStore,
) -> None:
    """The overlap is forced: the listener opens it when the first child closes."""
    pool = BudgetPool("acme", usd(10), store=store)
    team = pool.open("team", carve=usd(6))
    team.open("first")

    def open_another(event: Event) -> None:
        if event == Closed(account="acme/team/first", seq=event.seq):
            team.open("second", carve=usd(2))

    pool.subscribe(open_another)
    team.close()

    assert pool.account("team/second").balance().state == "closed"
    assert pool.balance().available == usd(10)
    assert_books_add_up(store)


async def test_an_account_that_changes_while_it_closes_is_closed_all_the_same(
    pool: BudgetPool, store: MemoryStore
) -> None:
    team = pool.open("team", carve=usd(6))
    team.open("web")

    def change_the_parent(event: Event) -> None:
        if isinstance(event, Closed) and event.account == "acme/team/web":
            team.set_limit(usd(5))

    pool.subscribe(change_the_parent)
    team.close()

    assert team.balance().state == "closed"
    assert pool.balance().available == usd(10)
    assert_quiet(store)
