from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget.core.faults import InvalidAmount, InvalidPolicy
from langchain_budget.core.policies.service_levels import (
    SERVICE_LEVELS,
    ServiceLevels,
)


@pytest.mark.parametrize(
    ("hundredths", "name"),
    [
        (5000, "full"),
        (4999, "standard"),
        (2000, "standard"),
        (1990, "minimal"),
        (500, "minimal"),
        (499, "emergency"),
        (-100, "emergency"),
    ],
)
def test_v11_the_level_follows_what_remains(hundredths: int, name: str) -> None:
    assert SERVICE_LEVELS.at(hundredths, 10_000).name == name


@pytest.mark.parametrize("granted", [0, -1])
def test_v11_where_nothing_is_granted_it_is_the_lowest(granted: int) -> None:
    assert SERVICE_LEVELS.at(100, granted).name == "emergency"


def test_an_unlimited_account_has_the_best() -> None:
    assert SERVICE_LEVELS.at(0, None).name == "full"


def test_below_all_levels_it_is_the_lowest_that_is_configured() -> None:
    levels = ServiceLevels([("some", "20%", ["text"]), ("all", "50%", ["images"])])

    level = levels.at(1, 100)

    assert (level.name, level.features) == ("some", ("text",))


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**6))
def test_more_money_is_never_a_lower_level(one: int, other: int, granted: int) -> None:
    low = SERVICE_LEVELS.at(min(one, other), granted)
    high = SERVICE_LEVELS.at(max(one, other), granted)

    assert low.mark <= high.mark


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [("a", 50, []), ("a", 20, [])],
        [("a", 50, []), ("b", "50%", [])],
    ],
)
def test_levels_that_nobody_can_tell_apart_are_refused(rows: list[Any]) -> None:
    with pytest.raises(InvalidPolicy):
        ServiceLevels(rows)


@pytest.mark.parametrize("share", [-1, 101, False, "half"])
def test_what_must_remain_is_a_share(share: object) -> None:
    with pytest.raises(InvalidAmount):
        ServiceLevels([("a", share, [])])
