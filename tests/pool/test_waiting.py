"""Waiting for what others hold: who gets it, and who gives up."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from langchain.agents import create_agent
from langgraph.graph import END, START, StateGraph

from langchain_budget import (
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    InvalidAmount,
    InvalidPriority,
    budget_guard,
    tokens,
    usd,
)
from langchain_budget.testing import FakeChatModel
from tests.invariants import assert_quiet

LONG = 30.0


@pytest.fixture
def pool(store_url):
    return BudgetPool("acme", usd(1), store=store_url)


def queued(pool, places):
    """Once so many wait."""
    moment = Event()
    while len(pool.ledger.queue) < places:
        moment.wait(0.001)


async def queued_tasks(pool, places):
    while len(pool.ledger.queue) < places:  # noqa: ASYNC110  # nobody tells of it
        await asyncio.sleep(0)


def test_who_waits_gets_what_is_given_back(pool):
    first = pool.reserve(usd(1))

    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(pool.reserve, usd("0.50"), wait_seconds=LONG)
        queued(pool, 1)
        first.settle(usd("0.25"))
        second.result().settle()

    assert pool.balance().spent == usd("0.75")
    assert_quiet(pool.ledger.store)


def test_what_is_spent_is_not_waited_for(pool):
    pool.reserve(usd(1)).settle()

    with pytest.raises(BudgetExceeded) as refusal:
        pool.reserve(usd("0.50"), wait_seconds=LONG)

    assert refusal.value.kind == "exhausted"


def test_whoever_waits_gives_up_in_the_end(pool):
    pool.reserve(usd(1))

    with pytest.raises(BudgetExceeded) as refusal:
        pool.reserve(usd("0.50"), wait_seconds=0.05)

    assert refusal.value.kind == "contended"
    assert not pool.ledger.queue


def test_waiting_ends_when_the_last_hope_is_spent(pool):
    first = pool.reserve(usd(1))

    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(pool.reserve, usd("0.50"), wait_seconds=LONG)
        queued(pool, 1)
        first.settle()

        with pytest.raises(BudgetExceeded) as refusal:
            second.result()

    assert refusal.value.kind == "exhausted"


def test_the_more_important_go_first_then_those_who_came_first(pool):
    names = {"low": 2, "high": 9, "middle": None, "late": 9}
    accounts = {name: pool.open(name, priority=rank) for name, rank in names.items()}
    first = pool.reserve(usd(1))
    served = []

    def ask(name):
        hold = accounts[name].reserve(usd(1), wait_seconds=LONG)
        served.append(name)
        hold.release()

    with ThreadPoolExecutor(len(names)) as threads:
        asking = []
        for number, name in enumerate(names, 1):
            asking.append(threads.submit(ask, name))
            queued(pool, number)
        first.release()
        for each in asking:
            each.result()

    assert served == ["high", "late", "middle", "low"]
    assert_quiet(pool.ledger.store)


async def test_tasks_wait_without_stopping_the_loop(pool):
    first = await pool.areserve(usd(1))
    high, low = pool.open("high", priority=9), pool.open("low", priority=1)
    served = []

    async def ask(account):
        hold = await account.areserve(usd(1), wait_seconds=LONG)
        served.append(account.name)
        await hold.arelease()

    tasks = [asyncio.create_task(ask(each)) for each in (low, high)]
    await queued_tasks(pool, 2)
    await first.arelease()
    await asyncio.gather(*tasks)

    assert served == ["high", "low"]


async def test_a_task_that_is_cancelled_leaves_its_place(pool):
    first = await pool.areserve(usd(1))
    task = asyncio.create_task(pool.areserve(usd(1), wait_seconds=LONG))
    await queued_tasks(pool, 1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not pool.ledger.queue
    await first.arelease()
    (await pool.areserve(usd(1))).release()
    assert_quiet(pool.ledger.store)


def test_what_another_process_gives_back_is_noticed(store_url, pool):
    if store_url == "memory://":
        pytest.skip("memory is one object's own")
    other = BudgetPool("acme", usd(1), store=store_url)
    first = other.reserve(usd(1))

    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(pool.reserve, usd(1), wait_seconds=LONG)
        queued(pool, 1)
        first.release()
        second.result().release()

    assert_quiet(pool.ledger.store)


def test_a_top_up_ends_the_waiting(pool):
    first = pool.reserve(usd(1))

    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(pool.reserve, usd(1), wait_seconds=LONG)
        queued(pool, 1)
        pool.top_up(usd(1))
        second.result().release()

    first.release()


@pytest.mark.parametrize("wait", [-1, float("nan"), float("inf")])
def test_nobody_waits_for_ever_nor_for_less_than_nothing(pool, wait):
    with pytest.raises(InvalidAmount, match="wait_seconds"):
        pool.reserve(usd(1), wait_seconds=wait)


@pytest.mark.parametrize("priority", [0, 11, True, 5.0, "5"])
def test_a_priority_is_a_whole_number_from_1_to_10(pool, priority):
    with pytest.raises(InvalidPriority, match="from 1 to 10"):
        pool.open("web", priority=priority)

    pool.open("web", priority=10)
    pool.open("low", priority=1)


async def test_an_agent_waits_for_an_answer_of_full_length():
    pool = BudgetPool("acme", tokens(300))
    model = FakeChatModel(replies=["Hi."], usage=(60, 10), max_tokens=100)
    patient = BudgetMiddleware(pool, wait_seconds=LONG)
    agent = create_agent(model, middleware=[patient])
    others = await pool.areserve(tokens(280))

    task = asyncio.create_task(agent.ainvoke({"messages": [("user", "Hello")]}))
    await queued_tasks(pool, 1)
    await others.arelease()
    await task

    assert model.calls[0].max_tokens == 100
    assert pool.balance("tokens").spent == tokens(70)
    assert_quiet(pool.ledger.store)


def test_who_need_not_wait_is_capped_to_what_is_left():
    pool = BudgetPool("acme", tokens(300))
    model = FakeChatModel(replies=["Hi."], usage=(60, 10), max_tokens=1_000)
    agent = create_agent(model, middleware=[BudgetMiddleware(pool, wait_seconds=LONG)])

    agent.invoke({"messages": [("user", "Hello")]})

    assert model.calls[0].max_tokens < 300


def test_a_guard_waits_too():
    pool = BudgetPool("acme", tokens(100))
    others = pool.reserve(tokens(100))
    builder = StateGraph(dict)
    guard = budget_guard(
        pool, then="work", otherwise=END, needs=tokens(50), wait_seconds=LONG
    )
    builder.add_node("guard", guard)
    builder.add_node("work", lambda _: {"done": True})
    builder.add_edge(START, "guard")
    graph = builder.compile()

    with ThreadPoolExecutor(1) as threads:
        run = threads.submit(graph.invoke, {})
        queued(pool, 1)
        others.release()

        assert run.result() == {"done": True}
    assert_quiet(pool.ledger.store)


def test_who_lacks_something_else_by_now_is_in_nobodys_way(pool):
    narrow, wide = pool.open("narrow", limit=usd("0.20")), pool.open("wide")
    kept = narrow.reserve(usd("0.10"))
    large = wide.reserve(usd("0.90"))

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(wide.reserve, usd("0.10"), wait_seconds=LONG)
        queued(pool, 1)
        second = threads.submit(narrow.reserve, usd("0.15"), wait_seconds=LONG)
        queued(pool, 2)
        large.settle(usd(0))
        first.result().settle(usd(0))
        third = threads.submit(wide.reserve, usd("0.10"), wait_seconds=LONG)
        third.result(timeout=LONG / 3).settle()
        waits = not second.done()
        kept.settle(usd(0))
        second.result().settle()

    assert waits
    assert_quiet(pool.ledger.store)


def test_a_waiter_whose_loop_is_gone_spoils_nobody_elses_settle():
    pool = BudgetPool("acme", usd(1))
    first = pool.reserve(usd(1))
    loop = asyncio.new_event_loop()
    task = loop.create_task(pool.areserve(usd(1), wait_seconds=LONG))
    loop.run_until_complete(queued_tasks(pool, 1))
    loop.close()

    first.settle(usd("0.25"))

    assert pool.balance().spent == usd("0.25")
    assert not task.done()
