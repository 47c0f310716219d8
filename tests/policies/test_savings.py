from fractions import Fraction
from typing import Any

import pytest

from langchain_budget.core.amounts import tokens, usd
from langchain_budget.core.faults import InvalidAmount, UnitMismatch
from langchain_budget.core.policies.savings import batched, savings


def test_reading_with_the_cheap_tool_costs_a_tenth() -> None:
    gained = savings(before=usd("0.01"), after=usd("0.001"))

    assert gained.saved == usd("0.009")
    assert gained.times == 10


def test_the_cheap_model_costs_a_sixtieth() -> None:
    gained = savings(before=usd(30), after=usd("0.50"))

    assert gained.times == 60
    assert gained.share > Fraction(98, 100)


def test_one_batch_instead_of_ten_calls_saves_four_fifths() -> None:
    gained = batched(usd("0.005"), 10, usd("0.01"), size=10)

    assert (gained.before, gained.after) == (usd("0.05"), usd("0.01"))
    assert (gained.saved, gained.share) == (usd("0.04"), Fraction(4, 5))


def test_v12_a_thousand_descriptions_in_batches_of_ten() -> None:
    gained = batched(usd("0.01"), 1000, usd("0.001"), size=10)

    assert (gained.before, gained.after) == (usd(10), usd("0.10"))
    assert (gained.saved, gained.share) == (usd("9.90"), Fraction(99, 100))


def test_a_batch_that_is_not_full_costs_as_much() -> None:
    assert batched(usd(1), 11, usd(2), size=10).after == usd(4)


def test_what_costs_more_is_a_negative_saving() -> None:
    assert savings(usd(1), usd(3)).saved.value < 0


def test_free_is_not_divided_by() -> None:
    assert savings(usd(0), usd(1)).share == 0
    assert savings(usd(1), usd(0)).times is None


def test_dollars_and_tokens_do_not_compare() -> None:
    with pytest.raises(UnitMismatch):
        savings(usd(1), tokens(1))


@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_a_batch_holds_something(size: Any) -> None:
    with pytest.raises(InvalidAmount, match="size"):
        batched(usd(1), 10, usd(1), size=size)
