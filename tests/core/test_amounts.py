import copy
import operator
import pickle
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget import (
    Amount,
    InvalidAmount,
    InvalidName,
    UnitMismatch,
    calls,
    input_tokens,
    meter,
    output_tokens,
    tokens,
    usd,
)
from langchain_budget.core.amounts import LARGEST, NANOS, vector
from langchain_budget.errors import InexactAmount

counts = st.integers(min_value=0, max_value=2**60)
dollars = st.decimals(min_value=0, max_value=4_000_000_000, allow_nan=False)
amounts = st.builds(Amount, st.sampled_from(["usd", "tokens", "images"]), counts)


def test_three_tenths_are_three_tenths() -> None:
    assert usd("0.10") + usd("0.20") == usd("0.30")


def test_dollars_come_as_text_whole_numbers_or_decimals() -> None:
    assert usd("2.50") == usd(Decimal("2.5")) == usd(2) + usd(".5")


@pytest.mark.parametrize("dollar", [0.1, 1.0, float("nan"), True, False, None, b"1"])
def test_what_is_not_exact_is_no_money(dollar: Any) -> None:
    with pytest.raises(InexactAmount, match=r"usd\('0.50'\)") as refused:
        usd(dollar)

    assert repr(dollar) in str(refused.value)
    assert isinstance(refused.value, TypeError)


@pytest.mark.parametrize(
    "dollar",
    ["-1", -1, "-0.000000001", "NaN", "sNaN", "inf", "-Infinity", "", "a lot", "1,5"],
)
def test_what_is_no_number_of_dollars_is_refused(dollar: Any) -> None:
    with pytest.raises(InvalidAmount) as refused:
        usd(dollar)

    assert repr(dollar) in str(refused.value)
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize("dollar", [5_000_000_000, "1e30", "9" * 40])
def test_more_dollars_than_can_be_counted_are_refused(dollar: Any) -> None:
    with pytest.raises(InvalidAmount, match=r"at most 4,611,686,018"):
        usd(dollar)


@pytest.mark.parametrize("unit", [tokens, input_tokens, output_tokens, calls])
@pytest.mark.parametrize("count", [1.0, True, "5", Decimal(5), None, float("inf")])
def test_only_whole_numbers_count(unit: Any, count: Any) -> None:
    with pytest.raises(InexactAmount) as refused:
        unit(count)

    assert repr(count) in str(refused.value)


def test_a_count_is_not_negative() -> None:
    with pytest.raises(InvalidAmount, match=r"-3 tokens.*zero or more"):
        tokens(-3)


def test_more_than_can_be_counted_is_refused() -> None:
    with pytest.raises(InvalidAmount, match="at most"):
        tokens(LARGEST + 1)


def test_what_is_finer_than_a_nano_dollar_is_rounded_up() -> None:
    assert usd("0.0000000001") == Amount("usd", 1)
    assert usd("1e-999999999") == Amount("usd", 1)
    assert usd("1." + "0" * 60 + "1") == Amount("usd", NANOS + 1)


def test_the_decimal_context_of_a_program_changes_no_money() -> None:
    with localcontext(prec=3):
        amount = usd("123.456789")
        shown = str(amount), repr(amount)

    assert amount == usd("123.456789")
    assert shown == ("$123.456789", "usd('123.456789')")


@pytest.mark.parametrize("other", [tokens(1), meter("images")(1), 1, "1", None])
def test_units_do_not_mix(other: Any) -> None:
    for mix in (operator.add, operator.sub, operator.lt, operator.ge):
        with pytest.raises(UnitMismatch, match=r"usd\('1.00'\)"):
            mix(usd(1), other)


def test_amounts_of_different_units_are_unequal() -> None:
    assert tokens(1) != calls(1)
    assert usd(0) != 0


def test_an_amount_does_not_change() -> None:
    amount = usd(1)

    with pytest.raises(AttributeError, match="value"):
        amount.value = 2
    with pytest.raises(AttributeError, match="unit"):
        del amount.unit
    assert amount == usd(1)


@pytest.mark.parametrize(
    ("amount", "shown", "written"),
    [
        (usd(0), "$0.00", "usd('0.00')"),
        (usd("0.000012"), "$0.000012", "usd('0.000012')"),
        (usd("12.5"), "$12.50", "usd('12.50')"),
        (usd(1) - usd("2.5"), "-$1.50", "usd('-1.50')"),
        (tokens(1500), "1,500 tokens", "tokens(1500)"),
        (input_tokens(7), "7 input tokens", "input_tokens(7)"),
        (meter("tool_calls")(2), "2 tool calls", "meter('tool_calls')(2)"),
    ],
)
def test_amounts_print_as_people_write_them(
    amount: Amount, shown: str, written: str
) -> None:
    assert (str(amount), repr(amount)) == (shown, written)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "_", "50%", None, 3])
def test_a_meter_has_a_plain_name(name: Any) -> None:
    with pytest.raises(InvalidName, match="letters, digits and underscores"):
        meter(name)


def test_dollars_are_no_meter() -> None:
    with pytest.raises(InvalidName, match=r"write usd\('0.50'\)"):
        meter("usd")


def test_a_unit_is_given_once() -> None:
    with pytest.raises(InvalidAmount, match=r"usd\('2.00'\).*given twice"):
        vector([usd(1), tokens(5), usd(2)])


def test_less_than_nothing_is_no_limit_and_no_charge() -> None:
    with pytest.raises(InvalidAmount, match=r"usd\('-1.00'\).*zero or more"):
        vector([usd(1) - usd(2)])


@given(dollars)
def test_dollars_are_exact_or_the_next_nano_dollar(dollar: Decimal) -> None:
    over = Fraction(usd(dollar).value, NANOS) - Fraction(dollar)

    assert 0 <= over < Fraction(1, NANOS)


@given(amounts)
def test_an_amount_survives_pickling_and_copying(amount: Amount) -> None:
    again = pickle.loads(pickle.dumps(amount))  # noqa: S301  # our own bytes

    assert again == amount == copy.copy(amount) == copy.deepcopy(amount)
    assert hash(again) == hash(amount)


@given(counts)
def test_dollars_can_be_read_back_from_how_they_are_shown(nanos: int) -> None:
    amount = Amount("usd", nanos)

    assert usd(str(amount).removeprefix("$")) == amount


@given(counts, counts)
def test_amounts_add_subtract_and_compare_as_their_numbers_do(a: int, b: int) -> None:
    assert (tokens(a) + tokens(b)).value == a + b
    assert (tokens(a) - tokens(b)).value == a - b
    assert (tokens(a) < tokens(b), tokens(a) >= tokens(b)) == (a < b, a >= b)
    assert bool(tokens(a)) == bool(a)
