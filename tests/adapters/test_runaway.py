"""Guards against agents that run away, and requests that become cheaper."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphDrained
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    Degrade,
    InvalidPolicy,
    RunawayGuard,
    RunawayStopped,
    budget_guard,
    cheaper,
    fewer_tools,
    meter,
    production,
    shorter,
    tokens,
    with_settings,
)
from langchain_budget.testing import FakeChatModel
from tests.invariants import assert_quiet

ASKED = {"messages": [("user", "Go on")]}
THREAD: Any = {"configurable": {"thread_id": "1"}}


@tool
def search(query: str) -> str:
    """Search for something."""
    return f"found {query}"


def searching(query: str, number: int = 1) -> AIMessage:
    call = {"name": "search", "args": {"query": query}, "id": f"call-{number}"}
    return AIMessage("", tool_calls=[call])


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", tokens(100_000))


async def both(agent: Any, given: Any, how: str, config: Any = None) -> Any:
    if how == "invoke":
        return agent.invoke(given, config)
    return await agent.ainvoke(given, config)


each_way = pytest.mark.parametrize("how", ["invoke", "ainvoke"])


@each_way
async def test_the_same_call_again_and_again_is_stopped_by_name(
    pool: BudgetPool, how: str
) -> None:
    heard: list[Any] = []
    pool.subscribe(heard.append)
    model = FakeChatModel(replies=[searching("x")], usage=(20, 5))
    middleware = [RunawayGuard(pool), BudgetMiddleware(pool)]
    agent = create_agent(model, [search], middleware=middleware)

    with pytest.raises(RunawayStopped, match="'identical_tool_calls' guard") as stopped:
        await both(agent, ASKED, how)

    assert stopped.value.guard == "identical_tool_calls"
    assert len(model.calls) == 4
    assert any(type(each).__name__ == "Refused" for each in heard)
    assert_quiet(pool.ledger.store)


async def test_other_arguments_are_another_call(pool: BudgetPool) -> None:
    replies = [searching(f"q{number}", number) for number in range(8)]
    model = FakeChatModel(replies=[*replies, "Done."], usage=(20, 5))
    agent = create_agent(model, [search], middleware=[RunawayGuard(pool)])

    result = agent.invoke(ASKED)

    assert result["messages"][-1].text == "Done."


async def test_of_many_at_once_the_first_are_run(pool: BudgetPool) -> None:
    calls = [
        {"name": "search", "args": {"query": "x"}, "id": str(number)}
        for number in range(5)
    ]
    model = FakeChatModel(replies=[AIMessage("", tool_calls=calls), "Done."])
    guard = RunawayGuard(pool, on_exceeded="tell")
    agent = create_agent(model, [search], middleware=[guard])

    result = agent.invoke(ASKED)

    said = [each.text for each in result["messages"] if each.type == "tool"]
    assert [each.startswith("found") for each in said] == [True] * 3 + [False] * 2


async def test_a_model_may_be_told_and_do_something_else(pool: BudgetPool) -> None:
    replies = [searching("x", number) for number in range(3)]
    model = FakeChatModel(replies=[*replies, "I see."], usage=(20, 5))
    guard = RunawayGuard(pool, identical_tool_calls=2, on_exceeded="tell")
    agent = create_agent(model, [search], middleware=[guard])

    result = agent.invoke(ASKED)

    assert "was called 3 times" in result["messages"][-2].text
    assert result["messages"][-1].text == "I see."


def nested(pool: BudgetPool, levels: int, **options: Any) -> Any:
    """An agent whose tool is an agent, and so on."""
    replies: list[Any] = ["Done."]
    tools = []
    if levels > 1:
        inner = nested(pool, levels - 1, **options)

        @tool
        def delegate(task: str) -> str:
            """Have another agent do it."""
            result = inner.invoke({"messages": [("user", task)]})
            return str(result["messages"][-1].text)

        call = {"name": "delegate", "args": {"task": "x"}, "id": "1"}
        replies, tools = [AIMessage("", tool_calls=[call]), "Done."], [delegate]
    model = FakeChatModel(replies=replies, usage=(20, 5))
    middleware = [RunawayGuard(pool, **options), BudgetMiddleware(pool)]
    return create_agent(model, tools, middleware=middleware)


async def test_agents_inside_agents_end_somewhere(pool: BudgetPool) -> None:
    nested(pool, 3, depth=3).invoke(ASKED)

    with pytest.raises(RunawayStopped, match="'depth' guard"):
        nested(pool, 4, depth=3).invoke(ASKED)
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("width", [1, 2])
def test_agents_one_after_another_are_no_deeper(pool: BudgetPool, width: int) -> None:
    def team(level: int) -> Any:
        @tool
        def sub() -> str:
            """Start agents, one after another."""
            started = [team(level + 1).invoke(ASKED) for _ in range(width)]
            return str([each["messages"][-1].text for each in started])

        calling = AIMessage("", tool_calls=[{"name": "sub", "args": {}, "id": "1"}])
        replies = ["leaf"] if level == 5 else [calling, "done"]
        model = FakeChatModel(replies=replies)
        return create_agent(model, [sub], middleware=[RunawayGuard(pool)])

    ended = team(2).invoke(ASKED)

    assert ended["messages"][-1].text == "done"


async def test_how_many_are_started_is_a_limit_like_others() -> None:
    pool = BudgetPool("acme", meter("spawns")(1))

    with pytest.raises(BudgetExceeded, match="spawns"):
        nested(pool, 3).invoke(ASKED)


async def test_production_limits_what_is_spent_in_a_minute() -> None:
    pool = BudgetPool("acme", tokens(100_000), tokens(100).per("minute"))
    model = FakeChatModel(replies=["Hi."], usage=(60, 10), max_tokens=20)
    agent = create_agent(model, middleware=production(pool))
    agent.invoke(ASKED)

    with pytest.raises(BudgetExceeded, match="per minute"):
        agent.invoke(ASKED)


@pytest.mark.parametrize("window", ["1min", "30s"])
def test_a_rolling_minute_will_do(window: str) -> None:
    assert len(production(BudgetPool("acme", tokens(1).per(window)))) == 2


def test_production_wants_a_limit_for_each_minute(pool: BudgetPool) -> None:
    with pytest.raises(InvalidPolicy, match="has no limit for a minute"):
        production(BudgetPool("acme", tokens(1).per("2min")))
    with pytest.raises(InvalidPolicy, match="has no limit for a minute"):
        production(pool)


@pytest.mark.parametrize(
    "options",
    [{"depth": 0}, {"identical_tool_calls": True}, {"on_exceeded": "stop"}],
)
def test_guards_that_make_no_sense_are_refused(
    pool: BudgetPool, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidPolicy):
        RunawayGuard(pool, **options)


@each_way
async def test_requests_become_cheaper_step_by_step(how: str) -> None:
    pool = BudgetPool("acme", tokens(1_000))
    large = FakeChatModel(replies=["large"], usage=(200, 100))
    small = FakeChatModel(replies=["small"], usage=(100, 50))
    steps = {
        "50%": cheaper(small),
        "30%": [shorter(5), fewer_tools(), with_settings(max_tokens=70)],
    }
    middleware = [Degrade(pool, steps), BudgetMiddleware(pool)]
    agent = create_agent(large, [search], middleware=middleware)
    long = {"messages": [HumanMessage("a long story " * 5), HumanMessage("Go on")]}

    said = [(await both(agent, long, how))["messages"][-1].text for _ in range(4)]

    assert said == ["large", "large", "small", "small"]
    assert small.calls[0].tools == ("search",)
    assert small.calls[-1].tools == ()
    assert small.calls[-1].max_tokens == 70


def test_steps_that_make_no_sense_are_refused(pool: BudgetPool) -> None:
    with pytest.raises(InvalidPolicy):
        Degrade(pool, {})


def graph_of(model: FakeChatModel, *before: Any) -> Any:
    builder = StateGraph(dict)
    builder.add_node("work", lambda _: {"said": model.invoke("Hi").text})
    builder.add_node("after", lambda state: state)
    if before:
        builder.add_node("guard", before[0])
        builder.add_edge(START, "guard")
    else:
        builder.add_edge(START, "work")
    builder.add_edge("work", "after")
    return builder.compile(checkpointer=InMemorySaver())


@each_way
async def test_a_handler_asks_a_person_and_goes_on(how: str) -> None:
    pool = BudgetPool("acme", tokens(10))
    model = FakeChatModel(replies=["Done."], usage=(12, 3), max_tokens=50)
    handler = BudgetCallbackHandler(pool, on_exceeded="interrupt")
    graph, config = graph_of(model), THREAD | {"callbacks": [handler]}
    first = await both(graph, {}, how, config)

    assert first["__interrupt__"][0].value["type"] == "budget_top_up"
    result = await both(graph, Command(resume=500), how, config)

    assert result == {"said": "Done."}
    assert pool.balance("tokens").granted == tokens(510)
    assert_quiet(pool.ledger.store)


async def test_outside_a_graph_nobody_can_be_asked() -> None:
    pool = BudgetPool("acme", tokens(10))
    handler = BudgetCallbackHandler(pool, on_exceeded="interrupt")

    with pytest.raises(BudgetExceeded):
        FakeChatModel().invoke("Hi", {"callbacks": [handler]})


async def test_a_handler_drains_a_graph() -> None:
    pool = BudgetPool("acme", tokens(10))
    handler = BudgetCallbackHandler(pool, on_exceeded="drain")
    graph = graph_of(FakeChatModel(max_tokens=50))

    with pytest.raises((BudgetExceeded, GraphDrained)):
        graph.invoke({}, THREAD | {"callbacks": [handler]})

    assert graph.get_state(THREAD).next == ("work",)


@each_way
async def test_a_guard_asks_a_person_and_looks_again(how: str) -> None:
    pool = BudgetPool("acme", tokens(10))
    model = FakeChatModel(replies=["Done."], usage=(12, 3))
    guard = budget_guard(
        pool, then="work", otherwise=END, needs=tokens(100), on_exceeded="interrupt"
    )
    graph = graph_of(model, guard)
    asked = await both(graph, {}, how, THREAD)
    assert "__interrupt__" in asked

    again = await both(graph, Command(resume=5), how, THREAD)
    assert "__interrupt__" in again
    result = await both(graph, Command(resume={"amount": 200}), how, THREAD)

    assert result == {"said": "Done."}
    assert pool.balance("tokens").granted == tokens(215)
