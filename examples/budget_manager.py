"""
A budget manager: limits by day and month, and four ways to pay less for the same.

Two agents share one budget and one cache. Simple questions go to a cheap model, long
conversations are trimmed, and what the day may cost was planned before.
"""

from typing import TypedDict

from langchain.agents import create_agent
from langgraph.graph import START, StateGraph

from langchain_budget import (
    BudgetMiddleware,
    BudgetPool,
    ContextTrimming,
    MemoryStore,
    ModelSelection,
    Price,
    PriceTable,
    SharedCache,
    usd,
)
from langchain_budget.core.policies.planning import daily, plan
from langchain_budget.testing import FakeChatModel, StillClock

# 5 agents, 100 tasks a day of 1,000 tokens at $0.002, three times that for overhead.
PLAN = plan(daily(tasks=100, tokens=1_000, price=usd("0.002")), agents=5, overhead=3)
print(f"planned: {PLAN.day} a day, {PLAN.month} a month")

clock = StillClock()  # for the example's sake: time passes when it says so
prices = PriceTable(
    {
        "small": Price.per_million(input="1.50", output=2),
        "large": Price.per_million(input=30, output=60),
    }
)
pool = BudgetPool(
    "helpdesk",
    PLAN.day.per("day"),
    PLAN.month.per("month"),
    store=MemoryStore(clock=clock),
    prices=prices,
)

cache = SharedCache(ttl_seconds=3_600, clock=clock)
small = FakeChatModel(model_name="small", usage=(1_000, 500), cache=cache)
large = FakeChatModel(model_name="large", usage=(1_000, 500), cache=cache)
small.replies = large.replies = [lambda sent: f"answer to {len(sent)} message(s)"]


def kind(request):
    return "complex" if "compare" in request.messages[-1].text else "simple"


def helper(name):
    """A node: an agent that pays from its own account, up to a dollar a day."""
    pool.open(name, limit=usd(1).per("day"))
    choose = ModelSelection({"simple": small, "complex": large}, kind)
    trim = ContextTrimming(pool, max_tokens=100)
    middleware = [choose, trim, BudgetMiddleware(pool)]
    agent = create_agent(small, middleware=middleware, name=name)

    def node(state: State) -> None:
        before = pool.balance().spent
        said = agent.invoke({"messages": state["talk"]})["messages"][-1].text
        print(f"  {name}: {said}, paid {pool.balance().spent - before}")

    return node


class State(TypedDict):
    talk: list


builder = StateGraph(State)
builder.add_sequence([("support", helper("support")), ("sales", helper("sales"))])
builder.add_edge(START, "support")
desk = builder.compile()


def ask(when, *talk):
    print(f"{when}: {talk[-1]!r} after {len(talk) - 1} message(s)")
    desk.invoke({"talk": [("user", text) for text in talk]})


ask("at first", "What is the price?")
ask("at once", *["A long story. " * 20] * 9, "Please compare both plans.")
clock.advance(3_600)
ask("an hour later", "What is the price?")
clock.advance(86_400)
ask("the next day", "What is the price?")

print()
print(pool)

# What is on the books is what the models really used; the cache answered the rest.
used = sum(small.total[:2]) + sum(large.total[:2])
assert pool.report().total.amounts["tokens"] == used
