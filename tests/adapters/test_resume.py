"""Top up from outside and go on: what was paid is not paid again."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    budget_guard,
    budgeted,
    tokens,
)
from langchain_budget.testing import FakeChatModel
from tests.invariants import assert_quiet

each_way = pytest.mark.parametrize("how", ["invoke", "ainvoke"])


class State(TypedDict, total=False):
    said: Annotated[list[str], operator.add]


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", tokens(200))


def fake() -> FakeChatModel:
    return FakeChatModel(replies=["Done."], usage=(70, 10), max_tokens=20)


def config_of(pool: BudgetPool) -> Any:
    handler = BudgetCallbackHandler(pool)
    return {"configurable": {"thread_id": "1"}, "callbacks": [handler]}


async def run(graph: Any, given: Any, config: Any, how: str) -> Any:
    if how == "invoke":
        return graph.invoke(given, config)
    return await graph.ainvoke(given, config)


async def refused_then_on(graph: Any, pool: BudgetPool, how: str, given: Any) -> Any:
    """Run until the money is gone, grant more from outside, and go on."""
    config = config_of(pool)
    with pytest.raises(BudgetExceeded):
        await run(graph, given, config, how)
    pool.top_up(tokens(5_000))
    return await run(graph, None, config, how)


def node(model: FakeChatModel, name: str, *, long: bool = False) -> Any:
    question = "word " * 90 if long else "Hi"
    return lambda _: {"said": [f"{name}: {model.invoke(question).text}"]}


@each_way
async def test_a_chain_goes_on_at_the_refused_step(pool: BudgetPool, how: str) -> None:
    model = fake()
    builder = StateGraph(State)
    for number in range(4):
        builder.add_node(f"n{number}", node(model, f"n{number}"))
        builder.add_edge(f"n{number - 1}" if number else START, f"n{number}")
    graph = builder.compile(checkpointer=InMemorySaver())

    result = await refused_then_on(graph, pool, how, {})

    assert len(result["said"]) == 4
    assert len(model.calls) == 4
    assert pool.balance("tokens").spent == tokens(320)
    assert_quiet(pool.ledger.store)


@each_way
async def test_finished_siblings_are_not_paid_again(pool: BudgetPool, how: str) -> None:
    model = fake()
    builder = StateGraph(State)
    builder.add_node("cheap", node(model, "cheap"))
    builder.add_node("dear", node(model, "dear", long=True))
    builder.add_node("first", lambda _: {})
    builder.add_edge(START, "first")
    builder.add_edge("first", "cheap")
    builder.add_edge("first", "dear")
    graph = builder.compile(checkpointer=InMemorySaver())
    pool.reserve(tokens(60)).settle()

    result = await refused_then_on(graph, pool, how, {})

    assert sorted(result["said"]) == ["cheap: Done.", "dear: Done."]
    assert len(model.calls) == 2
    assert_quiet(pool.ledger.store)


@each_way
async def test_sends_that_were_paid_are_kept(pool: BudgetPool, how: str) -> None:
    model = fake()
    builder = StateGraph(State)
    builder.add_node("work", node(model, "work"))
    builder.add_conditional_edges(START, lambda _: [Send("work", {})] * 5)
    graph = builder.compile(checkpointer=InMemorySaver())

    result = await refused_then_on(graph, pool, how, {})

    assert result["said"] == ["work: Done."] * 5
    assert len(model.calls) == 5
    assert pool.balance("tokens").spent == tokens(400)
    assert_quiet(pool.ledger.store)


@each_way
async def test_so_are_steps_of_a_subgraph(pool: BudgetPool, how: str) -> None:
    model = fake()
    inner = StateGraph(State)
    for number in range(3):
        inner.add_node(f"i{number}", node(model, f"i{number}"))
        inner.add_edge(f"i{number - 1}" if number else START, f"i{number}")
    outer = StateGraph(State)
    outer.add_node("before", node(model, "before"))
    outer.add_node("inner", inner.compile())
    outer.add_edge(START, "before")
    outer.add_edge("before", "inner")
    graph = outer.compile(checkpointer=InMemorySaver())

    await refused_then_on(graph, pool, how, {})

    assert len(model.calls) == 4
    assert_quiet(pool.ledger.store)


def test_so_are_tasks_of_the_functional_api(pool: BudgetPool) -> None:
    model = fake()

    @task
    def step(number: int) -> str:
        return f"{number}: {model.invoke('Hi').text}"

    @entrypoint(checkpointer=InMemorySaver())
    def flow(count: int) -> list[str]:
        return [step(number).result() for number in range(count)]

    config = config_of(pool)
    with pytest.raises(BudgetExceeded):
        flow.invoke(4, config)
    pool.top_up(tokens(5_000))
    result = flow.invoke(None, config)

    assert len(result) == 4
    assert len(model.calls) == 4


@each_way
async def test_an_agent_inside_a_tool_goes_on(pool: BudgetPool, how: str) -> None:
    model = fake()
    inner = create_agent(budgeted(model, pool))

    @tool
    def delegate(question: str) -> str:
        """Have another agent answer."""
        result = inner.invoke({"messages": [("user", question)]})
        return str(result["messages"][-1].text)

    call = {"name": "delegate", "args": {"question": "word " * 120}, "id": "1"}
    outer_model = FakeChatModel(
        replies=[AIMessage("", tool_calls=[call]), "All done."], usage=(20, 5)
    )
    agent = create_agent(
        outer_model,
        [delegate],
        middleware=[BudgetMiddleware(pool)],
        checkpointer=InMemorySaver(),
    )
    pool.reserve(tokens(40)).settle()

    given = {"messages": [("user", "Go")]}
    result = await refused_then_on(agent, pool, how, given)

    assert result["messages"][-1].text == "All done."
    assert (len(outer_model.calls), len(model.calls)) == (2, 1)
    assert_quiet(pool.ledger.store)


@each_way
async def test_a_guard_that_runs_again_reserves_once(
    pool: BudgetPool, how: str
) -> None:
    model = fake()
    builder = StateGraph(State)
    guard = budget_guard(pool, then="work", otherwise=END, reserve=tokens(120))
    builder.add_node("guard", guard)
    builder.add_node("work", node(model, "work", long=True))
    builder.add_edge(START, "guard")
    graph = builder.compile(checkpointer=InMemorySaver())
    pool.reserve(tokens(80)).settle()

    await refused_then_on(graph, pool, how, {})

    assert len(model.calls) == 1
    assert_quiet(pool.ledger.store)


@each_way
async def test_replay_and_fork_cost_real_money_again(
    pool: BudgetPool, how: str
) -> None:
    pool.top_up(tokens(5_000))
    model = fake()
    builder = StateGraph(State)
    for number in range(2):
        builder.add_node(f"n{number}", node(model, f"n{number}"))
        builder.add_edge(f"n{number - 1}" if number else START, f"n{number}")
    graph = builder.compile(checkpointer=InMemorySaver())
    config = config_of(pool)
    await run(graph, {}, config, how)
    history = list(graph.get_state_history(config))
    first = next(each for each in history if each.next == ("n0",))

    await run(graph, None, {**config, **first.config}, how)

    assert len(model.calls) == 4
    assert pool.balance("tokens").spent.value == sum(model.total[:2])


@each_way
async def test_several_interrupts_in_one_node_grant_once_each(
    pool: BudgetPool, how: str
) -> None:
    model = fake()
    handler = BudgetCallbackHandler(pool, on_exceeded="interrupt")
    config: Any = {"configurable": {"thread_id": "1"}, "callbacks": [handler]}

    def work(_: State) -> State:
        name = interrupt("Who are you?")
        said = [model.invoke("word " * 60).text for _ in range(3)]
        return {"said": [name, *said]}

    builder = StateGraph(State)
    builder.add_node("work", work)
    builder.add_edge(START, "work")
    graph = builder.compile(checkpointer=InMemorySaver())
    await run(graph, {}, config, how)
    result = await run(graph, Command(resume="ada"), config, how)

    granted = 200
    for amount in (100, 400, 400, 400):
        if "__interrupt__" not in result:
            break
        result = await run(graph, Command(resume=amount), config, how)
        granted += amount
        assert pool.balance("tokens").granted == tokens(granted)

    assert result["said"] == ["ada", "Done.", "Done.", "Done."]
    assert pool.balance("tokens").spent.value == sum(model.total[:2])
    assert_quiet(pool.ledger.store)
