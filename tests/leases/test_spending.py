"""What a worker does with leased money, and what the shared books know of it."""

import pytest

from langchain_budget import (
    AccountClosed,
    BudgetExceeded,
    BudgetPool,
    InvalidAmount,
    InvalidTransfer,
    calls,
    tokens,
    usd,
)
from langchain_budget.core.events import Event, Reserved, Settled, ThresholdCrossed
from langchain_budget.errors import InvalidLease
from tests.failing_store import FailingStore
from tests.invariants import assert_quiet, assert_report_adds_up
from tests.leases.conftest import Take
from tests.twins import Do


async def test_what_a_worker_spends_is_in_the_shared_books_when_its_block_ends(
    pool: BudgetPool, shared: FailingStore, take: Take, do: Do
) -> None:
    with take() as worker:
        hold = await do(worker.reserve, usd("0.25"))
        await do(hold.settle, usd("0.20"))
        assert pool.balance().available == usd(9)

    assert pool.balance().spent == usd("0.20")
    assert pool.balance().available == usd("9.80")
    assert pool.balance().lent == usd(0)
    assert_quiet(shared)
    assert_report_adds_up(pool)


async def test_the_awaited_block_does_the_same(
    pool: BudgetPool, shared: FailingStore, take: Take
) -> None:
    async with take() as worker, await worker.areserve(usd("0.25")) as hold:
        await hold.asettle(usd("0.20"))

    assert pool.balance().available == usd("9.80")
    assert_quiet(shared)


async def test_nobody_is_asked_while_there_is_money_and_time(
    shared: FailingStore, take: Take, do: Do
) -> None:
    with take() as worker:
        shared.attempts.clear()

        for _ in range(100):
            await do((await do(worker.reserve, usd("0.01"))).settle, usd("0.01"))

        assert shared.attempts == []


async def test_when_the_money_is_used_up_one_posting_brings_more_and_reports(
    pool: BudgetPool, shared: FailingStore, take: Take, do: Do
) -> None:
    with take() as worker:
        await do((await do(worker.reserve, usd(1))).settle, usd(1))
        shared.attempts.clear()

        hold = await do(worker.reserve, usd("0.30"))

        assert shared.attempts == ["lease"]
        assert pool.balance().spent == usd(1)
        assert pool.balance().available == usd(8)
        assert worker.balance().available == usd("0.70")
        await do(hold.release)


def test_more_than_a_lease_can_be_had_at_once(pool: BudgetPool, take: Take) -> None:
    with take() as worker, worker.reserve(usd(4)) as hold:
        hold.settle(usd("3.5"))

    assert pool.balance().available == usd("6.5")


def test_near_the_limit_a_lease_leaves_as_much_as_it_takes(
    pool: BudgetPool, take: Take
) -> None:
    with pool.reserve(usd("8.80")), take() as worker:
        assert worker.balance().available == usd("0.60")
        assert pool.balance().available == usd("0.60")


def test_what_is_wanted_is_had_if_it_is_there(pool: BudgetPool, take: Take) -> None:
    with take() as worker:
        worker.reserve(usd(10)).settle(usd(10))

    assert pool.balance().spent == usd(10)


def test_workers_come_to_have_equal_shares(pool: BudgetPool, take: Take) -> None:
    pool.set_limit(usd(2))
    leases = [take() for _ in range(3)]
    workers = [lease.__enter__() for lease in leases]
    for _ in range(20):
        for lease in leases:
            lease.ledger.lease.renew()

    shares = [worker.balance().available for worker in workers]

    left = [pool.balance().available, *shares]
    assert all(
        share is not None and abs(share.value - 5 * 10**8) < 10 for share in left
    )
    for lease in leases:
        lease.__exit__(None, None, None)


def test_a_limit_is_spent_to_the_last_call_and_no_further(
    pool: BudgetPool, shared: FailingStore, take: Take
) -> None:
    pool.set_limit(usd(3))
    with take() as one, take() as other:
        admitted, workers = 0, [one, other]
        while workers:
            try:
                workers[0].reserve(usd("0.01")).settle(usd("0.01"))
                admitted += 1
            except BudgetExceeded:
                del workers[0]
            else:
                workers.reverse()

        assert admitted == 300
    assert pool.balance().spent == usd(3)
    assert_quiet(shared)


async def test_a_refusal_is_the_parents_own(
    pool: BudgetPool, shared: FailingStore, take: Take, do: Do
) -> None:
    with take() as worker:
        worker.reserve(usd(9)).settle(usd(9))

        with pytest.raises(BudgetExceeded) as refused:
            await do(worker.reserve, usd(2))

        assert refused.value.account == "acme"
        assert refused.value.limit == usd(10)
        assert refused.value.available == usd(1)
        assert refused.value.wanted == usd(2)
        assert refused.value.kind == "exhausted"
        assert pool.balance().available == usd(1)
        assert await do(worker.reserve, usd(1))
        worker.ledger.run(worker.ledger.sweep())
    assert shared.lapsed() == ()


def test_a_refused_worker_does_not_keep_what_others_may_need(
    pool: BudgetPool, take: Take
) -> None:
    with take() as one:
        pool.reserve(usd(9)).settle(usd(9))
        with pytest.raises(BudgetExceeded):
            one.reserve(usd("1.5"))

        pool.reserve(usd(1)).settle(usd(1))

    assert pool.balance().available == usd(0)


async def test_what_can_be_afforded_is_what_the_shared_books_can_add(
    pool: BudgetPool, take: Take, do: Do
) -> None:
    with take() as worker:
        assert await do(worker.can_afford, usd(10))
        pool.reserve(usd(4)).settle(usd(4))

        assert await do(worker.can_afford, usd(6))
        assert not await do(worker.can_afford, usd("6.01"))


def test_an_overrun_is_paid_by_the_parent(pool: BudgetPool, take: Take) -> None:
    pool.set_limit(usd(2))
    with take() as worker:
        worker.reserve(usd(1)).settle(usd(3))
        with pytest.raises(BudgetExceeded):
            worker.reserve(usd("0.01"))

        assert pool.balance().spent == usd(3)
    assert pool.balance().available == -usd(1)


def test_units_without_a_limit_are_reported_all_the_way_up(
    pool: BudgetPool, take: Take
) -> None:
    with take() as worker:
        worker.reserve(usd("0.10"), tokens(7)).settle(usd("0.10"), tokens(5))

    assert pool.balance("tokens").spent == tokens(5)
    assert_report_adds_up(pool)


def test_a_lease_of_several_units_has_some_of_each(pool: BudgetPool) -> None:
    team = pool.open("team", limit=[tokens(1_000), calls(10)])
    with team.lease(usd(1), tokens(100), calls(2)) as worker:
        for _ in range(9):
            wanted = usd("0.50"), tokens(90), calls(1)
            worker.reserve(*wanted).settle(*wanted)
        assert team.balance("calls").available == calls(1)

        with pytest.raises(BudgetExceeded) as refused:
            worker.reserve(usd("0.50"), tokens(200), calls(1))

        assert refused.value.refusal.unit == "tokens"
        assert refused.value.available == tokens(190)
    assert team.balance("tokens").spent == tokens(810)
    assert pool.balance().spent == usd("4.50")


def test_every_limit_on_the_way_up_must_be_leased(pool: BudgetPool) -> None:
    team = pool.open("team", limit=[tokens(1_000), calls(10)])

    with (
        pytest.raises(InvalidLease, match="calls, usd") as refused,
        team.lease(tokens(9)),
    ):
        pass

    assert refused.value.missing == ("calls", "usd")


def test_limits_that_begin_anew_cannot_be_leased(shared: FailingStore) -> None:
    pool = BudgetPool("daily", usd(2).per("day"), usd(9), store=shared)

    with pytest.raises(InvalidLease, match="usd@day"), pool.lease(usd(1)):
        pass


def test_a_limit_that_appears_later_ends_the_lease(
    pool: BudgetPool, shared: FailingStore, take: Take
) -> None:
    with take() as worker:
        worker.reserve(usd("0.10"), tokens(5)).settle(usd("0.10"), tokens(5))
        pool.set_limit(tokens(10))

        with pytest.raises(AccountClosed, match="pass over the limits of tokens"):
            worker.reserve(usd(2), tokens(5))

        assert pool.balance().available == usd("9.90")
        assert pool.balance("tokens").spent == tokens(5)
    assert_quiet(shared)


def test_accounts_below_with_limits_of_their_own_need_their_own_lease(
    pool: BudgetPool, take: Take
) -> None:
    pool.open("plain")
    pool.open("capped", limit=usd(3))

    with pytest.raises(InvalidLease, match="acme/capped"), take():
        pass


def test_accounts_below_without_limits_are_known_to_the_worker(
    pool: BudgetPool, shared: FailingStore, take: Take
) -> None:
    pool.open("research").open("web")
    with take() as worker:
        web = worker.ledger.run(worker.ledger.open_below("acme"))

        assert web == ("acme/research", "acme/research/web")
    assert_quiet(shared)


def test_accounts_opened_in_a_lease_are_the_workers_own(
    pool: BudgetPool, shared: FailingStore, take: Take
) -> None:
    with take() as worker:
        mine = worker.open("mine", limit=usd("0.30"))
        slice_ = worker.open("kept", carve=usd(2))
        mine.reserve(usd("0.20")).settle(usd("0.20"))
        slice_.reserve(usd("0.50")).settle(usd("0.60"))

        with pytest.raises(BudgetExceeded) as refused:
            mine.reserve(usd("0.20"))

        assert refused.value.account == "acme/mine"
        assert worker.report().by("account").keys() == {("acme/mine",), ("acme/kept",)}
    assert pool.balance().spent == usd("0.80")
    assert pool.report().by("account").keys() == {("acme/mine",), ("acme/kept",)}
    assert_quiet(shared)


@pytest.mark.parametrize("change", ["top_up", "set_limit", "freeze", "thaw"])
def test_the_leased_account_is_changed_in_the_shared_books_only(
    take: Take, change: str
) -> None:
    with take() as worker:
        if change == "thaw":
            worker.thaw()
            return
        with pytest.raises(InvalidTransfer, match="leased"):
            worker.freeze() if change == "freeze" else getattr(worker, change)(usd(5))


def test_a_lease_of_nothing_or_of_a_lease_makes_no_sense(
    pool: BudgetPool, take: Take
) -> None:
    with pytest.raises(InvalidAmount):
        pool.lease()
    with pytest.raises(InvalidAmount):
        pool.lease(usd(0))
    with pytest.raises(InvalidAmount):
        pool.lease(usd(1), ttl_seconds=0)
    with take() as worker, pytest.raises(InvalidLease):
        worker.lease(usd(1))


def test_a_lease_that_was_given_back_admits_nothing(
    pool: BudgetPool, take: Take
) -> None:
    with take() as worker:
        pass

    with pytest.raises(AccountClosed):
        worker.reserve(usd("0.01"))

    assert pool.balance().available == usd(10)


def test_calls_that_are_under_way_at_the_end_keep_their_money(
    pool: BudgetPool, shared: FailingStore, take: Take
) -> None:
    """Only what nobody can spend any more goes back to the parent."""
    with take() as worker:
        first, second = worker.reserve(usd("0.30")), worker.reserve(usd("0.40"))

    assert pool.balance().available == usd("9.30")
    first.settle(usd("0.10"))
    assert pool.balance().available == usd("9.50")
    second.release()
    assert pool.balance().available == usd("9.90")
    assert pool.balance().spent == usd("0.10")
    assert_quiet(shared)


def test_listeners_of_the_pool_hear_of_leased_calls_and_of_limits_that_are_crossed(
    shared: FailingStore,
) -> None:
    events: list[Event] = []
    pool = BudgetPool("acme", usd(1), store=shared, warn_at=[0.5])
    pool.subscribe(events.append)
    with pool.lease(usd("0.10")) as worker:
        for _ in range(60):
            worker.reserve(usd("0.01")).settle(usd("0.01"))

    assert sum(isinstance(each, Reserved) for each in events) == 60
    assert sum(isinstance(each, Settled) for each in events) == 60
    (crossed,) = (each for each in events if isinstance(each, ThresholdCrossed))
    assert crossed.granted == 10**9


def test_a_worker_keeps_only_the_end_of_its_own_journal(
    monkeypatch: pytest.MonkeyPatch, pool: BudgetPool, shared: FailingStore
) -> None:
    monkeypatch.setattr("langchain_budget.leases.purse.KEPT", 10)
    with pool.lease(usd(1)) as worker:
        for _ in range(50):
            worker.reserve(usd("0.01")).settle(usd("0.01"))
        kept = worker.ledger.store.journal()

        assert len(kept) < 20
        assert [entry.seq for entry in kept] == list(
            range(kept[0].seq, kept[-1].seq + 1)
        )
        assert worker.ledger.store.journal(kept[3].seq, 2) == kept[4:6]
        assert worker.report().spent() == usd("0.50")
    assert pool.report().spent() == usd("0.50")
    assert_quiet(shared)


def test_what_limit_each_limits_since_a_lease_was_taken_is_refused(
    pool: BudgetPool, take: Take
) -> None:
    with take(usd(5)) as worker:
        pool.limit_each("user", limit=usd("0.10"))
        worker.reserve(usd(1)).settle()

        with pytest.raises(AccountClosed, match="pass over the limits of user"):
            worker.reserve(usd(1), labels={"user": "ada"})
        assert not worker.can_afford(usd(1), labels={"user": "ada"})

    assert pool.balance().spent == usd(1)
