"""An account that moves below another parent: what goes along, and what stays."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget import (
    Account,
    AccountClosed,
    AccountFrozen,
    Amount,
    BudgetError,
    BudgetExceeded,
    BudgetPool,
    InvalidName,
    InvalidTransfer,
    MemoryStore,
    UnknownAccount,
    tokens,
    usd,
)
from langchain_budget.core.accounts import STEP, Spec
from langchain_budget.errors import NotAnAccount
from langchain_budget.events import Closed, Event, Moved, Opened
from langchain_budget.testing import StillClock
from langchain_budget.tree import open_account
from tests.interrupted_store import InterruptedStore
from tests.invariants import assert_quiet, unchanged
from tests.twins import Do

DAY = 86_400.0


@pytest.fixture
def stop(clock: StillClock) -> InterruptedStore:
    return InterruptedStore(clock)


@pytest.fixture
def racing(stop: InterruptedStore) -> BudgetPool:
    return BudgetPool("acme", usd(10), store=stop)


def left(*accounts: Account) -> tuple[Amount | None, ...]:
    return tuple(account.balance().available for account in accounts)


def spend(account: Account, amount: Amount) -> None:
    account.reserve(amount).settle(amount)


async def test_on_every_store_a_slice_moves_with_its_money(
    store_url: str, do: Do
) -> None:
    pool = BudgetPool("acme", usd(10), tokens(90), store=store_url)
    team, sales = pool.open("team", carve=usd(6)), pool.open("sales", carve=usd(1))
    web = team.open("web", limit=[tokens(50), usd(2).per("day")], carve=usd(4))
    web.reserve(usd(1), tokens(10)).settle(usd(1), tokens(10))
    hold = web.reserve(usd("0.50"))

    moved = await do(web.move_to, sales, reason="reorganised")
    await do(hold.settle, usd("0.25"))

    assert moved.path == "acme/sales/web"
    assert left(moved, sales, team, pool) == (usd("2.5"), usd(1), usd("2.25"), usd(3))
    assert moved.balance("tokens").available == tokens(40)
    assert moved.balance("usd@day").available == usd("0.5")
    assert (moved.balance().spent, web.balance().spent) == (usd(0), usd("1.25"))
    assert (web.balance().state, web.balance().granted) == ("closed", usd("1.25"))
    assert pool.balance().spent == usd("1.25")
    assert pool.admin.verify().ok
    await do(moved.close)
    assert left(sales, pool) == (usd("3.5"), usd(3))
    pool.ledger.store.close()


async def test_listeners_hear_that_it_moved_and_of_no_limit_that_is_crossed(
    pool: BudgetPool, events: list[Event], do: Do
) -> None:
    web = await do(
        pool.open, "web", carve=usd(4), limit=usd(2).per("day"), warn_at=[0.6]
    )
    team = await do(pool.open, "team")
    spend(web, usd(2))
    events.clear()

    moved = await do(web.move_to, team, reason="promoted")

    assert moved.traits() == web.traits()
    assert events == [
        Opened(account="acme/team/web", seq=6),
        Closed(account="acme/web", seq=6),
        Moved(account="acme/web", seq=6, to="acme/team/web", reason="promoted"),
    ]


async def test_a_cap_moves_as_a_cap_and_the_money_of_a_slice_stays(
    pool: BudgetPool, do: Do
) -> None:
    """Caps may promise more than there is: it takes nothing from those it leaves."""
    team = await do(pool.open, "team", carve=usd(2))
    desk = await do(team.open, "desk", limit=usd(4))
    spend(desk, usd(1))

    moved = await do(desk.move_to, pool)

    assert left(moved, team, pool) == (usd(3), usd(1), usd(8))


async def test_an_account_without_limits_moves(pool: BudgetPool, do: Do) -> None:
    team = await do(pool.open, "team", limit=usd(1))
    web = await do(pool.open, "web")
    spend(web, usd(2))

    moved = await do(web.move_to, "team")

    assert moved.balance().available is None
    assert not moved.can_afford(usd(2))
    assert left(team, pool) == (usd(1), usd(8))


@pytest.mark.parametrize("how", ["limit", "carve"])
async def test_who_has_spent_all_has_nothing_where_it_goes(
    pool: BudgetPool, how: str, do: Do
) -> None:
    team = await do(pool.open, "team")
    web = await do(pool.open, "web", **{how: usd(1)})
    with web.reserve(usd(1)) as hold:
        hold.settle(usd(3))

    moved = await do(web.move_to, team)

    assert (moved.balance().granted, left(moved)) == (usd(0), (usd(0),))
    assert moved.balance().state == "exhausted"
    assert left(pool) == (usd(7),)
    with pytest.raises(BudgetExceeded):
        await do(moved.reserve, usd("0.01"))


async def test_a_slice_needs_room_under_the_caps_where_it_goes(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    sales = await do(pool.open, "sales", limit=usd(2))
    web = await do(pool.open, "web", carve=usd(3))

    with unchanged(store), pytest.raises(BudgetExceeded) as refused:
        await do(web.move_to, sales)

    assert (refused.value.account, refused.value.wanted) == ("acme/sales", usd(3))
    spend(web, usd(1))
    assert left(await do(web.move_to, sales), sales) == (usd(2), usd(0))


@pytest.mark.parametrize(("how", "rest"), [("carve", usd(8)), ("limit", usd(8))])
async def test_what_a_hold_leaves_returns_by_the_way_it_came(
    pool: BudgetPool, store: MemoryStore, how: str, rest: Amount, do: Do
) -> None:
    team = await do(pool.open, "team", limit=usd(9))
    web = await do(team.open, "web", **{how: usd(4)})
    hold = await do(web.reserve, usd(3))

    moved = await do(web.move_to, pool)
    await do(hold.settle, usd(1))

    assert left(moved, team) == (usd(1), rest)
    assert left(pool) == (usd(8) if how == "carve" else usd(9),)
    assert_quiet(store)


async def test_an_overrun_of_what_was_held_before_is_paid_where_it_was(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    team = await do(pool.open, "team", carve=usd(5))
    web = await do(team.open, "web", carve=usd(2))
    hold = await do(web.reserve, usd(1))

    moved = await do(web.move_to, pool)
    await do(hold.settle, usd(3))

    assert left(moved, team, pool) == (usd(1), usd(1), usd(5))
    assert_quiet(store)


async def test_what_was_used_today_is_used_today_where_it_goes(
    pool: BudgetPool, clock: StillClock, do: Do
) -> None:
    team = await do(pool.open, "team")
    web = await do(pool.open, "web", limit=usd(5).per("day"))
    spend(web, usd(1))
    hold = await do(web.reserve, usd(2))

    moved = await do(web.move_to, team)
    await do(hold.settle, usd(1))

    today = moved.balance("usd@day")
    assert (today.granted, today.spent, today.available) == (usd(5), usd(3), usd(2))
    await do(moved.set_limit, usd(6).per("day"))
    assert moved.balance("usd@day").available == usd(3)
    clock.advance(DAY)
    assert moved.balance("usd@day").available == usd(6)


async def test_a_limit_of_nothing_today_is_none_where_it_goes(
    pool: BudgetPool, do: Do
) -> None:
    team = await do(pool.open, "team")
    web = await do(pool.open, "web", limit=usd(5).per("day"))
    await do(web.set_limit, usd(0).per("day"))

    moved = await do(web.move_to, team)

    assert moved.balance("usd@day").granted == usd(0)
    assert not moved.can_afford(usd("0.01"))


async def test_a_tick_goes_on_where_it_goes(pool: BudgetPool, do: Do) -> None:
    team = await do(pool.open, "team")
    web = await do(pool.open, "web", limit=usd(2).per("tick"))
    for _ in range(3):
        spend(web, usd(1))
        pool.advance()
    spend(web, usd(1))

    moved = await do(web.move_to, team)

    assert moved.balance("usd@tick").available == usd(1)
    pool.advance()
    assert moved.balance("usd@tick").available == usd(2)


async def test_a_rolling_limit_moves_while_nothing_of_it_is_used(
    pool: BudgetPool, store: MemoryStore, clock: StillClock, do: Do
) -> None:
    team = await do(pool.open, "team")
    web = await do(pool.open, "web", limit=usd(2).per("5h"))
    spend(web, usd(1))

    with unchanged(store), pytest.raises(InvalidTransfer, match="wait until it has"):
        await do(web.move_to, team)
    clock.advance(6 * 3600)
    moved = await do(web.move_to, team)

    assert moved.balance("usd@5h").available == usd(2)
    spend(moved, usd(2))
    assert not moved.can_afford(usd("0.01"))


async def test_all_that_an_account_is_goes_along(pool: BudgetPool, do: Do) -> None:
    team = await do(pool.open, "team")
    asked: dict[str, Any] = {
        "carve": usd(3),
        "warn_at": [0.5],
        "priority": 9,
        "tradeable": False,
        "enforce": False,
        "metadata": {"owner": "ada"},
    }
    web = await do(pool.open, "web", **asked)
    spend(web, usd(1))
    await do(web.freeze, "odd")

    moved = await do(web.move_to, team)

    (before,), (after,) = (pool.ledger.store.below(each.path) for each in (web, moved))
    changed = {"path": moved.path, "version": 1, "ceilings": (("usd", usd(2).value),)}
    assert after == before._replace(closed=False, **changed)
    assert (after.frozen, after.observed) == ("odd", True)
    assert (await do(team.open, "web", **asked)).path == moved.path


async def test_an_account_that_has_children_does_not_move(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    team, web = await do(pool.open, "team"), await do(pool.open, "web")
    page = await do(web.open, "page", carve=usd(1))

    with (
        unchanged(store),
        pytest.raises(
            InvalidTransfer, match="'acme/web/page' is open below 'acme/web': mo"
        ),
    ):
        await do(web.move_to, team)
    moved = await do((await do(page.move_to, team)).move_to, pool)
    await do(web.move_to, team)

    assert left(moved) == (usd(1),)


async def test_a_leased_account_does_not_move(pool: BudgetPool, do: Do) -> None:
    team, web = await do(pool.open, "team"), await do(pool.open, "web")

    with web.lease(usd(1)) as worker:
        await do((await do(worker.reserve, usd(1))).settle)
        with pytest.raises(InvalidTransfer, match="close its children first"):
            await do(web.move_to, team)
        with pytest.raises(InvalidTransfer):
            await do(worker.move_to, team)
        own, inner = await do(worker.open, "own"), await do(worker.open, "inner")
        assert (await do(inner.move_to, own)).path == "acme/web/own/inner"

    assert (await do(web.move_to, team)).path == "acme/team/web"


@pytest.mark.parametrize(
    ("path", "parent", "told"),
    [
        ("acme", "web", "'acme' is the root"),
        ("web", "web", "below itself"),
        ("web", "acme", "'acme/web' is there already"),
        ("web", "team", "'acme/team/web', which is open: give another name"),
        ("mail", "team", "'acme/team/mail', which is closed for good"),
        (":user/ada", "team", "limit_each"),
        ("web", ":user", "in two pools"),
        ("web", "step", "for a step of a graph"),
        ("step", "team", "for a step of a graph"),
    ],
)
async def test_where_an_account_cannot_go(
    pool: BudgetPool,
    path: str,
    parent: str,
    told: str,
    do: Do,
) -> None:
    team, _ = await do(pool.open, "team"), await do(pool.open, "web")
    await do(team.open, "web")
    await do((await do(team.open, "mail")).close)
    await do(pool.open, "mail")
    pool.limit_each("user", limit=usd(1))
    pool.reserve(usd(1), labels={"user": "ada"}).release()
    pool.ledger.run(open_account(pool.ledger, "acme/step", Spec(labels=(STEP,)), 60))
    account, place = pool.account(path), pool.account(parent)

    with unchanged(pool.ledger.store), pytest.raises(InvalidTransfer, match=told):
        await do(account.move_to, place)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"parent": "nowhere"}, UnknownAccount),
        ({"parent": 7}, NotAnAccount),
        ({"parent": "team", "name": "a/b"}, InvalidName),
        ({"parent": BudgetPool("acme", usd(1))}, InvalidTransfer),
    ],
)
async def test_what_is_no_place_is_refused(
    pool: BudgetPool,
    store: MemoryStore,
    asked: dict[str, Any],
    error: type[BudgetError],
    do: Do,
) -> None:
    _, web = await do(pool.open, "team"), await do(pool.open, "web")

    with unchanged(store), pytest.raises(error):
        await do(web.move_to, **asked)


async def test_pools_in_one_store_keep_their_accounts(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    web, other = await do(pool.open, "web"), BudgetPool("other", store=store)

    with unchanged(store), pytest.raises(InvalidTransfer, match="in two pools"):
        await do(web.move_to, other)


async def test_a_closed_account_neither_moves_nor_is_moved_to(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    team, web = await do(pool.open, "team"), await do(pool.open, "web")
    await do(web.close)

    with unchanged(store), pytest.raises(AccountClosed, match="'acme/web'"):
        await do(web.move_to, team)
    with unchanged(store), pytest.raises(AccountClosed, match="'acme/web'"):
        await do(team.move_to, web)


async def test_an_account_comes_back_under_another_name(
    pool: BudgetPool, do: Do
) -> None:
    team, web = await do(pool.open, "team"), await do(pool.open, "web", carve=usd(3))

    away = await do(web.move_to, team)
    back = await do(away.move_to, pool, name="web 2")
    again = await do(back.move_to, pool, name="web 3")

    assert (again.path, left(again, pool)) == ("acme/web 3", (usd(3), usd(7)))


async def test_whoever_still_has_the_old_account_is_refused(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    team, web = await do(pool.open, "team"), await do(pool.open, "web", carve=usd(3))
    elsewhere = BudgetPool.attach("acme", store=store).account("web")
    await do((await do(elsewhere.reserve, usd(1))).release)

    moved = await do(web.move_to, team)

    for account in (web, elsewhere):
        with unchanged(store), pytest.raises(AccountClosed, match="'acme/web' is clos"):
            await do(account.reserve, usd(1))
    assert "closed for good" in str(await do(web.explain, usd(1)))
    assert (await do(moved.explain, usd(1))).admitted


async def test_a_frozen_account_may_go_and_be_gone_to(pool: BudgetPool, do: Do) -> None:
    """Neither lets anything be spent that was not before."""
    team, web = await do(pool.open, "team"), await do(pool.open, "web", carve=usd(3))
    await do(team.freeze, "odd")
    await do(web.freeze, "mine")

    moved = await do(web.move_to, team)

    with pytest.raises(AccountFrozen, match="mine"):
        await do(moved.reserve, usd(1))
    await do(moved.thaw)
    with pytest.raises(AccountFrozen, match="odd"):
        await do(moved.reserve, usd(1))


async def test_no_account_moves_out_of_a_freeze(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    team, web = await do(pool.open, "team"), await do(pool.open, "web")
    page = await do(team.open, "page")
    await do(team.freeze, "odd")

    with unchanged(store), pytest.raises(AccountFrozen, match="'acme/team'"):
        await do(page.move_to, web)
    await do(team.thaw)
    await do(pool.freeze)

    assert (await do(page.move_to, web)).path == "acme/web/page"


@pytest.mark.parametrize("form", ["jsonl", "condensed"])
async def test_the_journal_tells_of_it_and_can_be_imported(
    pool: BudgetPool, tmp_path: Path, form: str, do: Do
) -> None:
    file = tmp_path / "acme.jsonl"
    team = await do(pool.open, "team", carve=usd(2))
    web = await do(pool.open, "web", carve=usd(3), limit=tokens(9).per("day"))
    spend(web, usd(1))
    hold = await do(web.reserve, usd(1), tokens(4))
    moved = await do(web.move_to, team, reason="promoted")
    await do(pool.admin.export, file, format=form)

    restored = BudgetPool.restore(file)

    (entry,) = (each for each in restored.admin.journal() if each.kind == "move")
    assert (entry.account, entry.note.reason) == ("acme/web", "promoted")
    assert entry.note.amounts == {"usd": usd(1).value}
    assert entry.note.labels == {"to": "acme/team/web"}
    assert restored.ledger.store.rows([web.path, moved.path]) == (
        pool.ledger.store.rows([web.path, moved.path])
    )
    assert restored.admin.verify().ok
    assert hold.hold.id in {each.id for each in restored.admin.holds()}


async def test_what_is_reserved_meanwhile_does_not_go_along(
    racing: BudgetPool, stop: InterruptedStore, do: Do
) -> None:
    team, web = (
        await do(racing.open, "team"),
        await do(racing.open, "web", carve=usd(3)),
    )
    stop.before["move"] = lambda: web.reserve(usd(1))

    moved = await do(web.move_to, team)

    assert left(moved, racing) == (usd(2), usd(7))
    for hold in stop.open_holds():
        racing.admin.void(hold.id, reason="gone")
    assert left(moved, racing) == (usd(2), usd(8))
    assert_quiet(stop)


@pytest.mark.parametrize("limit", [usd(3), usd(3).per("day")])
async def test_what_is_reserved_meanwhile_of_a_cap_is_not_there_twice(
    racing: BudgetPool, stop: InterruptedStore, limit: Any, do: Do
) -> None:
    team, web = await do(racing.open, "team"), await do(racing.open, "web", limit=limit)
    stop.before["move"] = lambda: web.reserve(usd(1))

    moved = await do(web.move_to, team)

    assert moved.can_afford(usd(2))
    assert not moved.can_afford(usd("2.01"))


@pytest.mark.parametrize("used", [0, 1, 3])
async def test_what_settles_meanwhile_leaves_nothing_behind(
    racing: BudgetPool, stop: InterruptedStore, used: int, do: Do
) -> None:
    team, web = (
        await do(racing.open, "team"),
        await do(racing.open, "web", carve=usd(4)),
    )
    hold = web.reserve(usd(2))
    stop.before["move"] = lambda: hold.settle(usd(used))

    moved = await do(web.move_to, team)

    free = sum((each or usd(0) for each in left(moved, racing)), usd(0))
    assert free == usd(10 - used)
    assert web.balance().available == usd(0)
    assert_quiet(stop)


async def test_what_a_slice_is_granted_meanwhile_returns(
    racing: BudgetPool, stop: InterruptedStore, do: Do
) -> None:
    team, web = (
        await do(racing.open, "team"),
        await do(racing.open, "web", carve=usd(3)),
    )
    stop.before["move"] = lambda: web.top_up(usd(2))

    moved = await do(web.move_to, team)

    assert left(moved, racing) == (usd(3), usd(7))
    assert_quiet(stop)


async def test_who_is_opened_below_it_meanwhile_is_closed_with_it(
    racing: BudgetPool, stop: InterruptedStore, do: Do
) -> None:
    team, web = await do(racing.open, "team"), await do(racing.open, "web")
    stop.before["move"] = lambda: web.open("page", carve=usd(2))

    await do(web.move_to, team)

    assert racing.account("web/page").balance().state == "closed"
    assert left(racing) == (usd(10),)
    assert_quiet(stop)


async def test_its_own_changes_meanwhile_go_along(
    racing: BudgetPool, stop: InterruptedStore, do: Do
) -> None:
    team, web = (
        await do(racing.open, "team"),
        await do(racing.open, "web", limit=usd(3)),
    )
    stop.before["move"] = lambda: web.freeze("odd")

    moved = await do(web.move_to, team)

    assert moved.balance().state == "frozen"


async def test_what_is_overdue_is_given_back_first(
    pool: BudgetPool, clock: StillClock, do: Do
) -> None:
    team, web = await do(pool.open, "team"), await do(pool.open, "web", limit=usd(3))
    await do(web.reserve, usd(2), ttl_seconds=60)
    clock.advance(60)

    assert left(await do(web.move_to, team)) == (usd(3),)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda pool: pool.account("team").close(), AccountClosed),
        (lambda pool: pool.account("web").close(), AccountClosed),
        (lambda pool: pool.account("team").open("web"), InvalidTransfer),
        (lambda pool: pool.account("web").move_to("team"), AccountClosed),
    ],
)
async def test_a_place_that_is_lost_meanwhile_is_refused(
    racing: BudgetPool, stop: InterruptedStore, change: Any, error: Any, do: Do
) -> None:
    team, web = (
        await do(racing.open, "team"),
        await do(racing.open, "web", carve=usd(3)),
    )
    stop.before["move"] = lambda: change(racing)

    with pytest.raises(error):
        await do(web.move_to, team)

    assert_quiet(stop)


async def test_a_window_that_ends_meanwhile_begins_anew_where_it_goes(
    racing: BudgetPool, stop: InterruptedStore, clock: StillClock, do: Do
) -> None:
    team = await do(racing.open, "team")
    web = await do(racing.open, "web", limit=usd(2).per("day"))
    spend(web, usd(2))

    def begin_a_day() -> None:
        clock.advance(DAY)
        spend(web, usd("0.5"))

    stop.before["move"] = begin_a_day
    moved = await do(web.move_to, team)

    assert moved.balance("usd@day").available == usd("1.5")


@st.composite
def trees(draw: st.DrawFn) -> BudgetPool:
    """Draw up to eight accounts, with something spent and something held in each."""
    pool = BudgetPool("acme", usd(100), store=MemoryStore(StillClock(0)))
    accounts: list[Account] = [pool]
    for number in range(draw(st.integers(2, 8))):
        parent = draw(st.sampled_from(accounts))
        kind = draw(st.sampled_from(["shared", "limit", "carve", "carve"]))
        amount = usd(draw(st.integers(1, 9)))
        options: dict[str, Any] = {} if kind == "shared" else {kind: amount}
        try:
            accounts.append(parent.open(f"a{number}", **options))
            spend(accounts[-1], usd(draw(st.integers(0, 5))))
            accounts[-1].reserve(usd(draw(st.integers(0, 5))))
        except BudgetExceeded:
            continue
    return pool


@given(trees(), st.data())
def test_moving_neither_makes_nor_loses_money(
    pool: BudgetPool, data: st.DataObject
) -> None:
    store = pool.ledger.store
    paths = [row.path for row in store.below(pool.path)]
    account = pool.account(data.draw(st.sampled_from(paths[::-1])))
    parent = pool.account(data.draw(st.sampled_from(paths)))
    had, money = account.balance().available, free_money(pool)

    try:
        moved = account.move_to(parent)
    except BudgetError:
        assert account.balance().available == had
    else:
        assert moved.balance().available == (None if had is None else max(had, usd(0)))
        assert account.balance().state == "closed"

    assert free_money(pool) == money
    for hold in store.open_holds():
        pool.admin.void(hold.id, reason="the end")
    assert_quiet(store)


def free_money(pool: BudgetPool) -> Amount:
    """Add what the root and every slice have left."""
    rows = pool.ledger.store.below(pool.path)
    purses = [row.path for row in rows if "usd" in row.slices or row.path == pool.path]
    balances = [pool.account(path).balance() for path in purses]
    return sum((each.available or usd(0) for each in balances), usd(0))
