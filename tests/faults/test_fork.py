"""One pool object in forked workers, and in several event loops."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from langchain_budget import BudgetPool, calls
from tests.faults.books import patient, pool_at
from tests.faults.crew import Crew
from tests.faults.duties import areserved, reserved, tasks
from tests.faults.forking import CHILDREN, MANY, leave_to_a_child, prefork
from tests.invariants import assert_quiet

LIMIT = 90
LOOPS = 3


def test_forked_workers_share_the_pool_of_their_parent(
    shared_url: str, crew: Crew
) -> None:
    parent = crew.hire(prefork, patient(shared_url), LIMIT)

    assert LIMIT < CHILDREN * 2 * MANY
    assert parent.hear() == LIMIT
    assert parent.hear() == [True, True, False]
    assert parent.ends() == 0
    pool = pool_at(shared_url, calls(LIMIT))
    assert pool.balance("calls").spent == calls(LIMIT + 2)
    assert_quiet(pool.ledger.store)


def test_a_parent_that_lets_go_takes_nothing_from_its_child(
    shared_url: str, crew: Crew
) -> None:
    assert crew.hire(leave_to_a_child, shared_url).hear() == "done"

    pool = pool_at(shared_url, calls(3))
    assert pool.balance("calls").spent == calls(3)
    assert_quiet(pool.ledger.store)


def test_event_loops_may_come_one_after_the_other(shared_url: str) -> None:
    pool = pool_at(patient(shared_url), calls(LIMIT))

    admitted = [tasks(pool, areserved) for _ in range(LOOPS)]

    assert sum(admitted) == LIMIT
    assert not reserved(pool)
    end(pool)


def test_event_loops_may_run_at_once(shared_url: str) -> None:
    pool = pool_at(patient(shared_url), calls(LIMIT))

    with ThreadPoolExecutor(LOOPS) as executor:
        admitted = executor.map(tasks, [pool] * LOOPS, [areserved] * LOOPS)

    assert sum(admitted) == LIMIT
    assert not reserved(pool)
    end(pool)


async def test_cancelled_tasks_leave_nothing_behind(shared_url: str) -> None:
    pool = pool_at(shared_url, calls(LIMIT + 1))
    work = [asyncio.create_task(areserved(pool)) for _ in range(LIMIT)]
    done, pending = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)

    assert await areserved(pool)
    assert len(done) <= (await pool.abalance("calls")).spent.value
    assert (await pool.abalance("calls")).held == calls(0)
    assert_quiet(pool.ledger.store)


def end(pool: BudgetPool) -> None:
    assert pool.balance("calls").spent == calls(LIMIT)
    assert_quiet(pool.ledger.store)
