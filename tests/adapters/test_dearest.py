"""Dearer prices are held for: whatever a call may turn out to cost is in its hold."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetMiddleware,
    BudgetPool,
    Price,
    PriceTable,
    budgeted,
    usd,
)
from langchain_budget.adapters.terms import terms_of
from langchain_budget.pricing.usage import Terms
from langchain_budget.testing import FakeChatModel, Gate, Rule, ScriptedServer
from tests.invariants import assert_quiet

CENT = usd("0.01")
PLAIN = Price.per_million(input=1, output=10)
TIERED = PLAIN.at_tier("priority", Price.per_million(input=5, output=20))
LONG = "word " * 700


def pool_of_a_cent(price: Price = TIERED) -> BudgetPool:
    return BudgetPool("acme", CENT, prices=PriceTable({}, default=price))


def said(**block: Any) -> list[HumanMessage]:
    return [HumanMessage([{"type": "text", "text": LONG, **block}])]


class Case(NamedTuple):
    """A bucket that is dearer than plain tokens, and how a call gets to use it."""

    bucket: str
    price: int
    details: dict[str, Any]
    messages: list[HumanMessage]
    settings: Mapping[str, Any] = MappingProxyType({})


MARK = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
SPEECH = {"type": "input_audio", "input_audio": {"data": "aGk="}}
CASES = (
    Case("reasoning", 40, {"output_details": {"reasoning": 200}}, said()),
    Case("cache_write", 4, {"input_details": {"cache_creation": 700}}, said(**MARK)),
    Case(
        "cache_write_1h",
        4,
        {"input_details": {"ephemeral_1h_input_tokens": 700}},
        said(),
        HOUR,
    ),
    Case(
        "input_audio", 4, {"input_details": {"audio": 1_600}}, [HumanMessage([SPEECH])]
    ),
    Case(
        "output_audio",
        80,
        {"output_details": {"audio": 100}},
        said(),
        {"modalities": ["text", "audio"]},
    ),
)


@pytest.mark.parametrize("hook", ["budgeted", "middleware"])
@pytest.mark.parametrize("case", CASES, ids=[each.bucket for each in CASES])
def test_no_limit_is_passed_by_what_is_dearer_than_plain_tokens(
    case: Case, hook: str
) -> None:
    dear: dict[str, Any] = {case.bucket: case.price}
    pool = pool_of_a_cent(Price.per_million(input=1, output=10, **dear))
    model = FakeChatModel(replies=["w " * 5_000], **case.details)

    if hook == "budgeted":
        budgeted(model, pool).invoke(case.messages, **case.settings)
    else:
        bound: Any = model.bind(**case.settings)
        agent = create_agent(bound, middleware=[BudgetMiddleware(pool)])
        agent.invoke({"messages": case.messages})  # type: ignore[arg-type]  # it may

    assert usd(0) < pool.balance().spent <= CENT
    assert_quiet(pool.ledger.store)


def test_a_service_tier_that_is_asked_for_is_held_for() -> None:
    with ScriptedServer([Rule(answer="word " * 3_000)]) as server:
        pool = pool_of_a_cent()
        options: Any = {"api_key": "none", "max_retries": 0}
        model = ChatOpenAI(
            model="m", base_url=server.base_url, service_tier="priority", **options
        )

        budgeted(model, pool).invoke("Hi")

        assert usd("0.009") < pool.balance().spent <= CENT
        assert server.log()[0].tier == "priority"


@pytest.mark.parametrize(
    ("tier", "worth"), [("priority", 20), ("auto", 10), ("default", 10)]
)
async def test_a_handler_holds_at_the_tier_that_is_asked_for(
    tier: str, worth: int
) -> None:
    pool, gate = pool_of_a_cent(), Gate()
    model = FakeChatModel(gate=gate, max_tokens=100)
    config: Any = {"callbacks": [BudgetCallbackHandler(pool)]}

    call = asyncio.ensure_future(model.ainvoke("Hi", config, service_tier=tier))
    await gate.await_started()
    held = pool.balance().held.value
    gate.open()
    await call

    assert held // 1_000 // 100 == worth


def test_what_is_not_asked_for_is_not_held_for() -> None:
    pool = pool_of_a_cent()
    model = FakeChatModel(replies=["w " * 50], model_name="m", max_tokens=200)

    budgeted(model, pool).invoke("Hi")

    assert model.calls[0].max_tokens == 200


FILE = {"type": "file", "mime_type": "audio/wav", "data": "aGk="}


@pytest.mark.parametrize(
    ("messages", "params", "terms"),
    [
        (["plain text"], {}, Terms()),
        ([HumanMessage("Hi")], {"service_tier": "standard_only"}, Terms()),
        ([], {"service_tier": "flex"}, Terms("flex")),
        ([], {"model_kwargs": {"service_tier": "flex"}}, Terms("flex")),
        ([], {"extra_body": {"service_tier": "flex"}}, Terms("flex")),
        ([], {"serviceTier": {"type": "priority"}}, Terms("priority")),
        ([], {"service_tier": 7, "tools": 7, "modalities": 7}, Terms("7")),
        (said(**MARK), {}, Terms(writes=True)),
        (said(cachePoint={"type": "default"}), {}, Terms(writes=True)),
        ([], {"tools": [{"name": "t", **HOUR}]}, Terms(writes=True, for_an_hour=True)),
        (said(**HOUR), MARK, Terms(writes=True, for_an_hour=True)),
        ([HumanMessage([FILE])], {}, Terms(audio=True)),
        (
            [AIMessage("", additional_kwargs={"audio": {"id": "1"}})],
            {},
            Terms(audio=True),
        ),
        ([], {"modalities": ["text", "audio"]}, Terms(voice=True)),
        ([], {"model_kwargs": {"modalities": ["audio"]}}, Terms(voice=True)),
        ([], {"response_modalities": ["TEXT"]}, Terms()),
    ],
)
def test_terms_are_read_by_the_names_that_clients_have(
    messages: list[Any], params: dict[str, Any], terms: Terms
) -> None:
    assert terms_of("fake", messages, params) == terms


def test_who_caches_unasked_may_write() -> None:
    assert terms_of("openai", [], {}) == Terms(writes=True)
    assert terms_of("anthropic", [], {}) == Terms()
