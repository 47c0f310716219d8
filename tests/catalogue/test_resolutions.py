"""What was decided where documents disagree, as far as no other test shows it."""

import pytest

from langchain_budget import (
    AccountFrozen,
    BudgetError,
    BudgetExceeded,
    BudgetPool,
    BudgetRefused,
    CallTooLarge,
    OperationTooDear,
    Price,
    PriceTable,
    tokens,
    usd,
)
from langchain_budget.core.traits import MIDDLE_PRIORITY
from langchain_budget.pricing.prices import ModelRef
from langchain_budget.pricing.tool_costs import TEXT_PRICE
from langchain_budget.pricing.usage import Usage

THOUSAND = Usage(input=1000)


@pytest.mark.parametrize(
    "kind", [BudgetExceeded, CallTooLarge, AccountFrozen, OperationTooDear]
)
def test_every_refusal_is_one_kind_of_error_and_ends_no_program(
    kind: type[Exception],
) -> None:
    assert issubclass(kind, BudgetRefused)
    assert issubclass(kind, BudgetError)
    assert not issubclass(kind, SystemExit)


def test_whether_it_fits_is_answered_and_taking_it_raises() -> None:
    pool = BudgetPool("acme", usd(1), tokens(100))

    answer = pool.can_afford(usd(2))
    with pytest.raises(BudgetExceeded) as refused:
        pool.reserve(usd(2))

    assert not answer
    assert answer.reason == str(refused.value)
    no = refused.value
    assert (no.account, no.limit, no.spent, no.wanted) == (
        "acme",
        usd(1),
        usd(0),
        usd(2),
    )


def test_nothing_is_limited_and_nobody_important_unless_it_is_said() -> None:
    pool = BudgetPool("acme")
    web = pool.open("web")

    assert pool.balance().granted is None
    assert web.traits().priority == 0
    assert MIDDLE_PRIORITY == 5
    assert web.traits().tradeable
    web.reserve(usd(10**6)).settle()


def test_a_price_is_the_same_by_thousands_and_by_millions_and_says_its_source() -> None:
    book = PriceTable(
        {
            "gpt-4": Price.per_million(input=30, output=60, source="the guide"),
            "gpt-3.5-turbo": Price.per_million(input="0.50", output=2),
        }
    )
    large = book.price_of(ModelRef("openai", "gpt-4"))

    assert large is not None
    assert large.source == "the guide"
    assert large.cost(THOUSAND) == usd("0.03").value
    assert TEXT_PRICE.cost(Usage(input=1_000_000)) == usd("0.50").value
