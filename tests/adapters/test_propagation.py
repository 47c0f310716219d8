"""A refusal is checked as often, and surfaces, as the framework's layers allow.

The counts are those of langchain-core 1.6 to 1.8, langgraph 1.2 and langchain 1.4.
"""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
    ToolErrorMiddleware,
    ToolRetryMiddleware,
)
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import RetryPolicy

from langchain_budget import BudgetCallbackHandler, BudgetExceeded, BudgetPool, calls
from langchain_budget.events import Event, Refused
from langchain_budget.testing import FakeChatModel


class Watch:
    """A pool with money for some calls, and a count of what it refused."""

    def __init__(self, affordable: int = 0) -> None:
        self.pool = BudgetPool("acme", calls(affordable))
        self.config: Any = {"callbacks": [BudgetCallbackHandler(self.pool)]}
        self.refusals = 0
        self.pool.subscribe(self.count)

    def count(self, event: Event) -> None:
        self.refusals += isinstance(event, Refused)

    def assert_refused_still(self) -> None:
        """A layer may have swallowed it; the next call is refused all the same."""
        before = self.refusals
        with pytest.raises(BudgetExceeded):
            FakeChatModel().invoke("again", self.config)
        assert self.refusals == before + 1
        assert self.pool.balance("calls").held == calls(0)


def test_with_retry_checks_each_attempt_and_raises() -> None:
    watch = Watch()
    model = FakeChatModel().with_retry(wait_exponential_jitter=False)

    with pytest.raises(BudgetExceeded):
        model.invoke("Hi", watch.config)
    assert watch.refusals == 3
    watch.assert_refused_still()


def test_with_retry_on_other_errors_checks_once() -> None:
    watch = Watch()
    model = FakeChatModel().with_retry(retry_if_exception_type=(OSError,))

    with pytest.raises(BudgetExceeded):
        model.invoke("Hi", watch.config)
    assert watch.refusals == 1


def test_with_fallbacks_falls_back_and_the_fallback_is_reserved_too() -> None:
    watch = Watch()
    model = FakeChatModel().with_fallbacks([FakeChatModel(model_name="cheap")])

    with pytest.raises(BudgetExceeded):
        model.invoke("Hi", watch.config)
    assert watch.refusals == 2
    watch.assert_refused_still()


def node_graph(**options: Any) -> Any:
    model = FakeChatModel()

    def work(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("work", work, **options)
    builder.add_edge(START, "work")
    return builder.compile()


HELLO: Any = {"messages": [HumanMessage("Hi")]}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"retry_policy": RetryPolicy(initial_interval=0.001)},
        {"error_handler": lambda state, error: {"messages": []}},
    ],
    ids=["plain", "retry policy", "error handler"],
)
@pytest.mark.parametrize("mode", ["invoke", "stream", "ainvoke", "astream"])
async def test_a_graph_node_raises_after_one_check(
    options: dict[str, Any], mode: str
) -> None:
    watch = Watch()

    with pytest.raises(BudgetExceeded):
        await run(node_graph(**options), mode, HELLO, watch.config)
    assert watch.refusals == 1


async def run(graph: Any, mode: str, given: Any, config: Any) -> Any:
    if mode == "ainvoke":
        return await graph.ainvoke(given, config)
    if mode == "astream":
        return [part async for part in graph.astream(given, config)]
    return (
        graph.invoke(given, config)
        if mode == "invoke"
        else list(graph.stream(given, config))
    )


async def test_a_nested_subgraph_raises_after_one_check() -> None:
    watch = Watch()
    builder = StateGraph(MessagesState)
    builder.add_node("inner", node_graph())
    builder.add_edge(START, "inner")

    with pytest.raises(BudgetExceeded):
        await run(builder.compile(), "ainvoke", HELLO, watch.config)
    assert watch.refusals == 1


@tool
def ask_model(question: str) -> str:
    """Ask another model."""
    return str(FakeChatModel(model_name="inner").invoke(question).content)


CALLS_TOOL = AIMessage(
    "", tool_calls=[{"name": "ask_model", "args": {"question": "Why?"}, "id": "1"}]
)


def tool_graph(**options: Any) -> Any:
    class State(TypedDict):
        messages: Annotated[list[AnyMessage], add_messages]

    builder = StateGraph(State)
    builder.add_node("tools", ToolNode([ask_model], **options))
    builder.add_edge(START, "tools")
    builder.add_edge("tools", END)
    return builder.compile()


@pytest.mark.parametrize("options", [{}, {"handle_tool_errors": True}])
@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
async def test_a_tool_node_raises_after_one_check(
    options: dict[str, Any], mode: str
) -> None:
    watch = Watch()

    with pytest.raises(BudgetExceeded):
        await run(tool_graph(**options), mode, {"messages": [CALLS_TOOL]}, watch.config)
    assert watch.refusals == 1


def agent_with(*middleware: Any, **options: Any) -> Any:
    model = FakeChatModel(replies=[CALLS_TOOL, "Done."])
    return create_agent(model, [ask_model], middleware=list(middleware), **options)


MIDDLEWARES = [
    pytest.param(ModelRetryMiddleware(initial_delay=0.001), id="model retry"),
    pytest.param(
        ModelFallbackMiddleware(FakeChatModel(model_name="cheap")), id="fallback"
    ),
    pytest.param(ToolRetryMiddleware(initial_delay=0.001), id="tool retry"),
    pytest.param(ToolErrorMiddleware(lambda error: "It failed."), id="tool error"),
]


@pytest.mark.parametrize("affordable", [0, 1], ids=["model", "model in a tool"])
@pytest.mark.parametrize("middleware", MIDDLEWARES)
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
async def test_agent_middleware_lets_a_refusal_pass_after_one_check(
    middleware: Any, affordable: int, mode: str
) -> None:
    watch = Watch(affordable)

    with pytest.raises(BudgetExceeded):
        await run(agent_with(middleware), mode, HELLO, watch.config)
    assert watch.refusals == 1


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
async def test_a_summary_that_is_refused_raises_after_one_check(mode: str) -> None:
    watch = Watch()
    summary = SummarizationMiddleware(
        FakeChatModel(model_name="summary"),
        trigger=("messages", 2),
        keep=("messages", 1),
    )
    talk = [HumanMessage("a"), AIMessage("b"), HumanMessage("c")]

    with pytest.raises(BudgetExceeded):
        await run(agent_with(summary), mode, {"messages": talk}, watch.config)
    assert watch.refusals == 1


def test_a_batch_returns_refusals_where_it_is_asked_to() -> None:
    watch = Watch(affordable=1)

    results = FakeChatModel().batch(
        ["a", "b", "c"], watch.config, return_exceptions=True
    )
    assert sum(isinstance(each, BudgetExceeded) for each in results) == 2


def test_a_tool_that_swallows_everything_only_delays_the_refusal() -> None:
    watch = Watch(affordable=1)

    @tool
    def careless(question: str) -> str:
        """Ask another model."""
        try:
            return str(FakeChatModel().invoke(question).content)
        except Exception:  # noqa: BLE001  # as users' tools do
            return "no answer"

    call = {"name": "careless", "args": {"question": "Why?"}, "id": "1"}
    model = FakeChatModel(replies=[AIMessage("", tool_calls=[call]), "Done."])

    with pytest.raises(BudgetExceeded):
        create_agent(model, [careless]).invoke(HELLO, watch.config)
    assert watch.refusals == 2
    assert model.total.calls == 1
