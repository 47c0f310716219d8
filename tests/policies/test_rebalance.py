from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget.core.amounts import NANOS
from langchain_budget.core.faults import InvalidAmount, InvalidPriority
from langchain_budget.core.policies.allocation import Claim
from langchain_budget.core.policies.rebalance import changes, rebalance, weights

THOUSAND = 1000 * NANOS
SPENT = {"a": (10 * NANOS, 20 * NANOS), "b": (100 * NANOS,)}
HISTORY = [Claim("a", 8, 0, SPENT["a"]), Claim("b", 5, 0, SPENT["b"]), Claim("c", 2)]
claims = st.lists(
    st.builds(
        Claim,
        name=st.text(),
        priority=st.integers(1, 10),
        remaining=st.integers(0, 2**50),
        usage=st.lists(st.integers(0, 2**50), max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda claim: claim.name,
)


def dollars(parts: dict[str, int]) -> list[str]:
    return [f"{Decimal(part) / NANOS:.6f}" for part in parts.values()]


@pytest.mark.parametrize("as_documented", [True, False])
def test_v7_rebalance_without_history(as_documented: bool) -> None:  # noqa: FBT001  # parameter of a test
    asking = [Claim("a", 8), Claim("b", 5), Claim("c", 2)]

    parts = rebalance(asking, THOUSAND, as_documented=as_documented)

    assert dollars(parts) == ["517.543860", "333.333333", "149.122807"]
    assert sum(parts.values()) == THOUSAND


def test_v7_weights_without_history() -> None:
    heavy = weights([Claim("a", 8), Claim("b", 5), Claim("c", 2)])

    assert heavy == (Fraction("5.9"), Fraction("3.8"), Fraction("1.7"))


def test_v8_documented_rebalance_lets_dollars_swamp_priorities() -> None:
    parts = rebalance(HISTORY, THOUSAND, as_documented=True)

    assert weights(HISTORY, as_documented=True) == (
        Fraction("10.1"),
        Fraction("33.5"),
        Fraction("1.7"),
    )
    assert dollars(parts) == ["222.958057", "739.514349", "37.527594"]
    assert sum(parts.values()) == THOUSAND


def test_v8_usage_is_of_the_size_of_a_priority() -> None:
    heavy = weights(HISTORY)

    assert heavy == (Fraction("6.05"), Fraction("6.5"), Fraction("1.7"))


@given(claims, st.integers(1, 10**6))
def test_the_unit_of_the_usage_does_not_matter(asking: list[Claim], unit: int) -> None:
    other = [
        claim._replace(usage=tuple(each * unit for each in claim.usage))
        for claim in asking
    ]

    assert weights(asking) == weights(other)


@given(claims, st.integers(0, 2**62), st.booleans())
def test_rebalancing_divides_the_total_to_the_nano(
    asking: list[Claim],
    total: int,
    as_documented: bool,  # noqa: FBT001  # parameter of a test
) -> None:
    parts = rebalance(asking, total, as_documented=as_documented)

    assert sum(parts.values()) == total
    assert list(parts) == [claim.name for claim in asking]


@given(claims)
def test_rebalancing_what_they_have_makes_and_loses_nothing(
    asking: list[Claim],
) -> None:
    parts = rebalance(asking, sum(claim.remaining for claim in asking))

    assert sum(changes(asking, parts).values()) == 0


def test_how_much_each_counts_can_be_said() -> None:
    asking = [Claim("a", 10, 0, (1,)), Claim("b", 5, 0, (3,))]

    by_usage_alone = rebalance(asking, 100, by_priority=0, by_usage=1)
    by_priority_alone = rebalance(asking, 150, by_priority=1, by_usage=0)

    assert by_usage_alone == {"a": 25, "b": 75}
    assert by_priority_alone == {"a": 100, "b": 50}


def test_who_is_known_to_use_nothing_counts_less_than_who_is_unknown() -> None:
    idle, new = weights([Claim("idle", 5, 0, (0,)), Claim("new", 5)])

    assert idle < new


@pytest.mark.parametrize("weight", [0.7, -1, Decimal("NaN")])
def test_how_much_each_counts_is_exact(weight: Any) -> None:
    with pytest.raises(InvalidAmount, match="by_usage"):
        rebalance(HISTORY, 100, by_usage=weight)


def test_a_priority_is_checked() -> None:
    with pytest.raises(InvalidPriority):
        rebalance([Claim("a", 11)], 100)
