"""What was estimated beside what it came to, and a log of costs as they are booked."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import BaseTool, StructuredTool

from langchain_budget import BudgetPool, UnknownAccount, usd
from langchain_budget.adapters.tool_reports import (
    aestimation_errors,
    estimation_errors,
    log_costs,
)
from langchain_budget.adapters.tools import budgeted_tool
from langchain_budget.pricing.tool_costs import ToolCosts
from langchain_budget.stores.memory import MemoryStore
from langchain_budget.testing import StillClock

COSTS = ToolCosts({"search": "0.10", "read": "0.001", "free": 0})


def reporting(name: str, *costs: Any) -> BaseTool:
    """A tool of that name that reports each of *costs* in turn."""
    left = list(costs)

    def act() -> Any:
        cost = left.pop(0)
        if isinstance(cost, Exception):
            raise cost
        return cost if cost is None else {"cost_usd": cost}

    return StructuredTool.from_function(act, name=name, description="Act.")


def use(pool: BudgetPool, account: str | None, name: str, *costs: Any) -> None:
    made = budgeted_tool(reporting(name, *costs), pool, account, costs=COSTS)
    for cost in costs:
        if isinstance(cost, Exception):
            with pytest.raises(type(cost)):
                made.invoke({})
        else:
            made.invoke({})


def test_estimates_are_compared_with_reports_tool_by_tool() -> None:
    pool = BudgetPool("acme")
    use(pool, None, "search", 0.05, 0.10, 0.20, None, ValueError())
    use(pool, None, "read", "0.0005")
    use(pool, None, "free", 0.01)
    found = estimation_errors(pool).tools

    assert list(found) == ["free", "read", "search"]
    search = found["search"]
    assert (search.calls, search.unreported) == (3, 1)
    assert (search.estimated, search.actual) == (usd("0.30"), usd("0.35"))
    assert search.error == Decimal("0.166666667")
    assert found["read"].error == Decimal("-0.5")
    assert found["free"].error is None


def test_it_shows_itself_as_a_table_and_as_plain_values() -> None:
    pool = BudgetPool("acme")
    use(pool, None, "search", 0.05)
    found = estimation_errors(pool)

    assert str(found).splitlines()[2].split() == [
        *("search", "1", "$0.10", "$0.05", "-50.0%", "0")
    ]
    assert "<table>" in found._repr_html_()
    assert found.as_dict() == {
        "account": "acme",
        "tools": [
            {
                "tool": "search",
                "calls": 1,
                "estimated": 100_000_000,
                "actual": 50_000_000,
                "error": "-0.5",
                "unreported": 0,
            }
        ],
    }


def test_an_account_tells_of_its_own_calls_and_of_those_below() -> None:
    pool = BudgetPool("acme")
    web = pool.open("web")
    web.open("deep")
    pool.open("webs")
    for path in (None, "web", "web/deep", "webs"):
        use(pool, path, "search", 0.05)

    assert estimation_errors(web).tools["search"].calls == 2
    assert asyncio.run(aestimation_errors(pool)).tools["search"].calls == 4
    web.close()
    gone = BudgetPool("gone").ledger
    with pytest.raises(UnknownAccount):
        estimation_errors(type(web)(gone, "gone/web"))


def test_a_tool_that_outlives_its_hold_is_compared_once() -> None:
    clock = StillClock()
    pool = BudgetPool("acme", usd(1), store=MemoryStore(clock=clock))

    def act() -> dict[str, Any]:
        clock.advance(1_000)
        assert pool.balance().spent == usd("0.10")
        assert estimation_errors(pool).tools["search"].unreported == 1
        return {"cost_usd": 0.03}

    slow = StructuredTool.from_function(act, name="search", description="Act.")
    budgeted_tool(slow, pool, costs=COSTS).invoke({})
    found = estimation_errors(pool).tools["search"]

    assert (found.calls, found.unreported) == (1, 0)
    assert (found.estimated, found.actual) == (usd("0.10"), usd("0.03"))
    assert pool.balance().spent == usd("0.03")


def test_a_journal_that_was_exported_tells_the_same(tmp_path: Path) -> None:
    pool = BudgetPool("acme")
    use(pool, None, "search", 0.05, None)
    pool.admin.export(tmp_path / "journal.jsonl")
    restored = BudgetPool.restore(tmp_path / "journal.jsonl")

    assert str(estimation_errors(restored)) == str(estimation_errors(pool))


def test_entries_that_are_no_tools_tell_nothing() -> None:
    pool = BudgetPool("acme", usd(1))
    labels = {"tool": "search", "estimated_usd": "much"}
    pool.reserve(usd("0.10"), labels=labels).settle(usd("0.05"))
    pool.reserve(usd("0.10"), labels={"tool": "search"}).settle(usd("0.05"))

    assert not estimation_errors(pool).tools


def test_costs_are_logged_from_the_charge_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pool = BudgetPool("acme")
    with caplog.at_level(logging.INFO, "langchain_budget.costs"):
        stop = log_costs(pool)
        use(pool, None, "read", "0.0002", None, ValueError(), 0)
        pool.reserve(usd(5)).settle(usd(5))
        stop()
        use(pool, None, "read", "0.0002")

    assert caplog.messages == [
        "tool read cost $0.0002 (reported), $0.0002 in all",
        "tool read cost $0.001 (estimated), $0.0012 in all",
        "tool read cost $0.00 (reported), $0.0012 in all",
    ]
    last = vars(caplog.records[1])
    assert (last["tool"], last["cost"], last["total"]) == ("read", 10**6, 1_200_000)


def test_costs_of_one_account_go_to_a_logger_of_ones_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pool = BudgetPool("acme")
    web = pool.open("web")
    with caplog.at_level(logging.INFO, "mine"):
        log_costs(web, logging.getLogger("mine"))
        use(pool, None, "read", 1)
        use(pool, "web", "read", 2)

    assert caplog.messages == ["tool read cost $2.00 (reported), $2.00 in all"]
    assert caplog.records[0].name == "mine"


def test_calls_at_once_are_logged_each_at_its_own_cost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pool = BudgetPool("acme")
    costs = [usd(str(number)).value for number in range(50)]
    made = [
        budgeted_tool(reporting("read", str(number)), pool, costs=COSTS)
        for number in range(50)
    ]
    with caplog.at_level(logging.INFO, "langchain_budget.costs"):
        log_costs(pool)
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(lambda each: each.invoke({}), made))

    logged = [vars(each) for each in caplog.records]
    assert sorted(each["cost"] for each in logged) == costs
    totals = [each["total"] for each in logged]
    assert totals == sorted(totals)
    assert totals[-1] == pool.balance().spent.value == sum(costs)
