"""Handlers whose store blocks are told on threads: of one call, several at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    budget,
    calls,
    tokens,
)
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
    assert store.open_holds() == ()
    assert full.report().spent("calls") == calls(0)
    assert_quiet(store)


@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize("turn", [1, -1])
def test_of_a_request_that_one_pool_refuses_no_prompt_is_held(
    open_pool: Open, turn: int, threads: int
) -> None:
    """However many prompts there are, and whichever pool is told first."""
    empty, full = open_pool("empty", calls(0)), open_pool("full", calls(50))

    error = refused(Completes(), *[empty, full][::turn], threads=threads)

    assert error.account == "empty"
    assert full.ledger.store.open_holds() == ()
    assert full.report().spent("calls") == calls(0)
    assert_quiet(full.ledger.store)


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
    assert pool.ledger.store.open_holds() == ()
    assert pool.report().spent("calls") == calls(0)
    assert_quiet(pool.ledger.store)
