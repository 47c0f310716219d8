"""Every hook, every way to call, every way to end: books as the model counted."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ModelAPIError
from langchain_core.runnables import Runnable
from langgraph.graph import END, START, StateGraph

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetMiddleware,
    BudgetPool,
    SharedCache,
    budget,
    budget_guard,
    budgeted,
    tokens,
)
from langchain_budget.testing import FakeChatModel, Gate
from tests.invariants import assert_quiet

WORDS = "one two three four five six seven eight"
ASKED = {"messages": [("user", "Hi")]}


class Boom(ModelAPIError):
    """Raised by a model or a handler of somebody else."""


class Veto(BaseCallbackHandler):
    """Another package's handler that refuses every call."""

    raise_error = True
    run_inline = True

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        raise Boom


class Wired(NamedTuple):
    """A model under one hook: what is run, with what, and in which block."""

    runnable: Runnable[Any, Any]
    input: Any = "Hi"
    callbacks: tuple[Any, ...] = ()
    block: Callable[[], Any] = nullcontext


def scope(model: FakeChatModel, pool: BudgetPool) -> Wired:
    return Wired(model, block=lambda: budget(pool))


def handler(model: FakeChatModel, pool: BudgetPool) -> Wired:
    return Wired(model, callbacks=(BudgetCallbackHandler(pool),))


def wrapped(model: FakeChatModel, pool: BudgetPool) -> Wired:
    return Wired(budgeted(model, pool))


def middleware(model: FakeChatModel, pool: BudgetPool) -> Wired:
    return Wired(create_agent(model, middleware=[BudgetMiddleware(pool)]), ASKED)


def guard(model: FakeChatModel, pool: BudgetPool) -> Wired:
    builder = StateGraph(dict)
    reserve = tokens(5_000)
    node = budget_guard(pool, then="work", otherwise=END, reserve=reserve)
    builder.add_node("guard", node)
    builder.add_node("work", lambda _: {"said": model.invoke("Hi").text})
    builder.add_edge(START, "guard")
    return Wired(builder.compile(), {}, (BudgetCallbackHandler(pool),))


def everything(model: FakeChatModel, pool: BudgetPool) -> Wired:
    paying = budgeted(model, pool)
    agent = create_agent(paying, middleware=[BudgetMiddleware(pool)])
    callbacks = (BudgetCallbackHandler(pool), BudgetCallbackHandler(pool))
    return Wired(agent, ASKED, callbacks, lambda: budget(pool))


HOOKS = [scope, handler, wrapped, middleware, guard, everything]


def invoke(wired: Wired, config: Any) -> None:
    wired.runnable.invoke(wired.input, config)


def stream(wired: Wired, config: Any) -> None:
    list(wired.runnable.stream(wired.input, config))


def batch(wired: Wired, config: Any) -> None:
    wired.runnable.batch([wired.input] * 3, config)


async def ainvoke(wired: Wired, config: Any) -> None:
    await wired.runnable.ainvoke(wired.input, config)


async def astream(wired: Wired, config: Any) -> None:
    async for _ in wired.runnable.astream(wired.input, config):
        pass


async def abatch(wired: Wired, config: Any) -> None:
    await wired.runnable.abatch([wired.input] * 3, config)


async def astream_events(wired: Wired, config: Any) -> None:
    async for _ in wired.runnable.astream_events(wired.input, config, version="v2"):
        pass


SYNC = [invoke, stream, batch]
ASYNC = [ainvoke, astream, abatch, astream_events]
each_hook = pytest.mark.parametrize("hook", HOOKS, ids=lambda each: each.__name__)
each_way = pytest.mark.parametrize("way", SYNC + ASYNC, ids=lambda each: each.__name__)
each_await = pytest.mark.parametrize("way", ASYNC, ids=lambda each: each.__name__)


@pytest.fixture(params=["memory://", "sqlite:///{}"], ids=["memory", "sqlite"])
def pool(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BudgetPool]:
    """Where a store blocks, event loops tell handlers on threads."""
    url = request.param.format((tmp_path / "books.db").as_posix())
    pool = BudgetPool("acme", tokens(100_000), store=url)
    yield pool
    pool.close()


async def run(wired: Wired, way: Any, callbacks: tuple[Any, ...] = ()) -> None:
    config = {"callbacks": [*wired.callbacks, *callbacks]}
    with wired.block():
        if way in SYNC:
            way(wired, config)
        else:
            await way(wired, config)


async def settled(pool: BudgetPool) -> None:
    """Nothing is held any more, and the books add up."""
    for _ in range(1_000):  # others of a batch go on in their threads
        await asyncio.sleep(0.001)
        gc.collect()
        if pool.balance("tokens").held:
            continue
        with suppress(AssertionError):
            assert_quiet(pool.ledger.store)
            return
    assert_quiet(pool.ledger.store)


@each_way
@each_hook
async def test_success_is_charged_as_the_model_counted(
    pool: BudgetPool, hook: Any, way: Any
) -> None:
    model = FakeChatModel(replies=[WORDS], usage=(12, 8))

    await run(hook(model, pool), way)

    assert model.total.output_tokens > 0
    assert pool.balance("tokens").spent.value == sum(model.total[:2])
    assert pool.report().spent("calls").value == len(model.calls)
    await settled(pool)


@each_way
@each_hook
async def test_an_error_is_charged_nothing(
    pool: BudgetPool, hook: Any, way: Any
) -> None:
    model = FakeChatModel(replies=[Boom()])

    with pytest.raises(Boom):
        await run(hook(model, pool), way)

    assert pool.balance("tokens").spent == tokens(0)
    await settled(pool)


@each_way
@each_hook
async def test_a_veto_of_somebody_else_is_charged_nothing(
    pool: BudgetPool, hook: Any, way: Any
) -> None:
    model = FakeChatModel(replies=[WORDS], usage=(12, 8))
    wired = hook(model, pool)

    with pytest.raises(Boom):
        await run(wired, way, (Veto(),))

    assert model.calls == ()
    if wired.runnable is not model or way in SYNC:
        assert pool.balance("tokens").spent == tokens(0)
    await settled(pool)


@each_await
@each_hook
@pytest.mark.parametrize("ends", ["cancel", "timeout"])
async def test_a_call_that_is_cut_off_is_charged_within_its_bound(
    pool: BudgetPool, hook: Any, way: Any, ends: str
) -> None:
    gate = Gate()
    model = FakeChatModel(replies=[WORDS], usage=(12, 8), gate=gate, max_tokens=50)
    task = asyncio.ensure_future(run(hook(model, pool), way))
    await gate.await_started(1)

    if ends == "cancel":
        task.cancel()
    try:
        async with asyncio.timeout(None if ends == "cancel" else 0.001):
            await task
    except (asyncio.CancelledError, TimeoutError):
        pass
    gate.open()
    with suppress(asyncio.CancelledError):
        await task

    del task
    await settled(pool)
    counted = sum(model.total[:2])
    books = pool.report().total  # at one moment: others of a batch may go on
    charged = books.amounts.get("tokens", 0)
    assert counted <= charged + books.unconfirmed.get("tokens", 0)


@pytest.mark.parametrize("way", ["stream", "astream"])
@pytest.mark.parametrize(
    "hook", [scope, handler, wrapped], ids=lambda each: each.__name__
)
async def test_an_abandoned_stream_is_charged_what_was_seen(
    pool: BudgetPool, hook: Any, way: str
) -> None:
    model = FakeChatModel(replies=[WORDS], usage=(12, 8), max_tokens=50)
    wired = hook(model, pool)

    with wired.block():
        config = {"callbacks": list(wired.callbacks)}
        if way == "stream":
            pieces = wired.runnable.stream("Hi", config)
            next(pieces)
            next(pieces)
            pieces.close()
        else:
            apieces: Any = wired.runnable.astream("Hi", config)
            await anext(apieces)
            await anext(apieces)
            await apieces.aclose()

    await settled(pool)
    for _ in range(10_000):  # the model counts when its stream is closed
        if model.total.output_tokens:
            break
        await asyncio.sleep(0.001)
    assert pool.report().spent("output_tokens").value == model.total.output_tokens


@pytest.mark.parametrize("cache", [InMemoryCache, SharedCache])
@pytest.mark.parametrize("way", [invoke, ainvoke], ids=lambda each: each.__name__)
@each_hook
async def test_an_answer_out_of_a_cache_costs_nothing(
    pool: BudgetPool, hook: Any, way: Any, cache: Any
) -> None:
    model = FakeChatModel(replies=[WORDS], usage=(12, 8), cache=cache())
    wired = hook(model, pool)

    for _ in range(3):
        await run(wired, way)

    assert len(model.calls) == 1
    assert pool.balance("tokens").spent == tokens(20)
    await settled(pool)
