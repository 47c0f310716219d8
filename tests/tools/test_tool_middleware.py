"""In an agent whose tools have prices: held for before they run, and settled after."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ToolRetryMiddleware
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from langchain_budget import (
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    Price,
    PriceTable,
    UnknownAccount,
    budget,
    usd,
)
from langchain_budget.adapters.tools import budgeted_tool
from langchain_budget.testing import FakeChatModel
from tests.adapters.graphs import WAYS, run
from tests.tools.settled import COSTS, Heard, assert_charged

HELLO: Any = {"messages": [("user", "Hi")]}
THREAD: Any = {"configurable": {"thread_id": "1"}}
FREE = PriceTable({}, default=Price.free())


def calling(*queries: str) -> AIMessage:
    """A model's answer that searches for each of *queries*."""
    asked = [
        {"name": "search", "args": {"query": each}, "id": f"call-{at}"}
        for at, each in enumerate(queries)
    ]
    return AIMessage("", tool_calls=asked)


@tool
def search(query: str) -> dict[str, Any]:
    """Search."""
    return {"found": query, "cost_usd": 0.04}


@tool("search")
def silent(query: str) -> str:
    """Search, and tell nobody what it cost."""
    return query


def pool_of(dollars: str) -> BudgetPool:
    return BudgetPool("acme", usd(dollars), prices=FREE)


def agent_of(pool: BudgetPool, made: BaseTool, *asked: str, **options: Any) -> Any:
    """An agent whose model asks once for each word, and then is done."""
    model = FakeChatModel(replies=[calling(*asked), "Done."])
    middleware = BudgetMiddleware(pool, tool_costs=COSTS, **options)
    return create_agent(
        model, [made], middleware=[middleware], checkpointer=InMemorySaver()
    )


@pytest.mark.parametrize("way", WAYS)
def test_what_the_tool_reports_is_charged_though_a_message_was_made_of_it(
    way: str,
) -> None:
    pool = pool_of("1")
    heard = Heard(pool)
    state = run(way, agent_of(pool, search, "tea", "milk"), HELLO, THREAD)

    assert state["messages"][-1].text == "Done."
    paid = [each for each in heard.charged if "tool_calls" in each.amounts]
    assert [str(each.basis) for each in paid] == ["reported"] * 2
    assert [each.labels["tool"] for each in paid] == ["search"] * 2
    held = [each.amounts["usd"] for each in heard.held if "tool_calls" in each.amounts]
    assert held == [usd("0.10").value] * 2
    assert_charged(pool, usd("0.08"), count=2)


@pytest.mark.parametrize("way", WAYS)
def test_what_was_expected_is_charged_when_it_reports_nothing(way: str) -> None:
    pool = pool_of("1")
    run(way, agent_of(pool, silent, "tea"), HELLO, THREAD)

    assert_charged(pool, usd("0.10"), count=1)


def test_without_costs_a_tool_is_counted_and_costs_nothing() -> None:
    pool = pool_of("1")
    model = FakeChatModel(replies=[calling("tea"), "Done."])
    create_agent(model, [search], middleware=[BudgetMiddleware(pool)]).invoke(HELLO)

    assert_charged(pool, usd(0), count=1)


@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_stops_before_the_tool_runs_and_goes_on_after_a_top_up(
    way: str,
) -> None:
    pool = pool_of("0.09")
    agent = agent_of(pool, search, "tea")
    with pytest.raises(BudgetExceeded, match=r"\$0.09 left of \$0.09"):
        run(way, agent, HELLO, THREAD)
    assert_charged(pool, usd(0), count=0)
    pool.top_up(usd("0.01"))
    state = run(way, agent, None, THREAD)

    assert state["messages"][-1].text == "Done."
    assert_charged(pool, usd("0.04"), count=1)


@pytest.mark.parametrize("way", WAYS)
def test_an_agent_ends_well_where_a_tool_cannot_be_paid(way: str) -> None:
    pool = pool_of("0.15")
    agent = agent_of(pool, silent, "tea", "milk", on_exceeded="end")
    _, _, *told, last = run(way, agent, HELLO, THREAD)["messages"]

    assert sorted(each.status for each in told) == ["error", "success"]
    assert "This tool was not run" in last.text
    assert_charged(pool, usd("0.10"), count=1)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_tools_at_once_never_spend_more_than_there_is(way: str) -> None:
    pool = pool_of("1")
    queries = [str(number) for number in range(64)]
    agent = agent_of(pool, silent, *queries, on_exceeded="end")
    messages = run(way, agent, HELLO, THREAD)["messages"]

    told = [each for each in messages if isinstance(each, ToolMessage)]
    assert sum(each.status == "success" for each in told) == 10
    assert_charged(pool, usd(1), count=10)


@pytest.mark.parametrize("way", WAYS)
def test_a_call_that_failed_is_counted_and_gets_its_dollars_back(way: str) -> None:
    @tool("search")
    def broken(query: str) -> str:
        """Search."""
        raise ValueError(query)

    pool = pool_of("1")
    with pytest.raises(ValueError, match="tea"):
        run(way, agent_of(pool, broken, "tea"), HELLO, THREAD)

    assert_charged(pool, usd(0), count=1)


@pytest.mark.parametrize("way", WAYS)
def test_arguments_that_are_wrong_are_a_failed_call(way: str) -> None:
    pool = pool_of("1")
    wrong = AIMessage("", tool_calls=[{"name": "search", "args": {}, "id": "1"}])
    model = FakeChatModel(replies=[wrong, "Done."])
    middleware = BudgetMiddleware(pool, tool_costs=COSTS)
    run(way, create_agent(model, [search], middleware=[middleware]), HELLO)

    assert_charged(pool, usd(0), count=1)


@pytest.mark.parametrize("way", WAYS)
def test_every_attempt_of_a_retry_is_held_and_charged(way: str) -> None:
    attempts = [ConnectionError("one"), TimeoutError("two")]

    @tool("search")
    def flaky(query: str) -> dict[str, Any]:
        """Search."""
        if attempts:
            raise attempts.pop(0)
        return {"found": query, "cost_usd": 0.04}

    pool = pool_of("1")
    model = FakeChatModel(replies=[calling("tea"), "Done."])
    retry = ToolRetryMiddleware(max_retries=2, initial_delay=0, jitter=False)
    own = BudgetMiddleware(pool, tool_costs=COSTS)
    run(way, create_agent(model, [flaky], middleware=[retry, own]), HELLO)

    assert_charged(pool, usd("0.14"), count=3)


@pytest.mark.parametrize("way", WAYS)
def test_outside_of_a_retry_the_reports_of_all_attempts_add_up(way: str) -> None:
    class Partial(ConnectionError):
        cost_usd = 0.01

    attempts = [Partial(), Partial()]

    @tool("search")
    def flaky(query: str) -> dict[str, Any]:
        """Search."""
        if attempts:
            raise attempts.pop()
        return {"found": query, "cost_usd": 0.04}

    pool = pool_of("1")
    model = FakeChatModel(replies=[calling("tea"), "Done."])
    retry = ToolRetryMiddleware(max_retries=2, initial_delay=0, jitter=False)
    own = BudgetMiddleware(pool, tool_costs=COSTS)
    run(way, create_agent(model, [flaky], middleware=[own, retry]), HELLO)

    assert_charged(pool, usd("0.06"), count=1)


async def test_a_cancelled_agent_leaks_no_hold() -> None:
    begun = asyncio.Event()

    @tool("search")
    async def slow(query: str) -> str:
        """Search."""
        begun.set()
        await asyncio.Event().wait()
        return query

    pool = pool_of("1")
    agent = agent_of(pool, slow, "tea")
    task = asyncio.create_task(agent.ainvoke(HELLO, THREAD))
    await asyncio.wait_for(begun.wait(), 30)
    assert pool.balance().held == usd("0.10")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert_charged(pool, usd("0.10"), count=1)


@pytest.mark.parametrize("way", WAYS)
def test_a_tool_that_asks_a_person_is_charged_when_it_has_run(way: str) -> None:
    @tool("search")
    def careful(query: str) -> dict[str, Any]:
        """Search."""
        return {query: interrupt("May I?"), "cost_usd": 0.04}

    pool = pool_of("1")
    agent = agent_of(pool, careful, "tea")
    run(way, agent, HELLO, THREAD)
    assert_charged(pool, usd(0), count=0)
    run(way, agent, Command(resume="yes"), THREAD)

    assert_charged(pool, usd("0.04"), count=1)


@pytest.mark.parametrize("way", WAYS)
def test_a_tool_that_has_a_budget_of_its_own_is_held_for_once(way: str) -> None:
    pool = pool_of("1")
    heard = Heard(pool)
    run(way, agent_of(pool, budgeted_tool(search, pool), "tea"), HELLO, THREAD)

    assert sum("tool_calls" in each.amounts for each in heard.held) == 1
    assert_charged(pool, usd("0.04"), count=1)


def test_a_tool_with_a_budget_in_another_pool_is_held_for_in_both() -> None:
    pool, other = pool_of("1"), BudgetPool("other", usd(1))
    made = budgeted_tool(search, other, costs=COSTS)
    agent_of(pool, made, "tea").invoke(HELLO, THREAD)

    assert_charged(pool, usd("0.10"), count=1)
    assert_charged(other, usd("0.04"), count=1)


def test_a_scope_around_the_agent_binds_its_tools() -> None:
    pool = pool_of("1")
    agent = agent_of(pool, search, "tea")

    with budget(pool), budget(usd("0.05")), pytest.raises(BudgetExceeded):
        agent.invoke(HELLO, THREAD)
    assert_charged(pool, usd(0), count=0)


def test_the_account_that_is_named_pays() -> None:
    pool = pool_of("1")
    team = pool.open("team")
    agent_of(pool, search, "tea", account="team").invoke(HELLO, THREAD)

    assert team.balance().spent == usd("0.04")
    with pytest.raises(UnknownAccount):
        BudgetMiddleware(pool, "nowhere", tool_costs=COSTS)


@pytest.mark.parametrize("way", WAYS)
def test_a_tool_that_hands_over_with_a_command_is_charged(way: str) -> None:
    @tool("search")
    def handing(query: str) -> Command[Any]:
        """Search."""
        told = ToolMessage(query, tool_call_id="call-0", artifact={"cost_usd": 0.04})
        return Command(update={"messages": [told]})

    pool = pool_of("1")
    run(way, agent_of(pool, handing, "tea"), HELLO, THREAD)

    assert_charged(pool, usd("0.04"), count=1)
