"""Buckets of tokens that add up."""

from langchain_budget.pricing.usage import Usage

FULL = Usage(
    input=1,
    cache_read=10,
    cache_write=100,
    cache_write_1h=1_000,
    input_audio=10_000,
    output=2,
    reasoning=20,
    output_audio=200,
    tier="flex",
)


def test_every_input_bucket_is_in_the_total_input() -> None:
    assert FULL.total_input == 11_111


def test_every_output_bucket_is_in_the_total_output() -> None:
    assert FULL.total_output == 222


def test_the_total_is_input_and_output() -> None:
    assert FULL.total == 11_333


def test_a_usage_of_nothing_is_zero_everywhere() -> None:
    assert (Usage().total_input, Usage().total_output, Usage().total) == (0, 0, 0)
