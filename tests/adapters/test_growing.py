"""Streams under a plain handler that become longer than anybody expected."""

from __future__ import annotations

from typing import Any

import langchain_openai.data._profiles  # noqa: F401  # as its client does
import pytest

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    CallTooLarge,
    budget,
    tokens,
)
from langchain_budget.adapters.requests import profile_cap
from langchain_budget.pricing.prices import ModelRef
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


PROFILED: Any = {"model_name": "gpt-4o-mini", "provider": "openai"}
"""A model whose own maximum its client knows, and which nobody holds for."""


def in_scope(pool: BudgetPool, model: FakeChatModel) -> None:
    with budget(pool):
        list(model.stream("Hi"))


def by_handler(pool: BudgetPool, model: FakeChatModel) -> None:
    list(model.stream("Hi", handled(pool)))


@pytest.mark.parametrize("hook", [in_scope, by_handler])
@pytest.mark.parametrize("known", [False, True], ids=["first", "after short ones"])
def test_a_models_own_maximum_is_no_reason_not_to_grow(
    hook: Any,
    known: bool,  # noqa: FBT001  # pytest passes it by name
) -> None:
    pool = pool_of(2_000)
    model = FakeChatModel(replies=["Fine."] * 2 * known + ["word " * 9_000], **PROFILED)
    for _ in range(2 * known):
        hook(pool, model)

    with pytest.raises(BudgetExceeded) as refused:
        hook(pool, model)

    assert profile_cap(ModelRef("openai", "gpt-4o-mini")) == 16_384
    (partial,) = refused.value.partial
    assert partial.text.startswith("word word")
    assert 1_000 < pool.balance("tokens").spent.value <= 2_000
    assert_quiet(pool.ledger.store)


def test_a_guess_that_did_not_fit_is_not_taken_for_held() -> None:
    pool = BudgetPool("acme", tokens(300), expected_output=5_000)
    model = FakeChatModel(replies=[LONG])

    with pytest.raises(BudgetExceeded):
        by_handler(pool, model)

    assert pool.balance("tokens").spent <= tokens(300 + 1)  # a piece is one token
    assert_quiet(pool.ledger.store)


def test_more_is_never_held_than_the_model_can_say() -> None:
    pool = pool_of(18_000)
    model = FakeChatModel(replies=["word " * 16_000], **PROFILED)
    most = 0

    for _ in model.stream("Hi", handled(pool)):
        most = max(most, pool.balance("tokens").held.value)

    assert 16_000 <= most < 16_384 + 100
    assert_quiet(pool.ledger.store)
