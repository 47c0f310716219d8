"""Metering: the whole document, key by key, as it is enforced."""

from decimal import Decimal
from typing import Any

import pytest

from langchain_budget import Amount, BudgetExceeded, tokens, usd
from langchain_budget.config import Metering, load, tier
from langchain_budget.events import BudgetExceeded as Exceeded
from langchain_budget.events import WindowEnded
from langchain_budget.testing import capture

LIMITS = {
    "total_tokens_per_tick": ("tokens", 200_000),
    "total_tokens_per_run": ("tokens", 5_000_000),
    "total_cost_cents_per_tick": ("usd", usd(10).value),
    "total_cost_cents_per_run": ("usd", usd(250).value),
}
TOOL = {
    "calls_per_tick": ("calls", 10),
    "calls_per_run": ("calls", 2_000),
    "tokens_per_tick": ("tokens", 60_000),
    "tokens_per_run": ("tokens", 2_000_000),
    "cost_cents_per_tick": ("usd", usd(3).value),
    "cost_cents_per_run": ("usd", usd(80).value),
}
DOCUMENT: dict[str, Any] = {
    "limits": {
        "total_tokens_per_tick": 200000,
        "total_tokens_per_run": 5000000,
        "total_cost_cents_per_tick": 1000,
        "total_cost_cents_per_run": 25000,
    },
    "tool_limits": {
        "decide_action": {
            "calls_per_tick": 10,
            "calls_per_run": 2000,
            "tokens_per_tick": 60000,
            "tokens_per_run": 2000000,
            "cost_cents_per_tick": 300,
            "cost_cents_per_run": 8000,
        }
    },
    "warning_threshold_pct": 0.8,
    "allow_soft_overage": False,
}
LABELS = {"agent": "ada", "tool": "decide_action"}


def opened(config: Any, store: str | None = None) -> Metering:
    made = load(config).open(store=store)
    assert isinstance(made, Metering)
    return made


def alone(section: str, key: str) -> dict[str, Any]:
    """The document with nothing but one of its limits."""
    if section == "limits":
        return {"limits": {key: DOCUMENT["limits"][key]}}
    value = DOCUMENT["tool_limits"]["decide_action"][key]
    return {"tool_limits": {"decide_action": {key: value}}}


KEYS = [("limits", key, *what) for key, what in LIMITS.items()]
KEYS += [("tool_limits", key, *what) for key, what in TOOL.items()]


@pytest.mark.parametrize(("section", "key", "unit", "limit"), KEYS)
def test_each_figure_of_the_document_is_the_last_that_is_admitted(
    section: str, key: str, unit: str, limit: int
) -> None:
    metering = opened(alone(section, key))
    metering.pool.reserve(Amount(unit, limit - 1), labels=LABELS).settle()
    metering.pool.reserve(Amount(unit, 1), labels=LABELS).settle()

    with pytest.raises(BudgetExceeded):
        metering.pool.reserve(Amount(unit, 1), labels=LABELS)

    window = key.rpartition("_per_")[2]
    metering.advance(window)
    assert metering.pool.can_afford(Amount(unit, limit), labels=LABELS)


def test_the_end_of_a_tick_is_an_event(store_url: str) -> None:
    metering = opened(DOCUMENT, store_url)
    metering.pool.reserve(tokens(10), labels=LABELS).settle()

    with capture(metering.pool) as events:
        metering.advance()

    (ended,) = events.of(WindowEnded)
    assert ended.window == "tick"


def test_a_violation_is_an_error_and_an_event_with_the_same_numbers() -> None:
    metering = opened(DOCUMENT)
    metering.pool.reserve(tokens(60_000), labels=LABELS).settle()

    with capture(metering.pool) as events, pytest.raises(BudgetExceeded) as refused:
        metering.pool.reserve(tokens(1), labels=LABELS)

    (said,) = events.of(Exceeded)
    assert said.budget_type == "tool:decide_action.tokens_per_tick"
    assert (said.current_usage, said.limit) == (60_000, 60_000)
    assert (refused.value.spent, refused.value.limit) == (tokens(60_000),) * 2
    assert said.severity == "hard_fail"
    assert not isinstance(refused.value, SystemExit)


def test_the_legacy_document_has_the_figures_of_t2() -> None:
    constraints, enforcement = tier("T2").budget_constraints, tier("T2").enforcement

    assert constraints.max_tokens_per_action == 32_000
    assert constraints.max_total_tokens == 1_000_000
    assert constraints.token_cost_per_1k == Decimal("0.12")
    assert constraints.violation_penalty_weight == Decimal("2.5")
    assert tier("T2").with_grace(32_000) == 33_600
    assert all(
        getattr(enforcement, name)
        for name in (
            "hard_fail_on_violation",
            "inject_budget_status",
            "track_token_efficiency",
        )
    )
