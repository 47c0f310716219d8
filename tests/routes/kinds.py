"""Kinds of agents and graphs, each with a script for the one model that it calls."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

from deepagents import create_deep_agent
from langchain.agents import create_agent
from langchain.agents.middleware import (
    LLMToolSelectorMiddleware,
    SummarizationMiddleware,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.tools import BaseTool, StructuredTool, tool
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import Send
from langgraph_supervisor import create_supervisor
from langgraph_swarm import create_handoff_tool, create_swarm
from pydantic import BaseModel
from typing_extensions import TypedDict

Build = Callable[[BaseChatModel, list[Any]], Runnable[Any, Any]]
ASKED: Any = {"messages": [HumanMessage("Hi")]}
TALK: Any = {"messages": [HumanMessage("a"), AIMessage("b"), HumanMessage("c")]}


class Kind(NamedTuple):
    """What is run, what its model says, and which of its calls is the deepest."""

    build: Build
    """From a model, and the middleware for each agent that takes some."""
    replies: Sequence[str | AIMessage]
    deepest: int
    """The call, from 0, that lies deepest, or is somebody's who is easily forgotten."""
    input: Any = ASKED
    is_all_middleware: bool = False
    """Whether middleware can see each of its calls."""


class Log(TypedDict, total=False):
    """The state of a plain graph."""

    said: Annotated[list[str], operator.add]


class City(BaseModel):
    """A city."""

    name: str


def calling(name: str, /, **args: Any) -> AIMessage:
    """An answer that calls a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": name}])


@tool
def look(where: str) -> str:
    """Look somewhere."""
    return f"nothing at {where}"


def asking(model: BaseChatModel) -> BaseTool:
    """A tool that calls a model."""

    def ask(question: str) -> str:
        """Ask another model."""
        return model.invoke(question).text

    async def aask(question: str) -> str:
        return (await model.ainvoke(question)).text

    return StructuredTool.from_function(ask, aask)


def node(runnable: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """A node that runs something else; awaited where the graph is."""

    def run(_: Any) -> Log:
        return {"said": [str(runnable.invoke("Hi"))]}

    async def arun(_: Any) -> Log:
        return {"said": [str(await runnable.ainvoke("Hi"))]}

    return RunnableLambda(run, arun)


def chain(*nodes: Any) -> Runnable[Any, Any]:
    """A graph of nodes, one after the other."""
    builder: Any = StateGraph(Log)
    builder.add_sequence([(f"step{at}", each) for at, each in enumerate(nodes)])
    builder.add_edge(START, "step0")
    return builder.compile()  # type: ignore[no-any-return]  # built as Any


def agent(model: BaseChatModel, middleware: list[Any]) -> Runnable[Any, Any]:
    return create_agent(model, [look], middleware=middleware, name="alone")


def tool_calls_model(model: BaseChatModel, middleware: list[Any]) -> Any:
    return create_agent(model, [asking(model)], middleware=middleware)


def deep_main(model: BaseChatModel, middleware: list[Any]) -> Runnable[Any, Any]:
    return create_deep_agent(model, [look], middleware=middleware)


def deep_with(name: str, **spec: Any) -> Build:
    """A deep agent with a subagent that is a specification, or the usual one."""

    def build(model: BaseChatModel, middleware: list[Any]) -> Runnable[Any, Any]:
        told = {"name": name, "description": name, "system_prompt": "Search."}
        told |= {"middleware": middleware, **spec}
        subagents: Any = [told] if middleware or name != "general-purpose" else []
        return create_deep_agent(model, middleware=middleware, subagents=subagents)

    return build


def deep_compiled(model: BaseChatModel, middleware: list[Any]) -> Runnable[Any, Any]:
    runnable = create_agent(model, middleware=middleware, name="researcher")
    subagent: Any = {"name": "researcher", "description": "-", "runnable": runnable}
    return create_deep_agent(model, middleware=middleware, subagents=[subagent])


def supervisor(model: BaseChatModel, middleware: list[Any]) -> Runnable[Any, Any]:
    worker = create_agent(model, middleware=middleware, name="worker")
    return create_supervisor([worker], model=model).compile()


def swarm(model: BaseChatModel, middleware: list[Any]) -> Runnable[Any, Any]:
    to_bob = create_handoff_tool(agent_name="bob")
    alice = create_agent(model, [to_bob], middleware=middleware, name="alice")
    bob = create_agent(model, middleware=middleware, name="bob")
    return create_swarm([alice, bob], default_active_agent="alice").compile()


def functional(model: BaseChatModel, _: list[Any]) -> Runnable[Any, Any]:
    @task
    def say(text: str) -> str:
        return model.invoke(text).text

    @entrypoint()
    def flow(text: str) -> list[str]:
        first = say(text).result()
        return [each.result() for each in [say(first), say(text)]]

    return flow


def nested(model: BaseChatModel, _: list[Any]) -> Runnable[Any, Any]:
    return chain(node(model), chain(chain(node(model))), node(model))


def fan_out(model: BaseChatModel, _: list[Any]) -> Runnable[Any, Any]:
    builder: Any = StateGraph(Log)
    builder.add_node("work", node(model))
    builder.add_conditional_edges(START, lambda _: [Send("work", {})] * 3, ["work"])
    return builder.compile()  # type: ignore[no-any-return]  # built as Any


def batch(model: BaseChatModel, _: list[Any]) -> Runnable[Any, Any]:
    def run(_: Any) -> Log:
        return {"said": [each.text for each in model.batch(["a", "b", "c"])]}

    async def arun(_: Any) -> Log:
        return {"said": [each.text for each in await model.abatch(["a", "b", "c"])]}

    return chain(RunnableLambda(run, arun))


def summarised(model: BaseChatModel, middleware: list[Any]) -> Runnable[Any, Any]:
    summary = SummarizationMiddleware(
        model, trigger=("messages", 2), keep=("messages", 1)
    )
    return create_agent(model, [look], middleware=[summary, *middleware])


def selected(model: BaseChatModel, middleware: list[Any]) -> Runnable[Any, Any]:
    selector = LLMToolSelectorMiddleware(model=model, max_tools=1)
    tools = [look, asking(model)]
    return create_agent(model, tools, middleware=[selector, *middleware])


def structured(model: BaseChatModel, middleware: list[Any]) -> Runnable[Any, Any]:
    return create_agent(model, [look], middleware=middleware, response_format=City)


def structured_chain(model: BaseChatModel, _: list[Any]) -> Runnable[Any, Any]:
    return chain(node(model), node(model.with_structured_output(City)))


CITY = calling("City", name="Ulm")
TASKED = "Found.", "Done."
KINDS = {
    "agent": Kind(
        agent, [calling("look", where="up"), "Done."], 1, is_all_middleware=True
    ),
    "tool calls model": Kind(
        tool_calls_model, [calling("ask", question="Why?"), *TASKED], 1
    ),
    "deep main": Kind(
        deep_main, [calling("look", where="up"), "Done."], 1, is_all_middleware=True
    ),
    "deep subagent": Kind(
        deep_with("researcher"),
        [calling("task", description="-", subagent_type="researcher"), *TASKED],
        1,
        is_all_middleware=True,
    ),
    "deep compiled": Kind(
        deep_compiled,
        [calling("task", description="-", subagent_type="researcher"), *TASKED],
        1,
        is_all_middleware=True,
    ),
    "deep general purpose": Kind(
        deep_with("general-purpose"),
        [calling("task", description="-", subagent_type="general-purpose"), *TASKED],
        1,
        is_all_middleware=True,
    ),
    "supervisor": Kind(supervisor, [calling("transfer_to_worker"), *TASKED], 1),
    "swarm": Kind(
        swarm, [calling("transfer_to_bob"), "Done."], 1, is_all_middleware=True
    ),
    "functional": Kind(functional, ["Done."] * 3, 1, "Hi"),
    "nested": Kind(nested, ["Done."] * 3, 1, {}),
    "fan-out": Kind(fan_out, ["Done."] * 3, 2, {}),
    "batch": Kind(batch, ["Done."] * 3, 2, {}),
    "summary": Kind(summarised, TASKED, 0, TALK),
    "selection": Kind(
        selected, [calling("ToolSelectionResponse", tools=["look"]), "Done."], 0
    ),
    "structured": Kind(
        structured, [calling("look", where="up"), CITY], 1, is_all_middleware=True
    ),
    "structured chain": Kind(structured_chain, ["Done.", CITY], 1, {}),
}
