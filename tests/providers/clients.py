"""The real clients of providers, each pointed at the scripted server."""

import itertools
from collections.abc import Callable, Mapping
from functools import reduce
from operator import add
from typing import Any, NamedTuple

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from openai import DefaultAsyncHttpxClient, DefaultHttpxClient

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetPool,
    Price,
    PriceTable,
    budget,
    budgeted,
)
from langchain_budget.pricing.usage import Usage
from langchain_budget.testing import ScriptedServer, Served
from tests.invariants import assert_quiet

MODEL = "scripted-1"
PRICE = Price.per_million(
    input="2.50",
    output=10,
    cache_read="0.25",
    cache_write="3.125",
    cache_write_1h=5,
    reasoning=12,
)
FLEX = Price.per_million(input="1.25", output=5, cache_read="0.125", reasoning=6)
PRIORITY = Price.per_million(input=5, output=20, cache_read="0.50", reasoning=24)
TARIFF = PRICE.at_tier("flex", FLEX).at_tier("priority", PRIORITY)
PRICES = PriceTable({}, default=TARIFF)


OPEN: list[BaseChatModel] = []
"""Models whose connections are to be closed after the test."""

_serial = itertools.count(1)
"""
Makes each time-out another one. The library keeps connections to Anthropic by address
and time-out for whoever comes next, and a later server may have the address of one that
is gone. To OpenAI it uses ours, so that nobody else's are pushed out and left open.
"""


class Provider(NamedTuple):
    """A client, and what it calls things on the wire."""

    name: str
    make: Callable[..., BaseChatModel]
    cap: str
    usage: Callable[..., dict[str, Any]]
    """What the provider reports of (plain, read, written, out, reasoning) tokens."""

    def client(self, server: ScriptedServer, **options: Any) -> BaseChatModel:
        known = {"model": MODEL, "api_key": "unused", "max_retries": 0}
        known["timeout"] = 10 + next(_serial) / 1_000_000
        made = self.make(server, **known | options)
        OPEN.append(made)
        return made


def _openai(server: ScriptedServer, **options: Any) -> BaseChatModel:
    own = {
        "http_client": DefaultHttpxClient(),
        "http_async_client": DefaultAsyncHttpxClient(),
    }
    return ChatOpenAI(base_url=server.base_url, **own | options)


def _chat(server: ScriptedServer, **options: Any) -> BaseChatModel:
    return _openai(server, **{"stream_usage": True} | options)


def _responses(server: ScriptedServer, **options: Any) -> BaseChatModel:
    return _openai(server, use_responses_api=True, **options)


def _anthropic(server: ScriptedServer, **options: Any) -> BaseChatModel:
    return ChatAnthropic(base_url=server.anthropic_url, **options)


def _chat_usage(
    plain: int, read: int, written: int, out: int, thought: int
) -> dict[str, Any]:
    total = plain + read + written
    return {
        "prompt_tokens": total,
        "completion_tokens": out + thought,
        "total_tokens": total + out + thought,
        "prompt_tokens_details": {
            "cached_tokens": read,
            "cache_write_tokens": written,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": thought,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _responses_usage(
    plain: int, read: int, written: int, out: int, thought: int
) -> dict[str, Any]:
    total = plain + read + written
    return {
        "input_tokens": total,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "output_tokens": out + thought,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": total + out + thought,
    }


def _anthropic_usage(
    plain: int, read: int, written: int, out: int, thought: int
) -> dict[str, Any]:
    return {
        "input_tokens": plain,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "cache_creation": {
            "ephemeral_5m_input_tokens": written,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": out + thought,
        "output_tokens_details": {"thinking_tokens": thought},
        "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
        "service_tier": "standard",
    }


CHAT = Provider("chat", _chat, "max_completion_tokens", _chat_usage)
RESPONSES = Provider("responses", _responses, "max_output_tokens", _responses_usage)
ANTHROPIC = Provider("anthropic", _anthropic, "max_tokens", _anthropic_usage)
PROVIDERS = (CHAT, RESPONSES, ANTHROPIC)

WAYS = ("invoke", "ainvoke", "stream", "astream")
HOOKS = ("scope", "handler", "budgeted")


async def ask(model: Any, way: str, asked: Any, config: Any = None) -> AIMessage:
    """Call in one of the four ways; a stream is read to its end."""
    match way:
        case "ainvoke":
            answer = await model.ainvoke(asked, config)
        case "stream":
            answer = reduce(add, model.stream(asked, config))
        case "astream":
            answer = reduce(add, [each async for each in model.astream(asked, config)])
        case _:
            answer = model.invoke(asked, config)
    assert isinstance(answer, AIMessage)
    return answer


async def ask_by(
    hook: str, pool: BudgetPool, model: Any, way: str, asked: Any
) -> AIMessage:
    """Likewise, paid for through one of the three hooks."""
    if hook == "scope":
        with budget(pool):
            return await ask(model, way, asked)
    if hook == "handler":
        return await ask(
            model, way, asked, {"callbacks": [BudgetCallbackHandler(pool)]}
        )
    return await ask(budgeted(model, pool), way, asked)


async def close_all() -> None:
    """Close the connections, those of the loop on the loop that they were opened on."""
    while OPEN:
        model: Any = OPEN.pop()
        if isinstance(model, ChatAnthropic):
            blocking, awaited = model._client, model._async_client  # noqa: SLF001
        else:
            blocking, awaited = model.root_client, model.root_async_client
        blocking.close()
        await awaited.close()


def usage_of(served: Served) -> Usage:
    """The buckets of what the server billed, by its own count."""
    written = served.cache_write_tokens + served.cache_write_1h_tokens
    return Usage(
        input=served.prompt_tokens - served.cached_tokens - written,
        cache_read=served.cached_tokens,
        cache_write=served.cache_write_tokens,
        cache_write_1h=served.cache_write_1h_tokens,
        output=served.completion_tokens - served.reasoning_tokens,
        reasoning=served.reasoning_tokens,
        tier=served.tier,
    )


def billed(server: ScriptedServer) -> dict[str, int]:
    """What a provider with our prices would bill, in every unit."""
    usages = [usage_of(served) for served in server.log() if served.billed]
    bill = {
        "calls": len(usages),
        "input_tokens": sum(each.total_input for each in usages),
        "output_tokens": sum(each.total_output for each in usages),
        "tokens": sum(each.total for each in usages),
        "cached_tokens": sum(each.cache_read for each in usages),
        "cache_write_tokens": sum(
            each.cache_write + each.cache_write_1h for each in usages
        ),
        "reasoning_tokens": sum(each.reasoning for each in usages),
        "usd": sum(TARIFF.cost(each) for each in usages),
    }
    return {unit: value for unit, value in bill.items() if value}


def booked(pool: BudgetPool) -> Mapping[str, int]:
    """What the books say was used, in every unit."""
    amounts = pool.report().total.amounts
    return {unit: value for unit, value in amounts.items() if value}


def assert_equal_books(pool: BudgetPool, server: ScriptedServer) -> None:
    assert booked(pool) == billed(server)
    assert_quiet(pool.ledger.store)
