"""The dearest that tokens may cost: at least what they cost in whichever buckets."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from langchain_budget.pricing.prices import Price
from langchain_budget.pricing.usage import Terms, Usage

dollars = st.integers(0, 100).map(str)
flat = st.builds(
    Price.per_million,
    input=dollars,
    output=st.just("1"),
    cache_read=dollars,
    cache_write=dollars,
    cache_write_1h=dollars,
    input_audio=dollars,
    reasoning=dollars,
    output_audio=dollars,
    per_call=dollars,
)
counts = st.integers(0, 1_000)
tiers = st.sampled_from(["", "flex", "priority", "unheard-of"])
usages = st.builds(Usage, *[counts] * 8, tier=tiers)


def asked_by(usage: Usage) -> Terms:
    """The least that a request must have asked for to be answered like this."""
    return Terms(
        usage.tier,
        writes=bool(usage.cache_write),
        for_an_hour=bool(usage.cache_write_1h),
        audio=bool(usage.input_audio),
        voice=bool(usage.output_audio),
    )


@given(flat, flat, flat, usages)
def test_no_usage_costs_more_than_the_worst_of_as_many_tokens(
    plain: Price, long: Price, fast: Price, usage: Usage
) -> None:
    price = plain.above(2_000, long).at_tier("priority", fast.above(500, long))
    total = Usage(usage.total_input, output=usage.total_output, tier=usage.tier)

    worst = price.worst(asked_by(usage)).cost(total)

    assert worst >= price.cost(usage)


@given(flat, usages)
def test_what_was_not_asked_for_does_not_make_it_dearer(
    price: Price, usage: Usage
) -> None:
    plain: dict[str, Any] = {"input": 1, "output": 2, "cache_read": 0}
    dear = Price.per_million(
        **plain, cache_write=9, cache_write_1h=9, input_audio=9, output_audio=9
    )
    total = Usage(usage.total_input, output=usage.total_output)

    assert dear.worst(Terms()).cost(total) == dear.cost(total)
    assert price.worst(Terms()).worst(Terms()) == price.worst(Terms())
