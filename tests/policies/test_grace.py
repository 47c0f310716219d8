from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget.core.faults import InvalidAmount
from langchain_budget.core.policies.grace import Overage, severity, with_grace


@pytest.mark.parametrize(
    ("used", "said"),
    [
        (32_000, "ok"),
        (32_001, "warning"),
        (33_600, "warning"),
        (33_601, "hard_fail"),
    ],
)
def test_v14_five_percent_of_32000(used: int, said: str) -> None:
    assert with_grace(32_000, 5.0) == 33_600
    assert severity(used, 32_000, 5.0) == said


@pytest.mark.parametrize(
    ("used", "limit", "said"),
    [
        (105, 100, "warning"),
        (115, 100, "hard_fail"),
        (520, 500, "warning"),
        (560, 500, "hard_fail"),
    ],
)
def test_v14_ten_percent(used: int, limit: int, said: str) -> None:
    assert severity(used, limit, 10) == said


def test_v14_where_it_is_not_hard_calls_go_on() -> None:
    assert severity(115, 100, 10, hard=False) is Overage.SOFT
    assert severity(105, 100, 10, hard=False) is Overage.WARNING


def test_without_grace_the_first_unit_above_is_too_much() -> None:
    assert severity(100, 100) is Overage.OK
    assert severity(101, 100) is Overage.HARD_FAIL


def test_of_no_limit_nothing_is_too_much() -> None:
    assert severity(10**18, None, 5) is Overage.OK


def test_of_a_limit_of_nothing_anything_is_too_much() -> None:
    assert severity(0, 0, 5) is Overage.OK
    assert severity(1, 0, 5) is Overage.HARD_FAIL


def test_grace_is_rounded_down() -> None:
    assert with_grace(19, "10%") == 20


@pytest.mark.parametrize("percent", [0.8, 80, "80%", "0.8"])
def test_grace_is_read_as_fraction_or_percentage(percent: object) -> None:
    assert with_grace(100, percent) == 180


@pytest.mark.parametrize("percent", [0, -5, 100.1, "much", True])
def test_what_is_no_percentage_is_refused(percent: Any) -> None:
    with pytest.raises(InvalidAmount):
        with_grace(100, percent)


@given(st.integers(0, 2**62), st.integers(0, 2**62), st.integers(2, 100))
def test_more_usage_is_never_milder(used: int, limit: int, percent: int) -> None:
    order = list(Overage)

    before = order.index(severity(used, limit, percent))
    after = order.index(severity(used + 1, limit, percent))

    assert before <= after
