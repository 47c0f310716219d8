from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget import InvalidAmount, InvalidName, tokens, usd
from langchain_budget.core.accounts import (
    check_name,
    common_ancestor,
    limits_of,
    lineage,
    ratio,
    show_limits,
    spec_of,
)


@pytest.mark.parametrize(
    "name", ["a", "web search", "Müller & Söhne", "gpt-4.1:x", "9"]
)
def test_any_printable_name_will_do(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "  ", "\t", None, 7, b"web"])
def test_a_name_is_a_string_that_is_not_empty(name: Any) -> None:
    with pytest.raises(InvalidName, match="not empty") as refused:
        check_name(name)

    assert repr(name) in str(refused.value)


def test_a_name_has_no_path_separator() -> None:
    with pytest.raises(InvalidName, match=r"'team/web'.*one account below another"):
        check_name("team/web")


@pytest.mark.parametrize("name", ["x" * 201, "line\nbreak", "bell\a", "\u200b"])
def test_a_name_is_short_and_printable(name: str) -> None:
    with pytest.raises(InvalidName, match="at most 200 printable"):
        check_name(name)


@pytest.mark.parametrize("share", ["30%", " 30 % ", 0.3, "0.3", 30, "30"])
def test_a_share_can_be_written_in_many_ways(share: Any) -> None:
    assert ratio(share) == 300_000


@pytest.mark.parametrize("share", ["100%", 1, 1.0, 100, "1"])
def test_a_share_can_be_all_of_it(share: Any) -> None:
    assert ratio(share) == 1_000_000


@pytest.mark.parametrize(
    "share",
    [
        *(0, "0%", -0.1, "-5%", "130%", 130, "100.00001%", "0.00001%"),
        *("nan", float("nan"), float("inf"), "half", "", "%", None, True),
    ],
)
def test_what_is_no_share_is_refused(share: Any) -> None:
    with pytest.raises(InvalidAmount, match=r"give .*30%") as refused:
        ratio(share)

    assert repr(share) in str(refused.value)


@given(st.integers(min_value=1, max_value=1_000_000))
def test_a_share_is_exact_to_a_millionth(millionths: int) -> None:
    percent = f"{millionths // 10_000}.{millionths % 10_000:04}%"

    assert ratio(percent) == millionths


def test_no_limit_and_a_limit_of_nothing_are_two_things() -> None:
    assert limits_of(None, usd(0)) == (("usd", 0),)


def test_the_order_of_limits_and_marks_makes_no_difference() -> None:
    one = spec_of([usd(1), tokens(5)], marks=["90%", 0.5])
    other = spec_of([tokens(5), usd(1)], marks=[50, 0.9, 0.5])

    assert one == other


def test_a_specification_is_shown_in_words() -> None:
    spec = spec_of([usd(1)], [tokens(5)], "30%", [0.5])

    assert show_limits(spec) == "limit $1.00, carved 5 tokens, share 30%, warn_at 50%"
    assert show_limits(spec_of()) == "no limit"


def test_a_path_knows_the_accounts_above_it() -> None:
    assert lineage("acme/research/web") == (
        "acme/research/web",
        "acme/research",
        "acme",
    )
    assert common_ancestor("acme/a/b", "acme/a/c/d") == "acme/a"
    assert common_ancestor("acme/a", "acme/ab") == "acme"
    assert common_ancestor("acme", "other") is None
