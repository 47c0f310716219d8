"""An agent that calls an agent that calls an agent: a refusal surfaces from each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    ToolErrorMiddleware,
    ToolRetryMiddleware,
)
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import RetryPolicy

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    budgeted,
    calls,
)
from langchain_budget.events import Event, Refused
from langchain_budget.testing import FakeChatModel
from tests.invariants import assert_quiet

ASKED: Any = {"messages": [HumanMessage("Hi")]}
SECONDS = 20
"""Longer is a hang."""

Agent = Callable[[Any, list[BaseTool]], Any]
DELEGATE = AIMessage("", tool_calls=[{"name": "delegate", "args": {}, "id": "1"}])
REPLIES = [DELEGATE, DELEGATE, "Found.", "Summed up.", "Done."]
LEVELS = {0: "top", 1: "middle", 2: "bottom", 3: "middle, again", 4: "top, again"}
each_depth = pytest.mark.parametrize("affordable", LEVELS, ids=LEVELS.values())


class Tree:
    """Three agents, each the tool of the one above, that share a pool and a model."""

    def __init__(self, affordable: int, agent: Agent) -> None:
        self.pool = BudgetPool("acme", calls(affordable))
        self.model = FakeChatModel(replies=REPLIES)
        self.agent = agent
        self.refusals = 0
        self.pool.subscribe(self.count)

    def count(self, event: Event) -> None:
        self.refusals += isinstance(event, Refused)

    def grown(self, model: Any) -> Any:
        bottom = self.agent(model, [])
        middle = self.agent(model, [delegating(bottom)])
        return self.agent(model, [delegating(middle)])

    def assert_refused_at(self, affordable: int) -> None:
        """Refused once, nothing called after it, and nothing held."""
        assert self.model.total.calls == affordable
        assert self.refusals == 1
        assert_quiet(self.pool.ledger.store)


def delegating(agent: Any) -> BaseTool:
    """A tool that asks an agent."""

    def delegate() -> str:
        """Ask somebody who knows."""
        return str(agent.invoke(ASKED)["messages"][-1].text)

    async def adelegate() -> str:
        return str((await agent.ainvoke(ASKED))["messages"][-1].text)

    return StructuredTool.from_function(delegate, adelegate)


def plain(model: Any, tools: list[BaseTool]) -> Any:
    return create_agent(model, tools)


def patient(model: Any, tools: list[BaseTool]) -> Any:
    """Whatever middleware has for retrying and going on, all of it at once."""
    middleware: list[Any] = [
        ToolErrorMiddleware(lambda error: "It failed."),
        ToolRetryMiddleware(initial_delay=0.001),
        ModelFallbackMiddleware(FakeChatModel(model_name="cheap")),
        ModelRetryMiddleware(initial_delay=0.001),
    ]
    return create_agent(model, tools, middleware=middleware)


def by_hand(model: Any, tools: list[BaseTool]) -> Any:
    """A graph that handles errors in every way that a graph can."""
    asked = model.bind_tools(tools) if tools else model
    builder: Any = StateGraph(MessagesState)

    def work(state: Any) -> Any:
        return {"messages": [asked.invoke(state["messages"])]}

    builder.add_node(
        "work",
        work,
        retry_policy=RetryPolicy(initial_interval=0.001),
        error_handler=lambda state, error: {"messages": [AIMessage("Never mind.")]},
    )
    builder.add_node("tools", ToolNode(tools, handle_tool_errors=True))
    builder.add_edge(START, "work")
    builder.add_conditional_edges("work", tools_condition)
    builder.add_edge("tools", "work")
    return builder.compile()


AGENTS = [plain, patient, by_hand]
each_agent = pytest.mark.parametrize("agent", AGENTS, ids=lambda each: each.__name__)
each_way = pytest.mark.parametrize(
    "way", ["invoke", "ainvoke", "stream", "astream", "astream_events"]
)


def run(way: str, agent: Any, config: Any) -> None:
    """Run an agent; whatever hangs fails."""
    if way in ("invoke", "stream"):
        threads = ThreadPoolExecutor(1)
        work = threads.submit(lambda: list(getattr(agent, way)(ASKED, config)))
        threads.shutdown(wait=False)
        work.result(SECONDS)
    else:
        asyncio.run(asyncio.wait_for(arun(way, agent, config), SECONDS))


async def arun(way: str, agent: Any, config: Any) -> None:
    if way == "ainvoke":
        await agent.ainvoke(ASKED, config)
    elif way == "astream":
        modes = ["values", "messages"]
        async for _ in agent.astream(ASKED, config, stream_mode=modes):
            pass
    else:
        async for _ in agent.astream_events(ASKED, config, version="v2"):
            pass


@each_way
@each_depth
@each_agent
def test_a_handler_refuses_at_every_depth(
    agent: Agent, affordable: int, way: str
) -> None:
    tree = Tree(affordable, agent)
    config = {"callbacks": [BudgetCallbackHandler(tree.pool)]}

    with pytest.raises(BudgetExceeded):
        run(way, tree.grown(tree.model), config)

    tree.assert_refused_at(affordable)


@each_way
@each_depth
@each_agent
def test_a_wrapped_model_refuses_at_every_depth(
    agent: Agent, affordable: int, way: str
) -> None:
    tree = Tree(affordable, agent)

    with pytest.raises(BudgetExceeded):
        run(way, tree.grown(budgeted(tree.model, tree.pool)), {})

    tree.assert_refused_at(affordable)


@each_way
@each_depth
def test_middleware_of_each_agent_refuses_at_every_depth(
    affordable: int, way: str
) -> None:
    def guarded(model: Any, tools: list[BaseTool]) -> Any:
        return create_agent(model, tools, middleware=[BudgetMiddleware(tree.pool)])

    tree = Tree(affordable, guarded)

    with pytest.raises(BudgetExceeded):
        run(way, tree.grown(tree.model), {})

    tree.assert_refused_at(affordable)
