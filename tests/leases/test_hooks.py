"""Every hook works on a lease as on the account itself; reports are the same."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langgraph.graph import END, START, StateGraph

from langchain_budget import (
    Account,
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    Price,
    PriceTable,
    Report,
    budget,
    budget_guard,
    calls,
    tokens,
    usd,
)
from langchain_budget.core.postings import Basis
from langchain_budget.core.rules import Charge, Order
from langchain_budget.pricing.quotes import CheckedBook
from langchain_budget.testing import FakeChatModel, StillClock
from tests.adapters.graphs import WAYS, Log, asks, notes, run
from tests.invariants import assert_quiet, assert_report_adds_up
from tests.leases.conftest import Take

PRICES = PriceTable({"fake": Price.per_million(input=1_000, output=1_000)})

Spend = Callable[[Account], object]


def a_model(**options: Any) -> FakeChatModel:
    return FakeChatModel(**({"usage": (100, 20), "max_tokens": 20} | options))


def graph(account: Account, way: str = "invoke") -> None:
    builder = StateGraph(Log)
    builder.add_node("plan", asks(a_model(), "plan"))
    builder.add_node("write", asks(a_model(usage=(30, 5)), "write", times=3))
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "write")
    config = {"callbacks": [BudgetCallbackHandler(account)]}
    run(way, builder.compile(), {}, config)


def several_ends(account: Account) -> None:
    config: Any = {"callbacks": [BudgetCallbackHandler(account)]}
    cached = a_model(cache=InMemoryCache())
    for _ in range(3):
        cached.invoke("Hi", config)
    with suppress(ValueError):
        a_model(replies=[ValueError]).invoke("Hi", config)
    stream = a_model(replies=["one two three four"]).stream("Hi", config)
    next(stream), next(stream)
    stream.close()
    list(a_model(replies=["one two"], usage=None).stream("Hi", config))


def late(account: Account) -> None:
    """A charge that was estimated, and one that gives way to what is reported."""
    ledger = account.ledger
    order = Order({"usd": 10**8, "tokens": 9, "calls": 1}, {"usd": 2 * 10**8}, 60)
    for reported in (False, True):
        hold = ledger.run(ledger.reserve(account.path, order._replace(started=True)))
        guess = Charge({"usd": 10**7, "tokens": 5, "calls": 1}, Basis.ESTIMATED)
        ledger.run(ledger.settle(hold, guess))
        if reported:
            charge = Charge({"usd": 10**6, "tokens": 2, "calls": 1})
            ledger.run(ledger.settle(hold, charge))


def unpriced(account: Account) -> None:
    config: Any = {"callbacks": [BudgetCallbackHandler(account)]}
    for _ in range(3):
        FakeChatModel(usage=(4, 3), model_name="nobody knows").invoke("Hi", config)


def report_of(spend: Spend, *, leased: bool, limit: Any) -> Report:
    pool = BudgetPool("acme", limit, prices=PRICES)
    if leased:
        size = calls(7) if limit.unit == "calls" else usd("0.40")
        with pool.lease(size) as worker:
            spend(worker)
            assert worker.report().lines == _without_account(worker.report())
    else:
        spend(pool)
    assert_quiet(pool.ledger.store)
    assert_report_adds_up(pool)
    return pool.report()


def _without_account(report: Report) -> Any:
    return dict(report.lines)


@pytest.mark.parametrize("spend", [graph, several_ends, late])
def test_reports_are_the_same_as_without_a_lease(spend: Spend) -> None:
    direct = report_of(spend, leased=False, limit=usd(5))
    leased = report_of(spend, leased=True, limit=usd(5))

    assert leased.lines == direct.lines
    assert leased.balances == direct.balances
    assert str(leased) == str(direct)


def test_calls_without_a_price_are_reported_as_such() -> None:
    direct = report_of(unpriced, leased=False, limit=calls(50))
    leased = report_of(unpriced, leased=True, limit=calls(50))

    assert leased.lines == direct.lines
    assert leased.total.unpriced == 3


@pytest.mark.parametrize("way", WAYS)
def test_a_graph_is_charged_by_node_in_every_way_to_run_it(way: str) -> None:
    pool = BudgetPool("acme", usd(5), prices=PRICES)
    with pool.lease(usd("0.40")) as worker:
        graph(worker, way)

    by_node = pool.report().by("node").items()
    spent = {node: line.amounts["calls"] for (node,), line in by_node}
    assert spent == {"plan": 1, "write": 3}
    assert_quiet(pool.ledger.store)


def test_a_refused_call_is_not_made() -> None:
    pool = BudgetPool("acme", tokens(300))
    model = a_model()
    with pool.lease(tokens(150)) as worker:
        config: Any = {"callbacks": [BudgetCallbackHandler(worker)]}
        question = "word " * 99
        model.invoke(question, config)
        model.invoke(question, config)
        with pytest.raises(BudgetExceeded) as refused:
            model.invoke(question, config)

    assert refused.value.limit == tokens(300)
    assert len(model.calls) == 2
    assert_quiet(pool.ledger.store)


def test_a_scope_may_be_charged_to_a_lease() -> None:
    pool = BudgetPool("acme", tokens(1_000))
    with pool.lease(tokens(300)) as worker:
        with budget(worker) as b:
            a_model().invoke("Hi")
            with budget(tokens(200)):
                a_model().invoke("Hi")
        assert b.total_tokens == 240

    assert pool.balance("tokens").spent == tokens(240)
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("awaits", [False, True])
def test_middleware_caps_an_answer_to_what_the_shared_account_has_left(
    awaits: bool,  # noqa: FBT001  # a way to run the test
) -> None:
    pool = BudgetPool("acme", tokens(500))
    model = FakeChatModel(usage=(10, 5))
    with pool.lease(tokens(100)) as worker:
        agent = create_agent(model, middleware=[BudgetMiddleware(worker)])
        asked: Any = {"messages": [("user", "Hi")]}
        asyncio.run(agent.ainvoke(asked)) if awaits else agent.invoke(asked)

    cap = model.calls[0].max_tokens
    assert cap is not None
    assert 400 < cap < 500
    assert pool.balance("tokens").spent == tokens(15)
    assert_quiet(pool.ledger.store)


def test_a_guard_looks_at_the_shared_account_and_reserves_in_the_lease() -> None:
    pool = BudgetPool("acme", tokens(500))
    with pool.lease(tokens(50)) as worker:
        builder = StateGraph(Log)
        guard = budget_guard(
            worker, then="work", otherwise=END, needs=tokens(200), reserve=tokens(200)
        )
        builder.add_node("guard", guard)
        builder.add_node("work", asks(a_model(), "work"))
        builder.add_node("more", notes("more"))
        builder.add_edge(START, "guard")
        config: Any = {"callbacks": [BudgetCallbackHandler(worker)]}
        done = [run(way, builder.compile(), {}, config) for way in ("invoke", "invoke")]
        pool.freeze()
        done.append(run("invoke", builder.compile(), {}, config))
        pool.thaw()

    assert [bool(each) for each in done] == [True, True, False]
    assert pool.balance("tokens").spent == tokens(240)
    assert_quiet(pool.ledger.store)


def test_a_stream_that_outlives_the_lease_is_settled_in_it(
    pool: BudgetPool, take: Take, clock: StillClock
) -> None:
    pool.top_up(usd(1))
    with take() as worker:
        config: Any = {"callbacks": [BudgetCallbackHandler(worker)]}
        table = PriceTable({"fake": Price.per_million(input=1_000, output=1_000)})
        worker.ledger.prices = CheckedBook(table)
        stream = a_model(replies=["one two three"]).stream("Hi", config)
        next(stream)
    clock.advance(60)
    assert pool.report().total.estimated == 1

    list(stream)

    assert pool.report().total.estimated == 0
    assert pool.report().spent("tokens") == tokens(120)
    assert_quiet(pool.ledger.store)
