"""
A team of agents that researches until its money runs out, and then writes.

Nothing here needs a key or a network: the model is scripted, and so is its price.
"""

import operator
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetPool,
    Price,
    PriceTable,
    budget_guard,
    usd,
)
from langchain_budget.testing import FakeChatModel

# 1,000 tokens in and 200 out: with these prices each call costs $0.003.
model = FakeChatModel(replies=["A finding."], usage=(1_000, 200), max_tokens=200)
prices = PriceTable({"fake": Price.per_million(input=1, output=10)})


class State(TypedDict, total=False):
    notes: Annotated[list[str], operator.add]
    answer: str


def plan(_: State) -> State:
    model.invoke("What should we look up next?")
    return {}


def look_up(_: State) -> State:
    return {"notes": [model.invoke("Look it up.").text]}


def write(state: State) -> State:
    model.invoke("Sum up: " + " ".join(state["notes"]))
    return {"answer": f"written from {len(state['notes'])} notes"}


def both(_: State) -> list[Send]:
    return [Send("web", {}), Send("papers", {})]


# Four cents for everybody. One of them is set aside for the writer alone, so that the
# last step always has something to spend; `papers` has a limit of its own.
pool = BudgetPool("team", usd("0.04"), prices=prices)
pool.open("write", carve=usd("0.01"))
pool.open("papers", limit=usd("0.02"))

# Another round is begun only if all of it, three calls, is affordable.
guard = budget_guard(pool, then="plan", otherwise="write", needs=usd("0.01"))

builder = StateGraph(State)
builder.add_node("guard", guard)
builder.add_node("plan", plan)
builder.add_node("web", look_up)
builder.add_node("papers", look_up)
builder.add_node("write", write)
builder.add_edge(START, "guard")
builder.add_conditional_edges("plan", both, ["web", "papers"])
builder.add_edge(["web", "papers"], "guard")
builder.add_edge("write", END)
graph = builder.compile()

end = graph.invoke({"notes": []}, config={"callbacks": [BudgetCallbackHandler(pool)]})

print(end["answer"])
print()
print(pool)

# What is on the books is what the model really used.
assert pool.report().total.amounts["tokens"] == sum(model.total[:2])
assert not pool.balance().held
