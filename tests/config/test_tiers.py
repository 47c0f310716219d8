"""Tiers: a bound on one call and on a run, with grace; penalties and efficiency."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from langchain.agents import create_agent

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    CallTooLarge,
    InvalidConfig,
    InvalidPolicy,
    tokens,
    usd,
)
from langchain_budget.adapters.request_middleware import BudgetStatus
from langchain_budget.config import Tier, TierConfig, load, tier
from langchain_budget.events import BudgetExceeded as Exceeded
from langchain_budget.events import Event, LimitNotice, Refused
from langchain_budget.testing import FakeChatModel, capture
from tests.invariants import assert_quiet

T2 = """
budget_constraints:
  max_tokens_per_action: 32000
  max_total_tokens: 1000000
  token_cost_per_1k: 0.12
  violation_penalty_weight: 2.5
  grace_period_percentage: 5.0
enforcement:
  hard_fail_on_violation: true
  inject_budget_status: true
  track_token_efficiency: true
"""
ADA = {"agent": "ada"}
SMALL = {
    "max_tokens_per_action": 100,
    "max_total_tokens": 500,
    "grace_period_percentage": 10,
}


def opened(constraints: Any, *, store: Any = None, **enforcement: bool) -> Tier:
    config = load({"budget_constraints": constraints, "enforcement": enforcement})
    made = config.open(store=store)
    assert isinstance(made, Tier)
    return made


def said(events: Any) -> list[tuple[str, str]]:
    """What was announced of limits, in order."""
    return [
        (each.budget_type, "exceeded" if isinstance(each, Exceeded) else "warning")
        for each in events
        if isinstance(each, LimitNotice)
    ]


def use(made: Tier, count: int, **labels: str) -> list[tuple[str, str]]:
    """One call of so many tokens; what was announced of it."""
    with capture(made.pool) as events:
        try:
            made.pool.reserve(tokens(count), labels=ADA | labels).settle()
        except BudgetExceeded:
            assert events.of(Refused)
    return said(events)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (32_000, []),
        (32_001, [("max_tokens_per_action", "warning")]),
        (33_600, [("max_tokens_per_action", "warning")]),
        (33_601, [("max_tokens_per_action", "exceeded")]),
    ],
)
def test_a_call_of_t2_has_five_percent_grace(
    tmp_path: Any, count: int, expected: Any
) -> None:
    file = tmp_path / "t2_config.yaml"
    file.write_text(T2, encoding="utf-8")
    made = load(file).open()

    assert isinstance(made, Tier)
    assert use(made, count) == expected
    stopped = count > 33_600
    assert made.pool.report().spent("tokens") == tokens(0 if stopped else count)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(100, []), (105, ["warning"]), (110, ["warning"]), (115, ["exceeded"])],
)
def test_a_small_call_likewise(count: int, expected: list[str]) -> None:
    assert [how for _, how in use(opened(SMALL), count)] == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(500, "warning"), (520, "warning"), (560, "exceeded")]
)
def test_the_total_has_grace_too(store_url: str, count: int, expected: str) -> None:
    only = {key: value for key, value in SMALL.items() if "action" not in key}

    made = opened(only, store=store_url)

    assert use(made, count) == [("max_total_tokens", expected)]
    assert made.pool.admin.verify().ok


def test_calls_add_up_to_the_total_and_then_stop() -> None:
    made = opened(SMALL)
    for _ in range(5):
        use(made, 100)

    assert use(made, 20) == [("max_total_tokens", "warning")]
    assert use(made, 40) == [("max_total_tokens", "exceeded")]
    assert made.pool.report().spent("tokens") == tokens(520)
    assert use(made, 40, agent="bob") == []


def test_a_new_run_begins_anew() -> None:
    made = opened(SMALL)
    for _ in range(5):
        use(made, 105)

    made.advance("run")

    assert use(made, 100) == []
    assert made.report().agents["ada"].overage == 0


def test_without_hard_fail_calls_go_on_and_count_as_penalties() -> None:
    made = opened(
        SMALL | {"violation_penalty_weight": 2.5}, hard_fail_on_violation=False
    )

    with capture(made.pool) as events:
        made.pool.reserve(tokens(600), labels=ADA).settle()
        made.pool.reserve(tokens(10), labels={"agent": "bob"}).settle()

    assert [each.severity for each in events.of(Exceeded)] == ["soft", "soft"]
    report = made.report()
    assert report.agents["ada"].overage == Decimal("0.2")
    assert report.agents["ada"].penalty == Decimal("0.5")
    assert report.agents["bob"].penalty == 0
    assert report.penalty == Decimal("0.5")


def test_a_real_call_that_is_too_large_is_not_made() -> None:
    made = opened(SMALL)
    model = FakeChatModel(replies=["Hi."], usage=(30, 10), max_tokens=100)
    config: Any = {"callbacks": [BudgetCallbackHandler(made.pool)]}

    with pytest.raises(CallTooLarge, match="a single one at most 110 tokens") as no:
        model.invoke("word " * 100, config)

    assert model.total.calls == 0
    assert no.value.kind == "too_large"
    assert str(pickle.loads(pickle.dumps(no.value))) == str(no.value)  # noqa: S301
    assert_quiet(made.pool.ledger.store)


def test_can_afford_knows_what_a_single_call_may_need() -> None:
    made = opened(SMALL)

    assert made.pool.can_afford(tokens(110), labels=ADA)
    assert "single" in made.pool.can_afford(tokens(111), labels=ADA).reason


def test_a_worker_with_a_lease_is_bound_by_it_too() -> None:
    made = opened({"max_tokens_per_action": 100})

    with (
        made.pool.lease(tokens(1_000)) as worker,
        pytest.raises(CallTooLarge, match="at most 100 tokens"),
    ):
        worker.reserve(tokens(101))


def test_the_middleware_caps_an_answer_to_what_one_call_may_use() -> None:
    made = opened({"max_tokens_per_action": 300})
    model = FakeChatModel(replies=["word " * 500])
    agent = create_agent(model, name="ada", middleware=made.middleware())

    agent.invoke({"messages": [("user", "Hi")]})

    assert 200 < (model.calls[0].max_tokens or 0) < 300
    assert model.total.output_tokens == model.calls[0].max_tokens


@pytest.mark.parametrize("told", [True, False])
def test_models_are_told_what_is_left_only_where_that_is_wanted(told: bool) -> None:  # noqa: FBT001
    made = opened({"max_total_tokens": 5_000}, inject_budget_status=told)
    echo = FakeChatModel()
    agent = create_agent(echo, name="ada", middleware=made.middleware())

    answer = agent.invoke({"messages": [("user", "Hi")]})["messages"][-1]

    assert ("5,000 of 5,000 tokens per run left" in answer.text) is told
    kinds = [BudgetStatus, BudgetMiddleware] if told else [BudgetMiddleware]
    assert [type(each) for each in made.middleware()] == kinds


def test_reports_tell_how_much_of_the_tokens_came_out() -> None:
    constraints = {"token_cost_per_1k": 0.12}
    made = opened(constraints, track_token_efficiency=True)
    model = FakeChatModel(replies=["Hi."], usage=(30, 10), max_tokens=10)
    agent = create_agent(model, name="ada", middleware=made.middleware())
    for _ in range(2):
        agent.invoke({"messages": [("user", "Hi")]})

    ada = made.report().agents["ada"]

    assert (ada.tokens, ada.calls, ada.efficiency) == (80, 2, Decimal("0.25"))
    assert ada.tokens_per_result == 40
    assert ada.cost == usd("0.0096")


def test_efficiency_is_only_told_where_it_is_asked_for() -> None:
    made = opened(SMALL)
    use(made, 10)

    assert made.report().agents["ada"].efficiency is None


def test_a_known_model_keeps_its_price() -> None:
    config = load({"budget_constraints": {"token_cost_per_1k": 0.12}})
    prices = config.open().pool.ledger.prices

    from langchain_budget.pricing.prices import ModelRef  # noqa: PLC0415

    known = prices.price_of(ModelRef("openai", "gpt-4o"))
    unknown = prices.price_of(ModelRef("nobody", "new"))

    assert known is not None
    assert unknown is not None
    assert unknown.source == "token_cost_per_1k" != known.source


@dataclass
class Legacy:
    max_tokens_per_action: int = 32_000
    max_total_tokens: int = 1_000_000
    token_cost_per_1k: float = 0.12
    violation_penalty_weight: float = 2.5
    grace_period_percentage: float = 5.0
    hard_fail_on_violation: bool = True
    inject_budget_status: bool = True
    track_token_efficiency: bool = True
    anything_else: str = "is not ours"


def test_an_object_with_these_attributes_will_do() -> None:
    nested = SimpleNamespace(budget_constraints=Legacy(), enforcement=Legacy())

    assert load(Legacy()) == load(nested) == tier("T2")


def test_an_object_without_any_of_them_will_not() -> None:
    with pytest.raises(InvalidConfig, match="says nothing"):
        load(object())


def test_tiers_grow_and_keep_the_figures_of_t2() -> None:
    totals = [
        tier(name).budget_constraints.max_total_tokens for name in ("T0", "t1", "T3")
    ]

    assert totals == [62_500, 250_000, 4_000_000]
    with pytest.raises(InvalidPolicy, match="T0, T1, T2, T3"):
        tier("T9")


@pytest.mark.parametrize(
    ("grace", "most"), [(0, 100), (0.5, 100), (1, 101), (1.0, 101), (100, 200)]
)
def test_grace_is_in_percents_also_below_one(grace: Any, most: int) -> None:
    config = load({"budget_constraints": {"grace_period_percentage": grace}})

    assert isinstance(config, TierConfig)
    assert config.with_grace(100) == most


def test_events_are_ordinary_events() -> None:
    assert issubclass(Exceeded, Event)
    assert not issubclass(Exceeded, BaseException)
