"""Holds past their time to live; time passes when the store's clock says so."""

import pytest

from langchain_budget import Account, BudgetExceeded, BudgetPool, MemoryStore, usd
from langchain_budget.core.accounts import join, spec_of
from langchain_budget.core.events import Event, HoldExpired, Settled
from langchain_budget.core.postings import Basis, Hold
from langchain_budget.core.rules import HOLD_TTL_SECONDS, Charge, Order
from langchain_budget.testing import StillClock
from langchain_budget.tree import open_account
from tests.invariants import assert_nothing_is_overdue, assert_quiet
from tests.twins import Do

NANOS = 1_000_000_000


def start(account: Account, dollars: int, worst: int = 0) -> Hold:
    """Reserve for a call that has begun, as the hooks do."""
    most = {"usd": worst * NANOS} if worst else {}
    order = Order({"usd": dollars * NANOS}, most, 60, started=True)
    ledger = account.ledger
    return ledger.run(ledger.reserve(account.path, order))


def settle(
    account: Account, hold: Hold, dollars: int, basis: Basis = Basis.REPORTED
) -> Hold:
    ledger = account.ledger
    charge = Charge({"usd": dollars * NANOS}, basis)
    return ledger.run(ledger.settle(hold, charge))


async def test_a_hold_that_never_started_is_given_back(
    pool: BudgetPool, store: MemoryStore, clock: StillClock, do: Do
) -> None:
    await do(pool.reserve, usd(10), ttl_seconds=60)
    clock.advance(59)
    with pytest.raises(BudgetExceeded):
        await do(pool.reserve, usd(1))

    clock.advance(1)

    hold = await do(pool.reserve, usd(10))
    await do(hold.release)
    assert pool.balance().spent == usd(0)
    assert pool.report().lines == {}
    assert_quiet(store)


async def test_holds_live_for_a_quarter_of_an_hour(
    pool: BudgetPool, store: MemoryStore, clock: StillClock, do: Do
) -> None:
    await do(pool.reserve, usd(10))

    clock.advance(HOLD_TTL_SECONDS)

    await do(pool.balance)
    assert HOLD_TTL_SECONDS == 15 * 60
    assert_quiet(store)


async def test_a_call_that_started_is_charged_when_its_time_is_over(
    pool: BudgetPool, clock: StillClock, events: list[Event], do: Do
) -> None:
    start(pool, 3, worst=5)
    clock.advance(60)

    report = await do(pool.report)

    assert report.spent() == usd(3)
    assert report.total.estimated == 1
    assert report.total.unconfirmed == {"usd": 2 * NANOS}
    (told,) = (each for each in events if isinstance(each, HoldExpired))
    assert told.amounts == {"usd": 3 * NANOS}
    assert told.unconfirmed == {"usd": 2 * NANOS}


@pytest.mark.parametrize("charged", [1, 3, 8])
def test_a_late_settle_takes_the_place_of_the_estimate_once(
    pool: BudgetPool,
    store: MemoryStore,
    clock: StillClock,
    events: list[Event],
    charged: int,
) -> None:
    hold = start(pool, 3, worst=5)
    clock.advance(60)
    pool.report()

    settle(pool, hold, charged)
    settle(pool, hold, 9)

    report = pool.report()
    assert pool.balance().spent == report.spent() == usd(charged)
    assert report.total.estimated == 0
    assert not any(report.total.unconfirmed.values())
    assert sum(isinstance(each, Settled) for each in events) == 1
    assert [entry.kind for entry in store.journal()][-1] == "supersede"
    assert_quiet(store)


def test_a_late_charge_without_a_price_is_told_as_such(
    pool: BudgetPool, clock: StillClock
) -> None:
    hold = start(pool, 3)
    clock.advance(60)
    pool.report()

    settle(pool, hold, 0, Basis.UNKNOWN)

    total = pool.report().total
    assert (total.unpriced, total.estimated) == (1, 0)
    assert str(pool).endswith("1 without a price")


async def test_a_late_settle_of_a_reservation_is_booked(
    pool: BudgetPool, store: MemoryStore, clock: StillClock, do: Do
) -> None:
    hold = await do(pool.reserve, usd(3), ttl_seconds=60)
    clock.advance(60)
    await do(pool.report)

    await do(hold.settle, usd(2))

    assert pool.balance().spent == usd(2)
    assert pool.report().spent() == usd(2)
    assert_quiet(store)


async def test_a_settle_of_an_overdue_hold_that_nobody_noticed_is_plain(
    pool: BudgetPool, store: MemoryStore, clock: StillClock, do: Do
) -> None:
    hold = await do(pool.reserve, usd(3), ttl_seconds=60)
    clock.advance(61)

    await do(hold.settle, usd(2))

    assert pool.balance().spent == usd(2)
    assert_quiet(store)


async def test_releasing_what_has_expired_changes_nothing(
    pool: BudgetPool, store: MemoryStore, clock: StillClock, do: Do
) -> None:
    hold = await do(pool.reserve, usd(3), ttl_seconds=60)
    clock.advance(60)
    await do(pool.report)

    await do(hold.release)

    assert pool.balance().available == usd(10)
    assert_quiet(store)


async def test_no_look_at_the_books_passes_over_an_overdue_hold(
    pool: BudgetPool, store: MemoryStore, clock: StillClock, do: Do
) -> None:
    for look in (pool.balance, pool.report, pool.can_afford):
        await do(pool.reserve, usd(1), ttl_seconds=60)
        clock.advance(60)

        await do(look)

        assert_nothing_is_overdue(store)


def test_an_account_with_a_time_to_live_closes_by_itself(
    pool: BudgetPool, store: MemoryStore, clock: StillClock
) -> None:
    path = join(pool.path, "step")
    pool.ledger.run(open_account(pool.ledger, path, spec_of(carve=[usd(4)]), 60))
    clock.advance(60)

    pool.reserve(usd(10)).release()

    assert Account(pool.ledger, path).balance().state == "closed"
    assert_quiet(store)


async def test_an_estimate_that_comes_after_a_hold_lapsed_is_booked(
    pool: BudgetPool, store: MemoryStore, clock: StillClock, do: Do
) -> None:
    """A block that took longer than its hold lives has spent its money all the same."""
    reservation = await do(pool.reserve, usd(4), ttl_seconds=60)
    clock.advance(60)
    assert pool.balance().held == usd(0)

    await do(reservation.settle)

    assert pool.balance().spent == usd(4)
    assert_quiet(store)


async def test_a_report_replaces_an_estimate_that_came_after_a_hold_lapsed(
    pool: BudgetPool, store: MemoryStore, clock: StillClock, do: Do
) -> None:
    reservation = await do(pool.reserve, usd(4), ttl_seconds=60)
    clock.advance(60)
    pool.balance()
    await do(reservation.settle)

    settle(pool, reservation.hold, 3)
    settle(pool, reservation.hold, 2, Basis.ESTIMATED)

    assert pool.balance().spent == usd(3)
    assert_quiet(store)
