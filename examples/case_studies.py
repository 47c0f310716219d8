"""
Three case studies: a thousand descriptions, a review that stops in time, a pipeline.

Each is a graph under a budget, and its figures are read from the books.
"""

from typing import TypedDict

from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    Price,
    PriceTable,
    ToolCosts,
    budgeted_tool,
    usd,
)
from langchain_budget.core.policies.savings import savings
from langchain_budget.testing import FakeChatModel

prices = PriceTable(
    {
        "large": Price.per_million(input=25, output=50),
        "small": Price.per_million(input="0.50", output="0.50"),
    }
)

# 1. A thousand descriptions: a large model one by one, a small one ten at a time.
PRODUCTS = [f"product {number}" for number in range(1_000)]


class Shop(TypedDict, total=False):
    first: int


def describe_all(model, size):
    pool = BudgetPool("shop", usd(10), prices=prices)

    def describe(state: Shop) -> Shop:
        first = state.get("first", 0)
        model.invoke(f"Describe {', '.join(PRODUCTS[first : first + size])}.")
        return {"first": first + size}

    builder = StateGraph(Shop).add_node(describe).add_edge(START, "describe")
    builder.add_conditional_edges(
        "describe", lambda state: "describe" if state["first"] < 1_000 else END
    )
    config = {"callbacks": [BudgetCallbackHandler(pool)], "recursion_limit": 1_001}
    builder.compile().invoke({}, config)
    return pool.balance().spent


large = FakeChatModel(model_name="large", usage=(200, 100), max_tokens=100)
small = FakeChatModel(model_name="small", usage=(500, 1_500), max_tokens=1_500)
shop = savings(describe_all(large, size=1), describe_all(small, size=10))
print(f"descriptions: {shop.before} or {shop.after}: {shop.saved} are saved")

# 2. 50 files to review, and money for 33: the largest first, until the pool says no.
FILES = sorted((number * "line\n" for number in range(1, 51)), key=len, reverse=True)
reviewer = FakeChatModel(model_name="large", usage=(2_000, 2_000), max_tokens=2_000)
pool = BudgetPool("review", usd(5), prices=prices)


class Review(TypedDict, total=False):
    reviewed: int
    refusal: str


def review(state: Review) -> Review:
    reviewed = state.get("reviewed", 0)
    try:
        reviewer.invoke(f"Review this code:\n{FILES[reviewed]}")
    except BudgetExceeded as no:
        return {"refusal": str(no)}
    return {"reviewed": reviewed + 1}


def more(state: Review) -> str:
    return END if "refusal" in state or state["reviewed"] == len(FILES) else "review"


builder = StateGraph(Review).add_node(review).add_edge(START, "review")
builder.add_conditional_edges("review", more)
config = {"callbacks": [BudgetCallbackHandler(pool)], "recursion_limit": 100}
end = builder.compile().invoke({}, config)
share = 100 * end["reviewed"] // len(FILES)
print(f"review: {end['reviewed']} files ({share}%) for {pool.balance().spent}")
print(f"  file {end['reviewed'] + 1}: {end['refusal']}")

# By the length of its text alone, at the small model's price, file 34 would have begun.
text = ToolCosts().estimate("LLM", FILES[33])
model = ToolCosts(models=prices).estimate(
    "LLM", {"prompt": FILES[33], "model": "large", "max_tokens": 2_000}
)
print(f"  it was expected to cost {text} by its text, and {model} by its model")

# 3. A pipeline of three stages: each has its own part of $20, and says what it cost.
pool = BudgetPool("pipeline", usd(20))
PARTS = {"extract": usd(12), "transform": usd(6), "load": usd(2)}
ACTUAL = {"extract": 10, "transform": 5, "load": 1}


def stage(name):
    pool.open(name, carve=PARTS[name])

    @tool(name)
    def work(data: str) -> dict:
        """Do the work of this stage."""
        return {"data": f"{data} > {name}", "cost_usd": ACTUAL[name]}

    paid = budgeted_tool(work, pool, costs=ToolCosts({name: PARTS[name]}))
    return name, lambda state: paid.invoke({"data": state["data"]})


class Pipeline(TypedDict, total=False):
    data: str


builder = StateGraph(Pipeline).add_sequence([stage(name) for name in PARTS])
builder.add_edge(START, "extract")
print(f"pipeline: {builder.compile().invoke({'data': 'web'})['data']}")
print(pool)
