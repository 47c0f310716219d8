"""Handlers whose store blocks are told on threads: of one call, several at once."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langgraph.graph import START, StateGraph

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    OuterMiddlewareWarning,
    budget,
    calls,
    tokens,
)
from langchain_budget.adapters import asked
from langchain_budget.core.postings import OpenHold
from langchain_budget.events import Event, Refused, Reserved
from langchain_budget.testing import EventLog, FakeChatModel
from tests.adapters.texts import Completes
from tests.invariants import assert_quiet

Open = Callable[..., BudgetPool]
PATIENCE_SECONDS = 20


@pytest.fixture
def open_pool(tmp_path: Path) -> Iterator[Open]:
    opened = []

    def open_it(name: str, limit: Any) -> BudgetPool:
        url = f"sqlite:///{(tmp_path / f'{name}.db').as_posix()}"
        opened.append(BudgetPool(name, limit, store=url))
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


def config_of(*pools: BudgetPool) -> Any:
    return {"callbacks": [BudgetCallbackHandler(each) for each in pools]}


def busy(loop: Any, executor: ThreadPoolExecutor, event: Event) -> None:
    """After a refusal the loop stops nothing that stands in line for a thread."""
    if isinstance(event, Refused):
        last = executor.submit(int)
        loop.call_soon_threadsafe(last.result, PATIENCE_SECONDS)


def refused(model: Any, *pools: BudgetPool, threads: int) -> BudgetExceeded:
    """Have the call refused, with handlers told on so many threads."""

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        executor = ThreadPoolExecutor(threads)
        loop.set_default_executor(executor)
        for each in pools:
            each.subscribe(partial(busy, loop, executor))
        await model.abatch(["Hi"] * 4, config_of(*pools))

    with pytest.raises(BudgetExceeded) as caught:
        asyncio.run(ask())
    return caught.value


def assert_nothing_came_of_it(pool: BudgetPool) -> None:
    """Nothing is held, before anybody asks the pool anything, and nothing charged."""
    assert pool.ledger.store.open_holds() == ()
    assert pool.report().spent("calls") == calls(0)
    assert_quiet(pool.ledger.store)


def test_a_handler_and_a_scope_make_one_hold(open_pool: Open) -> None:
    pool = open_pool("acme", tokens(10_000))
    model = FakeChatModel(replies=["Fine."], usage=(100, 20))
    announced = EventLog()
    pool.subscribe(announced.append)

    with budget(pool):
        for _ in range(20):
            asyncio.run(model.ainvoke("Hi", config_of(pool)))

    assert len(announced.of(Reserved)) == 20
    assert pool.balance("tokens").spent == tokens(20 * 120)
    assert_quiet(pool.ledger.store)


def test_what_is_being_held_while_another_refuses_comes_back(
    open_pool: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, full = open_pool("empty", calls(0)), open_pool("full", calls(50))
    gone, store = threading.Event(), full.ledger.store
    post = store.post

    def dawdle(posting: Any) -> Any:
        if isinstance(posting.hold, OpenHold):
            assert gone.wait(PATIENCE_SECONDS)
        return post(posting)

    monkeypatch.setattr(store, "post", dawdle)

    async def ask() -> None:
        try:
            await FakeChatModel().ainvoke("Hi", config_of(full, empty))
        finally:
            gone.set()

    with pytest.raises(BudgetExceeded) as caught:
        asyncio.run(ask())

    # While somebody has the error, its traceback has the run: nothing is collected.
    assert caught.value.account == "empty"
    assert_nothing_came_of_it(full)


@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize("turn", [1, -1])
def test_of_a_request_that_one_pool_refuses_no_prompt_is_held(
    open_pool: Open, turn: int, threads: int
) -> None:
    """However many prompts there are, and whichever pool is told first."""
    empty, full = open_pool("empty", calls(0)), open_pool("full", calls(50))

    error = refused(Completes(), *[empty, full][::turn], threads=threads)

    assert error.account == "empty"
    assert_nothing_came_of_it(full)


def test_what_is_heard_after_another_has_refused_is_not_held(open_pool: Open) -> None:
    empty, full = open_pool("empty", calls(0)), open_pool("full", calls(50))
    announced = EventLog()
    full.subscribe(announced.append)

    refused(FakeChatModel(), empty, full, threads=1)

    assert announced == []
    assert_quiet(full.ledger.store)


@pytest.mark.parametrize("threads", [1, 8])
def test_prompts_after_the_refused_one_are_not_held(
    open_pool: Open, threads: int
) -> None:
    pool = open_pool("acme", calls(2))

    error = refused(Completes(), pool, threads=threads)

    assert error.account == "acme"
    assert_nothing_came_of_it(pool)


def test_of_two_that_are_told_at_once_the_first_in_the_list_charges(
    open_pool: Open,
) -> None:
    """Also if it has to look for its account while the other knows its own already."""
    pool = open_pool("acme", tokens(100_000))
    team, model = pool.open("team", limit=tokens(0)), FakeChatModel()
    graph = graph_that_asks(model)

    with budget(pool):
        asyncio.run(graph.ainvoke({}))  # so the scope knows
        for _ in range(20):
            with pytest.raises(BudgetExceeded):
                asyncio.run(
                    graph.ainvoke({}, {"callbacks": [BudgetCallbackHandler(team)]})
                )

    assert len(model.calls) == 1
    assert_quiet(pool.ledger.store)


def graph_that_asks(model: FakeChatModel) -> Any:
    async def work(_: Any) -> Any:
        await model.ainvoke("Hi")
        return {}

    builder = StateGraph(dict)
    builder.add_node("work", work)
    builder.add_edge(START, "work")
    return builder.compile()


class Held(NamedTuple):
    """A posting of a store that is made to wait."""

    waits: threading.Event
    goes: threading.Event


def hold_up(pool: BudgetPool, number: int, monkeypatch: pytest.MonkeyPatch) -> Held:
    """Have the reserve of that number, from 1, wait."""
    held, store = Held(threading.Event(), threading.Event()), pool.ledger.store
    reserves, post = itertools.count(1), store.post

    def dawdle(posting: Any) -> Any:
        if isinstance(posting.hold, OpenHold) and next(reserves) == number:
            held.waits.set()
            assert held.goes.wait(PATIENCE_SECONDS)
        return post(posting)

    monkeypatch.setattr(store, "post", dawdle)
    return held


async def then(goes: threading.Event, asks: Any) -> None:
    try:
        await asks
    finally:
        goes.set()


def test_a_stream_that_ends_while_more_is_held_for_it_gives_that_back(
    open_pool: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = open_pool("small", tokens(1_500)), open_pool("large", tokens(10**6))
    held = hold_up(large, 2, monkeypatch)
    model = FakeChatModel(replies=["w " * 3_000])

    async def read() -> None:
        async for _ in model.astream("Hi", config_of(small, large)):
            pass

    with pytest.raises(BudgetExceeded, match="small"):
        asyncio.run(then(held.goes, read()))

    assert held.waits.is_set()
    assert large.ledger.store.open_holds() == ()
    assert large.report().spent("output_tokens").value == model.total.output_tokens
    assert_quiet(large.ledger.store)


def test_a_call_that_is_refused_after_the_run_around_it_has_ended_costs_nothing(
    open_pool: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, empty = open_pool("full", calls(50)), open_pool("empty", calls(0))
    first, held = (hold_up(empty, number, monkeypatch) for number in (1, 2))
    announced, model = EventLog(), FakeChatModel()

    def tell(event: Event) -> None:
        announced.append(event)
        if len(announced.of(Reserved)) == 2:
            first.goes.set()

    full.subscribe(tell)
    branches = RunnableParallel(a=model, b=model)

    with pytest.raises(BudgetExceeded, match="empty"):
        asyncio.run(then(held.goes, branches.ainvoke("Hi", config_of(full, empty))))

    assert held.waits.is_set()
    assert model.calls == ()
    assert full.report().spent("calls") == calls(0)
    assert_quiet(full.ledger.store)


class Veto(BaseCallbackHandler):
    """Another package's handler, on a thread."""

    raise_error = True

    def __init__(self, ours: threading.Event) -> None:
        self._ours = ours

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        assert self._ours.wait(PATIENCE_SECONDS)
        raise PermissionError


def test_what_is_being_held_while_somebody_else_refuses_comes_back(
    open_pool: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If there is a run around the call, which ends with that refusal."""
    pool = open_pool("acme", calls(50))
    held = hold_up(pool, 1, monkeypatch)
    chain = RunnableLambda(lambda question: question) | FakeChatModel()
    handlers = [BudgetCallbackHandler(pool), Veto(held.waits)]

    with pytest.raises(PermissionError):
        asyncio.run(then(held.goes, chain.ainvoke("Hi", {"callbacks": handlers})))

    assert_nothing_came_of_it(pool)


def test_a_call_that_is_cancelled_while_it_is_held_for_costs_nothing(
    open_pool: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If there is a run around it, which ends with that."""
    pool = open_pool("acme", calls(50))
    held = hold_up(pool, 1, monkeypatch)
    chain = RunnableLambda(lambda question: question) | FakeChatModel()

    async def ask() -> None:
        task = asyncio.create_task(chain.ainvoke("Hi", config_of(pool)))
        await asyncio.to_thread(held.waits.wait, PATIENCE_SECONDS)
        task.cancel()
        await asyncio.wait([task])
        held.goes.set()

    asyncio.run(ask())

    assert_nothing_came_of_it(pool)


def test_a_hold_that_is_made_after_the_run_around_it_has_failed_is_closed(
    open_pool: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = open_pool("acme", calls(50))
    held = hold_up(pool, 1, monkeypatch)

    async def fails(_: str) -> None:
        await asyncio.to_thread(held.waits.wait, PATIENCE_SECONDS)
        raise PermissionError

    branches: Any = RunnableParallel(a=RunnableLambda(fails), b=FakeChatModel())
    with pytest.raises(PermissionError):
        asyncio.run(then(held.goes, branches.ainvoke("Hi", config_of(pool))))

    assert pool.ledger.store.open_holds() == ()
    assert_quiet(pool.ledger.store)


def test_a_middleware_that_is_cancelled_is_not_taken_for_one_outside_of_a_retry(
    open_pool: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes its hold back while the handler still sizes the call."""
    pool = open_pool("acme", calls(50))
    sizes, goes = threading.Event(), threading.Event()
    of_run = asked.labels_of_run

    def dawdle(*args: Any) -> Any:
        sizes.set()
        assert goes.wait(PATIENCE_SECONDS)
        return of_run(*args)

    monkeypatch.setattr(asked, "labels_of_run", dawdle)
    agent = create_agent(FakeChatModel(), middleware=[BudgetMiddleware(pool)])

    async def ask() -> None:
        task = asyncio.create_task(agent.ainvoke({"messages": [("user", "Hi")]}))
        await asyncio.to_thread(sizes.wait, PATIENCE_SECONDS)
        task.cancel()
        await asyncio.wait([task])
        goes.set()

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", OuterMiddlewareWarning)
        asyncio.run(ask())
    gc.collect()

    assert told == []
    assert pool.balance("calls").held == calls(0)
    assert_quiet(pool.ledger.store)


class OnlyText(BudgetCallbackHandler):
    """It leaves chats to others."""

    @property
    def ignore_chat_model(self) -> bool:
        return True


class OnlySome(BudgetCallbackHandler):
    """It leaves these calls to others."""

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        pass


@pytest.mark.parametrize("first", [OnlyText, OnlySome])
@pytest.mark.parametrize("is_scope", [True, False])
def test_who_hears_of_no_call_is_not_relied_on(
    open_pool: Open, first: type[BudgetCallbackHandler], *, is_scope: bool
) -> None:
    pool = open_pool("acme", tokens(10_000))
    model = FakeChatModel(replies=["Fine."], usage=(100, 20))
    second = [] if is_scope else [BudgetCallbackHandler(pool)]

    with budget(pool) if is_scope else nullcontext():
        asyncio.run(model.ainvoke("Hi", {"callbacks": [first(pool), *second]}))

    assert pool.balance("tokens").spent == tokens(120)
    assert_quiet(pool.ledger.store)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("waits_for", ["text", "output"])
@pytest.mark.parametrize("is_blocking", [True, False])
def test_a_stream_that_was_refused_is_asked_for_anew_each_time(
    open_pool: Open, waits_for: str, *, is_blocking: bool
) -> None:
    """One of version 3 begins the call again, told with the very same objects."""
    few = tokens(10)
    pool = open_pool("acme", few) if is_blocking else BudgetPool("acme", few)
    model = FakeChatModel(replies=["Fine."], usage=(12, 3), max_tokens=3)

    async def read(stream: Any, what: str) -> object:
        if what == "text":
            return [each async for each in stream.text]
        return await stream.output

    async def ask() -> list[object]:
        stream = await model.astream_events("Hi", config_of(pool), version="v3")
        asks = [read(stream, waits_for), read(stream, "output")]
        ends = await asyncio.gather(*asks, return_exceptions=True)
        assert model.calls == ()
        pool.top_up(tokens(100))
        return [*ends, (await stream.output).text]

    *refusals, answer = asyncio.run(ask())

    assert [type(each) for each in refusals] == [BudgetExceeded] * 2
    assert answer == "Fine."
    assert len(model.calls) == 1
    assert pool.balance("tokens").spent == tokens(15)
    assert_quiet(pool.ledger.store)


class Cached(Completes):
    """A model that makes the same object of its settings for every request."""

    def asdict(self) -> dict[str, Any]:
        return SETTINGS


SETTINGS: dict[str, Any] = {"model": "cached"}


@pytest.mark.parametrize("threads", [1, 8])
def test_a_refusal_is_of_one_request_alone(open_pool: Open, threads: int) -> None:
    pool = open_pool("acme", calls(4))

    async def ask() -> list[object]:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(threads))
        asked = []
        for prompts in (2, 3, 2, 1):
            batch = Cached().abatch(["Hi"] * prompts, config_of(pool))
            asked += await asyncio.gather(batch, return_exceptions=True)
        return asked

    ends = asyncio.run(ask())

    assert [type(each) for each in ends] == [list, BudgetExceeded, list, BudgetExceeded]
    assert pool.report().spent("calls") == calls(4)
    assert_quiet(pool.ledger.store)
