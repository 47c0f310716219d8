"""Workers are killed, or paused for too long: the books tell what was spent."""

import pytest

from langchain_budget import BudgetPool, tokens, usd
from langchain_budget.core.amounts import Amount
from langchain_budget.core.postings import Hold, Status
from langchain_budget.testing import ScriptedServer
from tests.faults.books import later, pool_at
from tests.faults.crew import Crew
from tests.faults.duties import ALL, CENT, LIMIT, reserve_and_wait, two_calls
from tests.invariants import assert_nothing_is_overdue, assert_quiet

STEPS = ["reserved", "called", "answered", "settled"]


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_may_be_killed_at_any_step(
    shared_url: str, crew: Crew, scripted: ScriptedServer, step: str
) -> None:
    pool = pool_at(shared_url, tokens(LIMIT))
    worker = crew.hire(two_calls, shared_url, scripted.base_url)
    worker.reach("reserved")
    if step == "called":
        scripted.hold()
        worker.go_on()
        scripted.wait_held()
    elif step != "reserved":
        worker.reach(step)
    holds = pool.ledger.store.open_holds()

    worker.kill()
    scripted.release()

    assert len(holds) == (step != "settled")
    assert_free_money_is_admitted(pool)
    after = later(pool, shared_url, tokens(LIMIT))
    assert_free_money_is_admitted(after)
    settled = billed(scripted)[: 2 if step == "settled" else 1]
    assert after.balance("tokens").spent.value == sum(settled) + held_by(holds)
    assert after.report().total.unconfirmed.keys() <= {"tokens"}
    assert held_by(holds) >= sum(billed(scripted)[1:]) * len(holds)
    assert_nothing_is_overdue(after.ledger.store)
    assert after.admin.verify().ok
    assert_quiet(after.ledger.store)


def test_what_had_not_begun_when_its_worker_was_killed_is_given_back(
    shared_url: str, crew: Crew
) -> None:
    worker = crew.hire(reserve_and_wait, shared_url)
    worker.reach("reserved")
    pool = pool_at(shared_url, ALL)
    worker.kill()

    assert pool.balance().available == usd(0)
    after = later(pool, shared_url, ALL)
    after.reserve(ALL).release()
    assert after.balance().spent == usd(0)
    assert_quiet(after.ledger.store)


def test_a_worker_that_was_paused_past_its_hold_still_books_what_it_used(
    shared_url: str, crew: Crew, scripted: ScriptedServer
) -> None:
    pool = pool_at(shared_url, tokens(LIMIT))
    worker = crew.hire(two_calls, shared_url, scripted.base_url)
    worker.reach("reserved")
    scripted.hold()
    worker.go_on()
    scripted.wait_held()
    (hold,) = pool.ledger.store.open_holds()

    worker.pause()
    after = later(pool, shared_url, tokens(LIMIT))
    guessed = after.balance("tokens").spent
    worker.resume()
    scripted.release()
    worker.reach("settled")

    assert guessed.value == billed(scripted)[0] + held_by([hold])
    ended = pool.ledger.store.hold(hold.id)
    assert ended is not None
    assert ended.status is Status.SETTLED
    assert pool.balance("tokens").spent.value == sum(billed(scripted))
    assert pool.report().total.unconfirmed == {}
    assert_quiet(pool.ledger.store)


def test_a_reservation_that_was_paused_past_its_time_is_charged_what_it_used(
    shared_url: str, crew: Crew
) -> None:
    worker = crew.hire(reserve_and_wait, shared_url)
    worker.reach("reserved")
    pool = pool_at(shared_url, ALL)
    worker.pause()
    later(pool, shared_url, ALL).reserve(ALL).settle(ALL)
    worker.resume()
    worker.reach("settled")

    assert pool.balance().spent == ALL + CENT
    assert pool.balance().available == -CENT
    assert_quiet(pool.ledger.store)


def billed(server: ScriptedServer) -> list[int]:
    """What the server says that each call used."""
    return [each.prompt_tokens + each.completion_tokens for each in server.log()]


def held_by(holds: tuple[Hold, ...] | list[Hold]) -> int:
    return sum(hold.amounts["tokens"] for hold in holds)


def assert_free_money_is_admitted(pool: BudgetPool) -> None:
    """Assert that nothing is in the way of what is neither spent nor held."""
    free = pool.balance("tokens").available
    assert isinstance(free, Amount)
    pool.reserve(free).release()
