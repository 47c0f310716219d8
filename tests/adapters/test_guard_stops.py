"""What a guard does besides going another way, and what it leaves in the state."""

from __future__ import annotations

import json
import operator
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphDrained
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command
from pydantic import BaseModel
from typing_extensions import TypedDict

from langchain_budget import (
    BudgetExceeded,
    BudgetPool,
    InvalidPolicy,
    budget_guard,
    tokens,
)
from langchain_budget.adapters.notes import BudgetNote
from tests.adapters.graphs import WAYS, notes, run

THREAD: Any = {"configurable": {"thread_id": "1"}}


class State(TypedDict, total=False):
    """What was done, and why not all of it."""

    log: Annotated[list[str], operator.add]
    budget: BudgetNote | None


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", tokens(10))


def graph_of(guard: Any, schema: Any = State) -> Any:
    builder = StateGraph(schema)
    builder.add_node("guard", guard)
    builder.add_node("work", notes("work"))
    builder.add_node("rest", notes("rest"))
    builder.add_edge(START, "guard")
    return builder.compile(checkpointer=InMemorySaver())


def guard_of(pool: BudgetPool, otherwise: str | None = "rest", **options: Any) -> Any:
    return budget_guard(
        pool, then="work", otherwise=otherwise, needs=tokens(100), **options
    )


def noted(pool: BudgetPool, **options: Any) -> Any:
    return graph_of(guard_of(pool, note="budget", **options))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("otherwise", ["rest", END])
def test_it_says_why_in_the_result_and_in_the_checkpoint(
    pool: BudgetPool, way: str, otherwise: str
) -> None:
    graph = noted(pool, otherwise=otherwise)

    result = run(way, graph, {"log": []}, THREAD)

    note = result["budget"]
    assert note == graph.get_state(THREAD).values["budget"]
    assert note == json.loads(json.dumps(note))
    remedy = "Top it up, transfer to it, or cap the output of the call."
    assert note.pop("message").endswith(f"this may need 100 tokens. {remedy}")
    assert note == {
        "kind": "exhausted",
        "account": "acme",
        "unit": "tokens",
        "wanted": "100 tokens",
        "available": "10 tokens",
        "remedy": remedy,
        "step": "work",
        "incomplete": True,
    }


def test_a_frozen_account_lacks_no_amount(pool: BudgetPool) -> None:
    pool.freeze("audit")

    note = noted(pool).invoke({"log": []}, THREAD)["budget"]

    assert (note["kind"], note["unit"], note["wanted"]) == ("frozen", "", "")
    assert (note["remedy"], note["incomplete"]) == ("Thaw it to go on.", True)
    assert "(audit)" in note["message"]


@pytest.mark.parametrize("way", WAYS)
def test_what_does_not_hold_any_more_is_taken_back(pool: BudgetPool, way: str) -> None:
    graph = noted(pool)
    run(way, graph, {"log": []}, THREAD)
    pool.top_up(tokens(100))

    result = run(way, graph, {"log": []}, THREAD)

    assert result == {"log": ["rest", "work"], "budget": None}
    assert graph.get_state(THREAD).values["budget"] is None


def test_a_guard_that_lets_through_writes_nothing(pool: BudgetPool) -> None:
    pool.top_up(tokens(100))

    assert noted(pool).invoke({"log": []}, THREAD) == {"log": ["work"]}


def test_what_another_guard_said_stands(pool: BudgetPool) -> None:
    builder = StateGraph(State)
    first = budget_guard(
        pool, then="dear", otherwise="second", needs=tokens(100), note="budget"
    )
    second = budget_guard(pool, then="cheap", otherwise=END, note="budget")
    builder.add_node("first", first).add_node("dear", notes("dear"))
    builder.add_node("second", second).add_node("cheap", notes("cheap"))
    builder.add_edge(START, "first")

    result = builder.compile().invoke({"log": []})

    assert result["log"] == ["cheap"]
    assert result["budget"]["step"] == "dear"


@pytest.mark.parametrize("way", WAYS)
def test_a_subgraph_hands_it_on(pool: BudgetPool, way: str) -> None:
    inner = StateGraph(State)
    inner.add_node("guard", guard_of(pool, END, note="budget"))
    inner.add_node("work", notes("work")).add_edge(START, "guard")
    outer = StateGraph(State).add_node("inner", inner.compile())
    graph = outer.add_edge(START, "inner").compile(checkpointer=InMemorySaver())

    assert run(way, graph, {"log": []}, THREAD)["budget"]["step"] == "work"
    pool.top_up(tokens(100))
    result = run(way, graph, {"log": []}, THREAD)

    assert (result["log"], result["budget"]) == (["work"], None)


class Model(BaseModel):
    """A state that is checked."""

    log: Annotated[list[str], operator.add] = []
    budget: BudgetNote | None = None


@dataclass
class Record:
    """A state that is an object."""

    log: Annotated[list[str], operator.add] = field(default_factory=list)
    budget: dict[str, Any] | None = None


@pytest.mark.parametrize("schema", [Model, Record])
def test_the_state_may_be_an_object(pool: BudgetPool, schema: Any) -> None:
    graph = graph_of(guard_of(pool, note="budget"), schema)

    first = graph.invoke({"log": []}, THREAD)
    pool.top_up(tokens(100))
    second = graph.invoke({"log": []}, THREAD)

    assert (first["budget"]["kind"], second["budget"]) == ("exhausted", None)


class Nothing(TypedDict):
    """A state without a place for a note."""

    log: Annotated[list[str], operator.add]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("schema", [Nothing, dict])
@pytest.mark.parametrize("granted", [1, 200])
def test_a_state_without_that_key_is_told_of_in_the_first_run(
    way: str, schema: Any, granted: int
) -> None:
    guard = guard_of(BudgetPool("acme", tokens(granted)), note="budget")

    with pytest.raises(InvalidPolicy, match=r"no such key; declare it, like `budget:"):
        run(way, graph_of(guard, schema), {"log": []}, THREAD)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_person_may_say_no(pool: BudgetPool, way: str) -> None:
    graph = noted(pool, on_exceeded="interrupt")
    asked = run(way, graph, {"log": []}, THREAD)

    assert asked["__interrupt__"][0].value["type"] == "budget_top_up"
    assert "budget" not in asked
    result = run(way, graph, Command(resume=False), THREAD)

    assert result["log"] == ["rest"]
    assert result["budget"]["incomplete"] is True
    assert pool.balance("tokens").granted == tokens(10)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_person_may_grant_it(pool: BudgetPool, way: str) -> None:
    graph = noted(pool, on_exceeded="interrupt")
    run(way, graph, {"log": []}, THREAD)

    result = run(way, graph, Command(resume=100), THREAD)

    assert result == {"log": ["work"]}
    assert pool.balance("tokens").granted == tokens(110)


def test_a_no_is_the_refusal_where_there_is_no_other_way(pool: BudgetPool) -> None:
    graph = graph_of(guard_of(pool, None, on_exceeded="interrupt"))
    graph.invoke({"log": []}, THREAD)

    with pytest.raises(BudgetExceeded, match="may need 100 tokens"):
        graph.invoke(Command(resume=False), THREAD)


@pytest.mark.parametrize("way", WAYS)
def test_a_drained_graph_stops_at_the_end_of_the_step(
    pool: BudgetPool, way: str
) -> None:
    graph = noted(pool, on_exceeded="drain")

    with pytest.raises(GraphDrained, match="10 tokens left"):
        run(way, graph, {"log": []}, THREAD)

    state = graph.get_state(THREAD)
    assert state.next == ("rest",)
    assert state.values["budget"]["kind"] == "exhausted"
    assert run(way, graph, None, THREAD)["log"] == ["rest"]


@pytest.mark.parametrize("way", WAYS)
def test_without_another_way_it_looks_again_when_it_goes_on(
    pool: BudgetPool, way: str
) -> None:
    graph = graph_of(guard_of(pool, None, on_exceeded="drain"))

    with pytest.raises((BudgetExceeded, GraphDrained)):
        run(way, graph, {"log": []}, THREAD)

    assert graph.get_state(THREAD).next == ("guard",)
    pool.top_up(tokens(100))
    assert run(way, graph, None, THREAD)["log"] == ["work"]


@pytest.mark.parametrize("how", ["interrupt", "drain"])
async def test_outside_of_a_graph_it_goes_the_other_way(
    pool: BudgetPool, how: str
) -> None:
    guard = guard_of(pool, on_exceeded=how, note="budget")

    for command in (guard.invoke({}), await guard.ainvoke({})):
        assert command.goto == "rest"
        assert command.update["budget"]["kind"] == "exhausted"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"on_exceeded": "stop"}, "choose one of error, interrupt, drain"),
        ({"note": "budget", "otherwise": None}, "give both"),
    ],
)
def test_what_makes_no_sense_is_told_when_it_is_made(
    pool: BudgetPool, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        guard_of(pool, **options)


def test_what_others_hold_is_a_reason_too(pool: BudgetPool) -> None:
    pool.top_up(tokens(100))
    hold = pool.reserve(tokens(50))

    note = noted(pool).invoke({"log": []}, THREAD)["budget"]

    assert note["kind"] == "contended"
    assert "try again when they settle" in note["remedy"]
    hold.release()
