from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget.core.amounts import Amount, tokens, usd
from langchain_budget.core.faults import (
    InexactAmount,
    InvalidAmount,
    InvalidPolicy,
    UnitMismatch,
)
from langchain_budget.core.policies.planning import (
    Plan,
    cost_at,
    daily,
    plan,
    plan_from,
    with_buffer,
)

SINGLE = daily(tasks=100, tokens=1000, price=usd("0.002"))


def test_v2_five_agents_cost_ninety_dollars_a_month() -> None:
    planned = plan(SINGLE, agents=5)

    assert planned == Plan(
        per_agent_day=usd("0.20"), base_day=usd(1), day=usd(3), month=usd(90)
    )


def test_v2_from_measured_costs_it_is_the_same() -> None:
    planned = plan_from([usd("0.002")], agents=5, tasks=100, overhead=3)

    assert planned == plan(SINGLE, agents=5)


def test_overhead_and_safety_are_two_factors() -> None:
    planned = plan(SINGLE, agents=5, overhead=2, safety=Decimal("1.5"), days=31)

    assert planned.day == usd(3)
    assert planned.month == usd(93)


def test_measured_costs_have_their_overhead_in_them() -> None:
    planned = plan_from([usd(1), usd(2)], agents=1, tasks=1)

    assert planned.day == planned.base_day == usd(2)


def test_a_plan_is_rounded_up_once() -> None:
    planned = plan(Amount("usd", 1), agents=1, overhead=Decimal("1.1"), days=10)

    assert (planned.day.value, planned.month.value) == (2, 11)


def test_tokens_are_planned_like_dollars() -> None:
    assert plan(tokens(1000), agents=2).day == tokens(6000)


@pytest.mark.parametrize("factor", [Decimal("0.9"), 0, -1])
def test_a_factor_below_one_is_refused(factor: Any) -> None:
    with pytest.raises(InvalidAmount, match="overhead"):
        plan(SINGLE, 5, overhead=factor)
    with pytest.raises(InvalidAmount, match="safety"):
        plan(SINGLE, 5, safety=factor)


@pytest.mark.parametrize("agents", [1.5, True, "5"])
def test_agents_are_counted(agents: Any) -> None:
    with pytest.raises(InexactAmount, match="agents"):
        plan(SINGLE, agents)


def test_a_price_is_an_amount() -> None:
    with pytest.raises(InexactAmount, match="is no Amount"):
        daily(100, 1000, 0.002)  # type: ignore[arg-type]  # what the test is about


@pytest.mark.parametrize(
    ("quantile", "cost"),
    [("1%", 1), ("10%", 1), ("11%", 2), (0.5, 5), ("90%", 9), ("91%", 10), (1, 10)],
)
def test_a_quantile_is_one_of_the_costs(quantile: object, cost: int) -> None:
    costs = [usd(each) for each in (10, 9, 8, 7, 6, 5, 4, 3, 2, 1)]

    assert cost_at(costs, quantile) == usd(cost)


@given(st.lists(st.integers(0, 10**6), min_size=1), st.integers(2, 100))
def test_a_quantile_is_the_least_cost_that_so_many_do_not_exceed(
    costs: list[int], percent: int
) -> None:
    chosen = cost_at([tokens(cost) for cost in costs], percent).value

    within = sum(cost <= chosen for cost in costs)
    cheaper = sum(cost < chosen for cost in costs)
    assert within * 100 >= percent * len(costs) > cheaper * 100


def test_nothing_is_planned_from_nothing() -> None:
    with pytest.raises(InvalidPolicy, match="measure at least one"):
        plan_from([], agents=5, tasks=1)


def test_costs_of_two_units_have_no_order() -> None:
    with pytest.raises(UnitMismatch):
        cost_at([usd(1), tokens(1)])


@pytest.mark.parametrize(
    ("buffer", "amount"), [("20%", "6"), (0.2, "6"), (20, "6"), ("100%", "10")]
)
def test_a_buffer_comes_on_top(buffer: object, amount: str) -> None:
    assert with_buffer(usd(5), buffer) == usd(amount)


def test_a_buffer_is_twenty_percent_and_rounded_up() -> None:
    assert with_buffer(tokens(1)) == tokens(2)
