"""The wrapped model: what it stays, what it holds, and that no limit is passed."""

from __future__ import annotations

import asyncio
import copy
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.exceptions import ModelAPIError
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    Price,
    PriceTable,
    budget,
    budgeted,
    tokens,
    usd,
)
from langchain_budget.testing import FakeChatModel, Gate
from tests.invariants import assert_quiet

WORDS = "one two three four five six seven eight"


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", tokens(2_000))


def fake(**options: Any) -> FakeChatModel:
    return FakeChatModel(replies=[WORDS], usage=(12, 8), **options)


def test_it_is_of_the_same_class_with_the_same_settings(pool: BudgetPool) -> None:
    options: Any = {"api_key": "none", "temperature": 0.5, "max_retries": 0}
    model = ChatOpenAI(model="gpt-4o-mini", **options)

    paying = budgeted(model, pool)

    assert isinstance(paying, ChatOpenAI)
    assert type(paying).__name__ == "ChatOpenAI"
    assert (paying.temperature, paying.profile) == (0.5, model.profile)
    assert paying.get_name() == model.get_name()
    assert model.callbacks is None
    assert type(model) is ChatOpenAI


class Answer(BaseModel):
    """What is asked for."""

    number: int


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_tools_and_structured_output_are_paid_for(pool: BudgetPool) -> None:
    call = {"name": "Answer", "args": {"number": 7}, "id": "1"}
    said = AIMessage("", tool_calls=[call])
    model = budgeted(FakeChatModel(replies=[said], usage=(30, 5)), pool)

    answer = model.with_structured_output(Answer).invoke("Which?")
    model.bind_tools([add]).invoke("Add")

    assert answer == Answer(number=7)
    assert pool.balance("tokens").spent == tokens(70)
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("fan_out", [2, 16, 64, 256])
def test_many_threads_never_pass_the_limit(fan_out: int) -> None:
    pool = BudgetPool("acme", tokens(1_000))
    counted = fake()
    model = budgeted(counted, pool)

    def ask(_: int) -> None:
        with suppress(BudgetExceeded):
            model.invoke("Hi")

    with ThreadPoolExecutor(min(fan_out, 32)) as threads:
        list(threads.map(ask, range(fan_out)))

    spent = sum(counted.total[:2])
    assert pool.balance("tokens").spent.value == spent <= 1_000
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("fan_out", [2, 16, 64, 256])
async def test_many_tasks_never_pass_the_limit(fan_out: int) -> None:
    pool = BudgetPool("acme", tokens(1_000))
    counted = fake()
    model = budgeted(counted, pool)

    answers = await asyncio.gather(
        *(model.ainvoke("Hi") for _ in range(fan_out)), return_exceptions=True
    )

    spent = sum(counted.total[:2])
    assert pool.balance("tokens").spent.value == spent <= 1_000
    odd = [each for each in answers if not isinstance(each, AIMessage | BudgetExceeded)]
    assert odd == []
    assert_quiet(pool.ledger.store)


async def test_calls_at_once_hold_so_much_that_none_can_exceed(
    pool: BudgetPool,
) -> None:
    gate = Gate()
    model = budgeted(fake(gate=gate, max_tokens=500), pool)
    calls = [asyncio.ensure_future(model.ainvoke("Hi")) for _ in range(10)]
    await gate.await_started(3)

    held = pool.balance("tokens").held.value
    gate.open()
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert 1_500 <= held <= 2_000
    assert sum(isinstance(each, AIMessage) for each in answers) >= 3


def test_an_answer_is_capped_to_what_is_left_on_the_wire(scripted: Any) -> None:
    prices = PriceTable({"gpt-x": Price.per_million(input="1", output="10")})
    pool = BudgetPool("acme", usd("0.01"), prices=prices)
    model = budgeted(
        ChatOpenAI(
            model="gpt-x", base_url=scripted.base_url, api_key="k", max_retries=0
        ),
        pool,
    )

    for _ in range(200):
        try:
            model.invoke("Tell me a long story")
        except BudgetExceeded:
            break

    log = scripted.log()
    cost = sum(
        1_000 * (each.prompt_tokens + 10 * each.completion_tokens) for each in log
    )
    assert pool.balance().spent.value == cost
    assert pool.balance().spent <= usd("0.01")
    assert len(log) > 1
    assert_quiet(pool.ledger.store)


def test_below_a_small_answer_it_refuses_and_names_what_it_takes() -> None:
    pool = BudgetPool("acme", tokens(60))
    model = budgeted(fake(), pool)

    with pytest.raises(BudgetExceeded) as refusal:
        model.invoke("Hi")

    assert refusal.value.wanted > tokens(64)


class Chatterbox(FakeChatModel):
    """It does not care for caps."""

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        kwargs.pop("max_tokens", None)
        for number in range(500):
            chunk = AIMessageChunk(content=f"w{number} ")
            yield ChatGenerationChunk(message=chunk)


class Eager(FakeChatModel):
    """It fails when it is asked for a stream, not when that is read."""

    def _stream(self, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        raise ConnectionRefusedError

    def _astream(self, *_: Any, **__: Any) -> Any:
        raise ConnectionRefusedError


async def test_a_stream_that_cannot_even_begin_holds_nothing() -> None:
    pool = BudgetPool("acme", tokens(2_000))
    model = budgeted(Eager(), pool)

    with pytest.raises(ConnectionRefusedError):
        list(model.stream("Hi"))
    with pytest.raises(ConnectionRefusedError):
        await anext(model.astream("Hi"))

    assert pool.balance("tokens").spent == tokens(0)
    assert_quiet(pool.ledger.store)


def test_a_stream_that_keeps_to_no_cap_is_ended_gracefully() -> None:
    pool = BudgetPool("acme", tokens(200))
    model = budgeted(Chatterbox(), pool)

    pieces = list(model.stream("Hi"))

    assert pieces[0].text == "w0 "
    assert any(each.response_metadata.get("budget_stop") == "cut" for each in pieces)
    assert len(pieces) < 250
    assert pool.balance("tokens").spent <= tokens(201)
    assert_quiet(pool.ledger.store)


def test_an_answer_that_was_cut_short_is_not_kept_for_others() -> None:
    cache = InMemoryCache()
    told = {"finish_reason": "length"}
    replies = [AIMessage("one two", response_metadata=told), AIMessage("all of it")]
    model = FakeChatModel(replies=replies, usage=(12, 8), cache=cache)
    poor = budgeted(model, BudgetPool("poor", tokens(150)))
    rich = budgeted(model, BudgetPool("rich", tokens(150_000)))

    first = poor.invoke("Hi")
    second = rich.invoke("Hi")

    assert first.response_metadata["budget_capped"] is True
    assert second.text == "all of it"


def test_what_was_not_cut_short_is_kept(pool: BudgetPool) -> None:
    counted = fake(cache=InMemoryCache())
    model = budgeted(counted, pool)

    for _ in range(3):
        model.invoke("Hi")

    assert len(counted.calls) == 1


def test_what_stands_around_a_model_stays_around_it(pool: BudgetPool) -> None:
    bound = budgeted(fake().bind(stop=["x"]), pool)
    failing = FakeChatModel(replies=[ModelAPIError("first"), "second"], usage=(12, 8))
    retried = budgeted(failing.with_retry(stop_after_attempt=2), pool)
    broken = FakeChatModel(replies=[ModelAPIError("always")])
    chain = budgeted(broken.with_fallbacks([fake()]), pool)

    for each in (bound, retried, chain):
        each.invoke("Hi")

    assert pool.report().spent("calls").value == 3
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize(
    "thing", [RunnableLambda(str), "gpt-4o", fake().with_structured_output(Answer)]
)
def test_what_cannot_be_enforced_is_not_wrapped(pool: BudgetPool, thing: Any) -> None:
    with pytest.raises(TypeError, match="wrap the model itself"):
        budgeted(thing, pool)


def test_it_is_wrapped_once(pool: BudgetPool) -> None:
    with pytest.raises(TypeError, match="already"):
        budgeted(budgeted(fake(), pool), pool)


def test_copies_spend_from_the_same_budget(pool: BudgetPool) -> None:
    model = budgeted(fake(), pool)

    for each in (copy.copy(model), copy.deepcopy(model), model.model_copy()):
        each.invoke("Hi")

    assert pool.balance("tokens").spent == tokens(60)


def test_other_pools_hold_beside_it(pool: BudgetPool) -> None:
    other = BudgetPool("other", tokens(5_000))
    model = budgeted(fake(), pool)

    with budget(other):
        model.invoke("Hi", config={"callbacks": [BudgetCallbackHandler(other)]})

    assert pool.balance("tokens").spent == tokens(20)
    assert other.balance("tokens").spent == tokens(20)
    for each in (pool, other):
        assert_quiet(each.ledger.store)


def test_the_account_named_like_the_agent_pays(pool: BudgetPool) -> None:
    web = pool.open("web", limit=tokens(1_000))
    agent = create_agent(budgeted(fake(), pool), name="web")

    agent.invoke({"messages": [("user", "Hi")]})

    assert web.balance("tokens").spent == tokens(20)


async def test_users_have_limits_of_their_own(pool: BudgetPool) -> None:
    pool.limit_each("user_id", limit=tokens(100))
    model = budgeted(fake(), pool)
    config = {"metadata": {"user_id": "ada"}}

    await model.ainvoke("Hi", config=config)
    with pytest.raises(BudgetExceeded, match="acme:user_id/ada"):
        model.batch(["Hi"] * 10, config=config)

    assert pool.account(":user_id/ada").balance("tokens").spent <= tokens(100)


async def test_v3_streams_are_closed_on_every_exit(pool: BudgetPool) -> None:
    model = budgeted(fake(), pool)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stream = model.stream_events("Hi", version="v3")
        text = "".join(stream.text)
        events = await model.astream_events("Hi", version="v3")
        async for _ in events.text:
            break
        await events.aclose()

    assert text == WORDS
    assert_quiet(pool.ledger.store)
