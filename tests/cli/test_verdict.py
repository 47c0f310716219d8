"""The demo says no when the books are wrong."""

import pytest

from langchain_budget import BudgetPool, calls, input_tokens, output_tokens, usd
from langchain_budget.cli.demo_verdict import verdict
from langchain_budget.testing import Total

ONE_CALL = (calls(1), input_tokens(20), output_tokens(5))


@pytest.fixture
def pool() -> BudgetPool:
    pool = BudgetPool("team", usd(1))
    pool.reserve(usd("0.40")).settle(usd("0.30"), *ONE_CALL)
    return pool


def test_books_that_agree_with_the_server_are_right(pool: BudgetPool) -> None:
    assert verdict(pool.report(), Total(20, 5, 1)).right


@pytest.mark.parametrize("served", [(21, 5, 1), (20, 4, 1), (20, 5, 2)])
def test_a_single_token_of_difference_is_wrong(
    pool: BudgetPool, served: tuple[int, int, int]
) -> None:
    found = verdict(pool.report(), Total(*served))

    assert not found.right
    assert (False, "the books DIFFER") in found.findings


def test_money_that_is_still_held_is_wrong(pool: BudgetPool) -> None:
    pool.reserve(usd("0.10"))

    found = verdict(pool.report(), Total(20, 5, 1))

    assert not found.right
    assert (False, "still held: team") in found.findings


def test_a_limit_that_was_exceeded_is_wrong(pool: BudgetPool) -> None:
    pool.reserve(usd("0.70")).settle(usd("0.71"))

    found = verdict(pool.report(), Total(20, 5, 1))

    assert not found.right
    assert (False, "limit exceeded: team") in found.findings


def test_what_is_not_known_is_not_wrong(pool: BudgetPool) -> None:
    found = verdict(pool.report(), None)

    assert found.right
    assert found.findings[0].good is None
