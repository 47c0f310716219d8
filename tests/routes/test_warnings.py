"""What weakens a budget is told once, with what to do; what is right is not."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    LLMToolSelectorMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
)
from langchain_core.exceptions import ModelAPIError
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

import langchain_budget
from langchain_budget import (
    BudgetCallbackHandler,
    BudgetMiddleware,
    BudgetPool,
    LostHandlerWarning,
    OuterMiddlewareWarning,
    StrayThreadWarning,
    TwoHandlersWarning,
    WeakEnforcementWarning,
    budget,
    budget_guard,
    budgeted,
    tokens,
)
from langchain_budget.testing import FakeChatModel
from tests.adapters.texts import Completes

ASKED: Any = {"messages": [("user", "Hi")]}


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", tokens(100_000))


def failing_once() -> FakeChatModel:
    return FakeChatModel(replies=[ModelAPIError("gone"), "Done."])


@tool
def look(where: str) -> str:
    """Look somewhere."""
    return where


def test_all_of_them_have_one_base() -> None:
    names = [name for name in langchain_budget.__all__ if name.endswith("Warning")]

    assert len(names) >= 4
    for name in names:
        assert issubclass(getattr(langchain_budget, name), WeakEnforcementWarning)


def test_two_handlers_of_one_pool_are_told_of_once(pool: BudgetPool) -> None:
    other = pool.open("other")
    handlers = [BudgetCallbackHandler(pool), BudgetCallbackHandler(other)]
    config: Any = {"callbacks": handlers}

    with pytest.warns(TwoHandlersWarning, match="'acme' and 'acme/other'") as told:
        asked_twice(lambda: FakeChatModel().invoke("Hi", config))

    assert len(told) == 1
    assert pool.report().spent("calls").value == 2


def test_handlers_of_two_pools_and_a_scope_are_right(pool: BudgetPool) -> None:
    other = BudgetPool("other", tokens(100_000))
    handlers = [BudgetCallbackHandler(pool), BudgetCallbackHandler(other)]

    with budget(pool):
        FakeChatModel().invoke("Hi", {"callbacks": handlers})

    assert other.report().spent("calls").value == 1


def retry() -> Any:
    return ModelRetryMiddleware(initial_delay=0.001)


def fallback() -> Any:
    return ModelFallbackMiddleware(FakeChatModel())


def asked_twice(run: Callable[[], Any]) -> None:
    for _ in range(2):
        run()


@pytest.mark.parametrize("wrap", [budgeted, lambda model, _: model], ids=["w", "plain"])
@pytest.mark.parametrize("inner", [retry, fallback])
def test_middleware_outside_of_a_retry_is_told_of_once(
    pool: BudgetPool, inner: Callable[[], Any], wrap: Callable[..., Any]
) -> None:
    def run() -> None:
        middleware = [BudgetMiddleware(pool), inner()]
        create_agent(wrap(failing_once(), pool), middleware=middleware).invoke(ASKED)

    with pytest.warns(OuterMiddlewareWarning, match="last in middleware") as told:
        asked_twice(run)

    assert len(told) == 1
    assert pool.report().spent("calls").value == 2
    assert pool.balance("tokens").held == tokens(0)


def test_middleware_outside_of_a_selection_is_told_of(pool: BudgetPool) -> None:
    chosen = {"name": "ToolSelectionResponse", "args": {"tools": ["look"]}, "id": "1"}
    chooser = FakeChatModel(replies=[AIMessage("", tool_calls=[chosen])])
    selection = LLMToolSelectorMiddleware(model=chooser)
    middleware: Any = [BudgetMiddleware(pool), selection]
    agent = create_agent(FakeChatModel(), [look], middleware=middleware)

    with pytest.warns(OuterMiddlewareWarning, match="last in middleware"):
        agent.invoke(ASKED)

    assert pool.report().spent("calls").value == 2


@pytest.mark.parametrize("inner", [retry, fallback])
def test_innermost_middleware_is_right(
    pool: BudgetPool, inner: Callable[[], Any]
) -> None:
    middleware = [inner(), BudgetMiddleware(pool)]

    create_agent(failing_once(), middleware=middleware).invoke(ASKED)

    assert pool.report().spent("calls").value == 1


def test_a_handler_that_an_agent_drops_is_told_of_once(pool: BudgetPool) -> None:
    other = BudgetPool("other", tokens(100_000))
    config: Any = {"callbacks": [BudgetCallbackHandler(other)]}
    model: Any = FakeChatModel().with_config(config)
    agent = create_agent(model, [look], middleware=[BudgetMiddleware(pool)])

    with pytest.warns(LostHandlerWarning, match="config of the run") as told:
        asked_twice(lambda: agent.invoke(ASKED))

    assert len(told) == 1
    assert other.report().spent("calls").value == 0
    assert pool.report().spent("calls").value == 2


def in_thread(function: Callable[..., Any], *args: Any) -> None:
    thread = threading.Thread(target=function, args=args, name="worker")
    thread.start()
    thread.join()


def test_a_raw_thread_under_an_open_scope_is_told_of_once() -> None:
    model = FakeChatModel()

    with budget() as b, pytest.warns(StrayThreadWarning, match=r"b\.wrap") as told:
        asked_twice(lambda: in_thread(model.invoke, "Hi"))

    assert len(told) == 1
    assert "'worker'" in str(told[0].message)
    assert b.successful_requests == 0


def test_a_thread_that_is_wrapped_or_pays_otherwise_is_right(pool: BudgetPool) -> None:
    config: Any = {"callbacks": [BudgetCallbackHandler(pool)]}

    with budget() as b:
        in_thread(b.wrap(FakeChatModel().invoke), "Hi")
        in_thread(FakeChatModel().invoke, "Hi", config)
        in_thread(budgeted(FakeChatModel(), pool).invoke, "Hi")

    assert b.successful_requests == 1
    assert pool.report().spent("calls").value == 2


@pytest.mark.parametrize("store", ["memory://", "sqlite:///{}"])
@pytest.mark.parametrize("is_followed", [False, True])
def test_a_loop_in_a_raw_thread_whose_calls_are_paid_is_right(
    tmp_path: Path, store: str, *, is_followed: bool
) -> None:
    """Where a store blocks, its handler is told after the one that would warn."""
    url = store.format((tmp_path / "books.db").as_posix())
    pool = BudgetPool("acme", tokens(100_000), store=url)
    config: Any = {"callbacks": [BudgetCallbackHandler(pool)]}
    guards = [budget_guard(pool, then="x", reserve=tokens(1))] if is_followed else []

    with budget() as b:
        in_thread(lambda: asyncio.run(FakeChatModel().ainvoke("Hi", config)))
        in_thread(lambda: asyncio.run(Completes().ainvoke("Hi", config)))

    assert b.successful_requests == 0
    assert pool.report().spent("calls").value == 2
    assert guards or not is_followed
    pool.close()


@pytest.mark.parametrize("model", [FakeChatModel(), Completes()])
def test_a_loop_in_a_raw_thread_is_told_of(model: Any) -> None:
    with budget() as b, pytest.warns(StrayThreadWarning, match=r"b\.wrap") as told:
        asked_twice(lambda: in_thread(lambda: asyncio.run(model.ainvoke("Hi"))))

    assert len(told) == 1
    assert b.successful_requests == 0


def test_a_thread_from_before_the_scope_or_after_it_is_right() -> None:
    ask, asked, model = threading.Event(), threading.Event(), FakeChatModel()

    def work() -> None:
        ask.wait(10)
        model.invoke("Hi")
        asked.set()

    thread = threading.Thread(target=work)
    thread.start()
    with warnings.catch_warnings(record=True) as told, budget():
        warnings.simplefilter("always")
        ask.set()
        assert asked.wait(10)
    thread.join()
    in_thread(model.invoke, "Hi")

    assert told == []
    assert len(model.calls) == 2
