"""Whatever the client, the books equal what the provider bills, in every bucket."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_budget import BudgetPool, budget
from langchain_budget.testing import Fault, Rule, ScriptedServer
from tests.providers.clients import (
    ANTHROPIC,
    CHAT,
    HOOKS,
    RESPONSES,
    WAYS,
    Provider,
    ask_by,
    assert_equal_books,
    billed,
    booked,
)


@tool
def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


class Answer(BaseModel):
    """What is asked for."""

    number: int


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", WAYS)
async def test_the_books_are_those_of_the_provider(
    provider: Provider, way: str, hook: str, pool: BudgetPool, scripted: ScriptedServer
) -> None:
    model = provider.client(scripted)

    for n in range(6):
        await ask_by(hook, pool, model, way, f"Question {n}: what is there to cache?")

    assert scripted.total.calls == 6
    assert {served.stream for served in scripted.log()} == {"stream" in way}
    assert_equal_books(pool, scripted)
    assert booked(pool)["cached_tokens"] > 0


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", WAYS)
async def test_tools_and_their_results_are_booked(
    provider: Provider, way: str, hook: str, pool: BudgetPool
) -> None:
    rule = Rule(says="product", calls=[("multiply", {"a": 6, "b": 7})])
    with ScriptedServer([rule], seed=7) as server:
        model = provider.client(server).bind_tools([multiply])
        asked: list[Any] = [SystemMessage("Be brief."), HumanMessage("The product?")]

        called = await ask_by(hook, pool, model, way, asked)
        (call,) = called.tool_calls
        result = ToolMessage("42", tool_call_id=call["id"] or "")
        answer = await ask_by(hook, pool, model, way, [*asked, called, result])

        assert (call["name"], call["args"]) == ("multiply", {"a": 6, "b": 7})
        assert answer.text
        assert_equal_books(pool, server)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", ["invoke", "stream"])
@pytest.mark.parametrize("tier", ["flex", "priority", "default"])
@pytest.mark.parametrize("each", [CHAT, RESPONSES], ids=["chat", "responses"])
async def test_a_service_tier_is_charged_at_its_own_price(  # noqa: PLR0913, PLR0917  # one for each question
    each: Provider,
    tier: str,
    way: str,
    hook: str,
    pool: BudgetPool,
    scripted: ScriptedServer,
) -> None:
    model = each.client(scripted, service_tier=tier)

    for n in range(4):
        await ask_by(hook, pool, model, way, f"Question {n}")

    assert [served.tier or "default" for served in scripted.log()] == [tier] * 4
    assert_equal_books(pool, scripted)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ttl", ["5m", "1h"])
async def test_what_is_written_to_a_cache_is_charged_by_how_long_it_stays(
    ttl: str, way: str, hook: str, pool: BudgetPool, scripted: ScriptedServer
) -> None:
    model = ANTHROPIC.client(scripted)
    kept = {"type": "ephemeral", "ttl": ttl}
    text = {"type": "text", "text": "A long text. " * 40, "cache_control": kept}

    for n in range(3):
        asked = [SystemMessage([text]), HumanMessage(f"Question {n}")]
        await ask_by(hook, pool, model, way, asked)

    assert booked(pool)["cache_write_tokens"] > 0
    assert_equal_books(pool, scripted)


@pytest.mark.parametrize("way", ["invoke", "stream"])
async def test_what_openai_writes_to_a_cache_is_charged(
    way: str, pool: BudgetPool, scripted: ScriptedServer
) -> None:
    options = {"mode": "explicit"}
    model = RESPONSES.client(scripted, prompt_cache_options=options)

    await ask_by("handler", pool, model, way, "A long text. " * 40)

    assert booked(pool)["cache_write_tokens"] > 0
    assert_equal_books(pool, scripted)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", WAYS)
async def test_thoughts_are_booked_as_reasoning(
    way: str, hook: str, pool: BudgetPool, scripted: ScriptedServer
) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1_024}
    model = ANTHROPIC.client(scripted, thinking=thinking, max_tokens=2_000)

    for n in range(6):
        await ask_by(hook, pool, model, way, f"Question {n}")

    assert booked(pool)["reasoning_tokens"] > 0
    assert_equal_books(pool, scripted)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_structured_output_is_booked(
    provider: Provider, way: str, pool: BudgetPool
) -> None:
    rule = Rule(says="number", calls=[("Answer", {"number": 7})])
    with ScriptedServer([rule], seed=7) as server:
        model = provider.client(server)
        chain = model.with_structured_output(Answer, method="function_calling")

        with budget(pool):
            if way == "invoke":
                answer = chain.invoke("Which number?")
            else:
                answer = await chain.ainvoke("Which number?")

        assert answer == Answer(number=7)
        assert_equal_books(pool, server)


async def test_a_model_that_calls_itself_something_else_is_written_down(
    provider: Provider, pool: BudgetPool, scripted: ScriptedServer
) -> None:
    scripted.fail_next(Fault(model="somebody-else"))

    await ask_by("budgeted", pool, provider.client(scripted), "stream", "Hi")

    assert list(pool.report().by("model")) == [("somebody-else",)]
    assert booked(pool) == billed(scripted)
