"""A guard node looks before a step, routes, and is drawn as what it is."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    UnknownAccount,
    budget_guard,
    calls,
    tokens,
    usd,
)
from langchain_budget.adapters.guard import StaticEdgeWarning
from langchain_budget.testing import FakeChatModel
from tests.adapters.graphs import WAYS, Log, asks, assert_quiet, notes, run

START_LOG: Log = {"log": []}


def guarded(guard: Any, **nodes: Any) -> Any:
    builder = StateGraph(Log)
    builder.add_node("guard", guard)
    builder.add_edge(START, "guard")
    for name, node in nodes.items():
        builder.add_node(name, node)
    return builder


def two_ways(guard: Any) -> Any:
    return guarded(guard, work=notes("work"), rest=notes("rest")).compile()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("left", "to"), [(1, "work"), (0, "rest")])
def test_it_goes_where_the_money_allows(way: str, left: int, to: str) -> None:
    pool = BudgetPool("acme", calls(left))
    graph = two_ways(budget_guard(pool, then="work", otherwise="rest"))

    assert run(way, graph, START_LOG) == {"log": [to]}


@pytest.mark.parametrize("way", WAYS)
def test_it_ends_the_graph_where_asked(way: str) -> None:
    graph = two_ways(
        budget_guard(BudgetPool("acme", usd(0)), then="work", otherwise=END)
    )

    assert run(way, graph, START_LOG) == {"log": []}


@pytest.mark.parametrize("way", WAYS)
def test_it_raises_where_there_is_no_other_way(way: str) -> None:
    guard = budget_guard(BudgetPool("acme", usd(1)), then="work", needs=usd(2))
    graph = guarded(guard, work=notes("work")).compile()

    with pytest.raises(BudgetExceeded, match=r"may need \$2\.00"):
        run(way, graph, START_LOG)


def test_it_looks_at_the_account_that_it_is_given() -> None:
    pool = BudgetPool("acme", usd(10))
    team = pool.open("team", limit=usd(5))
    member = team.open("member", limit=usd(1))
    for guard in (
        budget_guard(pool, "team/member", then="work", otherwise="rest", needs=usd(2)),
        budget_guard(team, "member", then="work", otherwise="rest", needs=usd(2)),
        budget_guard(member, then="work", otherwise="rest", needs=usd(2)),
    ):
        assert run("invoke", two_ways(guard), START_LOG) == {"log": ["rest"]}


def test_it_looks_at_the_account_that_the_step_is_charged_to() -> None:
    pool = BudgetPool("acme", usd(10))
    pool.open("work", limit=usd(1))
    graph = two_ways(budget_guard(pool, then="work", otherwise="rest", needs=usd(2)))

    assert run("invoke", graph, START_LOG) == {"log": ["rest"]}


def test_all_that_it_needs_must_be_there() -> None:
    pool = BudgetPool("acme", usd(1), tokens(10))
    needs = [usd("0.50"), tokens(11)]
    graph = two_ways(budget_guard(pool, then="work", otherwise="rest", needs=needs))

    assert run("invoke", graph, START_LOG) == {"log": ["rest"]}


def test_every_limit_above_the_account_must_have_something_left() -> None:
    pool = BudgetPool("acme", calls(0))
    pool.open("team", limit=usd(1))
    graph = two_ways(budget_guard(pool, "team", then="work", otherwise="rest"))

    assert run("invoke", graph, START_LOG) == {"log": ["rest"]}


def test_a_frozen_account_affords_nothing() -> None:
    pool = BudgetPool("acme", usd(1))
    graph = two_ways(budget_guard(pool, then="work", otherwise="rest"))
    pool.freeze()

    assert run("ainvoke", graph, START_LOG) == {"log": ["rest"]}


def test_an_account_that_does_not_exist_is_told_when_the_guard_is_made() -> None:
    with pytest.raises(UnknownAccount, match="nobody"):
        budget_guard(BudgetPool("acme"), "nobody", then="work")


@pytest.mark.parametrize(
    ("otherwise", "drawn"),
    [("rest", {"work", "rest"}), (END, {"work", END}), (None, {"work"})],
)
def test_a_drawing_shows_its_destinations(
    otherwise: str | None, drawn: set[str]
) -> None:
    guard = budget_guard(BudgetPool("acme"), then="work", otherwise=otherwise)
    graph = two_ways(guard).get_graph()

    edges = [edge for edge in graph.edges if edge.source == "guard"]
    assert {edge.target for edge in edges} == drawn
    assert all(edge.conditional for edge in edges)


def test_it_may_be_added_without_a_name() -> None:
    pool = BudgetPool("acme", calls(1))
    builder = StateGraph(Log)
    builder.add_node(budget_guard(pool, then="work"))
    builder.add_node("work", notes("work"))
    builder.add_edge(START, "budget_guard(acme)")

    assert run("invoke", builder.compile(), START_LOG) == {"log": ["work"]}


@pytest.mark.parametrize("way", WAYS)
def test_a_plain_edge_beside_it_is_warned_about_once(way: str) -> None:
    guard = budget_guard(BudgetPool("acme"), then="work", otherwise="rest")
    builder = guarded(guard, work=notes("work"), rest=notes("rest"))
    graph = builder.add_edge("guard", "rest").compile()

    with pytest.warns(StaticEdgeWarning, match="a plain edge to rest") as seen:
        run(way, graph, START_LOG)
    assert len(seen) == 1
    run(way, graph, START_LOG)


@pytest.mark.parametrize("way", WAYS)
def test_likewise_in_a_subgraph(way: str) -> None:
    guard = budget_guard(BudgetPool("acme"), then="work")
    inner = guarded(guard, work=notes("work")).add_edge("guard", "work").compile()
    outer = StateGraph(Log).add_node("inner", inner).add_edge(START, "inner").compile()

    with pytest.warns(StaticEdgeWarning, match="a plain edge to work"):
        run(way, outer, START_LOG)


@pytest.mark.parametrize("way", WAYS)
def test_edges_of_others_are_not_warned_about(way: str) -> None:
    guard = budget_guard(BudgetPool("acme"), then="work")
    builder = guarded(guard, work=notes("work"), rest=notes("rest"))
    graph = builder.add_edge("work", "rest").add_edge("rest", END).compile()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(way, graph, START_LOG) == {"log": ["work", "rest"]}


@pytest.mark.parametrize("way", WAYS)
def test_what_was_affordable_before_a_fan_out_is_not_overspent_in_it(way: str) -> None:
    """Advice is not enforcement: each call holds for itself."""
    pool, model = BudgetPool("acme", calls(2)), FakeChatModel(usage=(12, 3))
    guard = budget_guard(pool, then="plan", needs=calls(2))
    builder = guarded(guard, plan=notes("plan"), work=asks(model, "work"))
    builder.add_conditional_edges(
        "plan", lambda _: [Send("work", START_LOG) for _ in range(5)], ["work"]
    )
    graph = builder.compile()

    with pytest.raises(BudgetExceeded):
        run(way, graph, START_LOG, {"callbacks": [BudgetCallbackHandler(pool)]})
    assert model.total.calls == 2
    assert_quiet(pool, model)


def test_it_works_outside_of_a_graph() -> None:
    guard = budget_guard(BudgetPool("acme", calls(1)), then="work")

    assert guard.invoke({}).goto == guard({}).goto == "work"
    assert asyncio.run(guard.ainvoke({})).goto == "work"
