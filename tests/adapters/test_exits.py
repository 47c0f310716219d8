"""Every way out of a call closes its hold, and charges what the call can have cost."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ModelAPIError
from langchain_core.runnables import RunnableLambda

from langchain_budget import BudgetCallbackHandler, BudgetPool, tokens
from langchain_budget.testing import FakeChatModel, Gate

TEN = 10
WORDS = "one two three four five six seven eight"


class Boom(Exception):
    """Raised by a model or a handler of somebody else."""


class Veto(BaseCallbackHandler):
    """Another package's handler that refuses every call."""

    raise_error = True
    run_inline = True

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        raise Boom


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", tokens(100_000))


@pytest.fixture
def handler(pool: BudgetPool) -> BudgetCallbackHandler:
    return BudgetCallbackHandler(pool)


def assert_quiet(pool: BudgetPool) -> None:
    """Nothing is held, and all that was not spent can be reserved at once."""
    gc.collect()
    balance = pool.balance("tokens")

    assert balance.held == tokens(0)
    assert balance.available is not None
    pool.reserve(balance.available).release()


def estimated(pool: BudgetPool) -> int:
    return pool.report().total.estimated


async def cancelled_call(handler: BudgetCallbackHandler) -> None:
    """One call that is cancelled while the model works; nothing of it is kept."""
    gate = Gate()
    model = FakeChatModel(replies=[WORDS], usage=(12, 8), gate=gate)
    task = asyncio.ensure_future(model.ainvoke("Hi", {"callbacks": [handler]}))
    await gate.await_started(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def timed_out_call(handler: BudgetCallbackHandler) -> None:
    """One call that takes longer than its caller waits."""
    model = FakeChatModel(replies=[WORDS], usage=(12, 8), gate=Gate())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await model.ainvoke("Hi", {"callbacks": [handler]})


@pytest.mark.parametrize("lost_call", [cancelled_call, timed_out_call])
async def test_ten_lost_calls_hold_nothing_and_charge_their_input(
    pool: BudgetPool,
    handler: BudgetCallbackHandler,
    lost_call: Callable[[BudgetCallbackHandler], Awaitable[None]],
) -> None:
    for _ in range(TEN):
        await lost_call(handler)
    await asyncio.sleep(0)  # the loop lets go of the last error with its next step

    assert_quiet(pool)
    assert estimated(pool) == TEN
    assert pool.report().spent("output_tokens").value == 0
    assert pool.report().spent("input_tokens").value > 0
    assert pool.report().total.unconfirmed["output_tokens"] > 0


def test_ten_failed_calls_hold_nothing_and_charge_nothing(
    pool: BudgetPool, handler: BudgetCallbackHandler
) -> None:
    model = FakeChatModel(replies=[ModelAPIError()])
    for _ in range(TEN):
        with pytest.raises(ModelAPIError):
            model.invoke("Hi", {"callbacks": [handler]})

    assert_quiet(pool)
    assert pool.report().spent("tokens") == tokens(0)


def test_ten_abandoned_streams_charge_input_and_what_was_seen(
    pool: BudgetPool, handler: BudgetCallbackHandler
) -> None:
    model = FakeChatModel(replies=[WORDS], usage=(12, 8), max_tokens=50)
    for _ in range(TEN):
        stream = model.stream("Hi", {"callbacks": [handler]})
        next(stream)
        next(stream)
        stream.close()

    assert_quiet(pool)
    assert estimated(pool) == TEN
    assert pool.report().spent("output_tokens").value == model.total.output_tokens
    unconfirmed = pool.report().total.unconfirmed["output_tokens"]
    assert unconfirmed == TEN * 50 - model.total.output_tokens


async def test_ten_abandoned_async_streams_charge_input_and_what_was_seen(
    pool: BudgetPool, handler: BudgetCallbackHandler
) -> None:
    model = FakeChatModel(replies=[WORDS], usage=(12, 8))
    for _ in range(TEN):
        stream = model.astream("Hi", {"callbacks": [handler]})
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]  # it is a generator

    assert_quiet(pool)
    assert pool.report().spent("output_tokens").value == model.total.output_tokens


def test_a_stream_that_fails_midway_charges_input_and_what_was_seen(
    pool: BudgetPool, handler: BudgetCallbackHandler
) -> None:
    model = FakeChatModel(replies=[WORDS], usage=(12, 8), fail_after=3)
    with pytest.raises(Exception):  # noqa: B017, PT011  # whatever the model raises
        list(model.stream("Hi", {"callbacks": [handler]}))

    assert_quiet(pool)
    assert pool.report().spent("output_tokens").value == model.total.output_tokens


def test_ten_vetoed_calls_hold_nothing_and_charge_nothing(
    pool: BudgetPool, handler: BudgetCallbackHandler
) -> None:
    model = FakeChatModel(replies=[WORDS], usage=(12, 8))
    for _ in range(TEN):
        with pytest.raises(Boom):
            model.invoke("Hi", {"callbacks": [handler, Veto()]})

    assert_quiet(pool)
    assert pool.report().spent("tokens") == tokens(0)
    assert model.calls == ()


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_vetoed_calls_inside_a_chain_charge_nothing(
    pool: BudgetPool, handler: BudgetCallbackHandler, mode: str
) -> None:
    model = FakeChatModel(replies=[WORDS], usage=(12, 8))
    chain = RunnableLambda(lambda text: text) | model
    for _ in range(TEN):
        with pytest.raises(Boom):
            list(getattr(chain, mode)("Hi", {"callbacks": [handler, Veto()]}))

    assert_quiet(pool)
    assert pool.report().spent("tokens") == tokens(0)


async def test_vetoed_async_calls_inside_a_chain_charge_nothing(
    pool: BudgetPool, handler: BudgetCallbackHandler
) -> None:
    model = FakeChatModel(replies=[WORDS], usage=(12, 8))
    chain = RunnableLambda(lambda text: text) | model
    for _ in range(TEN):
        with pytest.raises(Boom):
            await chain.ainvoke("Hi", {"callbacks": [handler, Veto()]})

    assert_quiet(pool)
    assert pool.report().spent("tokens") == tokens(0)


async def test_vetoed_async_calls_without_a_chain_hold_nothing(
    pool: BudgetPool, handler: BudgetCallbackHandler
) -> None:
    model = FakeChatModel(replies=[WORDS], usage=(12, 8))
    for _ in range(TEN):
        with pytest.raises(Boom):
            await model.ainvoke("Hi", {"callbacks": [handler, Veto()]})

    assert_quiet(pool)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_an_abandoned_event_stream_holds_nothing(
    pool: BudgetPool, handler: BudgetCallbackHandler
) -> None:
    model = FakeChatModel(replies=[WORDS], usage=(12, 8))
    stream = model.stream_events("Hi", {"callbacks": [handler]}, version="v3")
    next(iter(stream))
    del stream

    assert_quiet(pool)


async def test_a_call_left_behind_in_the_background_is_settled_when_it_ends(
    pool: BudgetPool, handler: BudgetCallbackHandler
) -> None:
    gate = Gate()
    model = FakeChatModel(replies=[WORDS], usage=(12, 8), gate=gate)
    left: list[asyncio.Task[Any]] = []

    async def start(text: str) -> str:
        left.append(asyncio.create_task(model.ainvoke(text)))
        await gate.await_started(1)
        return text

    await RunnableLambda(start).ainvoke("Hi", {"callbacks": [handler]})
    assert pool.balance("tokens").held == tokens(0)
    assert estimated(pool) == 1

    gate.open()
    await left[0]
    assert_quiet(pool)
    assert estimated(pool) == 0
    assert pool.report().spent("tokens") == tokens(20)
    assert not any(pool.report().total.unconfirmed.values())


async def test_a_call_left_behind_that_fails_in_the_end_cost_nothing(
    pool: BudgetPool, handler: BudgetCallbackHandler
) -> None:
    gate = Gate()
    model = FakeChatModel(replies=[ModelAPIError()], gate=gate)
    left: list[asyncio.Task[Any]] = []

    async def start(text: str) -> str:
        left.append(asyncio.create_task(model.ainvoke(text)))
        await gate.await_started(1)
        return text

    await RunnableLambda(start).ainvoke("Hi", {"callbacks": [handler]})
    assert pool.balance("tokens").spent > tokens(0)

    gate.open()
    with pytest.raises(ModelAPIError):
        await left[0]
    assert_quiet(pool)
    assert (estimated(pool), pool.report().total.failed) == (0, 1)
    assert pool.balance("tokens").spent == tokens(0)


def test_usage_that_is_missing_is_estimated_and_never_zero(
    pool: BudgetPool, handler: BudgetCallbackHandler
) -> None:
    model = FakeChatModel(replies=[WORDS], no_usage=True)
    model.invoke("Hi", {"callbacks": [handler]})

    assert_quiet(pool)
    assert estimated(pool) == 1
    assert pool.report().spent("output_tokens").value >= 8
    assert not any(pool.report().total.unconfirmed.values())


async def test_losing_one_call_leaves_another_with_an_equal_run_id_alone(
    pool: BudgetPool, handler: BudgetCallbackHandler
) -> None:
    gate = Gate()
    model = FakeChatModel(replies=[WORDS], usage=(12, 8), gate=gate)

    def call() -> asyncio.Task[Any]:
        config: Any = {"callbacks": [handler], "run_id": UUID(int=7)}
        return asyncio.ensure_future(model.ainvoke("Hi", config))

    async def lose_one() -> None:
        lost = call()
        await gate.await_started(2)
        lost.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lost

    kept = call()
    await lose_one()
    await asyncio.sleep(0)
    gc.collect()
    assert estimated(pool) == 1

    gate.open()
    await kept
    assert_quiet(pool)
    assert pool.report().spent("output_tokens").value == 8
