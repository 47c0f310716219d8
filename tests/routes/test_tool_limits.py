"""Limits of tools bind the agents in them, whatever meters these."""

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    budgeted,
    tokens,
)
from langchain_budget.testing import FakeChatModel
from tests.invariants import assert_quiet


@pytest.mark.parametrize("meter", ["handler", "middleware", "wrapped"])
def test_a_tool_has_its_limit_whoever_meters_the_agent_in_it(meter: str) -> None:
    pool = BudgetPool("acme", tokens(100_000))
    pool.limit_each("tool", limit=tokens(250))
    leaf = FakeChatModel(replies=["ok"], usage=(100, 20), max_tokens=20)
    asked = budgeted(leaf, pool) if meter == "wrapped" else leaf
    inner = create_agent(
        asked, middleware=[BudgetMiddleware(pool)] if meter == "middleware" else []
    )

    @tool
    def research(query: str) -> str:
        """Find something out."""
        return str(inner.invoke({"messages": [("user", query)]})["messages"][-1].text)

    replies = [calling("research", number) for number in range(6)]
    outer = create_agent(
        FakeChatModel(replies=[*replies, "done"], max_tokens=20), [research]
    )
    with pytest.raises(BudgetExceeded, match="acme:tool/research"):
        outer.invoke(
            {"messages": [("user", "x")]},
            {"callbacks": [BudgetCallbackHandler(pool)]},
        )

    assert leaf.total.calls == 2
    assert_quiet(pool.ledger.store)


def calling(name: str, number: int) -> AIMessage:
    call = {"name": name, "args": {"query": str(number)}, "id": str(number)}
    return AIMessage("", tool_calls=[call])
