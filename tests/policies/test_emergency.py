from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget.core.amounts import NANOS
from langchain_budget.core.faults import InvalidAmount, InvalidPriority
from langchain_budget.core.policies.emergency import approve

REMAINING = 10 * NANOS
REQUESTED = 40 * NANOS


@pytest.mark.parametrize(
    ("priority", "reason", "approved"),
    [
        (7, "", 40),
        (6, "CRITICAL fix", 20),
        (6, "not critical at all", 20),
        (6, "nothing", 0),
    ],
)
def test_v10_documented_emergency_reads_the_word(
    priority: int, reason: str, approved: int
) -> None:
    decided = approve(REQUESTED, priority, reason, None, as_documented=True)

    assert decided.approved == decided.wanted == approved * NANOS
    assert REMAINING + decided.approved == (10 + approved) * NANOS


def test_v10_a_word_in_the_reason_decides_nothing() -> None:
    decided = approve(REQUESTED, 6, "CRITICAL fix", REQUESTED)

    assert decided.approved == 0
    assert decided.why == "priority 6 is below 7 and it is not critical"


def test_v10_what_is_said_to_be_critical_gets_a_half() -> None:
    decided = approve(REQUESTED, 6, "fix", REQUESTED, critical=True)

    assert decided.approved == 20 * NANOS


def test_what_is_said_not_to_be_critical_is_not_whatever_the_reason() -> None:
    decided = approve(
        REQUESTED, 6, "critical", REQUESTED, critical=False, as_documented=True
    )

    assert decided.approved == 0


@pytest.mark.parametrize("as_documented", [True, False])
def test_no_more_than_the_reserve_is_approved(as_documented: bool) -> None:  # noqa: FBT001  # parameter of a test
    decided = approve(40, 9, "fire", 30, as_documented=as_documented)

    assert (decided.approved, decided.wanted) == (30, 40)
    assert decided.why == "priority 9 is high; the reserve has only 30"


def test_an_overdrawn_reserve_has_nothing() -> None:
    assert approve(40, 9, "fire", -5).approved == 0


def test_a_part_is_rounded_down() -> None:
    assert approve(3, 1, "", 100, critical=True).approved == 1


def test_what_is_high_and_what_a_critical_reason_gets_can_be_said() -> None:
    assert approve(40, 7, "", 100, high=8).approved == 0
    assert approve(40, 1, "", 100, critical_share="25%", critical=True).approved == 10


@given(
    st.integers(0, 2**62),
    st.integers(1, 10),
    st.integers(-(2**62), 2**62),
    st.booleans() | st.none(),
)
def test_an_approval_is_within_the_request_and_the_reserve(
    requested: int,
    priority: int,
    available: int,
    critical: bool | None,  # noqa: FBT001  # parameter of a test
) -> None:
    decided = approve(requested, priority, "", available, critical=critical)

    assert 0 <= decided.approved <= decided.wanted <= requested
    assert decided.approved <= max(available, 0)


@pytest.mark.parametrize("requested", [-1, 1.0, True, float("nan")])
def test_a_request_is_a_whole_number_of_units(requested: Any) -> None:
    with pytest.raises(InvalidAmount, match="requested"):
        approve(requested, 9, "fire", 100)


def test_whoever_asks_has_a_priority() -> None:
    with pytest.raises(InvalidPriority):
        approve(40, 0, "fire", 100)
