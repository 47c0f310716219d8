"""
Priority pools: who matters more gets more, and less money means less service.

A treasury divides a budget by priority, divides it anew by what was used, and helps in
emergencies out of a reserve. A graph offers less as money runs down.
"""

import operator
from functools import partial
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph

from langchain_budget import (
    Alerts,
    BudgetCallbackHandler,
    BudgetPool,
    MemoryStore,
    Price,
    PriceTable,
    Rule,
    Treasury,
    usd,
)
from langchain_budget.core.policies.allocation import by_priority
from langchain_budget.core.policies.thresholds import LOW_BUDGET
from langchain_budget.events import BudgetChanged
from langchain_budget.testing import FakeChatModel, StillClock

# A thorough answer costs 80 cents with these prices, and a short one 40.
prices = PriceTable({"fake": Price.per_million(input=0, output=1_000)})
thorough = FakeChatModel(replies=["All of it."], usage=(10, 800), max_tokens=800)
short = FakeChatModel(replies=["In short."], usage=(10, 400), max_tokens=400)

store = MemoryStore(clock=StillClock())  # usage is counted by the hour: not by chance
pool = BudgetPool("acme", usd(12), store=store, prices=prices)
pool.open("reserve", carve=usd(2), metadata={"used for": "emergencies"})
for name, priority in {"critical": 9, "standard": 5, "background": 2}.items():
    pool.open(name, carve=usd(0), priority=priority)
print(f"reserve: {dict(pool.account('reserve').traits().metadata)}")
treasury = Treasury(pool, reserve="reserve")


@pool.subscribe
def tell(event):
    if isinstance(event, BudgetChanged):
        print(f"  {event.message}")


print("divided by priority:")
least = partial(by_priority, minimum=usd("0.50").value)
treasury.allocate(least, usd(10), reason="a new week")

critical = pool.account("critical")
alerts = Alerts(
    critical,
    [Rule("50%"), LOW_BUDGET],
    tell=lambda alert: print(f"  {alert.severity}: {alert.message}"),
)


class State(TypedDict):
    answers: Annotated[list[str], operator.add]


def explain(_: State) -> State:
    return {"answers": [thorough.invoke("Why?").text]}


def sum_up(_: State) -> State:
    return {"answers": [short.invoke("Why?").text]}


def ask_for_help(_: State) -> None:
    """All for a priority of 7 or more, if the reserve has it."""
    helped = treasury.emergency("critical", usd(1), reason="customers are waiting")
    print(f"  emergency: {helped.why}")


def by_level(state: State) -> str:
    """What the account still offers, by the share of its budget that it has left."""
    level = treasury.level("critical").name
    print(f"after {len(state['answers'])} answers: {level}")
    return level if len(state["answers"]) < 11 else END


ROUTES = {
    "full": "explain",
    "standard": "sum_up",
    "minimal": "sum_up",
    "emergency": "ask_for_help",
    END: END,
}
builder = StateGraph(State)
for node in (explain, sum_up, ask_for_help):
    builder.add_node(node)
    builder.add_conditional_edges(node.__name__, by_level, ROUTES)
builder.add_conditional_edges(START, by_level, ROUTES)
graph = builder.compile()
graph.invoke({"answers": []}, config={"callbacks": [BudgetCallbackHandler(critical)]})

print("another emergency:")
print(f"  {treasury.emergency('background', usd(1), reason='in a hurry').why}")

print("to be looked at:")
for finding in treasury.review():
    print(f"  {finding.severity}: {finding.text}")

print("divided anew, by priority and by what was used:")
treasury.rebalance()

print()
print(pool)
