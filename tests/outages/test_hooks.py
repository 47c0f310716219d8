"""Calls of real graphs while the store does not answer."""

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langgraph.graph import END, START, StateGraph

from langchain_budget import (
    Account,
    BudgetCallbackHandler,
    BudgetMiddleware,
    BudgetPool,
    OnOutage,
    Price,
    PriceTable,
    StoreUnavailable,
    budget,
    budget_guard,
    usd,
)
from langchain_budget.testing import FakeChatModel
from tests.adapters.graphs import WAYS, Log, asks, notes, run
from tests.invariants import assert_quiet, assert_report_adds_up
from tests.outages.conftest import Shaky

PRICES = PriceTable({"fake": Price.per_million(input=1_000, output=1_000)})
CALL = usd("0.12")
OPEN = OnOutage.open_up_to(usd(1))
LEASED = OnOutage.leased(usd(1))
POLICIES = pytest.mark.parametrize("policy", [OPEN, LEASED], ids=["open", "leased"])


def a_model(**options: Any) -> FakeChatModel:
    return FakeChatModel(**({"usage": (100, 20), "max_tokens": 20} | options))


def handled(account: Account) -> Any:
    return {"callbacks": [BudgetCallbackHandler(account)]}


def graph(model: FakeChatModel, times: int = 2) -> Any:
    builder = StateGraph(Log)
    builder.add_node("plan", asks(model, "plan"))
    builder.add_node("write", asks(model, "write", times=times))
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "write")
    return builder.compile()


@pytest.mark.parametrize("way", WAYS)
@POLICIES
def test_a_graph_goes_on_in_an_outage_and_its_calls_are_booked_by_node(
    shaky: Shaky, policy: OnOutage, way: str
) -> None:
    pool, model = shaky.open(policy, PRICES), a_model()
    run(way, graph(model), {}, handled(pool))
    shaky.fail()

    run(way, graph(model), {}, handled(pool))
    shaky.mend()

    report = pool.report()
    assert len(model.calls) == 6
    assert report.spent() == pool.balance().spent
    assert report.spent().value == 6 * CALL.value
    counted = {
        node: line.amounts["calls"] for (node,), line in report.by("node").items()
    }
    assert counted == {"plan": 2, "write": 4}
    assert report.total.outages == 3
    assert_report_adds_up(pool)


@pytest.mark.parametrize("way", WAYS)
def test_a_closed_pool_stops_a_graph_before_its_call(shaky: Shaky, way: str) -> None:
    """Also where it is the accounts that cannot be read."""
    pool, model = shaky.open(OnOutage.closed(), PRICES), a_model()
    shaky.fail()

    with pytest.raises(StoreUnavailable):
        run(way, graph(model), {}, handled(pool))

    assert not model.calls


@pytest.mark.parametrize("way", WAYS)
def test_the_store_may_fail_in_the_middle_of_a_call(shaky: Shaky, way: str) -> None:
    pool = shaky.open(OPEN, PRICES)

    class Failing(FakeChatModel):
        """The store is gone when it answers."""

        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            shaky.fail()
            return super()._generate(*args, **kwargs)

        def _stream(self, *args: Any, **kwargs: Any) -> Any:
            shaky.fail()
            return super()._stream(*args, **kwargs)

    model = Failing(usage=(100, 20), max_tokens=20)
    run(way, graph(model), {}, handled(pool))
    shaky.mend()

    pool.reserve(usd(1)).release()
    assert pool.report().spent().value == 3 * CALL.value
    assert_quiet(shaky.store)
    assert_report_adds_up(pool)


@POLICIES
def test_accounts_that_are_known_are_charged_in_an_outage(
    shaky: Shaky, policy: OnOutage
) -> None:
    pool, model = shaky.open(policy, PRICES), a_model()
    pool.open("write", limit=usd(5))
    config = handled(pool)
    run("invoke", graph(model), {}, config)
    shaky.fail()
    run("invoke", graph(model), {}, config)
    shaky.mend()

    assert pool.report().by("account")["acme/write",].amounts["calls"] == 4
    assert pool.account("write").balance().spent.value == 4 * CALL.value
    assert_report_adds_up(pool)


def test_accounts_that_are_not_known_yet_are_not_needed(shaky: Shaky) -> None:
    """The names that were looked for in vain are looked for again after the outage."""
    pool, model = shaky.open(OPEN, PRICES), a_model()
    pool.open("write", limit=usd(5))
    config = handled(pool)
    shaky.fail()
    run("invoke", graph(model), {}, config)
    shaky.mend()
    pool.reserve(usd(1)).release()
    run("invoke", graph(model), {}, config)

    spent = {
        path: line.amounts["calls"]
        for (path,), line in pool.report().by("account").items()
    }
    assert spent == {"acme": 4, "acme/write": 2}


@pytest.mark.parametrize("awaits", ["", "awaits"])
@POLICIES
def test_an_agent_goes_on_and_its_answer_is_capped_to_what_may_be_spent(
    shaky: Shaky, policy: OnOutage, awaits: str
) -> None:
    pool = shaky.open(policy, PRICES)
    model = FakeChatModel(usage=(10, 5))
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])
    asked: Any = {"messages": [("user", "Hi")]}

    def ask() -> None:
        asyncio.run(agent.ainvoke(asked)) if awaits else agent.invoke(asked)

    ask()
    shaky.fail()
    ask()
    shaky.mend()

    assert (model.calls[0].max_tokens or 10_000) > 8_000
    cap = model.calls[1].max_tokens
    assert cap is not None
    assert 800 < cap < 1_000
    assert pool.report().spent() == usd("0.03")


@pytest.mark.parametrize("awaits", ["", "awaits"])
def test_an_agent_of_a_closed_pool_is_refused(shaky: Shaky, awaits: str) -> None:
    pool, model = shaky.open(OnOutage.closed(), PRICES), a_model()
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])
    shaky.fail()
    asked: Any = {"messages": [("user", "Hi")]}

    with pytest.raises(StoreUnavailable):
        asyncio.run(agent.ainvoke(asked)) if awaits else agent.invoke(asked)

    assert not model.calls


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("policy", [OnOutage.closed(), OPEN], ids=["closed", "open"])
def test_a_guard_says_what_would_be_admitted(
    shaky: Shaky, policy: OnOutage, way: str
) -> None:
    pool, model = shaky.open(policy, PRICES), a_model()
    builder = StateGraph(Log)
    guard = budget_guard(pool, then="work", otherwise="rest", reserve=usd("0.50"))
    builder.add_node("guard", guard)
    builder.add_node("work", asks(model, "work"))
    builder.add_node("rest", notes("rest"))
    builder.add_edge(START, "guard")
    builder.add_edge("rest", END)
    shaky.fail()

    done = run(way, builder.compile(), {}, handled(pool))
    shaky.mend()

    assert done["log"][0] == ("work" if policy is OPEN else "rest")
    assert pool.report().spent().value == len(model.calls) * CALL.value
    assert_quiet(shaky.store)


def test_a_scope_of_an_account_goes_on(shaky: Shaky) -> None:
    pool = shaky.open(OPEN, PRICES)
    shaky.fail()
    with budget(pool):
        a_model().invoke("Hi")
    shaky.mend()

    assert pool.report().spent() == CALL


@POLICIES
def test_a_stream_that_is_given_up_in_an_outage_is_booked_after_it(
    shaky: Shaky, policy: OnOutage
) -> None:
    pool = shaky.open(policy, PRICES)
    a_model().invoke("Hi", handled(pool))
    shaky.fail()
    stream = a_model(replies=["one two three"]).stream("Hi", handled(pool))
    next(stream)
    stream.close()
    shaky.mend()

    pool.reserve(usd(1)).release()
    report = pool.report()
    assert (report.total.estimated, report.total.outages) == (1, 1)
    assert report.total.unconfirmed["usd"] > 0
    assert report.spent() == pool.balance().spent


def test_pools_in_memory_are_as_fast_as_before() -> None:
    pool = BudgetPool("acme", usd(1), prices=PRICES)

    assert type(pool.ledger).__name__ == "Ledger"
