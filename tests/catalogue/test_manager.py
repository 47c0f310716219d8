"""The budget manager: usage by agent, a report of one moment, what drives the cost."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from threading import Barrier
from typing import Any

import pytest
from langchain_core.exceptions import ModelAPIError
from langgraph.graph import START, StateGraph

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    MemoryStore,
    Price,
    PriceTable,
    calls,
    tokens,
    usd,
)
from langchain_budget.core.policies.planning import daily, plan
from langchain_budget.pricing.usage import Usage
from langchain_budget.testing import FakeChatModel, StillClock
from tests.adapters.graphs import WAYS, Log, asks, run
from tests.invariants import assert_quiet

DAY = 24 * 3600
SMALL = Price.per_million(input="1.50", output=2)
"""0.0015 dollars for 1000 tokens in, 0.002 for 1000 out (budget manager)."""

PRICES = PriceTable({"fake": SMALL})


def model() -> FakeChatModel:
    return FakeChatModel(replies=["Hi."], usage=(1000, 500), max_tokens=500)


def graph(*agents: str) -> Any:
    builder = StateGraph(Log)
    for before, name in pairwise((START, *agents)):
        builder.add_node(name, asks(model(), name))
        builder.add_edge(before, name)
    return builder.compile()


def test_v1_a_thousand_tokens_in_and_five_hundred_out() -> None:
    assert SMALL.cost(Usage(input=1000, output=500)) == usd("0.0025").value


@pytest.mark.parametrize("way", WAYS)
def test_usage_is_recorded_for_each_agent_from_its_first_call_on(
    store_url: str, way: str
) -> None:
    pool = BudgetPool("desk", usd(1), store=store_url, prices=PRICES)

    run(way, graph("ada", "bob"), {}, {"callbacks": [BudgetCallbackHandler(pool)]})
    run(way, graph("ada"), {}, {"callbacks": [BudgetCallbackHandler(pool)]})

    ada = pool.report().by("agent")[("ada",)].amounts
    assert ada["usd"] == usd("0.005").value
    assert (ada["input_tokens"], ada["output_tokens"]) == (2000, 1000)
    assert (ada["tokens"], ada["calls"]) == (3000, 2)
    balance = pool.balance()
    assert (balance.granted, balance.spent) == (usd(1), usd("0.0075"))
    assert balance.available == usd("0.9925")
    assert_quiet(pool.ledger.store)


def test_input_and_output_have_prices_of_their_own() -> None:
    more_in = SMALL.cost(Usage(input=2000, output=500))
    more_out = SMALL.cost(Usage(input=1000, output=1500))

    assert more_in == usd("0.004").value
    assert more_out == usd("0.0045").value


def test_the_same_tokens_cost_what_their_model_asks() -> None:
    large = Price.per_million(input=30, output=60)
    usage = Usage(input=1000)

    assert SMALL.cost(usage) == usd("0.0015").value
    assert large.cost(usage) == usd("0.03").value


def test_more_requests_and_more_agents_cost_more() -> None:
    price = usd("0.002")
    few, many = (daily(tasks, 1000, price) for tasks in (100, 200))

    assert many.value == 2 * few.value
    assert plan(few, agents=10).month == usd(180)
    assert plan(few, agents=5).month == usd(90)


def test_requests_can_be_limited_by_themselves(store_url: str) -> None:
    pool = BudgetPool("desk", calls(1), store=store_url)
    config = {"callbacks": [BudgetCallbackHandler(pool)]}
    graph("ada").invoke({}, config)

    with pytest.raises(BudgetExceeded, match="0 calls left of 1"):
        graph("ada").invoke({}, config)


def test_all_of_what_is_left_is_affordable_to_everybody(store_url: str) -> None:
    pool = BudgetPool("desk", usd(1), store=store_url)
    ada, bob = (pool.open(name) for name in ("ada", "bob"))
    ada.reserve(usd("0.60")).settle()

    assert bob.can_afford(usd("0.40"))
    assert not bob.can_afford(usd("0.400000001"))


def test_a_report_is_of_one_moment_while_32_threads_spend(store_url: str) -> None:
    pool = BudgetPool("desk", tokens(1_000), store=store_url)
    together = Barrier(32)

    def work(number: int) -> list[int]:
        together.wait(timeout=60)
        pool.reserve(tokens(10)).settle(tokens(number))
        (seen,) = pool.report().balances
        left = seen.available.value if seen.available is not None else 0
        return [seen.spent.value + seen.held.value + left]

    with ThreadPoolExecutor(32) as threads:
        sums = [one for each in threads.map(work, range(32)) for one in each]

    assert sums == [1_000] * 32
    assert pool.balance("tokens").spent == tokens(sum(range(32)))
    assert_quiet(pool.ledger.store)


def test_a_day_and_a_month_have_limits_for_everybody() -> None:
    clock = StillClock(datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp())
    limits = usd(3).per("day"), usd(5).per("month")
    pool = BudgetPool("desk", *limits, store=MemoryStore(clock))
    pool.reserve(usd(3)).settle()
    with pytest.raises(BudgetExceeded, match="per day"):
        pool.reserve(usd(1))

    clock.advance(DAY)
    pool.reserve(usd(2)).settle()
    with pytest.raises(BudgetExceeded, match="per month"):
        pool.reserve(usd(1))
    clock.advance(30 * DAY)

    assert pool.can_afford(usd(3))


async def test_calls_that_fail_are_no_requests() -> None:
    pool = BudgetPool("desk", usd(1), prices=PRICES)
    config: Any = {"callbacks": [BudgetCallbackHandler(pool)]}
    failing = FakeChatModel(replies=[ModelAPIError("gone")], max_tokens=500)

    for _ in range(2):
        with pytest.raises(ModelAPIError):
            await failing.ainvoke("Hi", config)
    await model().ainvoke("Hi", config)

    total = pool.report().total
    assert (total.amounts["calls"], total.failed) == (1, 2)
