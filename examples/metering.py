"""
Metering: so many tokens for each agent, and so many calls for each of its tools.

Both are limited in each tick of a simulation, tokens in the whole run as well. A new
tick begins with fresh limits; those of the run go on.
"""

from typing import TypedDict

from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    calls,
    tokens,
)
from langchain_budget.testing import FakeChatModel

TICKS = 3

# Every call uses 200 tokens: 20 go in and 180, as many as it may answer, come out.
model = FakeChatModel(replies=["Lower it."], usage=(20, 180), max_tokens=180)

pool = BudgetPool("simulation")
pool.limit_each("agent", limit=[tokens(600).per("tick"), tokens(1_500).per("run")])
pool.limit_each("agent", "tool", named={"decide_action": [calls(2).per("tick")]})


class State(TypedDict):
    tick: int


@tool
def decide_action(product: str) -> str:
    """Decide on a price; the model that is asked here is metered as this tool."""
    return model.invoke(f"A price for {product}?").text


def trader(_: State) -> None:
    """Would like to decide three times in each tick."""
    attempt(3, lambda: decide_action.invoke({"product": "tea"}))


def analyst(_: State) -> None:
    """Would like to think four times in each tick, without any tool."""
    attempt(4, lambda: model.invoke("How is the market?"))


def attempt(times, work):
    for number in range(1, times + 1):
        try:
            work()
        except BudgetExceeded as no:
            why, _, _ = str(no).partition(" (")
            print(f"  call {number} is refused: {why}")


def begin(state: State) -> None:
    print(f"tick {state['tick']}")


def next_tick(state: State) -> State:
    pool.advance("tick")
    return {"tick": state["tick"] + 1}


def go_on(state: State) -> str:
    return "begin" if state["tick"] <= TICKS else END


builder = StateGraph(State)
for node in (begin, trader, analyst, next_tick):
    builder.add_node(node)
builder.add_edge(START, "begin")
builder.add_edge("begin", "trader")
builder.add_edge("trader", "analyst")
builder.add_edge("analyst", "next_tick")
builder.add_conditional_edges("next_tick", go_on)
graph = builder.compile()

graph.invoke({"tick": 1}, config={"callbacks": [BudgetCallbackHandler(pool)]})

# A new tick has begun: of that one nothing is spent yet, of the run it all is.
for limit in pool.account(":agent").report().balances:
    print(f"{limit.account}: {limit.spent} of {limit.granted} {limit.window}")

# What is on the books is what the model really used.
assert pool.balance("tokens").spent == tokens(sum(model.total[:2]))
assert pool.admin.verify().ok
