"""An answer is as long as what is left can pay for, and no longer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget import BudgetExceeded, BudgetPool, MemoryStore, Price, tokens
from langchain_budget.adapters.charges import held
from langchain_budget.adapters.clamp import (
    SMALLEST_ANSWER,
    UNCAPPED_ANSWER,
    Clamp,
    clamp_of,
    hold_capped,
)
from langchain_budget.adapters.requests import Request
from langchain_budget.core.amounts import OUTPUT_TOKENS, TOKENS, USD
from langchain_budget.core.postings import Balance, CounterKey
from langchain_budget.pricing.prices import ModelRef
from langchain_budget.testing import FakeChatModel

PRICE = Price.per_million(input="2.50", output=10)


def request(cap: int = 1_000, *, capped: bool = True, answers: int = 1) -> Request:
    return Request(ModelRef("fake", "m"), 100, cap, cap, capped, answers)


def fits(output: int) -> Clamp:
    """The whole answer, where something limits it."""
    return Clamp(output, told=False, limits=True)


def told(output: int) -> Clamp:
    """A shorter one, which the model must be told."""
    return Clamp(output, told=True, limits=True)


def test_what_fits_is_not_clamped() -> None:
    assert clamp_of(request(), None, {TOKENS: 1_100}) == fits(1_000)


def test_what_does_not_fit_is_clamped_to_what_does() -> None:
    assert clamp_of(request(), None, {TOKENS: 1_099}) == told(999)
    assert clamp_of(request(), None, {OUTPUT_TOKENS: 500}) == told(500)
    assert clamp_of(request(), PRICE, {USD: 1_250_000}) == told(100)


def test_the_tightest_limit_decides() -> None:
    left = {TOKENS: 900, OUTPUT_TOKENS: 900, USD: 1_250_000}

    assert clamp_of(request(), PRICE, left) == told(100)


def test_what_is_too_little_for_a_small_answer_asks_for_a_small_one() -> None:
    floor = told(SMALLEST_ANSWER)
    for left in (-5, 0, 100, 100 + SMALLEST_ANSWER - 1):
        assert clamp_of(request(), None, {TOKENS: left}) == floor


def test_an_answer_that_was_capped_below_the_smallest_is_enough() -> None:
    assert clamp_of(request(5), None, {TOKENS: 105}) == fits(5)
    assert clamp_of(request(5), None, {TOKENS: 104}) == told(5)


def test_a_model_without_a_known_maximum_is_given_one_where_a_limit_binds() -> None:
    endless = request(1_000, capped=False)

    assert clamp_of(endless, None, {}) == Clamp(UNCAPPED_ANSWER)
    assert clamp_of(endless, None, {TOKENS: 10**9}) == told(UNCAPPED_ANSWER)


def test_several_answers_share_what_is_left() -> None:
    asked = request(3_000, answers=3)
    clamp = clamp_of(asked, None, {TOKENS: 1_000})

    endless = request(1, capped=False, answers=2)

    assert clamp_of(endless, None, {}).output_tokens == 2 * UNCAPPED_ANSWER
    assert clamp.output_tokens == 900
    assert clamp.settings(asked, FakeChatModel(), {}) == {"max_tokens": 300}


@given(
    left=st.dictionaries(
        st.sampled_from([USD, TOKENS, OUTPUT_TOKENS]), st.integers(-10, 10**8)
    ),
    cap=st.integers(1, 5_000),
)
def test_it_is_the_longest_that_fits(left: Mapping[str, int], cap: int) -> None:
    asked = request(cap)
    clamp = clamp_of(asked, PRICE, left)

    def is_paid(output: int) -> bool:
        wanted = held(asked, PRICE, output)
        return all(wanted[unit] <= most for unit, most in left.items())

    longest = max((n for n in range(cap + 1) if is_paid(n)), default=0)
    assert clamp.output_tokens == max(longest, min(cap, SMALLEST_ANSWER))
    assert clamp.told != is_paid(cap)


class RivalStore(MemoryStore):
    """Others hold between our look at what is left and our own hold."""

    rivals = 0

    def balances(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        seen = super().balances(accounts)
        if self.rivals:
            self.rivals -= 1
            self.pool.reserve(tokens(100))
        return seen

    pool: BudgetPool


def rivalled(rivals: int) -> BudgetPool:
    store = RivalStore()
    store.pool = BudgetPool("acme", tokens(500), store=store)
    store.rivals = rivals
    return store.pool


@pytest.mark.parametrize(("rivals", "output"), [(0, 400), (1, 300), (3, 100)])
def test_when_others_are_faster_it_is_clamped_anew(rivals: int, output: int) -> None:
    ledger = rivalled(rivals).ledger
    capped = ledger.run(hold_capped(ledger, request(), {}, 0.0, "acme"))

    assert capped.clamp == told(output)
    assert capped.hold.amounts[TOKENS] == 100 + output


def test_when_others_leave_too_little_it_is_refused() -> None:
    ledger = rivalled(4).ledger

    with pytest.raises(BudgetExceeded, match="may need 164 tokens"):
        ledger.run(hold_capped(ledger, request(), {}, 0.0, "acme"))
