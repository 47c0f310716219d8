"""A pool that is opened twice in a process is one pool to its hooks."""

from collections.abc import Iterator

import pytest
from langchain.agents import create_agent

from langchain_budget import (
    Account,
    BudgetCallbackHandler,
    BudgetMiddleware,
    BudgetPool,
    MemoryStore,
    budget,
    budgeted,
    tokens,
)
from langchain_budget.stores.base import Store
from langchain_budget.testing import FakeChatModel
from tests.invariants import assert_quiet

KINDS = ("memory", "sqlite", "postgres", "redis")


@pytest.fixture(params=KINDS)
def pools(request: pytest.FixtureRequest) -> Iterator[list[BudgetPool]]:
    """The same pool, opened twice."""
    store: Store | str
    if request.param == "memory":
        store = MemoryStore()
    else:
        store = request.getfixturevalue(f"{request.param}_url")
    opened = [BudgetPool("acme", tokens(10_000), store=store) for _ in range(2)]
    yield opened
    for each in opened:
        each.ledger.store.close()


def model() -> FakeChatModel:
    return FakeChatModel(replies=["ok"], usage=(100, 20), max_tokens=20)


def scope_and_handler(one: Account, other: Account) -> None:
    with budget(one):
        model().invoke("Hi", {"callbacks": [BudgetCallbackHandler(other)]})


def nested_scopes(one: Account, other: Account) -> None:
    with budget(one), budget(other):
        model().invoke("Hi")


def handler_and_middleware(one: Account, other: Account) -> None:
    agent = create_agent(model(), middleware=[BudgetMiddleware(one)])
    asked = {"messages": [("user", "Hi")]}
    agent.invoke(asked, {"callbacks": [BudgetCallbackHandler(other)]})


def handler_and_wrapped(one: Account, other: Account) -> None:
    paid = budgeted(model(), one)
    paid.invoke("Hi", {"callbacks": [BudgetCallbackHandler(other)]})


@pytest.mark.parametrize(
    "call",
    [scope_and_handler, nested_scopes, handler_and_middleware, handler_and_wrapped],
)
def test_a_call_is_one_call(pools: list[BudgetPool], call) -> None:
    call(*pools)

    for each in pools:
        assert each.balance("tokens").spent == tokens(120)
        assert each.report().total.amounts["calls"] == 1
        assert_quiet(each.ledger.store)


def test_other_pools_of_a_store_have_calls_of_their_own() -> None:
    store = MemoryStore()
    one, other = (BudgetPool(name, tokens(9_000), store=store) for name in ("a", "b"))

    scope_and_handler(one, other)

    spent = [each.balance("tokens").spent for each in (one, other)]
    assert spent == [tokens(120), tokens(120)]
