"""Streams under a plain handler that become longer than anybody expected."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    CallTooLarge,
    tokens,
)
from langchain_budget.testing import FakeChatModel
from tests.invariants import assert_quiet

LONG = "word " * 2_000


def handled(pool: BudgetPool) -> Any:
    return {"callbacks": [BudgetCallbackHandler(pool)]}


def pool_of(limit: int) -> BudgetPool:
    return BudgetPool("acme", tokens(limit), expected_output=100)


def test_a_long_stream_holds_more_as_it_grows() -> None:
    pool = pool_of(10_000)
    model = FakeChatModel(replies=[LONG])
    stream = model.stream("Hi", handled(pool))
    next(stream)
    first = pool.balance("tokens").held

    for _ in range(1_000):
        next(stream)
    later = pool.balance("tokens").held
    list(stream)

    assert first < tokens(300)
    assert later > tokens(1_000)
    assert pool.balance("tokens").spent.value == sum(model.total[:2])
    assert_quiet(pool.ledger.store)


def test_a_stream_is_cut_off_when_there_is_no_more() -> None:
    pool = pool_of(1_000)
    model = FakeChatModel(replies=[LONG])
    read = []

    with pytest.raises(BudgetExceeded):
        read.extend(model.stream("Hi", handled(pool)))

    assert 300 < len(read) < 1_000
    assert pool.balance("tokens").spent <= tokens(1_000)
    assert_quiet(pool.ledger.store)


async def test_so_is_an_async_one_and_two_share_what_there_is() -> None:
    pool = pool_of(2_000)
    model = FakeChatModel(replies=[LONG])
    config = handled(pool)
    one, other = (model.astream("Hi", config) for _ in range(2))

    async def in_turn() -> None:
        while True:
            await anext(one)
            await anext(other)

    with pytest.raises(BudgetExceeded):
        await in_turn()
    await one.aclose()  # type: ignore[attr-defined]  # it is a generator
    await other.aclose()  # type: ignore[attr-defined]

    assert pool.balance("tokens").spent <= tokens(2_000)
    assert_quiet(pool.ledger.store)


def test_a_cap_was_held_for_in_full() -> None:
    pool = pool_of(600)
    model = FakeChatModel(replies=[LONG], max_tokens=500)

    assert len(list(model.stream("Hi", handled(pool)))) >= 500

    assert_quiet(pool.ledger.store)


def test_a_single_call_keeps_to_its_own_ceiling() -> None:
    pool = pool_of(100_000)
    pool.ledger.per_call = {"tokens": 500}
    read = []

    with pytest.raises(CallTooLarge):
        read.extend(FakeChatModel(replies=[LONG]).stream("Hi", handled(pool)))

    assert 400 < len(read) <= 500
    assert_quiet(pool.ledger.store)
