"""Each call is charged to the account of whoever made it, and says so in the books."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Send

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    UnknownAccount,
    budget,
    budgeted,
    tokens,
)
from langchain_budget.reports.statement import UNATTRIBUTED
from langchain_budget.testing import FakeChatModel

HELLO: Any = {"messages": [("user", "Hi")]}


def model(**options: Any) -> FakeChatModel:
    return FakeChatModel(**{"replies": ["Yes."], "usage": (8, 2)} | options)


def spent(pool: BudgetPool, path: str) -> int:
    return pool.account(path).balance("tokens").spent.value


def run(pool: BudgetPool, graph: Any, **options: Any) -> None:
    graph.invoke(HELLO, {"callbacks": [BudgetCallbackHandler(pool, **options)]})


def calls_a_model(_: MessagesState) -> dict[str, Any]:
    return {"messages": [model().invoke("Hi")]}


def graph_of(**nodes: Any) -> Any:
    builder = StateGraph(MessagesState)
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(START, name)
    return builder.compile()


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", tokens(100_000))


def test_an_account_that_is_opened_while_another_is_looked_for_is_found(
    pool: BudgetPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, goes, store = threading.Event(), threading.Event(), pool.ledger.store
    below, handler = store.below, BudgetCallbackHandler(pool)

    def dawdle(path: str) -> Any:
        found = below(path)
        if not looks.is_set():
            looks.set()
            assert goes.wait(20)
        return found

    monkeypatch.setattr(store, "below", dawdle)
    work, other = graph_of(work=calls_a_model), graph_of(other=calls_a_model)
    with ThreadPoolExecutor(1) as threads:
        before = threads.submit(work.invoke, HELLO, {"callbacks": [handler]})
        assert looks.wait(20)
        pool.open("work", limit=tokens(0))
        other.invoke(HELLO, {"callbacks": [handler]})
        goes.set()
        before.result(20)

    with pytest.raises(BudgetExceeded):
        work.invoke(HELLO, {"callbacks": [handler]})


def test_a_node_is_charged_to_the_account_of_its_name(pool: BudgetPool) -> None:
    for name in ("planner", "writer"):
        pool.open(name, limit=tokens(50_000))
    run(pool, graph_of(planner=calls_a_model, writer=calls_a_model))

    assert (spent(pool, "planner"), spent(pool, "writer")) == (10, 10)
    assert list(pool.report().by("agent", "node")) == [
        ("planner", "planner"),
        ("writer", "writer"),
    ]


def test_a_subgraph_is_charged_to_its_innermost_account(pool: BudgetPool) -> None:
    pool.open("research").open("inner")
    run(pool, graph_of(research=graph_of(inner=calls_a_model, other=calls_a_model)))

    assert spent(pool, "research") == 20
    assert spent(pool, "research/inner") == 10
    assert list(pool.report().by("agent", "node")) == [
        ("research", "inner"),
        ("research", "other"),
    ]


def test_of_two_accounts_of_one_name_the_one_below_the_caller_is_charged(
    pool: BudgetPool,
) -> None:
    for team in ("research", "writing"):
        pool.open(team).open("web")
    run(pool, graph_of(writing=graph_of(web=calls_a_model)))

    assert (spent(pool, "research/web"), spent(pool, "writing/web")) == (0, 10)


def test_sends_are_charged_to_their_node(pool: BudgetPool) -> None:
    pool.open("worker")
    builder = StateGraph(MessagesState)
    builder.add_node("worker", calls_a_model)
    builder.add_conditional_edges(
        START, lambda state: [Send("worker", state)] * 3, ["worker"]
    )
    run(pool, builder.compile())

    assert spent(pool, "worker") == 30


def test_agents_are_charged_by_name_also_inside_tools(pool: BudgetPool) -> None:
    inner = create_agent(model(), name="inner")

    @tool
    def ask_inner(question: str) -> str:
        """Ask the other agent."""
        model().invoke("first a thought of the tool's own")
        return str(inner.invoke(HELLO)["messages"][-1].content) + question

    call = {"name": "ask_inner", "args": {"question": "Why?"}, "id": "1"}
    replies = [AIMessage("", tool_calls=[call]), "Done."]
    outer = create_agent(model(replies=replies), [ask_inner], name="outer")
    for name in ("inner", "outer"):
        pool.open(name)
    run(pool, outer)

    assert (spent(pool, "inner"), spent(pool, "outer")) == (10, 30)
    tools = [
        entry.note.labels.get("tool")
        for entry in pool.ledger.store.journal()
        if entry.kind == "settle"
    ]
    assert tools.count("ask_inner") == 2


def test_an_unnamed_agent_is_charged_to_the_node_around_it(pool: BudgetPool) -> None:
    pool.open("helper")
    run(pool, graph_of(helper=create_agent(model())))

    assert spent(pool, "helper") == 10


def test_metadata_of_a_node_names_its_account(pool: BudgetPool) -> None:
    pool.open("special")
    builder = StateGraph(MessagesState)
    builder.add_node("work", calls_a_model, metadata={"budget_account": "special"})
    builder.add_edge(START, "work")
    run(pool, builder.compile())

    assert spent(pool, "special") == 10


def test_an_explicit_map_goes_before_names(pool: BudgetPool) -> None:
    shared = pool.open("shared")
    pool.open("planner")
    run(pool, graph_of(planner=calls_a_model), accounts={"planner": shared})

    assert (spent(pool, "shared"), spent(pool, "planner")) == (10, 0)


def test_an_unknown_account_in_the_map_is_refused_at_once(pool: BudgetPool) -> None:
    with pytest.raises(UnknownAccount, match="acme/nobody"):
        BudgetCallbackHandler(pool, accounts={"planner": "nobody"})


def test_odd_names_are_no_error(pool: BudgetPool) -> None:
    pool.open("plain")
    run(pool, graph_of(**{"a/b c\n💸": calls_a_model}))

    assert spent(pool, "plain") == 0
    assert pool.balance("tokens").spent == tokens(10)


def test_what_nobody_owns_is_booked_as_unattributed(pool: BudgetPool) -> None:
    model().invoke("Hi", {"callbacks": [BudgetCallbackHandler(pool)]})
    run(pool, graph_of(planner=calls_a_model))

    lines = pool.report().by("agent")
    assert set(lines) == {(UNATTRIBUTED,), ("planner",)}
    total = sum(line.amounts["tokens"] for line in lines.values())
    assert total == pool.balance("tokens").spent.value


def test_an_account_opened_later_is_found(pool: BudgetPool) -> None:
    graph = graph_of(planner=calls_a_model)
    run(pool, graph)
    pool.open("planner")
    run(pool, graph)

    assert spent(pool, "planner") == 10


def test_agents_inside_a_budget_are_charged_to_its_children() -> None:
    with budget(tokens(100_000)) as b:
        b.open("planner", limit=tokens(50_000))
        graph_of(planner=calls_a_model).invoke(HELLO)

    assert b.account.balance("tokens").spent == tokens(10)
    assert list(b.report().by("account")) == [(b.account.path + "/planner",)]


async def test_async_graphs_are_attributed_alike(pool: BudgetPool) -> None:
    async def work(_: MessagesState) -> dict[str, Any]:
        return {"messages": [await model().ainvoke("Hi")]}

    pool.open("inner")
    graph = graph_of(outer=graph_of(inner=work))
    config: Any = {"callbacks": [BudgetCallbackHandler(pool)]}
    await graph.ainvoke(HELLO, config)
    async for _ in graph.astream(HELLO, config, stream_mode="messages"):
        pass

    assert spent(pool, "inner") == 20


@pytest.mark.parametrize(
    ("user", "account"),
    [
        (None, "nobody"),
        ("", "nobody"),
        (0, "0"),
        (False, "False"),
        ("None", "None"),
        ("a/b", "a%2Fb"),
    ],
)
def test_a_label_that_says_nothing_is_no_label(
    user: object, account: str, pool: BudgetPool
) -> None:
    pool.limit_each("user_id", limit=tokens(5_000), missing={"user_id": "nobody"})
    run = {"callbacks": [BudgetCallbackHandler(pool)], "metadata": {"user_id": user}}

    model().invoke("Hi", run)
    budgeted(model(max_tokens=2), pool).invoke("Hi", {"metadata": {"user_id": user}})

    assert spent(pool, f":user_id/{account}") == 20
    assert spent(pool, ":user_id") == 20


def test_a_user_who_is_not_known_is_not_limited_as_one_called_none(
    pool: BudgetPool,
) -> None:
    pool.limit_each("user_id", limit=tokens(50))
    paying = budgeted(model(max_tokens=2), pool)

    for _ in range(10):
        paying.invoke("Hi", {"metadata": {"user_id": None, "thread_id": None}})

    assert pool.balance("tokens").spent == tokens(100)
