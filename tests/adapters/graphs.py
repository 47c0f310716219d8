"""What tests of graphs share: the four ways to run one, and nodes that call a model."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any

from langchain_core.runnables import Runnable, RunnableLambda
from typing_extensions import TypedDict

from langchain_budget import BudgetPool
from langchain_budget.testing import FakeChatModel

WAYS = ("invoke", "ainvoke", "stream", "astream")


class Log(TypedDict, total=False):
    """The state of a graph that writes down where it has been."""

    log: Annotated[list[str], operator.add]


def run(way: str, graph: Any, inputs: Any, config: Any = None) -> Any:
    """Run a graph, and return its last state."""
    if way == "invoke":
        return graph.invoke(inputs, config)
    if way == "ainvoke":
        return asyncio.run(graph.ainvoke(inputs, config))
    if way == "stream":
        return [*graph.stream(inputs, config, stream_mode="values")][-1]
    return asyncio.run(_last(graph.astream(inputs, config, stream_mode="values")))


async def _last(stream: Any) -> Any:
    return [each async for each in stream][-1]


def asks(model: FakeChatModel, name: str, times: int = 1) -> Runnable[Any, Any]:
    """A node that calls *model*, awaiting it where the graph is awaited."""

    def node(_: Any) -> Log:
        return {"log": [name, *[model.invoke("Hi").text for _ in range(times)]]}

    async def anode(_: Any) -> Log:
        texts = [(await model.ainvoke("Hi")).text for _ in range(times)]
        return {"log": [name, *texts]}

    return RunnableLambda(node, anode)


def notes(name: str) -> Any:
    """A node that only writes down that it ran."""
    return lambda _: {"log": [name]}


def assert_quiet(pool: BudgetPool, model: FakeChatModel, unit: str = "calls") -> None:
    """Nothing is set aside any more, and the books say what the model counted."""
    balance = pool.balance(unit)
    spent = {
        "calls": model.total.calls,
        "tokens": model.total.input_tokens + model.total.output_tokens,
    }

    assert (balance.held.value, balance.lent.value) == (0, 0)
    assert balance.spent.value == spent[unit]
    if balance.granted is not None and balance.available is not None:
        left = balance.granted.value - balance.spent.value
        assert balance.available.value == left
