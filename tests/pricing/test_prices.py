"""The one price function: exact, rounded up once, and never cheaper by mistake."""

import copy
import pickle
from decimal import Decimal
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget import BudgetPool, ToolCosts
from langchain_budget.core.faults import BudgetError
from langchain_budget.pricing.prices import (
    LARGEST_PRICE,
    InexactPrice,
    InvalidPrice,
    ModelRef,
    Price,
    PriceTable,
    first_price,
)
from langchain_budget.pricing.usage import Usage

NANOS = 10**9
GPT = ModelRef("openai", "gpt-4o")
CHEAP = Price.per_million(input=1, output=2)
DEAR = Price.per_million(input=10, output=20)
BUCKETS = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "input_audio",
    "output",
    "reasoning",
    "output_audio",
)

dollars = st.decimals(0, 10_000, places=6) | st.decimals(0, 1, places=18)
counts = st.integers(0, 10_000_000)


@given(
    st.lists(dollars.filter(bool), min_size=8, max_size=8),
    st.lists(counts, min_size=8, max_size=8),
    dollars,
)
def test_a_cost_is_exact_and_rounded_up_once(
    prices: list[Decimal], tokens: list[int], per_call: Decimal
) -> None:
    price = Price.per_million(
        **dict(zip(BUCKETS, prices, strict=True)), per_call=per_call
    )

    cost = price.cost(Usage(*tokens))

    exact = sum(Fraction(p) * t for p, t in zip(prices, tokens, strict=True))
    assert cost == ceil((exact / 10**6 + Fraction(per_call)) * NANOS)


def test_the_whole_call_is_rounded_not_each_bucket() -> None:
    price = Price.per_million(input="0.0001", output="0.0001")

    assert price.cost(Usage(input=1, output=1)) == 1


def test_a_price_finer_than_can_be_kept_is_rounded_up() -> None:
    price = Price.per_million(input=Decimal("1E-30"), output=Decimal("1E-999999"))

    assert price.cost(Usage(input=1)) == 1
    assert price.cost(Usage(output=1)) == 1


def test_nothing_used_costs_nothing() -> None:
    assert CHEAP.cost(Usage()) == 0


def test_a_call_may_cost_something_by_itself() -> None:
    price = Price.per_million(input=1, output=1, per_call="0.014")

    assert price.cost(Usage(input=1)) == 14_001_000


@pytest.mark.parametrize(
    ("bucket", "wanted"),
    [
        ("cache_read", "4"),
        ("cache_write", "5"),
        ("cache_write_1h", "8"),
        ("input_audio", "4"),
        ("reasoning", "16"),
        ("output_audio", "16"),
    ],
)
def test_what_is_not_priced_is_never_too_cheap(bucket: str, wanted: str) -> None:
    price = Price.per_million(input=4, output=16)

    cost = price.cost(Usage(**{bucket: 1_000_000}))

    assert cost == int(wanted) * NANOS


def test_an_hour_in_the_cache_costs_no_less_than_five_minutes() -> None:
    price = Price.per_million(input=1, output=1, cache_write=9)

    assert price.cost(Usage(cache_write_1h=1_000_000)) == 9 * NANOS


@pytest.mark.parametrize("number", [0.5, 1.0, True, False, None, b"1", [1]])
@pytest.mark.parametrize("bucket", ["input", "output", "per_call"])
def test_what_is_not_exact_is_no_price(bucket: str, number: Any) -> None:
    prices: dict[str, Any] = {"input": 1, "output": 1} | {bucket: number}

    with pytest.raises(InexactPrice, match="pass a string"):
        Price.per_million(**prices)


@pytest.mark.parametrize(
    "number",
    ["-1", -1, "NaN", "sNaN", "Infinity", "-Infinity", "", "free", "1,5", "$1", 10**7],
)
@pytest.mark.parametrize("bucket", BUCKETS)
def test_what_cannot_be_true_is_no_price(bucket: str, number: str | int) -> None:
    prices: dict[str, Any] = {"input": 1, "output": 1} | {bucket: number}

    with pytest.raises(InvalidPrice):
        Price.per_million(**prices)


def test_an_invalid_price_is_one_of_our_errors_and_a_value_error() -> None:
    assert issubclass(InvalidPrice, BudgetError)
    assert issubclass(InvalidPrice, ValueError)
    assert issubclass(InexactPrice, InvalidPrice | TypeError)


def test_the_largest_price_is_still_one() -> None:
    price = Price.per_million(input=LARGEST_PRICE, output=0)

    assert price.cost(Usage(input=1)) == NANOS


@pytest.mark.parametrize("nothing", [0, "0", "0.000", Decimal("-0")])
def test_free_must_be_said(nothing: Any) -> None:
    with pytest.raises(InvalidPrice, match=r"Price\.free\(\)"):
        Price.per_million(input=nothing, output=nothing)


def test_a_free_model_costs_nothing() -> None:
    assert Price.free().cost(Usage(input=10**9, output=10**9)) == 0


def test_input_may_be_free_by_itself() -> None:
    assert Price.per_million(input=0, output=1).cost(Usage(input=10**9)) == 0


@pytest.mark.parametrize(
    ("tokens", "rate"), [(0, 1), (200_000, 1), (200_001, 10), (900_000, 10)]
)
def test_a_long_prompt_costs_more_from_its_first_token(tokens: int, rate: int) -> None:
    price = CHEAP.above(200_000, DEAR)

    cost = price.cost(Usage(input=tokens, output=1_000))

    assert cost == tokens * rate * 1_000 + 1_000 * rate * 2_000


def test_cached_input_counts_towards_a_long_prompt() -> None:
    price = CHEAP.above(100, DEAR)

    assert price.cost(Usage(input=1, cache_read=100)) == DEAR.cost(Usage(input=101))


def test_the_highest_step_below_the_prompt_holds() -> None:
    middle = Price.per_million(input=5, output=5)
    price = CHEAP.above(200, DEAR).above(100, middle)

    costs = [price.cost(Usage(input=n)) for n in (100, 101, 200, 201)]

    assert costs == [100_000, 505_000, 1_000_000, 2_010_000]


def test_a_service_tier_has_its_own_price() -> None:
    price = DEAR.at_tier("flex", CHEAP)

    assert price.cost(Usage(input=1, tier="flex")) == 1_000
    assert price.cost(Usage(input=1)) == 10_000


def test_a_service_tier_can_have_steps_too() -> None:
    price = DEAR.at_tier("flex", CHEAP.above(10, DEAR))

    assert price.cost(Usage(input=11, tier="flex")) == 110_000


def test_an_unknown_service_tier_costs_what_the_dearest_does() -> None:
    flex = CHEAP
    middle = Price.per_million(input=5, output=5)
    price = middle.at_tier("flex", flex).at_tier("priority", DEAR)

    assert price.cost(Usage(input=1, tier="scale")) == 10_000
    assert middle.at_tier("flex", flex).cost(Usage(input=1, tier="scale")) == 5_000


def test_a_price_says_where_it_is_from() -> None:
    assert CHEAP.source == "declared"
    assert Price.free().source == "declared free"
    assert Price.per_million(input=1, output=1, source="contract").source == "contract"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_price_travels(again: Any) -> None:
    price = CHEAP.above(10, DEAR).at_tier("flex", DEAR)
    made = again(price)

    assert (pickle.loads(made) if isinstance(made, bytes) else made) == price  # noqa: S301


def test_a_price_does_not_change() -> None:
    with pytest.raises(AttributeError):
        CHEAP.source = "elsewhere"  # type: ignore[misc]  # that is what is tested


def test_a_declared_price_is_found_by_the_model_name() -> None:
    assert PriceTable({"gpt-4o": CHEAP}).price_of(GPT) is CHEAP


def test_a_declared_price_is_found_by_provider_and_model_first() -> None:
    table = PriceTable({"gpt-4o": CHEAP, "openai:gpt-4o": DEAR})

    assert table.price_of(GPT) is DEAR
    assert table.price_of(ModelRef("azure", "gpt-4o")) is CHEAP


@pytest.mark.parametrize(
    "name", ["gpt-4", "gpt-4o-mini", "GPT-4o", "4o", "", "gpt-4o "]
)
def test_a_similar_name_is_another_model(name: str) -> None:
    assert PriceTable({name: CHEAP}).price_of(GPT) is None


def test_a_default_is_for_every_other_model() -> None:
    table = PriceTable({"gpt-4o": CHEAP}, default=DEAR)

    assert table.price_of(ModelRef("", "anything")) is DEAR
    assert table.price_of(GPT) is CHEAP


@pytest.mark.parametrize("price", [3, "3", None, {"input": 3}])
def test_only_prices_can_be_declared(price: Any) -> None:
    with pytest.raises(InvalidPrice, match="per_million"):
        PriceTable({"gpt-4o": price})
    if price is not None:
        with pytest.raises(InvalidPrice, match="default"):
            PriceTable({}, default=price)


def test_the_first_book_with_an_opinion_decides() -> None:
    declared = PriceTable({"gpt-4o": DEAR})
    others = PriceTable({"gpt-4o": CHEAP, "o3": CHEAP})
    books = first_price(declared, others)

    assert books.price_of(GPT) is DEAR
    assert books.price_of(ModelRef("openai", "o3")) is CHEAP
    assert books.price_of(ModelRef("openai", "o4")) is None


def test_a_free_price_is_an_opinion() -> None:
    free = Price.free()
    books = first_price(PriceTable({"gpt-4o": free}), PriceTable({"gpt-4o": DEAR}))

    assert books.price_of(GPT) is free


@pytest.mark.parametrize(
    "rates", [(-1,) * 8, (0.5,) * 8, ("1",) * 8, (float("nan"),) * 8, (1,) * 7, ()]
)
def test_rates_that_cannot_be_true_make_no_price(rates: tuple[Any, ...]) -> None:
    with pytest.raises(InexactPrice):
        Price("a guess", rates)


@pytest.mark.parametrize("tokens", [-1, "200k", 0.5, True, None])
def test_a_step_is_at_a_number_of_tokens(tokens: Any) -> None:
    with pytest.raises(InexactPrice, match="tokens"):
        CHEAP.above(tokens, DEAR)


@pytest.mark.parametrize("price", [None, 3, "0.15", Usage()])
def test_a_step_and_a_tier_have_a_price(price: Any) -> None:
    with pytest.raises(InexactPrice, match="no Price"):
        CHEAP.above(200_000, price)
    with pytest.raises(InexactPrice, match="no Price"):
        CHEAP.at_tier("flex", price)


@pytest.mark.parametrize("book", [{"gpt-4o": CHEAP}, {}, [], "prices.csv", CHEAP])
def test_what_knows_no_prices_is_no_price_book(book: Any, tmp_path: Path) -> None:
    file = tmp_path / "budget.db"

    for use in (
        lambda: first_price(book),
        lambda: BudgetPool("acme", store=f"sqlite:///{file}", prices=book),
        lambda: ToolCosts(models=book),
    ):
        with pytest.raises(InexactPrice, match="no price book"):
            use()
    assert not file.exists()


class Empty(dict[str, Price]):
    """A price book that is also a collection, of nothing."""

    def price_of(self, model: ModelRef) -> Price | None:
        return self.get(model.model, CHEAP)


def test_a_price_book_that_is_empty_is_asked() -> None:
    pool = BudgetPool("acme", prices=Empty())

    assert pool.ledger.prices.price_of(GPT) is CHEAP
