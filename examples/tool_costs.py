"""
Tool costs: what a call should cost is held before it runs, what it did cost is charged.

Tools of a graph are priced by a table, an unknown one with caution. Each charge is
logged, alerts are given at 50, 75 and 90 %, and estimates are compared with the truth.
"""

import logging
import sys

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from langchain_budget import (
    Alerts,
    BudgetExceeded,
    BudgetPool,
    ToolCosts,
    budgeted_tool,
    estimation_errors,
    log_costs,
    usd,
)
from langchain_budget.core.policies.thresholds import MONITORING
from langchain_budget.pricing.tool_costs import STANDARD_TOOL_COSTS
from langchain_budget.testing import FakeChatModel

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="  %(message)s")


@tool("Read")
def read(path: str) -> str:
    """Read a file; what that costs it does not say."""
    return f"the text of {path}"


@tool("WebFetch")
def fetch(url: str) -> dict:
    """Fetch a page; the provider's answer has its price."""
    return {"page": f"all of {url}", "cost_usd": 0.008}


@tool("Translate")
def translate(text: str) -> dict:
    """Translate; a tool that stands in no table."""
    return {"text": text[::-1], "usage": {"cost_usd": 0.015}}


def asks(tool_name, **arguments):
    call = {"name": tool_name, "args": arguments, "id": tool_name}
    return AIMessage("", tool_calls=[call])


plan = [
    asks("Read", path="notes.txt"),
    asks("WebFetch", url="example.org"),
    asks("Translate", text="tea"),
    asks("WebFetch", url="example.com"),
    asks("Translate", text="milk"),
    "Here you are.",
]
model = FakeChatModel(replies=plan)

# Unknown tools are held for at $0.01 and a buffer of 20 %.
costs = ToolCosts(STANDARD_TOOL_COSTS, base="0.01")
pool = BudgetPool("session", usd("0.04"))
tools = [budgeted_tool(each, pool, costs=costs) for each in (read, fetch, translate)]

builder = StateGraph(MessagesState)
builder.add_node("agent", lambda state: {"messages": [model.invoke(state["messages"])]})
builder.add_node("tools", ToolNode(tools))
builder.add_edge(START, "agent")
builder.add_conditional_edges("agent", tools_condition)
builder.add_edge("tools", "agent")
graph = builder.compile(checkpointer=InMemorySaver())

log_costs(pool)
Alerts(pool, MONITORING, units=["usd"])
thread = {"configurable": {"thread_id": "1"}}

try:
    graph.invoke({"messages": [("user", "Translate those pages.")]}, thread)
except BudgetExceeded as no:
    print(f"refused: {no}")

pool.top_up(usd("0.01"), reason="it is worth it")
print("topped up, and on from where it stopped:")
print(graph.invoke(None, thread)["messages"][-1].text)

print()
print(estimation_errors(pool))
