"""Several prompts in one `generate`, and several calls that have one run id."""

from __future__ import annotations

import asyncio
import gc
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    budget,
    calls,
    tokens,
)
from langchain_budget.events import Reserved
from langchain_budget.stores.sqlite import SqliteStore
from langchain_budget.testing import EventLog, FakeChatModel, Gate
from tests.adapters.texts import Completes
from tests.invariants import assert_quiet

QUESTION = "word " * 100


def config_of(pool: BudgetPool) -> Any:
    return {"callbacks": [BudgetCallbackHandler(pool)]}


def batch(model: Completes, pool: BudgetPool) -> None:
    model.batch([QUESTION] * 4, config_of(pool))


def abatch(model: Completes, pool: BudgetPool) -> None:
    asyncio.run(model.abatch([QUESTION] * 4, config_of(pool)))


def generate(model: Completes, pool: BudgetPool) -> None:
    model.generate([QUESTION] * 4, callbacks=[BudgetCallbackHandler(pool)])


def in_scope(model: Completes, pool: BudgetPool) -> None:
    with budget(pool):
        model.batch([QUESTION] * 4)


each_way = pytest.mark.parametrize("way", [batch, abatch, generate, in_scope])


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", tokens(100_000))


@each_way
def test_the_usage_of_all_prompts_is_charged_once(pool: BudgetPool, way: Any) -> None:
    way(Completes(), pool)

    assert pool.balance("tokens").spent == tokens(480)
    assert pool.report().spent("calls") == calls(4)
    assert pool.report().total.estimated == 0
    assert_quiet(pool.ledger.store)


def test_it_is_in_whatever_order_they_are_heard_of(tmp_path: Path) -> None:
    """A handler whose store blocks runs on threads."""
    with closing(SqliteStore(tmp_path / "books.db", book="acme")) as store:
        pool = BudgetPool("acme", tokens(100_000), store=store)
        for _ in range(5):
            abatch(Completes(), pool)

        assert pool.balance("tokens").spent == tokens(5 * 480)
        assert pool.report().total.estimated == 0
        assert_quiet(store)


def test_nobody_takes_it_for_the_size_of_one_prompt(pool: BudgetPool) -> None:
    alone = BudgetPool("alone", tokens(100_000))
    Completes().invoke(QUESTION, config_of(alone))
    batch(Completes(), pool)
    Completes().invoke(QUESTION, config_of(pool))

    held = []
    for each in (alone, pool):
        announced = EventLog()
        each.subscribe(announced.append)
        Completes().invoke(QUESTION, config_of(each))
        (reserved,) = announced.of(Reserved)
        held.append(reserved.amounts["tokens"])

    assert held[0] == held[1] < 200


@each_way
def test_where_nothing_is_reported_each_is_estimated(
    pool: BudgetPool, way: Any
) -> None:
    way(Completes(silent=True), pool)

    assert pool.report().total.estimated == 4
    assert 4 * 100 <= pool.report().spent("input_tokens").value < 4 * 200
    assert pool.report().spent("output_tokens").value >= 4 * 2
    assert_quiet(pool.ledger.store)


@each_way
def test_when_one_is_refused_none_was_sent(way: Any) -> None:
    pool = BudgetPool("acme", calls(2))

    with pytest.raises(BudgetExceeded):
        way(Completes(), pool)
    gc.collect()

    assert pool.report().spent("calls") == calls(0)
    assert pool.report().total.estimated == 0
    assert_quiet(pool.ledger.store)


ONE_ID = UUID(int=7)


async def test_calls_with_one_run_id_and_handlers_of_their_own_are_several(
    pool: BudgetPool,
) -> None:
    gate = Gate()
    model = FakeChatModel(replies=["Fine."], usage=(100, 20), gate=gate)
    tasks = [
        asyncio.create_task(model.ainvoke("Hi", config_of(pool) | {"run_id": ONE_ID}))
        for _ in range(5)
    ]
    await gate.await_started(5)
    held = len(pool.ledger.store.open_holds())

    gate.open()
    await asyncio.gather(*tasks)

    assert held == 5
    assert pool.balance("tokens").spent == tokens(5 * 120)
    assert_quiet(pool.ledger.store)


async def test_several_hooks_on_each_of_them_still_make_one_hold(
    pool: BudgetPool,
) -> None:
    gate = Gate()
    model = FakeChatModel(replies=["Fine."], usage=(100, 20), gate=gate)

    async def call() -> None:
        callbacks = [BudgetCallbackHandler(pool)] * 2
        await model.ainvoke("Hi", {"callbacks": callbacks, "run_id": ONE_ID})

    with budget(pool):
        tasks = [asyncio.create_task(call()) for _ in range(3)]
        await gate.await_started(3)
        gate.open()
        await asyncio.gather(*tasks)

    assert pool.balance("tokens").spent == tokens(3 * 120)
    assert pool.report().spent("calls") == calls(3)
    assert_quiet(pool.ledger.store)


async def test_a_refusal_of_one_leaves_the_others_their_holds(pool: BudgetPool) -> None:
    gate, few = Gate(), BudgetPool("few", calls(2))
    model = FakeChatModel(replies=["Fine."], usage=(100, 20), gate=gate)

    async def call() -> None:
        callbacks = [BudgetCallbackHandler(pool), BudgetCallbackHandler(few)]
        await model.ainvoke("Hi", {"callbacks": callbacks, "run_id": ONE_ID})

    tasks = [asyncio.create_task(call()) for _ in range(3)]
    await gate.await_started(2)
    with pytest.raises(BudgetExceeded):
        await tasks[2]
    held = len(pool.ledger.store.open_holds())
    gate.open()
    await asyncio.gather(*tasks[:2])

    assert held == 2
    assert pool.balance("tokens").spent == tokens(2 * 120)
    assert_quiet(pool.ledger.store)
