import copy
import pickle
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget.core.amounts import NANOS, usd
from langchain_budget.core.faults import (
    InexactAmount,
    InvalidAmount,
    InvalidPolicy,
    InvalidPriority,
    OverAllocated,
)
from langchain_budget.core.policies.allocation import (
    Claim,
    Tier,
    by_priority,
    by_priority_as_documented,
    dynamic,
    fixed,
    portion,
    shares,
)
from langchain_budget.core.traits import check_priority

FIFTY = 50 * NANOS
amounts = st.integers(min_value=0, max_value=2**62)
priorities = st.lists(st.integers(1, 10), min_size=1, max_size=20)


def claims(*levels: int) -> list[Claim]:
    return [Claim(f"agent {at}", level) for at, level in enumerate(levels)]


def dollars(parts: dict[str, int]) -> list[Decimal]:
    return [Decimal(part) / NANOS for part in parts.values()]


@pytest.mark.parametrize("priority", [1, 10])
def test_priorities_go_from_one_to_ten(priority: int) -> None:
    assert check_priority(priority) == priority


@pytest.mark.parametrize("priority", [0, 11, -1, True, 5.0, "5", None])
def test_nothing_else_is_a_priority(priority: Any) -> None:
    with pytest.raises(InvalidPriority, match="from 1 to 10") as refused:
        by_priority([Claim("a", priority)], 100, minimum=0)

    assert refused.value.priority is priority


def test_v4_documented_priorities_leave_much_to_nobody() -> None:
    parts = by_priority_as_documented(claims(9, 5, 2), 1000 * NANOS, minimum=FIFTY)

    assert dollars(parts) == [50, Decimal("296.875"), Decimal("118.75")]


def test_v4_priorities_give_all_away_and_the_others_get_no_less() -> None:
    parts = by_priority(claims(9, 5, 2), 1000 * NANOS, minimum=FIFTY)

    assert dollars(parts) == [
        Decimal("584.375"),
        Decimal("296.875"),
        Decimal("118.75"),
    ]


def test_v5_documented_minimums_are_more_than_there_is() -> None:
    parts = by_priority_as_documented(claims(9, 8, 5), 80 * NANOS, minimum=FIFTY)

    assert parts == {"agent 0": FIFTY, "agent 1": FIFTY}


def test_v5_minimums_go_as_far_as_the_total() -> None:
    parts = by_priority(claims(9, 8, 5), 80 * NANOS, minimum=FIFTY)

    assert dollars(parts) == [50, 30, 0]


def test_the_most_important_gets_its_minimum_first_wherever_it_stands() -> None:
    assert dollars(by_priority(claims(8, 10), FIFTY, minimum=FIFTY)) == [0, 50]


def test_v6_equal_priorities_get_equal_parts() -> None:
    two, total = claims(5, 5), 100 * NANOS

    assert dollars(by_priority(two, total, minimum=FIFTY)) == [50, 50]
    assert dollars(by_priority_as_documented(two, total, minimum=FIFTY)) == [50, 50]


def test_two_critical_ones_share_what_their_minimums_leave() -> None:
    parts = by_priority(claims(9, 9), 1000 * NANOS, minimum=FIFTY)

    assert dollars(parts) == [500, 500]


def test_from_which_priority_on_one_is_critical_can_be_said() -> None:
    parts = by_priority(claims(7, 6), FIFTY, minimum=FIFTY, critical=7)

    assert dollars(parts) == [50, 0]


@given(priorities, amounts, amounts)
def test_priorities_divide_the_total_to_the_nano(
    levels: list[int], total: int, minimum: int
) -> None:
    asking = claims(*levels)

    parts = by_priority(asking, total, minimum=minimum)

    assert sum(parts.values()) == total
    assert list(parts) == [claim.name for claim in asking]
    assert min(parts.values()) >= 0


@given(priorities, amounts)
def test_more_important_is_never_given_less(levels: list[int], total: int) -> None:
    asking = sorted(claims(*levels), key=lambda claim: -claim.priority)

    parts = list(by_priority(asking, total, minimum=FIFTY).values())

    assert parts == sorted(parts, reverse=True)


def test_two_claims_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidPolicy, match="'a' is named twice"):
        by_priority([Claim("a", 1), Claim("a", 2)], 100, minimum=0)


def test_fixed_parts_may_be_all_there_is() -> None:
    parts = fixed({"analyst": 20, "coder": 20, "reviewer": 10}, total=50)

    assert parts == {"analyst": 20, "coder": 20, "reviewer": 10}


def test_fixed_parts_are_never_more_than_there_is() -> None:
    with pytest.raises(OverAllocated, match="51 is given out, but there is only 50"):
        fixed({"analyst": 20, "coder": 20, "reviewer": 11}, total=50)


def test_fixed_parts_of_an_unlimited_total_are_as_large_as_they_are() -> None:
    assert fixed({"analyst": 10**15}) == {"analyst": 10**15}


@pytest.mark.parametrize("fault", [InvalidPriority(0), OverAllocated("51", "50")])
def test_errors_can_be_sent_to_another_process(fault: InvalidPolicy) -> None:
    again = pickle.loads(pickle.dumps(fault))  # noqa: S301  # our own bytes

    assert str(again) == str(copy.copy(fault)) == str(fault)


@pytest.mark.parametrize(
    ("usage", "budget"), [((40, 60), 60), ((10,), 50), ((), 50), ((0, 0), 50)]
)
def test_v9_a_dynamic_budget_follows_the_usage(
    usage: tuple[int, ...], budget: int
) -> None:
    spent = [each * NANOS for each in usage]

    assert dynamic(FIFTY, spent) == budget * NANOS


def test_a_dynamic_budget_is_rounded_up() -> None:
    assert dynamic(0, [1, 2], multiplier=1) == 2


@pytest.mark.parametrize("multiplier", [1.2, -1, Decimal("NaN")])
def test_a_multiplier_is_exact(multiplier: Any) -> None:
    with pytest.raises(InvalidAmount, match="multiplier"):
        dynamic(50, [50], multiplier)


def test_a_refund_is_no_usage() -> None:
    with pytest.raises(InvalidAmount, match="usage -1"):
        dynamic(50, [-1])


def test_a_tenth_of_the_balance() -> None:
    assert portion(500 * NANOS) == FIFTY


def test_shares_of_a_hierarchy() -> None:
    parts = shares(100 * NANOS, {"a": 0.3, "b": "50%", "c": Decimal("0.2")})

    assert dollars(parts) == [30, 50, 20]


def test_shares_of_the_three_stages_of_a_pipeline() -> None:
    asked = {"extraction": "60%", "transformation": "30%", "loading": "10%"}

    assert dollars(shares(20 * NANOS, asked)) == [12, 6, 2]


@pytest.mark.parametrize(("more", "asked"), [("1%", "101%"), ("0.0001%", "100.0001%")])
def test_shares_are_never_more_than_all(more: str, asked: str) -> None:
    with pytest.raises(OverAllocated) as refused:
        shares(100, {"a": "30%", "b": "50%", "c": "20%", "d": more})

    assert refused.value.asked == asked


@pytest.mark.parametrize("share", [0, -0.1, 1.5, 30, "a lot"])
def test_what_is_no_share_is_refused(share: object) -> None:
    with pytest.raises(InvalidAmount, match="is no share"):
        shares(100, {"a": share})


@given(amounts, st.lists(st.integers(1, 100_000), min_size=1, max_size=10))
def test_shares_that_are_everything_leave_nothing(total: int, some: list[int]) -> None:
    marks = [*some, 1_000_000 - sum(some)] if sum(some) < 1_000_000 else [1_000_000]

    parts = shares(total, {str(at): f"{mark}e-6" for at, mark in enumerate(marks)})

    assert sum(parts.values()) == total


@pytest.mark.parametrize("amount", [1.0, True, "1"])
def test_a_total_is_whole_units(amount: Any) -> None:
    with pytest.raises(InexactAmount):
        by_priority(claims(5), amount, minimum=0)


@pytest.mark.parametrize(
    ("name", "amount"),
    [("LOW", usd(1)), ("MEDIUM", usd(5)), ("HIGH", usd(20)), ("CRITICAL", usd(100))],
)
def test_tiers_are_budgets_by_name(name: str, amount: Any) -> None:
    assert Tier[name].amount == amount
