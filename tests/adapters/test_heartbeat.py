"""A call that streams for longer than a hold lives keeps its hold."""

import pytest

from langchain_budget import BudgetCallbackHandler, BudgetPool, MemoryStore, tokens
from langchain_budget.adapters.calls import CALLS
from langchain_budget.core.rules import HOLD_TTL_SECONDS
from langchain_budget.testing import FakeChatModel, StillClock

WORDS = "one two three four five six seven eight"
STEP = HOLD_TTL_SECONDS / 2


@pytest.fixture
def clock(monkeypatch):
    still = StillClock()
    monkeypatch.setattr(CALLS, "clock", still)
    return still


@pytest.fixture
def pool(clock):
    return BudgetPool("acme", tokens(10_000), store=MemoryStore(clock))


def model_of(pool):
    return FakeChatModel(
        replies=[WORDS], usage=(12, 8), callbacks=[BudgetCallbackHandler(pool)]
    )


def test_a_long_stream_keeps_its_hold(pool, clock):
    for _ in model_of(pool).stream("count"):
        clock.advance(STEP)
        assert pool.balance("tokens").held > tokens(0)

    assert kinds(pool) == ["open", "reserve", "settle"]
    assert pool.balance("tokens").held == tokens(0)


async def test_a_long_stream_keeps_its_hold_in_a_task(pool, clock):
    async for _ in model_of(pool).astream("count"):
        clock.advance(STEP)
        assert pool.balance("tokens").held > tokens(0)

    assert kinds(pool) == ["open", "reserve", "settle"]


def test_a_stream_that_nobody_reads_on_expires(pool, clock):
    stream = model_of(pool).stream("count")
    next(stream)
    clock.advance(HOLD_TTL_SECONDS)

    assert pool.balance("tokens").held == tokens(0)
    assert kinds(pool) == ["open", "reserve", "expire"]
    stream.close()


def kinds(pool):
    return [entry.kind for entry in pool.ledger.store.journal()]
