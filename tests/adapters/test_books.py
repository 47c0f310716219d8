"""The books equal what the model counted, whatever the graph does around its calls."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Iterator
from typing import Annotated, Any, TypedDict
from uuid import UUID

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    Price,
    PriceTable,
    budget,
    calls,
    tokens,
    usd,
)
from langchain_budget.testing import FakeChatModel, Gate

PRICES = PriceTable({"fake": Price.per_million(input=1_000, output=1_000)})


class State(TypedDict, total=False):
    seen: Annotated[list[str], operator.add]


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", usd(100), prices=PRICES)


@pytest.fixture
def config(pool: BudgetPool) -> Any:
    return {
        "callbacks": [BudgetCallbackHandler(pool)],
        "configurable": {"thread_id": "1"},
    }


def assert_equal_books(pool: BudgetPool, *models: FakeChatModel) -> None:
    total = pool.report().total.amounts
    counted = [model.total for model in models]

    assert total.get("input_tokens", 0) == sum(each.input_tokens for each in counted)
    assert total.get("output_tokens", 0) == sum(each.output_tokens for each in counted)
    assert total.get("calls", 0) == sum(each.calls for each in counted)
    assert pool.balance().held == usd(0)
    assert sum(line.amounts.get("usd", 0) for line in pool.report().lines.values()) == (
        pool.balance().spent.value
    )


@pytest.fixture
def llm_cache() -> Iterator[None]:
    set_llm_cache(InMemoryCache())
    yield
    set_llm_cache(None)


@pytest.mark.usefixtures("llm_cache")
async def test_cached_answers_cost_nothing_and_are_shown_as_avoided(
    pool: BudgetPool, config: Any
) -> None:
    model = FakeChatModel(replies=["Hello."], usage=(10, 5))
    for _ in range(3):
        model.invoke("Hi", config)
        await model.ainvoke("Hi", config)

    assert model.total.calls == 1
    assert_equal_books(pool, model)
    assert pool.report().total.cached == 5
    assert pool.report().total.avoided == {"usd": 5 * pool.balance().spent.value}


def test_parallel_branches_are_booked_each_at_its_own_cost(
    pool: BudgetPool, config: Any
) -> None:
    models = {
        name: FakeChatModel(replies=["x"], usage=(cents * 10, 0))
        for name, cents in {"a": 1, "b": 2, "c": 4}.items()
    }
    builder = StateGraph(State)
    for name, model in models.items():

        def work(_: State, model: FakeChatModel = model) -> State:
            return {"seen": [str(model.invoke("Hi").content)]}

        builder.add_node(name, work)
        builder.add_edge(START, name)

    builder.compile().invoke({"seen": []}, config)

    lines = pool.report().by("node")
    assert {node: line.amounts["usd"] for (node,), line in lines.items()} == {
        "a": 10_000_000,
        "b": 20_000_000,
        "c": 40_000_000,
    }
    assert_equal_books(pool, *models.values())


def test_a_retried_call_is_charged_per_attempt(pool: BudgetPool, config: Any) -> None:
    model = FakeChatModel(replies=["x"], usage=(10, 5))
    tries: list[int] = []

    def flaky(_: State) -> State:
        model.invoke("Hi")
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError
        return {"seen": ["done"]}

    builder = StateGraph(State)
    policy = RetryPolicy(initial_interval=0.001, jitter=False)
    builder.add_node("work", flaky, retry_policy=policy)
    builder.add_edge(START, "work")
    builder.compile().invoke({"seen": []}, config)

    assert model.total.calls == 3
    assert_equal_books(pool, model)


def test_an_interrupted_and_resumed_node_is_charged_for_each_run(
    pool: BudgetPool, config: Any
) -> None:
    model = FakeChatModel(replies=["x"], usage=(10, 5))

    def ask(_: State) -> State:
        model.invoke("Hi")
        return {"seen": [interrupt("Go on?")]}

    builder = StateGraph(State)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    graph = builder.compile(checkpointer=InMemorySaver())
    graph.invoke({"seen": []}, config)
    graph.invoke(Command(resume="yes"), config)

    assert model.total.calls == 2
    assert_equal_books(pool, model)


def test_failure_rerun_and_time_travel_are_all_charged(
    pool: BudgetPool, config: Any
) -> None:
    model = FakeChatModel(replies=["x"], usage=(10, 5))
    broken = [True]

    def work(_: State) -> State:
        model.invoke("Hi")
        if broken:
            broken.clear()
            raise ValueError
        return {"seen": ["x"]}

    builder = StateGraph(State)
    builder.add_node("work", work)
    builder.add_edge(START, "work")
    graph = builder.compile(checkpointer=InMemorySaver())
    with pytest.raises(ValueError):  # noqa: PT011  # the node's own
        graph.invoke({"seen": []}, config)
    graph.invoke(None, config)
    history = graph.get_state_history(config)
    past = next(each for each in history if each.next == ("work",))
    graph.invoke(None, {**config, "configurable": past.config["configurable"]})

    assert model.total.calls == 3
    assert_equal_books(pool, model)


def test_after_a_top_up_only_the_refused_step_runs_again() -> None:
    pool = BudgetPool("acme", calls(2))
    config: Any = {
        "callbacks": [BudgetCallbackHandler(pool)],
        "configurable": {"thread_id": "1"},
    }
    model = FakeChatModel(replies=["x"], usage=(10, 5))

    def work(state: dict[str, str]) -> State:
        model.invoke("Hi")
        return {"seen": [state["name"]]}

    builder = StateGraph(State)
    builder.add_node("work", work)
    builder.add_conditional_edges(
        START, lambda _: [Send("work", {"name": each}) for each in "abc"], ["work"]
    )
    graph = builder.compile(checkpointer=InMemorySaver())
    with pytest.raises(BudgetExceeded):
        graph.invoke({"seen": []}, config)
    pool.top_up(calls(1))
    result = graph.invoke(None, config)

    assert sorted(result["seen"]) == ["a", "b", "c"]
    assert model.total.calls == 3
    assert pool.balance("calls").spent == calls(3)


async def test_the_functional_api_is_attributed_to_its_tasks(
    pool: BudgetPool, config: Any
) -> None:
    model = FakeChatModel(replies=["x"], usage=(10, 5))

    @task
    async def leaf(text: str) -> str:
        return str((await model.ainvoke(text)).content)

    @entrypoint()
    async def flow(text: str) -> str:
        return await leaf(text)

    await flow.ainvoke("Hi", config)

    assert list(pool.report().by("node")) == [("leaf",)]
    assert_equal_books(pool, model)


@pytest.mark.filterwarnings("ignore:a model call reached two handlers")
@pytest.mark.parametrize("mode", ["invoke", "stream", "batch"])
def test_one_call_under_scope_and_handlers_is_one_hold_and_one_charge(
    pool: BudgetPool, mode: str
) -> None:
    model = FakeChatModel(replies=["x"], usage=(10, 5))
    handlers = [BudgetCallbackHandler(pool), BudgetCallbackHandler(pool)]
    argument: Any = ["Hi"] if mode == "batch" else "Hi"
    with budget(pool):
        list(getattr(model, mode)(argument, {"callbacks": handlers}))

    assert_equal_books(pool, model)


def test_two_pools_on_one_call_each_hold_and_charge_it(pool: BudgetPool) -> None:
    other = BudgetPool("other", tokens(2_000))
    model = FakeChatModel(replies=["x"], usage=(10, 5))
    with budget(tokens(2_000)) as scope:
        handlers = [BudgetCallbackHandler(pool), BudgetCallbackHandler(other)]
        model.invoke("Hi", {"callbacks": handlers})

    assert_equal_books(pool, model)
    assert other.balance("tokens").spent == tokens(15)
    assert scope.total_tokens == 15


def test_when_the_second_pool_refuses_the_first_gets_its_hold_back(
    pool: BudgetPool,
) -> None:
    empty = BudgetPool("empty", calls(0))
    model = FakeChatModel()
    handlers = [BudgetCallbackHandler(pool), BudgetCallbackHandler(empty)]
    with pytest.raises(BudgetExceeded):
        model.invoke("Hi", {"callbacks": handlers})

    assert pool.balance().held == usd(0)
    assert pool.balance().spent == usd(0)


def test_unknown_prices_refuse_only_where_dollars_are_limited() -> None:
    model = FakeChatModel(model_name="nobody-knows-this", usage=(10, 5))
    free = BudgetPool("free", tokens(2_000))
    model.invoke("Hi", {"callbacks": [BudgetCallbackHandler(free)]})
    bound = BudgetPool("bound", usd(1))
    with pytest.raises(Exception, match="nobody-knows-this") as caught:
        model.invoke("Hi", {"callbacks": [BudgetCallbackHandler(bound)]})

    assert "PriceTable" in str(caught.value)
    assert free.report().total.unpriced == 1
    assert free.balance("tokens").spent == tokens(15)
    assert model.total.calls == 1


def test_a_store_that_cannot_settle_never_costs_the_caller_the_answer(
    pool: BudgetPool, config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = FakeChatModel(replies=["paid"], usage=(10, 5))
    store, post = pool.ledger.store, pool.ledger.store.post

    def fails_to_settle(posting: Any) -> Any:
        if posting.kind == "settle":
            raise OSError
        return post(posting)

    monkeypatch.setattr(store, "post", fails_to_settle)
    answer = model.invoke("Hi", config)
    monkeypatch.undo()

    assert answer.content == "paid"
    assert_equal_books(pool, model)


async def test_calls_that_share_a_run_id_are_each_held_for(pool: BudgetPool) -> None:
    small = BudgetPool("small", calls(3))
    model = FakeChatModel(replies=["x"], usage=(10, 5), gate=(gate := Gate()))
    handlers = [BudgetCallbackHandler(small), BudgetCallbackHandler(pool)]
    config: Any = {"callbacks": handlers, "run_id": UUID(int=7)}
    tasks = [asyncio.ensure_future(model.ainvoke("Hi", config)) for _ in range(5)]
    await gate.await_started(3)
    gate.open()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert sum(isinstance(each, BudgetExceeded) for each in results) == 2
    assert small.balance("calls").spent == calls(3)
    assert_equal_books(pool, model)


def test_a_prompt_that_was_never_sent_is_not_charged() -> None:
    pool = BudgetPool("acme", calls(1))
    model = FakeChatModel(replies=["x"], usage=(10, 5))
    with pytest.raises(BudgetExceeded):
        model.generate(
            [[HumanMessage("a")], [HumanMessage("b")]],
            callbacks=[BudgetCallbackHandler(pool)],
        )

    assert model.total.calls == 0
    assert pool.balance("calls").spent == pool.balance("calls").held == calls(0)


def test_an_input_that_is_larger_than_it_looks_is_learned() -> None:
    pool = BudgetPool("acme", tokens(1_040))
    model = FakeChatModel(replies=["x " * 50], usage=(100, 50), max_tokens=50)
    config: Any = {"callbacks": [BudgetCallbackHandler(pool)]}
    for _ in range(6):
        model.invoke("Hi", config)
    with pytest.raises(BudgetExceeded):
        model.invoke("Hi", config)

    assert pool.balance("tokens").spent == tokens(900)


@pytest.mark.parametrize("n", ["2", -1, 1.5, True])
def test_an_odd_number_of_answers_is_one(pool: BudgetPool, n: Any) -> None:
    model = FakeChatModel(replies=["x"], usage=(10, 5))
    model.invoke("Hi", {"callbacks": [BudgetCallbackHandler(pool)]}, n=n)

    assert_equal_books(pool, model)


@pytest.mark.parametrize("usage", [(10**30, 5), (10, 10**19)])
def test_absurd_usage_is_estimated_and_the_books_stay_readable(
    usage: tuple[int, int],
) -> None:
    pool = BudgetPool("acme", tokens(5_000))
    model = FakeChatModel(replies=["x"], usage=usage)
    model.invoke("Hi", {"callbacks": [BudgetCallbackHandler(pool)]})

    assert pool.report().total.estimated == 1


@pytest.mark.usefixtures("llm_cache")
def test_a_cached_answer_still_needs_room_for_its_hold() -> None:
    model = FakeChatModel(replies=["x"], usage=(10, 5))
    with budget(calls(1)):
        model.invoke("Hi")
        with pytest.raises(BudgetExceeded):
            model.invoke("Hi")
