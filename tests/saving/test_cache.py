"""What was paid for once is not paid for again, until it is too old."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import BaseCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetMiddleware,
    BudgetPool,
    InvalidAmount,
    Price,
    PriceTable,
    UnitMismatch,
    tokens,
    usd,
)
from langchain_budget.adapters.cache import MISS, ResultCache, SharedCache
from langchain_budget.testing import FakeChatModel, ScriptedServer, StillClock

PRICES = PriceTable({"fake": Price.per_million(input=1_000, output=1_000)})
ONE_CALL = usd("0.015")
WAYS = ("invoke", "ainvoke")


def ask(way: str, model: Any, prompt: Any, *handlers: BaseCallbackHandler) -> Any:
    config: Any = {"callbacks": [*handlers]}
    if way == "invoke":
        return model.invoke(prompt, config)
    return asyncio.run(model.ainvoke(prompt, config))


def model_with(cache: BaseCache, **options: Any) -> FakeChatModel:
    return FakeChatModel(
        **{"replies": ["Hello."], "usage": (10, 5), **options}, cache=cache
    )


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", usd(1), prices=PRICES)


@pytest.fixture
def handler(pool: BudgetPool) -> BudgetCallbackHandler:
    return BudgetCallbackHandler(pool)


@pytest.mark.parametrize("way", WAYS)
def test_the_second_of_two_equal_calls_costs_nothing(
    way: str, pool: BudgetPool, handler: BudgetCallbackHandler
) -> None:
    model = model_with(SharedCache())

    first, second = (ask(way, model, "Hi", handler) for _ in range(2))

    assert (first.text, second.text) == ("Hello.", "Hello.")
    assert model.total.calls == 1
    assert pool.balance().spent == ONE_CALL
    assert pool.report().total.cached == 1
    assert pool.report().total.avoided == {"usd": ONE_CALL.value}


@pytest.mark.parametrize("way", WAYS)
def test_agents_share_what_one_of_them_has_paid_for(way: str, pool: BudgetPool) -> None:
    cache, handler = SharedCache(), BudgetCallbackHandler(pool)
    models = {name: model_with(cache) for name in ("writer", "editor")}

    for name, model in models.items():
        pool.open(name)
        agent = create_agent(model, name=name)
        ask(way, agent, {"messages": [("user", "Hi")]}, handler)

    spent = {name: pool.account(name).balance().spent for name in models}
    assert spent == {"writer": ONE_CALL, "editor": usd(0)}
    assert models["editor"].total.calls == 0
    assert pool.account("editor").report().total.avoided == {"usd": ONE_CALL.value}


def test_the_middleware_lets_agents_share_while_it_caps_them_alike() -> None:
    pool, cache = BudgetPool("acme", usd(20), prices=PRICES), SharedCache()
    models = [model_with(cache), model_with(cache)]

    for model in models:
        agent = create_agent(model, middleware=[BudgetMiddleware(pool)])
        agent.invoke({"messages": [("user", "Hi")]})

    assert [model.total.calls for model in models] == [1, 0]
    assert (pool.balance().spent, pool.balance().held) == (ONE_CALL, usd(0))
    assert pool.report().total.avoided == {"usd": ONE_CALL.value}


def test_clients_of_a_provider_share_it_too(scripted: ScriptedServer) -> None:
    cache = SharedCache()
    options: Any = {"base_url": scripted.base_url, "api_key": "unused", "cache": cache}
    for _ in range(2):
        ChatOpenAI(model="scripted-1", **options).invoke("Hi")

    ChatOpenAI(model="scripted-2", **options).invoke("Hi")

    assert scripted.total.calls == 2


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_is_paid_for_again_at_the_age_of_its_time_to_live(
    way: str, pool: BudgetPool, handler: BudgetCallbackHandler, clock: StillClock
) -> None:
    model = model_with(SharedCache(ttl_seconds=60, clock=clock))
    calls = []

    for seconds in (0, 59.75, 0.25, 59.75):
        clock.advance(seconds)
        ask(way, model, "Hi", handler)
        calls.append(model.total.calls)

    assert calls == [1, 1, 2, 2]
    assert pool.balance().spent.value == 2 * ONE_CALL.value


def test_an_answer_is_good_for_an_hour_unless_it_is_for_ever(clock: StillClock) -> None:
    hour, ever = (
        model_with(SharedCache(clock=clock)),
        model_with(SharedCache(ttl_seconds=None, clock=clock)),
    )

    for seconds in (0, 3_599, 1):
        clock.advance(seconds)
        hour.invoke("Hi")
        ever.invoke("Hi")

    assert (hour.total.calls, ever.total.calls) == (2, 1)


def test_when_it_is_full_the_oldest_goes(clock: StillClock) -> None:
    model = model_with(SharedCache(max_entries=2, clock=clock))
    for prompt in ("a", "b", "c"):
        model.invoke(prompt)

    for prompt in ("b", "c", "a"):
        model.invoke(prompt)

    assert model.total.calls == 4


class AsksAgain(BaseCallbackHandler):
    """Asks the same once more, before the first call is known to have ended."""

    raise_error = True

    def __init__(self, model: FakeChatModel) -> None:
        self.model = model

    def on_llm_end(self, *_: Any, **__: Any) -> None:
        self.model.invoke("Hi")


def test_a_hit_does_not_turn_the_paid_answer_into_a_free_one(
    pool: BudgetPool, handler: BudgetCallbackHandler
) -> None:
    model = model_with(SharedCache())

    model.invoke("Hi", {"callbacks": [AsksAgain(model), handler]})

    assert model.total.calls == 1
    assert pool.balance().spent == ONE_CALL


def test_whoever_changes_an_answer_changes_it_for_nobody_else() -> None:
    model = model_with(
        SharedCache(), replies=[AIMessage("x", response_metadata={"n": [1]})]
    )

    for _ in range(3):
        answer = model.invoke("Hi")
        answer.content = "changed"
        answer.response_metadata["n"].append(2)

    assert model.invoke("Hi").content == "x"
    assert model.invoke("Hi").response_metadata["n"] == [1]
    assert model.total.calls == 1


def test_a_graph_takes_a_cached_answer_for_a_message_of_its_own() -> None:
    model = model_with(SharedCache())
    builder = StateGraph(MessagesState)
    for name in ("one", "two"):
        builder.add_node(name, lambda _: {"messages": [model.invoke("Hi")]})
    builder.add_edge(START, "one").add_edge("one", "two")

    said = builder.compile().invoke({"messages": []})["messages"]

    assert [each.text for each in said] == ["Hello.", "Hello."]


def test_an_answer_that_cannot_be_copied_is_not_kept() -> None:
    locked = AIMessage("Hello.", response_metadata={"lock": threading.Lock()})
    model = model_with(SharedCache(), replies=[locked])

    said = [model.invoke("Hi").text for _ in range(2)]

    assert said == ["Hello.", "Hello."]
    assert model.total.calls == 2


def test_prompts_are_not_kept() -> None:
    cache = SharedCache()
    model_with(cache).invoke("a secret")

    kept = repr([vars(each) for each in vars(cache).values()])

    assert "Hello." in kept
    assert "secret" not in kept


@pytest.mark.parametrize("way", WAYS)
def test_it_can_be_emptied(way: str) -> None:
    cache = SharedCache()
    model = model_with(cache)
    model.invoke("Hi")

    cache.clear() if way == "invoke" else asyncio.run(cache.aclear())
    ask(way, model, "Hi")

    assert model.total.calls == 2


def test_threads_pay_for_what_the_model_was_asked_and_no_more() -> None:
    pool = BudgetPool("acme", usd(10), prices=PRICES)
    handler = BudgetCallbackHandler(pool)
    model = model_with(SharedCache(max_entries=4))
    prompts = [str(number % 5) for number in range(200)]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda it: ask("invoke", model, it, handler), prompts))

    assert pool.balance().spent.value == model.total.calls * ONE_CALL.value
    assert pool.report().total.cached == 200 - model.total.calls


@pytest.mark.parametrize("make", [SharedCache, ResultCache])
@pytest.mark.parametrize(
    "wrong",
    [
        *({"ttl_seconds": value} for value in (0, -1, float("nan"), float("inf"))),
        *({"max_entries": value} for value in (0, -1, 1.5, True)),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidAmount, match=f"{next(iter(wrong))}="):
        make(**wrong)


PARAMS = {
    "query": "budgets",
    "filters": {"year": 2026, "tags": ["a", {"b": 1, "c": 2}]},
}
REORDERED = {
    "filters": {"tags": ["a", {"c": 2, "b": 1}], "year": 2026},
    "query": "budgets",
}


def test_a_key_does_not_depend_on_the_order_of_parameters_however_deep() -> None:
    key = ResultCache.key("search", PARAMS)

    text = json.dumps({"tool": "search", "params": PARAMS}, sort_keys=True)
    assert key == ResultCache.key("search", REORDERED)
    assert key == sha256(text.encode()).hexdigest()


def test_different_questions_have_different_keys() -> None:
    asked: list[tuple[str, Any]] = [
        ("search", PARAMS),
        ("find", PARAMS),
        ("search", {**PARAMS, "query": "budget"}),
        ("search", {1: "a"}),
        ("search", {"1": "a"}),
        ("search", {"\x001": "a"}),
        ("search", {None: "a"}),
        ("search", {"null": "a"}),
        ("search", {"n": 1}),
        ("search", {"n": 1.0}),
        ("search", {"n": True}),
        ("search", {"n": [1, 2]}),
        ("search", {"n": [2, 1]}),
        ("search", {"n": None}),
        ("search", {}),
    ]

    keys = {ResultCache.key(*each) for each in asked}

    assert None not in keys
    assert len(keys) == len(asked)


def test_keys_of_several_types_are_in_no_order_and_still_the_same() -> None:
    one: Any = {1: "a", "b": 2, None: 3, (4, 5): 6}
    other: Any = {(4, 5): 6, None: 3, "b": 2, 1: "a"}

    assert ResultCache.key("t", one) == ResultCache.key("t", other) is not None


def endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    "value", [{1, 2}, object(), b"bytes", float("nan"), {b"k": 1}, endless()]
)
def test_what_has_no_json_is_not_kept_and_no_error(value: Any) -> None:
    cache = ResultCache()
    key = cache.key("search", {"value": value})

    cache.set(key, "found", cost=usd(1))

    assert key is None
    assert cache.get(key) is MISS
    assert (cache.hits, cache.misses, cache.saved) == (0, 1, usd(0))


def test_nothing_found_is_something_that_was_found() -> None:
    cache = ResultCache()
    key = cache.key("search", PARAMS)
    before = cache.get(key)

    cache.set(key, None, cost=usd("0.002"))

    assert before is MISS
    assert not before
    assert cache.get(key) is None
    assert (cache.hits, cache.misses, cache.saved) == (1, 1, usd("0.002"))


def test_a_result_is_good_while_it_is_younger_than_its_time_to_live(
    clock: StillClock,
) -> None:
    cache = ResultCache(ttl_seconds=10, clock=clock)
    key = cache.key("search", PARAMS)
    cache.set(key, "found")

    clock.advance(9.75)
    young = cache.get(key)
    clock.advance(0.25)

    assert young == "found"
    assert cache.get(key) is MISS


def test_a_result_that_is_set_again_starts_its_life_anew(clock: StillClock) -> None:
    cache = ResultCache(ttl_seconds=10, max_entries=3, clock=clock)
    cache.set("a", 1)
    cache.set("b", 1)
    clock.advance(9)
    cache.set("a", 2)

    clock.advance(1)
    found = [cache.get(key) for key in ("a", "b")]
    cache.set("c", 3)

    assert found == [2, MISS]
    assert [cache.get(key) for key in ("a", "c")] == [2, 3]


def test_whoever_changes_a_result_changes_it_for_nobody_else() -> None:
    cache, result = ResultCache(), {"found": [1]}
    cache.set("k", result)
    result["found"].append(2)

    cache.get("k")["found"].append(3)

    assert cache.get("k") == {"found": [1]}


def test_a_result_that_cannot_be_copied_is_a_miss() -> None:
    cache = ResultCache()

    cache.set("k", threading.Lock())

    assert cache.get("k") is MISS


def test_a_cost_that_is_not_in_dollars_is_refused_and_nothing_is_kept() -> None:
    cache = ResultCache()

    with pytest.raises(UnitMismatch, match="dollars"):
        cache.set("k", "found", cost=tokens(5))

    assert cache.get("k") is MISS


def test_threads_count_each_hit_once() -> None:
    cache = ResultCache()
    cache.set("k", "found", cost=usd("0.002"))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(cache.get, ["k"] * 500 + ["other"] * 50))
    cache.clear()

    assert (cache.hits, cache.misses, cache.saved) == (500, 50, usd(1))
    assert cache.get("k") is MISS
