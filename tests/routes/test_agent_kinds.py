"""Every kind of agent, under every hook: books as the model counted, or refused."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any, NamedTuple

import pytest
from langchain_core.exceptions import ModelAPIError
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from langgraph.warnings import LangGraphDeprecationWarning

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    budget,
    budgeted,
    calls,
    tokens,
)
from langchain_budget.testing import FakeChatModel, Gate
from tests.invariants import assert_quiet
from tests.routes.kinds import KINDS, Kind

pytestmark = pytest.mark.filterwarnings(
    # langgraph-supervisor builds its supervisor with what langgraph deprecates.
    f"ignore::{LangGraphDeprecationWarning.__module__}.LangGraphDeprecationWarning"
)


class Boom(ModelAPIError):
    """Raised by a model; nothing tries it again."""


class GateAt(Gate):
    """A gate that lets some calls pass before it stops one."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self._passed = 0

    def _passes(self) -> bool:
        self._passed += 1
        return self._passed <= self._number

    def enter(self) -> None:
        if not self._passes():
            super().enter()

    async def aenter(self) -> None:
        if not self._passes():
            await super().aenter()


class Wired(NamedTuple):
    """A kind of agent under one hook: what is run, with what, in which block."""

    runnable: Runnable[Any, Any]
    callbacks: tuple[Any, ...] = ()
    block: Callable[[], Any] = nullcontext


def scope(kind: Kind, model: BaseChatModel, pool: BudgetPool) -> Wired:
    return Wired(kind.build(model, []), block=lambda: budget(pool))


def handler(kind: Kind, model: BaseChatModel, pool: BudgetPool) -> Wired:
    return Wired(kind.build(model, []), (BudgetCallbackHandler(pool),))


def wrapped(kind: Kind, model: BaseChatModel, pool: BudgetPool) -> Wired:
    return Wired(kind.build(budgeted(model, pool), []))


def middleware(kind: Kind, model: BaseChatModel, pool: BudgetPool) -> Wired:
    return Wired(kind.build(model, [BudgetMiddleware(pool)]))


def everything(kind: Kind, model: BaseChatModel, pool: BudgetPool) -> Wired:
    built = kind.build(budgeted(model, pool), [BudgetMiddleware(pool)])
    return Wired(built, (BudgetCallbackHandler(pool),), lambda: budget(pool))


HOOKS = [scope, handler, wrapped, middleware, everything]
CASES = [
    pytest.param(kind, hook, id=f"{name}-{hook.__name__}")
    for name, kind in KINDS.items()
    for hook in HOOKS
    if hook is not middleware or kind.is_all_middleware
]
each_kind_and_hook = pytest.mark.parametrize(("kind", "hook"), CASES)
each_way = pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
MODES = ["updates", "messages"]  # with messages, models stream by themselves


async def run(wired: Wired, given: Any, way: str) -> Any:
    config: Any = {"callbacks": list(wired.callbacks)}
    graph: Any = wired.runnable
    with wired.block():
        if way == "invoke":
            return graph.invoke(given, config)
        if way == "stream":
            return list(graph.stream(given, config, stream_mode=MODES))
        if way == "ainvoke":
            return await graph.ainvoke(given, config)
        parts = graph.astream(given, config, stream_mode=MODES)
        return [part async for part in parts]


async def settled(pool: BudgetPool) -> None:
    """Nothing is held any more, and the books add up."""
    for _ in range(100):  # what runs in threads goes on there
        pool.balance("tokens")  # reading closes what the collector has found
        if not pool.ledger.store.open_holds():
            break
        gc.collect()
        await asyncio.sleep(0.001)
    assert_quiet(pool.ledger.store)


def assert_books_are_as(model: FakeChatModel, pool: BudgetPool) -> None:
    assert pool.balance("tokens").spent.value == sum(model.total[:2])


@each_way
@each_kind_and_hook
async def test_success_is_charged_as_the_model_counted(
    kind: Kind, hook: Any, way: str
) -> None:
    pool = BudgetPool("acme", tokens(10_000_000))
    model = FakeChatModel(replies=kind.replies)

    await run(hook(kind, model, pool), kind.input, way)

    assert len(model.calls) == len(kind.replies)
    assert pool.report().spent("calls").value == len(model.calls)
    assert_books_are_as(model, pool)
    await settled(pool)


@each_way
@each_kind_and_hook
async def test_the_deepest_call_is_refused_and_not_made(
    kind: Kind, hook: Any, way: str
) -> None:
    pool = BudgetPool("acme", calls(kind.deepest))
    model = FakeChatModel(replies=kind.replies)

    with pytest.raises(BudgetExceeded):
        await run(hook(kind, model, pool), kind.input, way)

    await settled(pool)
    assert len(model.calls) == kind.deepest
    assert_books_are_as(model, pool)


@each_way
@each_kind_and_hook
async def test_an_error_of_the_deepest_call_is_charged_nothing(
    kind: Kind, hook: Any, way: str
) -> None:
    pool = BudgetPool("acme", tokens(10_000_000))
    model = FakeChatModel(replies=[*kind.replies[: kind.deepest], Boom()])

    with pytest.raises(Boom):
        await run(hook(kind, model, pool), kind.input, way)

    await settled(pool)
    assert_books_are_as(model, pool)


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
@each_kind_and_hook
async def test_a_call_that_is_cancelled_is_charged_within_its_bound(
    kind: Kind, hook: Any, way: str
) -> None:
    gate = GateAt(kind.deepest)
    pool = BudgetPool("acme", tokens(10_000_000))
    model = FakeChatModel(replies=kind.replies, gate=gate, max_tokens=50)
    work = run(hook(kind, model, pool), kind.input, way)
    task = asyncio.ensure_future(work)
    await gate.await_started()

    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    gate.open()

    del task, work
    await settled(pool)
    unconfirmed = pool.report().total.unconfirmed.get("tokens", 0)
    most = pool.balance("tokens").spent.value + unconfirmed
    assert sum(model.total[:2]) <= most
