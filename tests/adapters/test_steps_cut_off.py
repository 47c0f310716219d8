"""What a guard reserves comes back although a task is cut off before its step."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langgraph.graph import END, START, StateGraph

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetPool,
    MemoryStore,
    budget_guard,
    calls,
    events,
)
from langchain_budget.core.postings import Posting, Receipt, Refusal
from langchain_budget.stores.base import Store
from langchain_budget.testing import FakeChatModel, capture
from tests.adapters.graphs import WAYS, Log, asks, assert_quiet, run
from tests.failing_store import FailingStore
from tests.interrupted_store import InterruptedStore

START_LOG: Log = {"log": []}


class SilentStore(MemoryStore):
    """It takes all, but whoever awaits that it opens an account is told nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()

    async def apost(self, posting: Posting) -> Receipt | Refusal:
        answer = self.post(posting)
        if posting.kind == "open":
            self.reached.set()
            await asyncio.Event().wait()
        return answer


def is_step(metadata: Any) -> bool:
    return (metadata or {}).get("langgraph_node") == "work"


class Dawdles(AsyncCallbackHandler):
    """It takes its time over the start of the step."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def on_chain_start(self, *_: Any, metadata: Any = None, **__: Any) -> None:
        if is_step(metadata):
            self.reached.set()
            await asyncio.Event().wait()


class Forbids(BaseCallbackHandler):
    """It does not let the step start."""

    raise_error = True

    def on_chain_start(self, *_: Any, metadata: Any = None, **__: Any) -> None:
        if is_step(metadata):
            raise PermissionError


@pytest.fixture
def model() -> FakeChatModel:
    return FakeChatModel(replies=["Yes."], usage=(12, 3))


def pool_on(store: Store) -> BudgetPool:
    return BudgetPool("acme", calls(10), store=store)


def metered(pool: BudgetPool, *handlers: Any) -> Any:
    return {"callbacks": [BudgetCallbackHandler(pool), *handlers]}


def guarded(pool: BudgetPool, model: FakeChatModel) -> Any:
    """START, a guard that reserves six calls, a step that makes one."""
    builder = StateGraph(Log)
    guard = budget_guard(pool, then="work", otherwise=END, reserve=calls(6))
    builder.add_node("guard", guard)
    builder.add_node("work", asks(model, "work"))
    builder.add_edge(START, "guard")
    return builder.compile()


async def cancelled(graph: Any, config: Any, reached: asyncio.Event) -> None:
    """Run it, and cancel that there."""
    running = asyncio.create_task(graph.ainvoke(START_LOG, config))
    await reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_it_returns_when_the_guard_is_cancelled_and_has_opened_it(
    model: FakeChatModel,
) -> None:
    store = SilentStore()
    pool = pool_on(store)
    await cancelled(guarded(pool, model), metered(pool), store.reached)

    assert len(store.below("acme")) == 2
    assert_quiet(pool, model)


async def test_nothing_is_said_when_the_guard_is_cancelled_and_has_opened_nothing(
    model: FakeChatModel, caplog: pytest.LogCaptureFixture
) -> None:
    store = InterruptedStore()
    pool = pool_on(store)
    store.stuck = {"open"}
    with caplog.at_level(logging.DEBUG, "langchain_budget"):
        await cancelled(guarded(pool, model), metered(pool), store.reached)
        assert_quiet(pool, model)

    assert len(store.below("acme")) == 1
    assert not caplog.text


@pytest.mark.parametrize("way", WAYS)
def test_it_returns_when_the_store_breaks_and_has_opened_it(
    way: str, model: FakeChatModel
) -> None:
    """And breaks once more when it is to be closed."""
    store = FailingStore()
    pool = pool_on(store)
    graph = guarded(pool, model)
    store.breaks("open", "close", lost=True)

    assert run(way, graph, START_LOG, metered(pool)) == {"log": []}
    pool.balance("calls")
    assert pool.ledger.late
    store.mend()
    assert_quiet(pool, model)
    assert not pool.ledger.late


@pytest.mark.parametrize("way", WAYS)
def test_a_guard_that_is_refused_leaves_nothing_to_close(
    way: str, model: FakeChatModel
) -> None:
    """Somebody takes what it has seen."""
    store = InterruptedStore()
    pool = pool_on(store)
    graph = guarded(pool, model)
    store.before["open"] = lambda: pool.reserve(calls(5))

    assert run(way, graph, START_LOG, metered(pool)) == {"log": []}
    assert not pool.ledger.late


async def test_it_returns_when_the_start_of_the_step_is_cancelled(
    model: FakeChatModel,
) -> None:
    """Whoever was told of that start is not told of an end."""
    pool, dawdles = pool_on(MemoryStore()), Dawdles()
    config = metered(pool, dawdles)
    with capture(pool) as log:
        await cancelled(guarded(pool, model), config, dawdles.reached)

    assert log.kinds == [events.Opened, events.Closed]
    assert_quiet(pool, model)


@pytest.mark.parametrize("way", WAYS)
def test_it_returns_when_another_handler_forbids_the_step(
    way: str, model: FakeChatModel
) -> None:
    pool = pool_on(MemoryStore())
    config = metered(pool, Forbids())
    with capture(pool) as log, pytest.raises(PermissionError):
        run(way, guarded(pool, model), START_LOG, config)

    assert log.kinds == [events.Opened, events.Closed]
    assert_quiet(pool, model)


@pytest.mark.parametrize("way", WAYS)
def test_what_a_step_has_carried_is_closed_once_and_forgotten(
    way: str, model: FakeChatModel
) -> None:
    pool = pool_on(MemoryStore())
    graph, config = guarded(pool, model), metered(pool)
    with capture(pool) as log:
        run(way, graph, START_LOG, config)
    assert len(log.of(events.Closed)) == 1
    assert_quiet(pool, model)

    ledger = weakref.ref(pool.ledger)
    del pool, graph, config, log
    gc.collect()
    assert ledger() is None
