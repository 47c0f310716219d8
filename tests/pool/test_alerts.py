"""Alerts: what fires, when, how often, whoever spends."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget import Alerts, BudgetPool, Rule, tokens, usd
from langchain_budget.core.policies.thresholds import (
    LOW_BUDGET,
    METERING,
    MONITORING,
    fired,
)

HALF = Rule("50%")


@pytest.fixture
def pool(store_url):
    return BudgetPool("acme", usd(10), store=store_url)


def test_one_jump_sets_off_all_that_it_crosses(pool):
    told = []
    Alerts(pool, MONITORING, tell=told.append)

    pool.reserve(usd("9.50")).settle()

    assert [each.severity for each in told] == ["info", "warning", "critical"]
    assert (told[0].used, told[0].granted) == (usd("9.50").value, usd(10).value)


def test_once_is_once_for_all_processes_and_for_all_time(store_url, pool):
    told = []
    pools = [pool]
    if store_url != "memory://":
        pools.append(BudgetPool("acme", usd(10), store=store_url))
    for each in pools:
        Alerts(each, [HALF], tell=told.append)

    for each in pools:
        each.reserve(usd(4)).settle()
    pool.top_up(usd(100))
    for _ in range(15):
        pools[0].reserve(usd(5)).settle()

    assert len(told) == 1


def test_a_rule_that_rearms_is_announced_each_time_that_use_rises_over_it(pool):
    told = []
    Alerts(pool, [LOW_BUDGET], tell=told.append)

    pool.reserve(usd(9)).settle()
    pool.reserve(usd("0.50")).settle()
    pool.top_up(usd(90))
    pool.reserve(usd(80)).settle()

    assert [each.rule for each in told] == ["LOW_BUDGET", "LOW_BUDGET"]
    assert told[1].seq > told[0].seq


def test_a_rule_for_every_time_is_announced_each_time(pool):
    told = []
    Alerts(pool, [METERING], tell=told.append)

    for amount in (7, 1, 1, 1):
        pool.reserve(usd(amount)).settle()

    assert len(told) == 3


def test_what_is_crossed_at_once_by_many_is_announced_once(pool):
    told = []
    Alerts(pool, [Rule("50%", policy="rearm"), Rule("90%")], tell=told.append)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: pool.reserve(usd(1)).settle(), range(10)))

    assert sorted(each.rule for each in told) == ["used >= 50%", "used >= 90%"]


def test_accounts_below_and_beside_are_watched_and_units_can_be_chosen():
    pool = BudgetPool("acme", usd(10), tokens(100))
    pool.limit_each("user_id", limit=usd(1))
    web = pool.open("web", limit=usd(1))
    told, of_tokens = [], []
    Alerts(pool, [HALF], tell=told.append)
    rule = Rule("50%", policy="rearm")
    Alerts(pool, [rule], units=["tokens"], tell=of_tokens.append)

    web.reserve(usd(1), labels={"user_id": "ada"}).settle()
    web.reserve(tokens(60)).settle()

    assert {each.account for each in told} == {"acme/web", "acme:user_id/ada", "acme"}
    assert [each.unit for each in of_tokens] == ["tokens"]


def test_they_can_be_stopped_and_heard_by_listeners_too():
    pool = BudgetPool("acme", usd(10))
    heard = []
    pool.subscribe(heard.append)

    with Alerts(pool, [HALF]):
        pool.reserve(usd(6)).settle()
    pool.reserve(usd(4)).settle()

    assert sum(type(each).__name__ == "Alert" for each in heard) == 1


RULES = st.lists(
    st.builds(
        Rule,
        st.sampled_from(["10%", "50%", "80%"]),
        policy=st.sampled_from(["rearm", "every"]),
        metric=st.sampled_from(["used", "remaining"]),
    ),
    max_size=4,
    unique_by=str,
)


@given(RULES, st.lists(st.integers(0, 40), max_size=8))
def test_they_fire_exactly_as_their_policy_says(rules, charges):
    pool = BudgetPool("acme", tokens(100))
    told = []
    Alerts(pool, rules, tell=told.append)

    expected, already, used = [], frozenset(), [0]
    holds = [pool.reserve(tokens(0)) for _ in charges]
    for hold, charge in zip(holds, charges, strict=True):
        hold.settle(tokens(charge))
        used.append(used[-1] + charge)
    for before, after in pairwise(used):
        if before != after:
            now = fired(rules, before, after, 100, already)
            already = now.already
            expected += [str(rule) for rule in now.rules]

    assert [each.rule for each in told] == expected
