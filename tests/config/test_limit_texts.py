"""Limits as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_budget import (
    Amount,
    InvalidAmount,
    calls,
    input_tokens,
    meter,
    output_tokens,
    tokens,
    usd,
)
from langchain_budget.config import parse_limit


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("$10", usd(10)),
        ("$0.50", usd("0.50")),
        (" $ 1,000.25 ", usd("1000.25")),
        ("10 usd", usd(10)),
        ("0.000000001 USD", Amount("usd", 1)),
        ("$0", usd(0)),
        ("100000 tokens", tokens(100_000)),
        ("100_000 tokens", tokens(100_000)),
        ("1 token", tokens(1)),
        ("20 calls", calls(20)),
        ("1 call", calls(1)),
        ("5 input tokens", input_tokens(5)),
        ("5 output_tokens", output_tokens(5)),
        ("7 tool calls", meter("tool_calls")(7)),
        ("$5 per day", usd(5).per("day")),
        ("$5 per day in Europe/Berlin", usd(5).per("day", "Europe/Berlin")),
        ("100000 tokens per hour", tokens(100_000).per("hour")),
        ("$5 in any 5h", usd(5).per("5h")),
        ("20 calls per run", calls(20).per("run")),
        ("1 call per tick", calls(1).per("tick")),
        ("7 tool calls per month", meter("tool_calls")(7).per("month")),
    ],
)
def test_a_limit_is_read(text: str, limit: Any) -> None:
    assert parse_limit(text) == limit


def test_a_meter_is_only_known_by_its_name() -> None:
    assert parse_limit("3 images per day", meters=["images"]).amount == meter("images")(
        3
    )  # type: ignore[union-attr]  # it has a window

    with pytest.raises(InvalidAmount, match="known are"):
        parse_limit("3 images per day")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ten dollars",
        "10",
        "$",
        "$-1",
        "-1 tokens",
        "1e6 tokens",
        "1.5 tokens",
        "1.2.3 tokens",
        "$5 per",
        "$5 per dya",
        "$5 each day",
        "$5 per day in Nowhere/Land",
        "$5 per day in",
        "100 tokns",
        "5 tokens tokens",
        "$nan",
        "$inf",
        "$٣",
        "99999999999999999999 tokens",
        None,
        5,
        True,
        1.5,
    ],
)
def test_what_is_no_limit_is_refused(text: Any) -> None:
    with pytest.raises(InvalidAmount):
        parse_limit(text)


@pytest.mark.parametrize(
    "text", ["$1,5", "1,50 usd", "1,00 calls", "$1,0000", "$1234,567"]
)
def test_a_decimal_comma_is_no_way_to_group_digits(text: str) -> None:
    with pytest.raises(InvalidAmount, match="comma may only group thousands"):
        parse_limit(text)
