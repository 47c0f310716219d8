import copy
import pickle
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget.core.faults import InvalidAmount, InvalidPolicy
from langchain_budget.core.policies.thresholds import (
    ALERTS,
    HIGH_USAGE,
    LOW_BUDGET,
    METERING,
    MONITORING,
    Rule,
    Severity,
    fired,
)

percents = st.integers(2, 100)
rules = st.builds(
    Rule, at=percents, op=st.sampled_from(["", ">=", ">"]), policy=st.just("once")
) | st.builds(
    Rule,
    at=percents,
    metric=st.just("remaining"),
    op=st.sampled_from(["", "<=", "<"]),
    policy=st.just("once"),
)
walks = st.lists(st.integers(-20, 150), min_size=1, max_size=20)


def walk(rule: Rule, usage: list[int], granted: int | None) -> list[bool]:
    """Whether the rule was announced at each step of *usage*, which began at 0."""
    announced, already = [], frozenset[str]()
    for before, after in pairwise([0, *usage]):
        told, already = fired([rule], before, after, granted, already)
        announced.append(bool(told))
    return announced


def truth(rule: Rule, used: int, granted: int) -> bool:
    """What a rule says, in words as near as can be to how people read it."""
    share = Fraction(used if rule.metric == "used" else granted - used, granted)
    mark = Fraction(str(rule.at)) / 100
    return {
        ">=": share >= mark,
        ">": share > mark,
        "<=": share <= mark,
        "<": share < mark,
    }[rule.op or (">=" if rule.metric == "used" else "<=")]


@given(rules, walks, st.integers(1, 120))
def test_a_rule_of_every_time_is_announced_whenever_it_holds(
    rule: Rule, usage: list[int], granted: int
) -> None:
    announced = walk(replace(rule, policy="every"), usage, granted)

    assert announced == [truth(rule, used, granted) for used in usage]


@given(rules, walks, st.integers(1, 120))
def test_a_rule_of_once_is_announced_the_first_time_that_it_holds(
    rule: Rule, usage: list[int], granted: int
) -> None:
    held = [truth(rule, used, granted) for used in usage]

    announced = walk(rule, usage, granted)

    first = [False] * held.index(True) + [True] if any(held) else []
    assert announced == first + [False] * (len(held) - len(first))


@given(rules, walks, st.integers(1, 120))
def test_a_rule_that_rearms_is_announced_each_time_that_it_begins_to_hold(
    rule: Rule, usage: list[int], granted: int
) -> None:
    held = [truth(rule, used, granted) for used in usage]

    announced = walk(replace(rule, policy="rearm"), usage, granted)

    assert announced == [now and not before for before, now in pairwise([False, *held])]


def test_one_jump_sets_off_all_that_it_crosses_in_ascending_order() -> None:
    told, already = fired(reversed(ALERTS), 0, 100, 100)

    assert [str(rule) for rule in told] == [
        "used >= 50%",
        "used >= 75%",
        "used >= 90%",
    ]
    assert fired(ALERTS, 100, 100, 100, already).rules == ()


def test_ascending_is_the_order_in_which_usage_reaches_them() -> None:
    mixed = [Rule(90), Rule(80, op=">"), Rule(15, "remaining"), Rule("80%")]

    told = fired(mixed, 0, 100, 100).rules

    assert [str(rule) for rule in told] == [
        "used >= 80%",
        "used > 80%",
        "remaining <= 15%",
        "used >= 90%",
    ]


def test_a_rule_that_rearms_speaks_again_after_a_reset_that_nobody_watched() -> None:
    rule = Rule("50%", policy="rearm")
    _, already = fired([rule], 0, 60, 100)

    told, _ = fired([rule], 0, 70, 100, already)

    assert told == (rule,)


def test_a_rule_of_once_stays_silent_when_the_limit_is_raised_and_used_up() -> None:
    _, already = fired(ALERTS, 0, 50, 100)

    assert fired(ALERTS, 50, 100, 200, already).rules == ()


def test_a_rule_that_rearms_speaks_again_when_a_raised_limit_is_lowered() -> None:
    rule = Rule("50%", policy="rearm")
    _, already = fired([rule], 0, 60, 100)
    _, already = fired([rule], 60, 60, 200, already)

    assert fired([rule], 60, 60, 100, already).rules == (rule,)


def test_a_rule_that_rearms_speaks_again_when_usage_fell_and_then_the_limit() -> None:
    rule = Rule("50%", policy="rearm")
    _, already = fired([rule], 0, 60, 100)
    _, already = fired([rule], 60, 40, 100, already)

    assert fired([rule], 40, 40, 60, already).rules == (rule,)


def test_rules_of_one_share_are_told_apart_by_what_else_they_say() -> None:
    both = [Rule("50%"), Rule("50%", severity=Severity.CRITICAL)]

    assert len(fired(both, 0, 50, 100).rules) == 2
    assert fired([*both, *both], 0, 50, 100).rules == tuple(both)


def test_other_marks_are_kept() -> None:
    _, already = fired([Rule("50%")], 0, 10, 100, frozenset({"another"}))

    assert already == {"another"}


def test_an_unlimited_account_sets_off_nothing() -> None:
    assert fired([*ALERTS, LOW_BUDGET], 0, 10**18, None).rules == ()


def test_a_limit_of_nothing_sets_off_nothing_until_something_is_used() -> None:
    every = [*MONITORING, HIGH_USAGE, LOW_BUDGET]

    assert fired(every, 0, 0, 0).rules == ()
    assert len(fired(every, 0, 1, 0).rules) == len(every)


@pytest.mark.parametrize("at", [0.8, "80%", 80, "0.8", "80.0 %"])
def test_a_share_is_read_as_fraction_or_percentage(at: object) -> None:
    assert Rule(at) == Rule("80%")
    assert hash(Rule(at)) == hash(Rule("80%"))


@pytest.mark.parametrize("at", [0, -5, 101, "most", True, None, float("nan")])
def test_what_is_no_share_is_refused(at: object) -> None:
    with pytest.raises(InvalidAmount):
        Rule(at)


@pytest.mark.parametrize(
    "wrong",
    [
        {"metric": "spent"},
        {"op": "<="},
        {"op": ">=", "metric": "remaining"},
        {"severity": "panic"},
        {"policy": "twice"},
    ],
)
def test_a_rule_that_nobody_can_follow_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidPolicy, match="give one of"):
        Rule("80%", **wrong)


def test_a_rule_travels() -> None:
    rule = Rule(0.8, severity=Severity.CRITICAL)

    assert pickle.loads(pickle.dumps(rule)) == copy.copy(rule) == rule  # noqa: S301  # our own bytes


@pytest.mark.parametrize(
    ("used", "severities"),
    [
        (49, []),
        (50, ["info"]),
        (75, ["info", "warning"]),
        (90, ["info", "warning", "critical"]),
    ],
)
def test_monitoring_speaks_at_50_75_and_90_percent(
    used: int, severities: list[str]
) -> None:
    told = fired(MONITORING, 0, used, 100).rules

    assert [rule.severity for rule in told] == severities


@pytest.mark.parametrize(("used", "announced"), [(80, False), (81, True)])
def test_high_usage_is_more_than_80_percent(
    used: int,
    announced: bool,  # noqa: FBT001  # parameter of a test
) -> None:
    assert bool(fired([HIGH_USAGE], 0, used, 100).rules) is announced


@pytest.mark.parametrize(("used", "announced"), [(84, False), (85, True)])
def test_a_low_budget_has_15_percent_left_or_less(
    used: int,
    announced: bool,  # noqa: FBT001  # parameter of a test
) -> None:
    told = fired([LOW_BUDGET], 0, used, 100).rules

    assert bool(told) is announced
    assert LOW_BUDGET.severity is Severity.MEDIUM


def test_metering_warns_of_each_call_from_80_percent_on() -> None:
    assert walk(METERING, [79, 80, 81], 100) == [False, True, True]
