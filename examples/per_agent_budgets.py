"""
Three agents, each with a budget of its own; one runs out, buys from another, goes on.

Nothing here needs a key or a network: the models are scripted, and so is their price.
"""

from pathlib import Path
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    Price,
    PriceTable,
    usd,
)
from langchain_budget.config.per_agent import PerAgentBudgets
from langchain_budget.testing import FakeChatModel


def model(tokens: int) -> FakeChatModel:
    """Answers of so many tokens: at $10 for a million, 1,000 cost one cent."""
    return FakeChatModel(replies=["Done."], usage=(100, tokens), max_tokens=tokens)


# An efficient agent, one in between, and one that talks a lot.
models = {"ann": model(500), "ben": model(1_500), "cleo": model(5_000)}

# Ten cents for each agent, ten dollars for all: the file says so. The account of an
# agent is called like its node, which is how each call finds the account to charge.
budgets = PerAgentBudgets.load(Path(__file__).with_name("per_agent_budget.yaml"))
prices = PriceTable({"fake": Price.per_million(input=0, output=10)})
pool = budgets.open(models, prices=prices)
budgets.announce(pool, lambda name, payload: print("  ", name, payload))


class State(TypedDict, total=False):
    tick: int


def agent(name: str) -> Any:
    def act(state: State) -> None:
        print(f"tick {state['tick']}: {name}")
        try:
            models[name].invoke("Go on.")
        except BudgetExceeded:
            print("   waits: it cannot pay for its next call")

    return act


def market(state: State) -> State:
    """Ann needs little: what she will not use, she sells when somebody is frozen."""
    ann, cleo = pool.account("ann"), pool.account("cleo")
    if cleo.balance().state == "exhausted" and ann.balance().available > usd("0.08"):
        ann.transfer(cleo, usd("0.05"), reason="surplus")
    return {"tick": state["tick"] + 1}


builder = StateGraph(State)
for name in models:
    builder.add_node(name, agent(name))
builder.add_node("market", market)
builder.add_edge(START, "ann")
builder.add_edge("ann", "ben")
builder.add_edge("ben", "cleo")
builder.add_edge("cleo", "market")
builder.add_conditional_edges("market", lambda s: END if s["tick"] > 4 else "ann")
graph = builder.compile()

graph.invoke({"tick": 1}, config={"callbacks": [BudgetCallbackHandler(pool)]})

print(pool)

# What is on the books is what the models really used.
used = sum(each.total.output_tokens for each in models.values())
assert pool.report().total.amounts["output_tokens"] == used
