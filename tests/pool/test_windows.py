"""Limits that begin anew by the calendar."""

from datetime import UTC, datetime

import pytest
from langchain.agents import create_agent
from langgraph.graph import START, StateGraph

from langchain_budget import (
    Amount,
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    InvalidAmount,
    LimitConflict,
    MemoryStore,
    budget_guard,
    tokens,
    usd,
)
from langchain_budget.testing import FakeChatModel, StillClock
from tests.interrupted_store import InterruptedStore
from tests.invariants import assert_quiet

HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture
def clock():
    return StillClock(datetime(2026, 5, 19, 22, 30, tzinfo=UTC).timestamp())


@pytest.fixture
def store(clock):
    return MemoryStore(clock)


@pytest.fixture
def pool(store):
    return BudgetPool("acme", usd(10), usd(2).per("day"), store=store)


def test_a_day_has_its_own_limit(pool, clock):
    pool.reserve(usd("1.50")).settle()
    with pytest.raises(BudgetExceeded, match=r"\$0.50 left of \$2.00 per day"):
        pool.reserve(usd(1))

    clock.advance(2 * HOUR)

    pool.reserve(usd(1)).settle()
    assert pool.balance().spent == usd("2.50")


def test_the_limit_in_all_binds_beside_that_of_the_day(store, clock):
    pool = BudgetPool("acme", usd(3), usd(2).per("day"), store=store)
    pool.reserve(usd(2)).settle()
    clock.advance(DAY)

    with pytest.raises(BudgetExceeded, match=r"\$1.00 left of \$3.00 \("):
        pool.reserve(usd(2))


def test_several_windows_of_one_unit_all_bind(store, clock):
    pool = BudgetPool(
        "acme", tokens(100).per("hour"), tokens(150).per("day"), store=store
    )
    pool.reserve(tokens(100)).settle()
    with pytest.raises(BudgetExceeded, match="per hour"):
        pool.reserve(tokens(1))
    clock.advance(HOUR)

    with pytest.raises(BudgetExceeded, match="per day"):
        pool.reserve(tokens(100))


def test_a_hold_settles_in_the_window_that_it_was_opened_in(pool, clock):
    reservation = pool.reserve(usd("1.50"), ttl_seconds=DAY)
    clock.advance(2 * HOUR)
    pool.reserve(usd(2)).settle()

    reservation.settle(usd("1.20"))

    with pytest.raises(BudgetExceeded, match="per day"):
        pool.reserve(usd("0.01"))
    assert spent_by_day(pool.ledger.store) == {"19": usd("1.20"), "20": usd(2)}
    assert_quiet(pool.ledger.store)


def spent_by_day(store):
    balances = store.balances(["acme"]).items()
    return {
        key.window[-2:]: Amount("usd", seen.spent)
        for key, seen in balances
        if key.window
    }


def test_a_hold_of_yesterday_that_expires_today_frees_yesterday(pool, clock):
    pool.reserve(usd(2), ttl_seconds=HOUR)
    clock.advance(2 * HOUR)
    assert pool.balance().held == usd(0)

    pool.reserve(usd(2)).settle()
    assert_quiet(pool.ledger.store)


def test_a_child_is_bound_by_its_parents_day(pool, clock):
    child = pool.open("web", limit=usd(5))
    sliced = pool.open("deep", carve=usd(5))
    child.reserve(usd(1)).settle()
    sliced.reserve(usd(1)).settle()

    for account in (child, sliced):
        with pytest.raises(BudgetExceeded, match=r"'acme' has .* per day"):
            account.reserve(usd("0.01"))

    clock.advance(2 * HOUR)
    sliced.reserve(usd(2)).settle()
    assert_quiet(pool.ledger.store)


def test_days_begin_in_their_time_zone(store, clock):
    berlin = BudgetPool("berlin", usd(1).per("day", "Europe/Berlin"), store=store)
    clock.advance(HOUR)  # half past eleven in UTC, the next day in Berlin
    berlin.reserve(usd(1)).settle()
    clock.advance(HOUR)  # half past midnight in UTC, half past two in Berlin

    with pytest.raises(BudgetExceeded, match="per day in Europe/Berlin"):
        berlin.reserve(usd(1))

    clock.advance(22 * HOUR)
    berlin.reserve(usd(1)).settle()


def test_can_afford_knows_the_window(pool, clock):
    pool.reserve(usd(2)).settle()
    assert not pool.can_afford(usd("0.01"))

    clock.advance(2 * HOUR)

    assert pool.can_afford(usd(2))
    assert not pool.can_afford(usd("2.01"))


def test_opening_with_other_windows_is_a_conflict(store):
    BudgetPool("acme", usd(10), usd(2).per("day"), store=store)

    with pytest.raises(LimitConflict, match=r"\$2.00 per day"):
        BudgetPool("acme", usd(10), usd(2).per("month"), store=store)


def test_one_window_is_given_once(store):
    with pytest.raises(InvalidAmount, match="given twice"):
        BudgetPool("acme", usd(1).per("day"), usd(2).per("day"), store=store)


async def test_windows_bind_in_tasks(pool, clock):
    await (await pool.areserve(usd(2))).asettle()
    with pytest.raises(BudgetExceeded, match="per day"):
        await pool.areserve(usd(1))
    clock.advance(2 * HOUR)

    await (await pool.areserve(usd(2))).asettle()


def test_a_capped_answer_fits_into_what_the_day_has_left(store):
    pool = BudgetPool("acme", tokens(10_000), tokens(1_000).per("day"), store=store)
    model = FakeChatModel(replies=["Fine."], usage=(10, 5))
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])

    agent.invoke({"messages": ["Hi"]})

    assert model.calls[0].max_tokens < 1_000


def test_a_share_is_of_what_is_available_today(pool):
    child = pool.open("web", share="30%")

    assert child.balance().granted == usd("0.60")
    child.reserve(usd("0.60")).settle()
    assert_quiet(pool.ledger.store)


def test_a_guard_sees_that_the_day_is_spent(pool):
    pool.reserve(usd(2)).settle()
    graph = StateGraph(dict)
    graph.add_node("guard", budget_guard(pool, then="work", otherwise="stop"))
    graph.add_node("work", lambda _: {"did": "work"})
    graph.add_node("stop", lambda _: {"did": "stop"})
    graph.add_edge(START, "guard")

    assert graph.compile().invoke({})["did"] == "stop"


def test_the_limit_of_a_day_can_be_changed_at_once(pool, clock):
    pool.reserve(usd("1.50")).settle()

    pool.set_limit(usd(3).per("day"), reason="a busy day")
    pool.reserve(usd("1.50")).settle()
    with pytest.raises(BudgetExceeded, match=r"\$0.00 left of \$3.00 per day"):
        pool.reserve(usd(1))
    pool.set_limit(usd(1).per("day"))
    with pytest.raises(BudgetExceeded, match=r"-\$2.00 left of \$1.00 per day"):
        pool.reserve(usd(1))

    clock.advance(DAY)
    pool.reserve(usd(1)).settle()
    assert_quiet(pool.ledger.store)


def test_a_window_that_nobody_has_touched_begins_with_its_new_limit(pool, clock):
    pool.set_limit(usd(3).per("day"))
    pool.set_limit(usd(4).per("hour"))

    pool.reserve(usd(3)).settle()

    with pytest.raises(BudgetExceeded, match=r"\$0.00 left of \$3.00 per day"):
        pool.reserve(usd(1))
    clock.advance(DAY)
    with pytest.raises(BudgetExceeded, match="per day"):
        pool.reserve(usd("3.50"))
    assert_quiet(pool.ledger.store)


def test_a_limit_is_set_though_the_day_ends_meanwhile(clock):
    stop = InterruptedStore(clock)
    pool = BudgetPool("acme", usd(2).per("day"), store=stop)
    pool.reserve(usd(1)).settle()
    stop.before["set_limit"] = lambda: clock.advance(DAY)

    pool.set_limit(usd(3).per("day"))

    assert pool.balance("usd@day").available == usd(3)
