"""Limits of the time up to now: what leaves, when, and that it leaves once."""

from collections import deque
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    MemoryStore,
    StoreUnavailable,
    calls,
    tokens,
    usd,
)
from langchain_budget.core.rules import Charge, Order
from langchain_budget.events import AccountThawed
from langchain_budget.stores._open import open_store
from langchain_budget.testing import FakeChatModel, StillClock
from tests.invariants import assert_quiet

HOUR = 3600.0
PART = 5 * HOUR / 60


@pytest.fixture
def clock():
    return StillClock(datetime(2026, 5, 19, 12, tzinfo=UTC).timestamp())


@pytest.fixture
def opened(store_url, clock):
    """Pools on one store, as several processes have them."""
    memory = MemoryStore(clock)

    def opened():
        url = store_url
        store = (
            memory if url == "memory://" else open_store(url, book="acme", clock=clock)
        )
        return BudgetPool("acme", usd(10).per("5h"), store=store)

    return opened


def test_what_was_spent_counts_for_the_whole_window_and_then_leaves(opened, clock):
    pool = opened()
    pool.reserve(usd(6)).settle()
    clock.advance(2 * HOUR)
    pool.reserve(usd(4)).settle()

    clock.advance(3 * HOUR - 1)
    with pytest.raises(BudgetExceeded, match=r"\$0.00 left of \$10.00 in any 5h"):
        pool.reserve(usd(1))
    clock.advance(PART + 1)
    pool.reserve(usd(6)).settle()
    with pytest.raises(BudgetExceeded):
        pool.reserve(usd(1))

    assert_quiet(pool.ledger.store)
    assert pool.admin.verify().ok


def test_it_leaves_once_whoever_looks_first(opened, clock):
    pools = [opened(), opened()]
    for pool in pools:
        pool.reserve(usd(5)).settle()

    clock.advance(5 * HOUR + PART)

    for pool in pools:
        pool.reserve(usd(5)).settle()
    for pool in pools:
        with pytest.raises(BudgetExceeded):
            pool.reserve(usd(1))


def test_after_a_long_rest_nothing_old_counts(opened, clock):
    pool = opened()
    pool.reserve(usd(10)).settle()

    for rest in (200 * 5 * HOUR, 122 * PART, 123 * PART, 61 * PART):
        clock.advance(rest)
        pool.reserve(usd(10)).settle()
        with pytest.raises(BudgetExceeded):
            pool.reserve(usd(1))


def test_a_call_that_ends_late_counts_from_when_it_was_admitted(opened, clock):
    pool = opened()
    hold = pool.reserve(usd(4), ttl_seconds=1e6)
    clock.advance(4 * HOUR)
    hold.settle(usd(10))

    with pytest.raises(BudgetExceeded):
        pool.reserve(usd(1))
    clock.advance(HOUR + PART)

    pool.reserve(usd(10)).release()


def test_balances_and_advice_see_what_has_left(opened, clock):
    pool = opened()
    pool.reserve(usd(10)).settle()
    clock.advance(6 * HOUR)
    pool = opened()  # one that has not been told another time yet

    assert pool.can_afford(usd(10))
    (balance,) = pool.report().balances
    assert (balance.spent, balance.window) == (usd(0), "in any 5h")
    assert pool.explain().affordable == {"usd": usd(10)}


def test_whoever_was_exhausted_is_told_to_be_back(opened, clock):
    pool = opened()
    heard = []
    pool.subscribe(heard.append)
    pool.reserve(usd(10)).settle()
    clock.advance(6 * HOUR)

    pool.reserve(usd(1)).settle()

    assert sum(isinstance(each, AccountThawed) for each in heard) == 1


def test_the_limit_of_a_rolling_window_can_be_changed(opened):
    pool = opened()
    pool.reserve(usd(8)).settle()

    pool.set_limit(usd(12).per("5h"))

    pool.reserve(usd(4)).settle()
    with pytest.raises(BudgetExceeded, match=r"\$12.00 in any 5h"):
        pool.reserve(usd(1))


async def test_a_handler_keeps_to_it(clock):
    pool = BudgetPool("acme", tokens(100).per("30min"), store=MemoryStore(clock))
    model = FakeChatModel(replies=["Hi."], usage=(60, 10), max_tokens=20)
    config = {"callbacks": [BudgetCallbackHandler(pool)]}
    await model.ainvoke("Hello", config=config)

    with pytest.raises(BudgetExceeded, match="in any 30min"):
        await model.ainvoke("Hello", config=config)
    clock.advance(1900)
    await model.ainvoke("Hello", config=config)

    assert pool.balance("tokens@30min").spent == tokens(70)


STEPS = st.lists(
    st.tuples(st.floats(0, 4 * 60), st.integers(1, 6)), min_size=1, max_size=30
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_no_window_ever_sees_more_and_no_call_waits_a_part_too_long(steps):
    clock = StillClock(1_800_000_000.0)
    pool = BudgetPool("acme", tokens(10).per("2min"), store=MemoryStore(clock))
    span, part = 120.0, 2.0
    spent: deque[tuple[float, int]] = deque()

    for rest, amount in steps:
        clock.advance(rest)
        now = clock()
        inside = sum(value for at, value in spent if now - at < span)
        at_most = sum(value for at, value in spent if now - at < span + part)
        try:
            pool.reserve(tokens(amount)).settle()
        except BudgetExceeded:
            assert at_most + amount > 10
        else:
            spent.append((now, amount))
            assert inside + amount <= 10
    assert pool.admin.verify().ok


def test_what_has_left_is_not_given_back_once_more(opened, clock):
    pool = opened()
    guessed = pool.reserve(usd(5))
    guessed.settle()
    clock.advance(5 * HOUR + PART)
    pool.reserve(usd(10)).settle()

    guessed.settle(usd(2))

    with pytest.raises(BudgetExceeded):
        pool.reserve(usd(1))
    assert pool.balance().spent == usd(12)
    assert pool.admin.verify().ok


def test_what_is_still_counted_is_given_back(opened, clock):
    pool = opened()
    guessed = pool.reserve(usd(5))
    guessed.settle()
    clock.advance(4 * HOUR)

    guessed.settle(usd(2))

    pool.reserve(usd(8)).settle()
    with pytest.raises(BudgetExceeded):
        pool.reserve(usd(1))


class SlowStore(MemoryStore):
    """A store whose clock goes on by as much as each answer takes."""

    def __init__(self, clock: StillClock) -> None:
        super().__init__(clock)
        self.still = clock

    def post(self, posting):
        self.still.advance(0.1)
        return super().post(posting)


def test_a_window_shorter_than_the_answers_of_the_store_is_refused_not_waited_for():
    clock = StillClock(1_000_000)
    pool = BudgetPool("acme", usd(10).per("10s"), store=SlowStore(clock))

    with pytest.raises(StoreUnavailable, match="changed 8 times"):
        pool.reserve(usd(1))


@pytest.mark.parametrize("how", ["settle", "expire"])
def test_a_call_that_took_longer_than_two_windows_has_left_when_it_ends(
    how: str,
) -> None:
    clock = StillClock(1_800_000_000)
    pool = BudgetPool("acme", usd(9), calls(1).per("1min"), store=MemoryStore(clock))
    limited = pool.open("each", limit=calls(1).per("1min"))
    lives = 124 if how == "expire" else 900
    order = Order({"calls": 1, "usd": 5}, ttl_seconds=lives, started=True)
    hold = pool.ledger.run(pool.ledger.reserve(limited.path, order))
    clock.advance(125)
    if how == "settle":
        assert not pool.can_afford(calls(1))  # it is held still
        pool.ledger.run(pool.ledger.settle(hold, Charge({"calls": 1, "usd": 5})))

    assert limited.can_afford(calls(1))
    assert pool.balance().spent.value == 5
    limited.reserve(calls(1)).settle(calls(1))
    assert not limited.can_afford(calls(1))
    assert pool.admin.verify().ok
