"""Threads, tasks and processes that spend one limit through leases."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from langchain_budget import (
    BudgetExceeded,
    BudgetPool,
    StoreError,
    StoreUnavailable,
    calls,
)
from langchain_budget.core.postings import Posting, Receipt, Refusal
from langchain_budget.testing import StillClock
from tests.faults.books import later, pool_at
from tests.faults.crew import Crew
from tests.interrupted_store import InterruptedStore
from tests.invariants import assert_quiet, assert_report_adds_up
from tests.leases.conftest import TTL
from tests.leases.duties import books, crash, fork, reserved, spend

LIMIT = 500


@pytest.fixture
def crew(sqlite_url: str) -> Iterator[Crew]:
    books(sqlite_url)
    with Crew() as crew:
        yield crew


def test_threads_share_a_lease_and_spend_exactly_the_limit() -> None:
    pool = BudgetPool("acme", calls(LIMIT))
    barrier = Barrier(8)
    with pool.lease(calls(20)) as worker:

        def work(_: int) -> int:
            barrier.wait()
            return sum(iter(lambda: reserved(worker), False))  # noqa: FBT003

        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(work, range(8))) == LIMIT
    assert pool.balance("calls").spent == calls(LIMIT)
    assert_quiet(pool.ledger.store)


async def test_tasks_share_a_lease_and_spend_exactly_the_limit(sqlite_url: str) -> None:
    pool = pool_at(sqlite_url, calls(100))
    admitted = 0

    async def work() -> None:
        nonlocal admitted
        try:
            while True:
                await (await worker.areserve(calls(1))).asettle(calls(1))
                admitted += 1
        except BudgetExceeded:
            return

    async with pool.lease(calls(9)) as worker:
        await asyncio.gather(*(work() for _ in range(20)))

    assert admitted == 100
    assert (await pool.abalance("calls")).spent == calls(100)
    assert_quiet(pool.ledger.store)


def test_processes_spend_exactly_the_limit_through_leases(
    sqlite_url: str, crew: Crew
) -> None:
    ways = ["blocking", "awaited", "blocking", "awaited"]
    workers = [crew.hire(spend, sqlite_url, way) for way in ways]
    for worker in workers:
        worker.reach("the start")
    for worker in workers:
        worker.go_on()

    spent = [worker.hear() for worker in workers]

    assert [worker.ends() for worker in workers] == [0] * len(ways)
    assert sum(spent) == LIMIT
    pool = books(sqlite_url)
    assert pool.balance("calls").spent == calls(LIMIT)
    assert pool.balance("calls").lent == calls(0)
    assert_quiet(pool.ledger.store)
    assert_report_adds_up(pool)


@pytest.mark.parametrize("reports", [1, 0])
def test_what_a_killed_worker_had_leased_counts_as_spent_after_its_time(
    sqlite_url: str, crew: Crew, reports: int
) -> None:
    with crew.hire(crash, sqlite_url, reports) as worker:
        worker.reach("the end")
    pool = books(sqlite_url)
    leased = 7 + 20 if reports else 20
    assert pool.balance("calls").lent == calls(leased - 7 * reports)

    pool = later(pool, sqlite_url, calls(LIMIT))

    assert pool.balance("calls").spent == calls(leased)
    assert pool.balance("calls").available == calls(LIMIT - leased)
    assert pool.report().total.estimated == 1
    assert_quiet(pool.ledger.store)


def test_a_forked_child_does_not_spend_the_lease_of_its_parent(
    sqlite_url: str, crew: Crew
) -> None:
    with crew.hire(fork, sqlite_url) as parent:
        said = parent.hear()
        assert "its lease belongs to process" in said
        assert "take one after the fork" in said
        assert parent.hear() is True
        assert parent.ends() == 0

    pool = books(sqlite_url)
    assert pool.balance("calls").spent == calls(3)
    assert pool.balance("calls").lent == calls(0)
    assert_quiet(pool.ledger.store)


class Dawdling(InterruptedStore):
    """Whoever awaits a posting of a kind in `slow` waits for *go*."""

    def __init__(self, clock: StillClock) -> None:
        super().__init__()
        self._clock = clock
        self.slow: set[str] = set()
        self.go = asyncio.Event()

    async def apost(self, posting: Posting) -> Receipt | Refusal:
        if posting.kind in self.slow:
            self.reached.set()
            await self.go.wait()
        return await super().apost(posting)


async def test_while_a_task_asks_for_more_others_spend_what_there_is() -> None:
    clock = StillClock(1_000)
    store = Dawdling(clock)
    pool = BudgetPool("acme", calls(LIMIT), store=store)
    async with pool.lease(calls(10), ttl_seconds=TTL, clock=clock) as worker:
        store.slow.add("lease")
        greedy = asyncio.create_task(worker.areserve(calls(100)))
        await store.reached.wait()

        await (await worker.areserve(calls(1))).asettle(calls(1))
        second = asyncio.create_task(worker.areserve(calls(50)))
        store.go.set()

        for hold in (await greedy, await second):
            await hold.asettle(calls(1))
    assert pool.balance("calls").spent == calls(3)
    assert_quiet(store)


async def test_waiting_for_a_task_of_the_same_loop_is_refused_not_a_deadlock() -> None:
    clock = StillClock(1_000)
    store = Dawdling(clock)
    pool = BudgetPool("acme", calls(LIMIT), store=store)
    async with pool.lease(calls(10), ttl_seconds=TTL, clock=clock) as worker:
        store.slow.add("lease")
        task = asyncio.create_task(worker.areserve(calls(100)))
        await store.reached.wait()

        with pytest.raises(Exception, match="await the awaitable twin instead") as no:
            worker.reserve(calls(11))

        assert isinstance(no.value.__cause__, StoreError)
        store.go.set()
        await (await task).arelease()
    assert_quiet(store)


async def test_a_task_that_is_cancelled_while_it_asks_loses_nothing() -> None:
    clock = StillClock(1_000)
    store = Dawdling(clock)
    pool = BudgetPool("acme", calls(LIMIT), store=store)
    async with pool.lease(calls(10), ttl_seconds=TTL, clock=clock) as worker:
        await (await worker.areserve(calls(4))).asettle(calls(4))
        store.slow.add("lease")
        task = asyncio.create_task(worker.areserve(calls(100)))
        await store.reached.wait()
        task.cancel()
        await asyncio.wait([task])
        store.slow.clear()

        await (await worker.areserve(calls(8))).asettle(calls(8))
    assert pool.balance("calls").spent == calls(12)
    assert_quiet(store)


async def test_what_is_being_returned_is_not_spent_meanwhile() -> None:
    clock = StillClock(1_000)
    store = Dawdling(clock)
    pool = BudgetPool("acme", calls(LIMIT), store=store)
    async with pool.lease(calls(10), ttl_seconds=TTL, clock=clock) as worker:
        await (await worker.areserve(calls(50))).arelease()
        clock.advance(TTL / 2)
        store.slow.add("lease")
        renewing = asyncio.create_task(worker.areserve(calls(1)))
        await store.reached.wait()

        with pytest.raises(StoreUnavailable):
            worker.reserve(calls(40))
        second = worker.reserve(calls(5))

        store.go.set()
        for hold in (await renewing, second):
            await hold.asettle(calls(1))
    assert pool.balance("calls").spent == calls(2)
    assert_quiet(store)
