"""An account that only observes books everything and stops nothing."""

import pytest

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    CallTooLarge,
    budgeted,
    tokens,
    usd,
)
from langchain_budget.events import Refused, WouldRefuse
from langchain_budget.testing import FakeChatModel
from tests.interrupted_store import InterruptedStore
from tests.invariants import assert_quiet


@pytest.fixture
def pool():
    return BudgetPool("acme", usd(1), tokens(1_000))


@pytest.fixture
def events(pool):
    seen = []
    pool.subscribe(seen.append)
    return seen


def of(events, kind):
    return [event for event in events if type(event) is kind]


def test_what_would_be_refused_is_booked_and_announced(pool, events):
    pool.admin.observe(on=True)

    pool.reserve(usd(3)).settle(usd("2.50"))

    assert pool.balance().spent == usd("2.50")
    (event,) = of(events, WouldRefuse)
    assert event.refusal.balance.granted == usd(1).value
    assert of(events, Refused) == []
    assert_quiet(pool.ledger.store)


def test_what_fits_is_not_announced(pool, events):
    pool.admin.observe(on=True)

    pool.reserve(usd(1)).settle()

    assert of(events, WouldRefuse) == []


def test_when_it_enforces_again_the_overrun_counts(pool):
    pool.admin.observe(on=True)
    pool.reserve(usd(3)).settle()
    pool.admin.observe(on=False)

    with pytest.raises(BudgetExceeded):
        pool.reserve(usd("0.01"))


def test_it_holds_for_all_below(pool):
    child = pool.open("web", limit=usd("0.10"))
    pool.admin.observe(on=True)

    child.reserve(usd("0.50")).settle()

    assert child.balance().spent == usd("0.50")


def test_an_account_above_that_enforces_still_does(pool, events):
    child = pool.open("web", limit=usd("0.10"))
    child.admin.observe(on=True)
    child.reserve(usd("0.50")).settle()

    with pytest.raises(BudgetExceeded, match="'acme' has"):
        child.reserve(usd("0.60"))

    assert len(of(events, WouldRefuse)) == 1
    assert child.balance().held == usd(0)


def test_a_frozen_account_that_observes_admits(pool, events):
    pool.admin.observe(on=True)
    pool.freeze("to see what would happen")

    pool.reserve(usd("0.10")).settle()

    (event,) = of(events, WouldRefuse)
    assert event.refusal.detail == "to see what would happen"


async def test_a_model_is_called_beyond_the_limit():
    model = FakeChatModel(replies=["Fine."] * 30, usage=(100, 20), max_tokens=20)
    meter = BudgetPool("meter", tokens(300))
    await meter.admin.aobserve(on=True)
    handler = BudgetCallbackHandler(meter)

    for _ in range(5):
        await model.ainvoke("word " * 99, config={"callbacks": [handler]})

    assert len(model.calls) == 5
    assert meter.balance("tokens").spent == tokens(600)


def test_advice_does_not_refuse_either_but_an_explanation_says_what_it_would(pool):
    pool.admin.observe(on=True)
    pool.reserve(usd(1)).settle()

    advice = pool.can_afford(usd(2))

    assert advice
    assert pool.explain(usd(2)).observed


def test_an_account_that_changes_meanwhile_does_not_stop_who_is_only_watched():
    store = InterruptedStore()
    pool = BudgetPool("acme", usd(1), store=store)
    pool.admin.observe(on=True)
    pool.reserve(usd(1)).settle()
    other = BudgetPool.attach("acme", store=store)
    asked = []

    def third_time():
        asked.append("reserve")
        if len(asked) < 3:
            store.before["reserve"] = third_time
        else:
            other.freeze("a trial")

    store.before["reserve"] = third_time
    pool.reserve(usd(3)).settle()

    assert pool.balance().spent == usd(4)


def test_the_bound_of_a_single_call_stops_nothing_either(pool, events):
    pool.ledger.per_call = {"tokens": 5}
    pool.admin.observe(on=True)
    words = " ".join(["word"] * 2_000)
    config = {"callbacks": [BudgetCallbackHandler(pool)]}

    assert pool.can_afford(tokens(6))
    said = list(FakeChatModel(replies=[words]).stream("Hi", config))
    answer = budgeted(FakeChatModel(replies=[words]), pool).invoke("Hi")

    assert len(said) >= 2_000
    assert answer.text == words
    would = [event for event in of(events, WouldRefuse) if event.refusal.wanted > 5]
    assert {str(event.refusal.kind) for event in would} >= {"too_large"}
    assert of(events, Refused) == []
    assert_quiet(pool.ledger.store)
    pool.admin.observe(on=False)
    assert not pool.can_afford(tokens(6))
    with pytest.raises(CallTooLarge):
        pool.reserve(tokens(6))
