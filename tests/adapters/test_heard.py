"""Models that complete text are metered on event loops, whoever else listens there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import TimeoutPolicy

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    budget,
    budget_guard,
    calls,
    tokens,
)
from tests.adapters.texts import Completes
from tests.invariants import assert_quiet

Way = Callable[[Completes, Any], Awaitable[object]]


class Listens(BaseCallbackHandler):
    """It writes down the starts that it hears of."""

    def __init__(self, *, inline: bool) -> None:
        self.run_inline = inline
        self.heard: list[str] = []

    def on_llm_start(self, *_: Any, **__: Any) -> None:
        self.heard.append("start")


async def invoke(model: Completes, config: Any) -> object:
    return await model.ainvoke("Hi", config)


async def batch(model: Completes, config: Any) -> object:
    return await model.abatch(["Hi"], config)


async def stream(model: Completes, config: Any) -> object:
    return [each async for each in model.astream("Hi", config)]


async def events(model: Completes, config: Any) -> object:
    return [each async for each in model.astream_events("Hi", config, version="v2")]


each_way = pytest.mark.parametrize("way", [invoke, batch, stream, events])


@pytest.fixture(params=["memory://", "sqlite:///{}"])
def pool(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BudgetPool]:
    url = request.param.format((tmp_path / "books.db").as_posix())
    pool = BudgetPool("acme", tokens(1_000), store=url)
    yield pool
    pool.close()


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("hook", ["handler", "scope", "both"])
@each_way
def test_all_hear_of_a_start(
    pool: BudgetPool, way: Way, hook: str, *, inline: bool
) -> None:
    other = Listens(inline=inline)
    handlers = [] if hook == "scope" else [BudgetCallbackHandler(pool)]

    with nullcontext() if hook == "handler" else budget(pool):
        asyncio.run(way(Completes(), {"callbacks": [other, *handlers]}))

    assert pool.balance("tokens").spent == tokens(120)
    assert other.heard == ["start"]
    assert_quiet(pool.ledger.store)


@each_way
def test_a_call_is_refused_beside_a_tracer(pool: BudgetPool, way: Way) -> None:
    handler = BudgetCallbackHandler(pool.open("drained", limit=tokens(0)))

    with pytest.raises(BudgetExceeded):
        asyncio.run(way(Completes(), {"callbacks": [handler, Listens(inline=True)]}))

    assert pool.report().spent("calls") == calls(0)
    assert_quiet(pool.ledger.store)


async def test_a_guard_that_reserves_deafens_no_handler(pool: BudgetPool) -> None:
    """Its runs are followed by a handler of our own, everywhere."""
    guard = budget_guard(BudgetPool("other", calls(3)), then="x", reserve=calls(1))
    other = Listens(inline=False)

    await Completes().ainvoke("Hi", {"callbacks": [other]})
    await Completes().ainvoke("Hi", {"callbacks": [BudgetCallbackHandler(pool)]})

    assert guard
    assert other.heard == ["start"]
    assert pool.balance("tokens").spent == tokens(120)


@pytest.mark.parametrize("mode", ["messages", "values"])
async def test_a_graph_that_streams_and_gives_up_after_a_time(
    pool: BudgetPool, mode: Any
) -> None:
    """For both LangGraph adds handlers that run inline."""

    async def ask(_: MessagesState) -> Any:
        return {"messages": [await Completes().ainvoke("Hi")]}

    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask, timeout=TimeoutPolicy(idle_timeout=60))
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)

    config: Any = {"callbacks": [BudgetCallbackHandler(pool)]}
    async for _ in builder.compile().astream(
        {"messages": []}, config, stream_mode=mode
    ):
        pass

    assert pool.balance("tokens").spent == tokens(120)
    assert_quiet(pool.ledger.store)


async def test_langchain_leaves_out_handlers_on_threads_beside_one_inline() -> None:
    """The fact that this is about; once it has gone, so may what is done about it."""
    others = [Listens(inline=False), Listens(inline=True)]

    await Completes().ainvoke("Hi", {"callbacks": others})

    assert [each.heard for each in others] == [[], ["start"]]
