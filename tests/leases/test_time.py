"""Deadlines, renewals, workers that are late, and stores that do not answer."""

import pytest

from langchain_budget import (
    AccountClosed,
    AccountFrozen,
    BudgetExceeded,
    BudgetPool,
    StoreError,
    StoreUnavailable,
    tokens,
    usd,
)
from langchain_budget.core.events import Event, LeaseLapsed, WouldRefuse
from langchain_budget.core.leases import LAPSED
from langchain_budget.testing import StillClock
from tests.failing_store import FailingStore
from tests.invariants import assert_books_add_up, assert_quiet, assert_report_adds_up
from tests.leases.conftest import TTL, Take
from tests.twins import Do


async def test_a_lease_is_renewed_when_half_of_its_time_is_over(
    pool: BudgetPool, shared: FailingStore, take: Take, clock: StillClock, do: Do
) -> None:
    with take() as worker:
        (await do(worker.reserve, usd("0.10"))).settle(usd("0.10"))
        shared.attempts.clear()
        clock.advance(TTL / 2 - 1)
        hold = await do(worker.reserve, usd("0.10"))
        assert shared.attempts == []

        clock.advance(1)
        await do(hold.settle, usd("0.10"))

        assert shared.attempts == ["lease"]
        assert pool.balance().spent == usd("0.20")
        assert worker.balance().available == usd(1)
        for _ in range(5):
            clock.advance(TTL / 2)
            (await do(worker.reserve, usd("0.10"))).settle(usd("0.10"))
        assert shared.lapsed() == ()


async def test_a_store_that_fails_matters_only_past_the_deadline(
    pool: BudgetPool, shared: FailingStore, take: Take, clock: StillClock, do: Do
) -> None:
    with take() as worker:
        shared.breaks("lease", "read")
        clock.advance(TTL - 1)
        (await do(worker.reserve, usd("0.10"))).settle(usd("0.10"))
        clock.advance(1)

        with pytest.raises(StoreUnavailable, match="broke at lease"):
            await do(worker.reserve, usd("0.10"))

        shared.mend()
        clock.advance(1)
        (await do(worker.reserve, usd("0.10"))).settle(usd("0.10"))
    assert pool.balance().spent == usd("0.20")
    assert_quiet(shared)


def test_a_store_that_failed_is_left_alone_for_a_second(
    shared: FailingStore, take: Take, clock: StillClock
) -> None:
    with take() as worker:
        clock.advance(TTL)
        shared.breaks("lease")
        for _ in range(5):
            with pytest.raises(StoreUnavailable):
                worker.reserve(usd("0.10"))

        assert shared.attempts.count("lease") == 2  # the first is that of the opening
        shared.mend()
        clock.advance(1)


def test_a_lease_that_nobody_swept_lives_on(
    pool: BudgetPool, shared: FailingStore, take: Take, clock: StillClock
) -> None:
    with take() as worker:
        worker.reserve(usd("0.10")).settle(usd("0.10"))
        clock.advance(TTL + 1)
        worker.reserve(usd("0.10")).release()

        assert pool.balance().spent == usd("0.10")
        assert_quiet(shared)


@pytest.mark.parametrize("frozen", ["acme", "acme/team"])
async def test_freezing_reaches_a_worker_when_it_renews(
    pool: BudgetPool, take: Take, clock: StillClock, frozen: str, do: Do
) -> None:
    team = pool.open("team")
    with take(of=team) as worker:
        pool.account(frozen).freeze("too odd")
        hold = await do(worker.reserve, usd("0.10"))
        clock.advance(TTL / 2)

        with pytest.raises(AccountFrozen, match=f"'{frozen}' is frozen .too odd") as no:
            await do(worker.reserve, usd("0.10"))

        assert no.value.account == frozen
        assert not await do(worker.can_afford, usd("0.10"))
        assert pool.balance().lent == usd("0.10")
        await do(hold.settle, usd("0.10"))
        assert pool.balance().spent == usd("0.10")
        pool.account(frozen).thaw()
        assert await do(worker.reserve, usd(1))


async def test_a_lowered_limit_reaches_a_worker_when_it_renews(
    pool: BudgetPool, take: Take, clock: StillClock, do: Do
) -> None:
    with take() as worker:
        (await do(worker.reserve, usd("0.10"))).settle(usd("0.10"))
        pool.set_limit(usd("0.30"))
        clock.advance(TTL / 2)

        assert await do(worker.reserve, usd("0.20"))
        with pytest.raises(BudgetExceeded):
            await do(worker.reserve, usd("0.01"))

        assert pool.balance().available == usd(0)


def test_what_a_worker_does_not_account_for_counts_as_spent(
    pool: BudgetPool,
    shared: FailingStore,
    take: Take,
    clock: StillClock,
    events: list[Event],
) -> None:
    worker = take().__enter__()
    worker.reserve(usd("0.10")).settle(usd("0.10"))
    clock.advance(TTL)

    report = pool.report()

    assert report.spent() == pool.balance().spent == usd(1)
    assert pool.balance().available == usd(9)
    assert report.by("node")[(LAPSED,)].estimated == 1
    (told,) = (each for each in events if isinstance(each, LeaseLapsed))
    assert (told.account, told.amounts) == ("acme", {"usd": 10**9})
    assert_quiet(shared)
    assert_report_adds_up(pool)


async def test_a_worker_that_was_late_gets_back_what_it_did_not_spend(
    pool: BudgetPool, shared: FailingStore, take: Take, clock: StillClock, do: Do
) -> None:
    with take() as worker:
        hold = await do(worker.reserve, usd("0.30"))
        (await do(worker.reserve, usd("0.10"))).settle(usd("0.10"))
        clock.advance(TTL)
        assert pool.balance().spent == usd(1)

        await do(hold.settle, usd("0.20"))

        assert pool.balance().spent == usd("0.30")
        assert pool.balance().lent == usd(1)
        assert await do(worker.reserve, usd("0.50"))
        assert pool.report().total.estimated == 0
        assert_report_adds_up(pool)
        assert_books_add_up(shared)
    assert pool.report().spent() == usd("0.30")


def test_a_late_worker_with_calls_under_way_goes_on_as_if_nothing_had_happened(
    pool: BudgetPool, shared: FailingStore, take: Take, clock: StillClock
) -> None:
    with take() as worker:
        hold = worker.reserve(usd("0.90"))
        for leased in (usd(1), usd("1.90"), usd("1.90")):
            clock.advance(TTL)
            assert pool.balance().spent == leased
            worker.reserve(usd("0.01")).release()
            assert pool.balance().spent == usd(0)
        hold.settle(usd("0.70"))
    assert pool.balance().spent == usd("0.70")
    assert pool.report().total.estimated == 0
    assert_quiet(shared)


def test_a_late_worker_of_an_account_that_was_closed_reports_and_is_done(
    pool: BudgetPool, shared: FailingStore, take: Take, clock: StillClock
) -> None:
    team = pool.open("team", carve=usd(5))
    with take(of=team) as worker:
        first, second = worker.reserve(usd("0.30")), worker.reserve(usd("0.20"))
        first.settle(usd("0.10"))
        team.close()
        assert pool.balance().spent == usd(1)
        clock.advance(TTL)

        with pytest.raises(AccountClosed):
            worker.reserve(usd("0.01"))

        assert pool.balance().available == usd("9.70")
        assert pool.balance().spent == usd("0.10")
        second.settle(usd("0.05"))
        assert pool.balance().available == usd("9.85")
    assert pool.report().spent() == usd("0.15")
    assert_quiet(shared)


def test_a_report_whose_answer_was_lost_counts_once(
    pool: BudgetPool, shared: FailingStore, take: Take, clock: StillClock
) -> None:
    with take() as worker:
        worker.reserve(usd("0.10")).settle(usd("0.10"))
        clock.advance(TTL / 2)
        shared.breaks("lease", lost=True)
        worker.reserve(usd("0.10")).settle(usd("0.10"))
        shared.mend()
        clock.advance(1)

        worker.reserve(usd("0.10")).settle(usd("0.10"))

    assert pool.balance().spent == usd("0.30")
    assert_quiet(shared)
    assert_report_adds_up(pool)


def test_the_time_of_a_lease_whose_answer_was_lost_began_when_it_was_first_asked_for(
    shared: FailingStore, take: Take, clock: StillClock
) -> None:
    with take() as worker:
        clock.advance(TTL / 2)
        shared.breaks("lease", lost=True)
        worker.reserve(usd("0.10")).settle(usd("0.10"))
        clock.advance(TTL / 2 + 1)
        shared.mend()
        worker.reserve(usd("0.10")).settle(usd("0.10"))
        shared.breaks("lease", "read")

        clock.advance(TTL)

        with pytest.raises(StoreUnavailable):
            worker.reserve(usd("0.10"))
        shared.mend()
        clock.advance(1)


def test_a_lost_answer_and_a_lapse_after_it_are_told_apart(
    pool: BudgetPool, shared: FailingStore, take: Take, clock: StillClock
) -> None:
    with take() as worker:
        worker.reserve(usd("0.10")).settle(usd("0.10"))
        clock.advance(TTL / 2)
        shared.breaks("lease", lost=True)
        worker.reserve(usd("0.10")).settle(usd("0.10"))
        clock.advance(TTL)
        shared.mend()
        assert pool.balance().spent == usd("1.10")

        worker.reserve(usd("0.10")).settle(usd("0.10"))

        assert pool.balance().spent == usd("0.20")
    assert pool.report().spent() == usd("0.30")
    assert pool.report().total.estimated == 0
    assert_quiet(shared)


@pytest.mark.parametrize("lost", ["", "lost"])
def test_an_opening_that_the_store_did_not_answer_may_be_tried_again(
    pool: BudgetPool, shared: FailingStore, take: Take, clock: StillClock, lost: str
) -> None:
    shared.breaks("open", lost=bool(lost))
    lease = take()
    with pytest.raises(StoreError, match="broke at open"):
        lease.__enter__()
    shared.mend()
    clock.advance(1)

    with lease as worker:
        worker.reserve(usd(1)).settle(usd(1))

    clock.advance(TTL)
    assert pool.balance().spent == usd(1)
    assert_quiet(shared)


def test_a_block_whose_end_the_store_cannot_take_lapses(
    pool: BudgetPool,
    shared: FailingStore,
    take: Take,
    clock: StillClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with take() as worker:
        worker.reserve(usd("0.10")).settle(usd("0.10"))
        shared.breaks("lease", "read")

    assert "will lapse" in caplog.text
    shared.mend()
    clock.advance(TTL)
    assert pool.balance().spent == usd(1)
    worker.close()
    assert pool.balance().spent == usd("0.10")
    assert_quiet(shared)


def test_an_account_that_only_observes_refuses_no_lease(
    pool: BudgetPool, shared: FailingStore, take: Take, events: list[Event]
) -> None:
    pool.admin.observe(on=True, reason="we only look")
    with take() as worker:
        for _ in range(3):
            worker.reserve(usd(5)).settle(usd(5))
        pool.freeze()
        worker.reserve(usd(5)).settle(usd(5))

    assert pool.balance().spent == usd(20)
    assert any(isinstance(each, WouldRefuse) for each in events)
    assert_quiet(shared)


def test_a_call_that_outlives_its_hold_is_charged_in_the_lease(
    pool: BudgetPool, shared: FailingStore, take: Take, clock: StillClock
) -> None:
    with take() as worker:
        hold = worker.reserve(usd("0.10"), ttl_seconds=10)
        clock.advance(11)
        assert worker.balance().held == usd(0)
        hold.settle(usd("0.08"))

    assert pool.balance().spent == usd("0.08")
    assert_quiet(shared)


def test_units_that_are_not_leased_are_reported_with_the_rest_by_a_late_worker(
    pool: BudgetPool, take: Take, clock: StillClock
) -> None:
    with take() as worker:
        worker.reserve(usd("0.10"), tokens(9)).settle(usd("0.10"), tokens(9))
        clock.advance(TTL)
        assert pool.balance("tokens").spent == tokens(0)

    assert pool.balance("tokens").spent == tokens(9)
    assert_report_adds_up(pool)
