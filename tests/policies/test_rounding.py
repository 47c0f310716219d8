from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget.core.faults import InexactAmount, InvalidAmount, InvalidPolicy
from langchain_budget.core.policies.rounding import largest_remainder

totals = st.integers(min_value=0, max_value=2**62)
weights = st.lists(
    st.integers(min_value=0, max_value=10**12)
    | st.fractions(min_value=0, max_value=10**6)
    | st.decimals(min_value=0, max_value=10**6, places=6),
    min_size=1,
    max_size=20,
)


@given(totals, weights)
def test_the_parts_add_up_to_the_total(total: int, heavy: list[Any]) -> None:
    parts = largest_remainder(total, heavy)

    assert sum(parts) == total


@given(totals, weights.filter(any))
def test_no_part_is_a_unit_away_from_its_quota(total: int, heavy: list[Any]) -> None:
    exact = [Fraction(weight) for weight in heavy]

    parts = largest_remainder(total, heavy)

    quotas = [total * weight / sum(exact) for weight in exact]
    assert all(abs(part - quota) < 1 for part, quota in zip(parts, quotas, strict=True))


def test_who_loses_most_by_rounding_gets_the_next_unit() -> None:
    assert largest_remainder(10, [Decimal("0.55"), Decimal("0.28"), 1]) == (3, 2, 5)


def test_of_equal_losses_the_earlier_is_made_good() -> None:
    assert largest_remainder(5, [1, 1, 1]) == (2, 2, 1)


def test_a_weight_of_zero_gets_nothing() -> None:
    assert largest_remainder(7, [0, 3, 0]) == (0, 7, 0)


def test_weights_that_are_all_zero_are_equal() -> None:
    assert largest_remainder(5, [0, 0]) == (3, 2)


def test_nothing_is_divided_among_nobody() -> None:
    assert largest_remainder(0, []) == ()


def test_something_is_not_divided_among_nobody() -> None:
    with pytest.raises(InvalidPolicy, match="name at least one"):
        largest_remainder(1, [])


@pytest.mark.parametrize("number", [0.5, True, "1", None])
def test_what_is_not_exact_is_no_total_and_no_weight(number: Any) -> None:
    with pytest.raises(InexactAmount, match="total"):
        largest_remainder(number, [1])
    with pytest.raises(InexactAmount, match="weight"):
        largest_remainder(1, [number])


@pytest.mark.parametrize(
    "number", [-1, Decimal("-0.1"), Decimal("NaN"), Decimal("inf")]
)
def test_weights_are_finite_and_not_negative(number: Any) -> None:
    with pytest.raises(InvalidAmount, match="weight"):
        largest_remainder(1, [1, number])


def test_a_debt_is_not_divided() -> None:
    with pytest.raises(InvalidAmount, match="total -1"):
        largest_remainder(-1, [1])
