"""Priority pools: what the guide asks of its interfaces, asked of ours."""

import logging
from pathlib import Path
from typing import Any

import pytest

from langchain_budget import (
    Alerts,
    BudgetExceeded,
    BudgetPool,
    LimitConflict,
    MemoryStore,
    Treasury,
    status_line,
    usd,
)
from langchain_budget.config import load
from langchain_budget.core.policies.thresholds import LOW_BUDGET
from langchain_budget.events import BudgetChanged, Refused
from langchain_budget.reports.doubts import Span
from langchain_budget.testing import StillClock, capture
from tests.invariants import assert_quiet, unchanged

POOLS = {"critical_services": (1000, 9), "standard": (2000, 5), "background": (500, 2)}
AGENTS = {"front": (200, 8), "batch": (300, 5)}
NOW = 1_800_000_000.0
LOG = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"


@pytest.fixture
def acme(store_url: str) -> BudgetPool:
    """Three pools of one company, and two agents in the first of them."""
    made = BudgetPool("acme", usd(3500), store=store_url)
    for name, (dollars, priority) in POOLS.items():
        about = {"owner": f"team {name}"}
        made.open(name, carve=usd(dollars), priority=priority, metadata=about)
    for name, (dollars, priority) in AGENTS.items():
        made.account("critical_services").open(
            name, carve=usd(dollars), priority=priority
        )
    return made


def test_a_pool_has_a_path_a_budget_a_priority_and_metadata(acme: BudgetPool) -> None:
    found = {name: acme.account(name) for name in POOLS}

    for name, (dollars, priority) in POOLS.items():
        traits = found[name].traits()
        assert (found[name].path, found[name].name) == (f"acme/{name}", name)
        assert found[name].balance().granted == usd(dollars)
        assert (traits.priority, traits.metadata) == (
            priority,
            {"owner": f"team {name}"},
        )
    assert acme.balance().available == usd(0)


async def test_an_agent_has_a_budget_and_a_priority(acme: BudgetPool) -> None:
    for name, (dollars, priority) in AGENTS.items():
        agent = await acme.aaccount(f"critical_services/{name}")

        assert agent.name == name
        assert (await agent.abalance()).available == usd(dollars)
        assert (await agent.atraits()).priority == priority
    assert acme.account("critical_services").balance().available == usd(500)


def test_one_name_is_one_pool(acme: BudgetPool) -> None:
    with unchanged(acme.ledger.store), pytest.raises(LimitConflict):
        acme.open("standard", carve=usd(2), priority=5)


def test_what_a_coordinator_is_asked_for_is_answered(acme: BudgetPool) -> None:
    """Who is in a pool, all accounts, and how each stands: one report says it."""
    heard: list[Any] = []
    stop = acme.subscribe(heard.append)
    front = acme.account("critical_services/front")
    front.reserve(usd(50)).settle()
    stop()
    front.reserve(usd(1)).settle()

    everybody = {each.account: each for each in acme.report().balances}
    members = {
        each.account for each in acme.account("critical_services").report().balances
    }

    assert {path.removeprefix("acme/") for path in everybody} == {
        "acme",
        *POOLS,
        *(f"critical_services/{name}" for name in AGENTS),
    }
    assert members == {path for path in everybody if "critical" in path}
    assert everybody["acme/critical_services/front"].spent == usd(51)
    assert everybody["acme"].spent == usd(51)
    assert [type(each).__name__ for each in heard] == ["Reserved", "Settled"]
    assert acme.report().as_dict()["account"] == "acme"


def test_metrics_are_what_was_granted_used_and_is_left(store_url: str) -> None:
    pool = BudgetPool("acme", usd(100), store=store_url)
    web, none = pool.open("web", carve=usd(30)), pool.open("none", limit=usd(0))
    web.reserve(usd("7.50")).settle()

    metrics = web.balance()
    lines = [status_line(account) for account in (web, none)]

    assert (metrics.granted, metrics.spent, metrics.available) == (
        usd(30),
        usd("7.50"),
        usd("22.50"),
    )
    assert lines == [
        "Budget: $22.50 of $30.00 left (25% used)",
        "Budget: $0.00 of $0.00 left (100% used)",
    ]


def test_usage_is_read_for_any_span_of_time() -> None:
    clock = StillClock(NOW)
    pool = BudgetPool("acme", usd(100), store=MemoryStore(clock))
    web = pool.open("web", carve=usd(50))
    for dollars in (1, 2, 3):
        web.reserve(usd(dollars)).settle()
        clock.advance(3600)

    history = Treasury(pool).history("web", Span(NOW + 3600, NOW + 7200))
    everything = Treasury(pool).history("web")

    assert [(each.at, each.amount) for each in history] == [(NOW + 3600, usd(2).value)]
    assert [each.amount for each in everything] == [usd(n).value for n in (1, 2, 3)]


def test_a_spending_limit_admits_what_reaches_it_and_reports_what_passes_it(
    store_url: str,
) -> None:
    pool = BudgetPool("acme", usd(100), store=store_url)
    web = pool.open("web", carve=usd(50))
    web.set_limit(usd(20), reason="no more than that")
    web.reserve(usd(15)).settle()

    with capture(pool) as events, pytest.raises(BudgetExceeded) as refused:
        web.reserve(usd("5.01"))
    web.reserve(usd(5)).settle()

    (violation,) = events.of(Refused)
    assert violation.wanted_by == "acme/web"
    assert violation.refusal.kind == "exhausted"
    no = refused.value
    assert (no.limit, no.spent, no.wanted) == (usd(20), usd(15), usd("5.01"))
    assert no.wanted - no.available == usd("0.01")
    assert_quiet(pool.ledger.store)


def test_alerts_watch_accounts_that_are_opened_later(store_url: str) -> None:
    pool, told = BudgetPool("acme", usd(100), store=store_url), list[Any]()
    Alerts(pool, [LOW_BUDGET], tell=told.append)

    late = pool.open("late", carve=usd(10))
    late.reserve(usd("8.50")).settle()

    (alert,) = told
    assert (alert.account, alert.rule, alert.severity) == (
        "acme/late",
        "LOW_BUDGET",
        "medium",
    )
    assert (alert.used, alert.granted) == (usd("8.50").value, usd(10).value)
    assert alert.message == "'acme/late': LOW_BUDGET, $8.50 of $10.00"


def test_changes_are_logged_in_any_format_to_any_file(tmp_path: Path) -> None:
    file = tmp_path / "budget_management.log"
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter(LOG))
    logger = logging.getLogger("langchain_budget.changes")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    pool = BudgetPool("acme", usd(100))
    pool.open("web", carve=usd(10), priority=8)

    Treasury(pool).set_remaining("web", usd(12), reason="more visitors")
    logger.removeHandler(handler)
    handler.close()

    assert (
        file.read_text(encoding="utf-8")
        .strip()
        .endswith(
            " - langchain_budget.changes - INFO - Budget of 'acme/web' (priority 8): "
            "$10.00 -> $12.00 (+$2.00). Reason: more visitors"
        )
    )


def test_a_change_is_kept_with_its_time_and_reason(store_url: str) -> None:
    pool = BudgetPool("acme", usd(100), store=store_url)
    pool.open("web", carve=usd(10), priority=8)

    with capture(pool) as events:
        Treasury(pool).set_remaining("web", usd(4), reason="fewer visitors")

    (change,) = events.of(BudgetChanged)
    assert (change.account, change.before, change.after) == (
        "acme/web",
        usd(10).value,
        usd(4).value,
    )
    (entry,) = [each for each in pool.admin.journal() if each.seq == change.seq]
    assert entry.note.reason == change.reason == "fewer visitors"
    assert entry.at > 0


def test_what_is_left_and_what_is_granted_are_two_settings(store_url: str) -> None:
    pool = BudgetPool("acme", usd(100), store=store_url)
    web = pool.open("web", carve=usd(10))
    web.reserve(usd(8)).settle()

    Treasury(pool).set_remaining("web", usd(10))
    remaining = web.balance()
    web.set_limit(usd(10))
    limited = web.balance()

    assert (remaining.granted, remaining.available) == (usd(18), usd(10))
    assert (limited.granted, limited.available) == (usd(10), usd(2))
    assert remaining.spent == limited.spent == usd(8)


@pytest.mark.parametrize("priority", [1, 10])
def test_a_pool_takes_the_priorities_from_1_to_10(priority: int) -> None:
    given = {"name": "acme", "accounts": {"web": {"priority": priority}}}
    pool = load(given).open().pool

    assert pool.account("web").traits().priority == priority
