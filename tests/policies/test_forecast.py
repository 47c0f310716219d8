from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget.core.faults import InvalidAmount, InvalidPolicy
from langchain_budget.core.policies.forecast import Spend, burn_rate, exhausted_in

HOUR = 3600


def test_a_budget_that_burns_steadily_is_gone_when_the_rate_says() -> None:
    history = [Spend(at, 36) for at in (600.0, 1800.0, 3600.0)]

    rate = burn_rate(history, start=0, now=HOUR)

    assert rate == Fraction(108, HOUR)
    assert exhausted_in(216, rate) == 2 * HOUR


def test_only_what_was_spent_in_that_time_counts() -> None:
    history = [Spend(0, 1000), Spend(5, 10), Spend(10, 10), Spend(11, 1000)]

    assert burn_rate(history, start=0, now=10) == 2


def test_adjoining_times_count_everything_once() -> None:
    history = [Spend(at, 1) for at in range(1, 101)]

    first, second = (
        burn_rate(history, start=start, now=start + 50) for start in (0, 50)
    )

    assert (first + second) * 50 == 100


def test_nothing_is_exhausted_while_nothing_burns() -> None:
    rate = burn_rate([], start=0, now=HOUR)

    assert rate == 0
    assert exhausted_in(100, rate) is None


def test_an_unlimited_budget_is_never_exhausted() -> None:
    assert exhausted_in(None, Fraction(5)) is None


@pytest.mark.parametrize("available", [0, -5])
def test_what_is_gone_is_gone_now(available: int) -> None:
    assert exhausted_in(available, Fraction(1)) == 0


@given(st.integers(0, 2**62), st.fractions(min_value="1e-6", max_value=10**12))
def test_by_the_forecast_the_budget_still_lasts_and_a_second_later_it_does_not(
    available: int, rate: Fraction
) -> None:
    seconds = exhausted_in(available, rate)

    assert seconds is not None
    assert seconds * rate <= available < (seconds + 1) * rate


@pytest.mark.parametrize("now", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_needs_a_span_of_time(now: float) -> None:
    with pytest.raises(InvalidPolicy, match="give a start before now"):
        burn_rate([], start=0, now=now)


def test_nobody_spends_less_than_nothing() -> None:
    with pytest.raises(InvalidAmount, match="spent -1"):
        burn_rate([Spend(1, -1)], start=0, now=2)
