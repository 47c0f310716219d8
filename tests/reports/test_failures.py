"""Reports say how many calls ended in an error, whose, and at which node."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.embeddings import Embeddings
from langchain_core.exceptions import ModelRateLimitError
from langgraph.graph import START, StateGraph

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    budget,
    budgeted,
    tokens,
)
from langchain_budget.core.postings import Basis
from langchain_budget.core.rules import Charge, Order
from langchain_budget.testing import FakeChatModel, Gate
from tests.invariants import assert_quiet, assert_report_adds_up


class Overloaded(ModelRateLimitError):
    """What a provider answers."""


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", tokens(10_000))


def a_model(**options: Any) -> FakeChatModel:
    return FakeChatModel(**{"usage": (10, 2), "max_tokens": 5} | options)


def by_scope(pool: BudgetPool, model: FakeChatModel) -> None:
    with budget(pool):
        model.invoke("Hi")


def by_handler(pool: BudgetPool, model: FakeChatModel) -> None:
    model.invoke("Hi", {"callbacks": [BudgetCallbackHandler(pool)]})


def by_model(pool: BudgetPool, model: FakeChatModel) -> None:
    budgeted(model, pool).invoke("Hi")


def by_middleware(pool: BudgetPool, model: FakeChatModel) -> None:
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])
    agent.invoke({"messages": [("user", "Hi")]})


def by_all(pool: BudgetPool, model: FakeChatModel) -> None:
    with budget(pool):
        by_middleware(pool, budgeted(model, pool))


HOOKS = (by_scope, by_handler, by_model, by_middleware, by_all)


@pytest.mark.parametrize("ask", HOOKS)
def test_a_call_that_fails_is_counted_and_costs_nothing(
    ask: Callable[[BudgetPool, FakeChatModel], None], pool: BudgetPool
) -> None:
    model = a_model(replies=[Overloaded("try later"), "Hello.", Overloaded("no")])

    for _ in range(3):
        with suppress(Overloaded):
            ask(pool, model)

    total = pool.report().total
    assert (total.failed, total.amounts["calls"], total.estimated) == (2, 1, 0)
    assert pool.balance("tokens").spent == tokens(12)
    assert_report_adds_up(pool)
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("ask", [by_handler, by_model])
def test_a_call_that_fails_and_may_have_cost_is_counted_and_charged(
    ask: Callable[[BudgetPool, FakeChatModel], None], pool: BudgetPool
) -> None:
    model = a_model(replies=[TimeoutError()])

    with pytest.raises(TimeoutError):
        ask(pool, model)

    total = pool.report().total
    assert (total.failed, total.estimated) == (1, 1)
    assert total.amounts["input_tokens"] > 0
    assert_quiet(pool.ledger.store)


def test_a_stream_that_breaks_is_a_failure_and_one_that_is_given_up_is_none(
    pool: BudgetPool,
) -> None:
    config: Any = {"callbacks": [BudgetCallbackHandler(pool)]}
    with pytest.raises(ConnectionError):
        list(a_model(fail_after=1, replies=["a b c"]).stream("Hi", config))

    given_up = a_model(replies=["a b c"]).stream("Hi", config)
    next(given_up)
    given_up.close()

    assert (pool.report().total.failed, pool.report().total.estimated) == (1, 2)
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("wrap", [False, True])
async def test_a_call_that_is_cancelled_is_no_failure(
    pool: BudgetPool,
    wrap: bool,  # noqa: FBT001  # pytest passes it by name
) -> None:
    gate = Gate()
    model = a_model(gate=gate)
    asked = budgeted(model, pool) if wrap else model
    callbacks = [] if wrap else [BudgetCallbackHandler(pool)]
    task = asyncio.create_task(asked.ainvoke("Hi", {"callbacks": callbacks}))
    await gate.await_started()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert pool.report().total.failed == 0


def test_what_a_budget_refuses_or_ends_is_no_failure() -> None:
    pool = BudgetPool("acme", tokens(400), expected_output=20)
    config: Any = {"callbacks": [BudgetCallbackHandler(pool)]}
    with pytest.raises(BudgetExceeded):
        by_handler(pool, a_model(max_tokens=500))

    with pytest.raises(BudgetExceeded):
        list(FakeChatModel(replies=["word " * 900]).stream("Hi", config))

    assert pool.report().total.failed == 0
    assert_quiet(pool.ledger.store)


def test_they_are_told_by_agent_node_and_model(pool: BudgetPool) -> None:
    def twice(state: dict[str, Any], model: FakeChatModel) -> dict[str, Any]:
        for _ in range(2):
            with suppress(Overloaded):
                model.invoke("Hi")
        return state

    small = a_model(replies=["Hello."], model_name="small")
    large = a_model(replies=[Overloaded()], model_name="large")
    builder = StateGraph(dict)
    builder.add_node("plan", partial(twice, model=small))
    builder.add_node("write", partial(twice, model=large))
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "write")
    builder.compile().invoke({}, {"callbacks": [BudgetCallbackHandler(pool)]})

    report = pool.report()
    told = {names: line.failed for names, line in report.by("node", "model").items()}
    assert told == {("plan", "small"): 0, ("write", "large"): 2}
    assert "2 failed" in str(report)
    assert json.loads(report.as_json())["total"]["failed"] == 2


def test_the_journal_says_which_error_it_was_and_not_its_text(
    pool: BudgetPool, tmp_path: Path
) -> None:
    file = tmp_path / "journal.jsonl"
    with pytest.raises(Overloaded):
        by_handler(pool, a_model(replies=[Overloaded("on the prompt 'Hi'")]))

    pool.admin.export(file)

    assert "Overloaded" in file.read_text()
    assert "prompt" not in file.read_text()


@pytest.mark.parametrize("form", ["jsonl", "condensed"])
def test_books_that_are_brought_elsewhere_know_them(
    pool: BudgetPool, tmp_path: Path, form: str
) -> None:
    for reply in ("Hello.", Overloaded(), TimeoutError()):
        with suppress(Overloaded, TimeoutError):
            by_handler(pool, a_model(replies=[reply]))

    file = tmp_path / "journal.jsonl"
    pool.admin.export(file, format=form)
    restored = BudgetPool.restore(file)

    assert restored.report().total.failed == 2
    assert restored.report().as_dict() == pool.report().as_dict()


def test_a_failure_that_is_reported_after_all_is_still_one(pool: BudgetPool) -> None:
    ledger = pool.ledger
    order = Order({"tokens": 9, "calls": 1}, started=True)
    hold = ledger.run(ledger.reserve("acme", order))
    labels = {"failed_with": "TimeoutError"}
    guess = Charge({"tokens": 9}, Basis.ESTIMATED, labels)
    ledger.run(ledger.settle(hold, guess))

    ledger.run(ledger.settle(hold, Charge({"tokens": 5, "calls": 1})))

    total = pool.report().total
    assert (total.failed, total.estimated, total.amounts["tokens"]) == (1, 0, 5)


class Refusing(Embeddings):
    """Embeddings of a provider that is overloaded."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise Overloaded(len(texts))

    def embed_query(self, text: str) -> list[float]:
        raise Overloaded(len(text))


def test_embeddings_that_fail_are_counted(pool: BudgetPool) -> None:
    with pytest.raises(Overloaded):
        budgeted(Refusing(), pool).embed_query("Hi")

    assert pool.report().total.failed == 1
    assert_quiet(pool.ledger.store)
