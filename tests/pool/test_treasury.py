"""Dividing a budget among agents: what is given, and that nothing is lost."""

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.graph import END, START, StateGraph

from langchain_budget import (
    BudgetExceeded,
    BudgetPool,
    InexactAmount,
    InvalidAmount,
    InvalidPolicy,
    MemoryStore,
    OverAllocated,
    Treasury,
    UnknownAccount,
    usd,
)
from langchain_budget.core.accounts import Row, Spec
from langchain_budget.core.policies.allocation import (
    by_priority,
    by_priority_as_documented,
    shares,
)
from langchain_budget.core.policies.rebalance import rebalance
from langchain_budget.core.policies.service_levels import ServiceLevels
from langchain_budget.core.postings import CounterKey, Delta, Posting
from langchain_budget.events import BudgetChanged
from langchain_budget.testing import StillClock
from tests.invariants import assert_quiet

FIFTY = usd(50).value


@pytest.fixture
def pool(store_url):
    return BudgetPool("acme", usd(1000), store=store_url)


def team(pool, **priorities):
    return {
        name: pool.open(name, carve=usd(0), priority=priority)
        for name, priority in priorities.items()
    }


def left(accounts):
    return {name: each.balance().available for name, each in accounts.items()}


def test_v4_v5_the_recipe_and_what_conserves_money(pool):
    agents = team(pool, a=9, b=5, c=2)
    treasury = Treasury(pool)

    documented = partial(by_priority_as_documented, minimum=FIFTY)
    treasury.allocate(documented, usd(1000))
    assert left(agents) == {
        "a": usd(50),
        "b": usd("296.875"),
        "c": usd("118.75"),
    }
    treasury.allocate(partial(by_priority, minimum=FIFTY), usd(1000))

    assert sum(each.value for each in left(agents).values()) == usd(1000).value
    assert pool.balance().available == usd(0)
    assert_quiet(pool.ledger.store)
    assert pool.admin.verify().ok


def test_a_recipe_that_gives_more_than_there_is_is_refused_whole(store_url):
    pool = BudgetPool("acme", usd(80), store=store_url)
    agents = team(pool, a=9, b=8, c=5)

    with pytest.raises(OverAllocated, match=r"\$100.00 .* only \$80.00"):
        Treasury(pool).allocate(
            partial(by_priority_as_documented, minimum=FIFTY), usd(80)
        )
    assert set(left(agents).values()) == {usd(0)}

    Treasury(pool).allocate(partial(by_priority, minimum=FIFTY), usd(80))
    assert left(agents) == {"a": usd(50), "b": usd(30), "c": usd(0)}


def test_v7_v8_rebalancing_keeps_the_sum(store_url):
    clock_free = BudgetPool("acme", usd(2000), store=store_url)
    agents = {
        name: clock_free.open(name, carve=usd(amount), priority=priority)
        for name, amount, priority in (("a", 500, 8), ("b", 400, 5), ("c", 230, 2))
    }
    treasury = Treasury(clock_free, period_seconds=0)
    for name, amounts in (("a", (10, 20)), ("b", (100,))):
        for amount in amounts:
            agents[name].reserve(usd(amount)).settle()

    treasury.rebalance(partial(rebalance, as_documented=True), reason="V8")

    rounded = {name: round(each.value / 1e9, 6) for name, each in left(agents).items()}
    assert rounded == {"a": 222.958057, "b": 739.514349, "c": 37.527594}
    assert sum(each.value for each in left(agents).values()) == usd(1000).value
    assert clock_free.admin.verify().ok


async def test_v9_dynamic_budgets_follow_what_is_used(pool):
    agents = team(pool, a=5, b=5)
    treasury = Treasury(pool, period_seconds=0)
    await treasury.aset_remaining("a", usd(200))
    treasury.set_remaining("b", usd(100))
    for amount in (40, 60):
        agents["a"].reserve(usd(amount)).settle()
    agents["b"].reserve(usd(10)).settle()

    treasury.adapt("a", usd(50))
    await treasury.aadapt("b", usd(50), multiplier=Decimal("1.2"))

    assert left(agents) == {"a": usd(60), "b": usd(50)}


def test_v10_an_emergency_is_paid_from_the_reserve_and_never_from_nothing(pool):
    reserve = pool.open("reserve", carve=usd(50))
    agents = team(pool, high=7, low=6)
    treasury = Treasury(pool, reserve="reserve")

    high = treasury.emergency("high", usd(40), reason="the deadline is today")
    none = treasury.emergency("low", usd(40), reason="not critical at all")
    half = treasury.emergency("low", usd(40), reason="production", critical=True)

    assert [each.approved for each in (high, none, half)] == [
        usd(40).value,
        0,
        usd(10).value,
    ]
    assert "only" in half.why
    assert left(agents) == {"high": usd(40), "low": usd(10)}
    assert reserve.balance().available == usd(0)
    assert pool.balance().available == usd(950)


async def test_without_a_reserve_the_free_money_of_the_pool_pays(store_url):
    pool = BudgetPool("acme", usd(30), store=store_url)
    agents = team(pool, high=9)

    approval = await Treasury(pool).aemergency("high", usd(40), reason="all of it")

    assert approval.approved == usd(30).value
    assert left(agents) == {"high": usd(30)}
    free = BudgetPool("free")
    free.open("x", limit=usd(1))
    with pytest.raises(InvalidPolicy, match="reserve"):
        Treasury(free).emergency("x", usd(1), reason="none")


def test_emergencies_at_once_share_what_there_is(pool):
    pool.open("reserve", carve=usd(100))
    agents = team(pool, **{f"a{n}": 9 for n in range(8)})
    treasury = Treasury(pool, reserve="reserve")

    with ThreadPoolExecutor(8) as threads:
        got = list(
            threads.map(
                lambda name: treasury.emergency(name, usd(30), reason="fire").approved,
                agents,
            )
        )

    assert sum(got) == usd(100).value
    assert_quiet(pool.ledger.store)


def test_nobody_loses_what_was_spent_while_it_was_divided(pool):
    agents = team(pool, a=9, b=2)
    treasury = Treasury(pool)
    treasury.set_remaining("a", usd(50))
    treasury.set_remaining("b", usd(50))

    def spend(name):
        spent = 0
        for _ in range(20):
            try:
                agents[name].reserve(usd(1)).settle()
                spent += 1
            except BudgetExceeded:
                return spent
        return spent

    with ThreadPoolExecutor(3) as threads:
        spending = [threads.submit(spend, name) for name in agents]
        for _ in range(5):
            treasury.rebalance()
        spent = sum(each.result() for each in spending)

    have = sum(each.value for each in left(agents).values())
    assert have == usd(100 - spent).value
    assert_quiet(pool.ledger.store)
    assert pool.admin.verify().ok


def test_what_is_spent_while_it_is_decided_is_not_given_to_others(pool):
    agents = team(pool, a=9, b=2)
    treasury = Treasury(pool)
    for name in agents:
        treasury.set_remaining(name, usd(50))
    times = []

    def all_to_b(_, total):
        if not times:
            agents["a"].reserve(usd(45)).settle()
        times.append(total)
        return {"a": 0, "b": total}

    treasury.rebalance(all_to_b)

    assert times == [usd(100).value, usd(55).value]
    assert left(agents) == {"a": usd(0), "b": usd(55)}
    assert pool.admin.verify().ok


def test_changes_are_told_logged_and_written_down(pool, caplog):
    team(pool, a=9)
    heard = []
    pool.subscribe(heard.append)

    with caplog.at_level(logging.INFO, "langchain_budget.changes"):
        Treasury(pool).set_remaining("a", usd(5), reason="a new week")

    (change,) = [each for each in heard if isinstance(each, BudgetChanged)]
    assert change.message == (
        "Budget of 'acme/a' (priority 9): $0.00 -> $5.00 (+$5.00). Reason: a new week"
    )
    assert caplog.messages == [change.message]
    assert pool.admin.journal()[-1].note.reason == "a new week"


def test_caps_can_be_divided_too(pool):
    agents = {name: pool.open(name, limit=usd(1)) for name in ("a", "b")}

    Treasury(pool).allocate(
        lambda _, total: shares(total, {"a": "30%", "b": "70%"}), usd(100)
    )

    assert left(agents) == {"a": usd(30), "b": usd(70)}
    assert pool.balance().lent == usd(0)


def test_who_is_not_there_is_named_and_nothing_happens(pool):
    team(pool, a=5)
    treasury = Treasury(pool)

    for name in ("b", "nobody"):
        with pytest.raises(InvalidPolicy, match="among a"):
            treasury.set_remaining(name, usd(5))
    with pytest.raises(InvalidPolicy, match="divides tokens"):
        Treasury(pool, unit="tokens").set_remaining("a", usd(5))
    with pytest.raises(UnknownAccount):
        Treasury(pool, reserve="none")

    assert pool.balance().lent == usd(0)


def test_a_review_finds_what_is_idle_nearly_empty_and_thin(store_url):
    pool = BudgetPool("acme", usd(100), store=store_url)
    agents = {n: pool.open(n, carve=usd(15), priority=5) for n in ("idle", "busy")}
    agents["busy"].reserve(usd(14)).settle()
    pool.reserve(usd(67)).settle()

    findings = {each.name: each for each in Treasury(pool).review()}

    assert findings["idle"].severity == "info"
    assert "increasing" in findings["busy"].text
    assert "has $19.00 of $100.00 left, less than 20%" in findings["acme"].text


def test_a_pool_that_has_given_all_to_its_accounts_is_not_thin(store_url):
    pool = BudgetPool("acme", usd(100), store=store_url)
    pool.open("web", carve=usd(100)).reserve(usd(50)).settle()

    findings = Treasury(pool).review()

    assert findings == ()


def test_v11_a_graph_is_routed_by_the_level_of_service():
    pool = BudgetPool("acme", usd(100))
    web = pool.open("web", carve=usd(100))
    treasury = Treasury(pool)
    levels = ServiceLevels([("full", "50%", ["images"]), ("plain", 0, [])])
    builder = StateGraph(dict)
    builder.add_node("full", lambda _: {"said": "with images"})
    builder.add_node("plain", lambda _: {"said": "text"})
    builder.add_conditional_edges(START, lambda _: treasury.level("web", levels).name)
    builder.add_edge("full", END)
    builder.add_edge("plain", END)
    graph = builder.compile()

    first = graph.invoke({})
    web.reserve(usd(51)).settle()

    assert [first, graph.invoke({})] == [{"said": "with images"}, {"said": "text"}]


def test_a_forecast_says_when_nothing_will_be_left():
    clock = StillClock(1_800_000_000.0)
    pool = BudgetPool("acme", usd(100), store=MemoryStore(clock))
    web = pool.open("web", carve=usd(30))
    treasury = Treasury(pool)
    assert treasury.forecast("web") == (usd(0), None)

    web.reserve(usd(10)).settle()
    clock.advance(3600)

    assert treasury.forecast("web", seconds=7200) == (usd(5), 4 * 3600)
    assert [each.amount for each in treasury.history("web")] == [usd(10).value]


def some(pool):
    """What may be done to four agents, by name: whom, and how much."""
    names = [f"a{number}" for number in range(4)]
    agents = [pool.open(name, carve=usd(10), priority=9) for name in names]
    treasury = Treasury(pool, reserve="reserve")

    def freeze(who, _):
        agents[who].freeze()
        agents[who].thaw()

    def allocate(_, amount):
        policy = partial(by_priority, minimum=usd(5).value)
        treasury.allocate(policy, usd(amount))

    return agents, {
        "allocate": allocate,
        "rebalance": lambda *_: treasury.rebalance(),
        "move": lambda who, amount: agents[who].transfer(names[who - 1], usd(amount)),
        "help": lambda who, much: treasury.emergency(names[who], usd(much), reason=""),
        "spend": lambda who, amount: agents[who].reserve(usd(1)).settle(usd(amount)),
        "freeze": freeze,
        "reclaim": lambda who, _: agents[who].set_limit(usd(0)),
    }


WHAT = ["allocate", "rebalance", "move", "help", "spend", "freeze", "reclaim"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(WHAT), st.integers(0, 3), st.integers(1, 40)),
        max_size=12,
    )
)
def test_money_is_conserved_whatever_is_done(actions):
    pool = BudgetPool("acme", usd(100))
    reserve = pool.open("reserve", carve=usd(20))
    agents, done = some(pool)

    for what, who, amount in actions:
        with suppress(BudgetExceeded, InvalidPolicy, InvalidAmount):
            done[what](who, amount)
        balances = [each.balance() for each in (pool, reserve, *agents)]
        have = sum(each.available.value for each in balances)
        assert have + pool.balance().spent.value == usd(100).value

    assert pool.admin.verify().ok


def test_an_emergency_that_an_account_above_cannot_pay_is_refused(pool):
    crew = pool.open("crew", limit=usd(1_000_000))
    crew.open("a", carve=usd(1), priority=9)

    with pytest.raises(BudgetExceeded) as refusal:
        Treasury(crew).emergency("a", usd(500_000), reason="urgent")

    assert refusal.value.account == pool.path


def test_accounts_that_are_overdrawn_together_cannot_be_divided(store_url):
    pool = BudgetPool("acme", usd(10), store=store_url)
    web = pool.open("web", limit=usd(1))
    web.reserve(usd(1)).settle(usd(5))

    with pytest.raises(InvalidPolicy, match=r"overdrawn by \$4.00 together"):
        Treasury(pool).rebalance()


@pytest.mark.parametrize(
    "answer",
    [
        *({"a": float("nan")}, {"a": 1e9}, {"a": Decimal(1)}, {"a": True}, {"a": "1"}),
        *({"a": -1, "b": usd(20).value + 1}, {"a": None}, {5: 5}, None, [("a", 1)]),
        {"a": usd(20).value, "b": usd(20).value},
    ],
    ids=repr,
)
@pytest.mark.parametrize("limited", ["carve", "limit"])
async def test_an_answer_that_no_books_can_be_kept_by_changes_nothing(
    pool, answer, limited
):
    agents = {name: pool.open(name, **{limited: usd(10)}) for name in ("a", "b")}
    treasury = Treasury(pool)
    before = len(pool.admin.journal())

    for ask in (partial(treasury.allocate, total=usd(20)), treasury.rebalance):
        with pytest.raises(InvalidPolicy):
            ask(lambda *_: answer)
    with pytest.raises(InvalidPolicy):
        await treasury.aallocate(lambda *_: answer, usd(20))
    with pytest.raises(InvalidPolicy):
        await treasury.arebalance(lambda *_: answer)

    assert left(agents) == {"a": usd(10), "b": usd(10)}
    assert len(pool.admin.journal()) == before
    with pytest.raises(BudgetExceeded):
        agents["a"].reserve(usd(11))


def test_to_rebalance_makes_no_money_and_loses_none(pool):
    agents = {name: pool.open(name, carve=usd(10)) for name in ("a", "b")}
    treasury = Treasury(pool)

    for parts in ({"a": 0}, {"a": usd(20).value}, {"a": usd(1).value, "b": 0}):
        with pytest.raises(InvalidPolicy, match="keeps the sum"):
            treasury.rebalance(lambda *_, parts=parts: parts)
    with pytest.raises(InvalidPolicy, match=r"nobody anything of \$5.00"):
        treasury.allocate(lambda *_: {}, usd(5))

    assert left(agents) == {"a": usd(10), "b": usd(10)}


def test_a_policy_may_leave_a_rest_of_what_is_allocated(pool):
    agents = team(pool, a=9, b=5)

    Treasury(pool).allocate(lambda _, total: shares(total, {"a": "30%"}), usd(100))

    assert left(agents) == {"a": usd(30), "b": usd(0)}


def test_what_is_no_whole_number_never_comes_into_a_store(pool):
    ledger = pool.ledger
    for deltas, ceilings in (
        ((Delta((CounterKey("acme", "usd"),), granted=1.5),), ()),
        ((Delta((CounterKey("acme", "usd"),), lent=float("nan")),), ()),
        ((), (("usd", 5e9),)),
    ):
        row = Row("acme/x", 1, Spec(), ceilings)
        posting = Posting("odd", "top_up", "acme", deltas, rows=(row,))
        with pytest.raises(InexactAmount, match="no whole number"):
            ledger.run(ledger.try_post(posting))

    assert pool.balance().available == usd(1000)
