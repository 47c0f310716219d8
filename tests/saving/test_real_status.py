"""A real small model is told what is left, and nobody else sees it."""

from __future__ import annotations

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

from langchain_budget import BudgetMiddleware, BudgetPool, BudgetStatus, tokens
from tests import real_model


def test_a_real_model_reads_the_note_and_the_state_keeps_clean(local_llm: str) -> None:
    pool = BudgetPool("acme", tokens(2_000))
    model = ChatOpenAI(
        base_url=f"{local_llm}/v1",
        model=real_model.MODEL,
        api_key="none",
        max_tokens=24,
        temperature=0,
        max_retries=0,
    )
    status, paying = BudgetStatus(pool), BudgetMiddleware(pool)
    before = real_model.served_tokens(local_llm)
    plain = create_agent(model, middleware=[paying])
    plain.invoke({"messages": [("user", "Hello")]})
    middle = real_model.served_tokens(local_llm)

    told = create_agent(model, middleware=[status, paying])
    result = told.invoke({"messages": [("user", "Hello")]})

    after = real_model.served_tokens(local_llm)
    assert [each.type for each in result["messages"]] == ["human", "ai"]
    assert all("Budget:" not in each.text for each in result["messages"][:1])
    assert sum(after) - sum(middle) > sum(middle) - sum(before)
    assert pool.balance("tokens").spent.value == sum(after) - sum(before)
