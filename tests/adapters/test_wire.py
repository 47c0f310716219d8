"""Through the real OpenAI client: the books equal what the server counted."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from langchain_core.exceptions import ModelError
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_budget import BudgetCallbackHandler, BudgetPool, Price, PriceTable, usd
from langchain_budget.testing import Fault, ScriptedServer

PRICES = PriceTable({"scripted-1": Price.per_million(input="2.50", output=10)})


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", usd(100), prices=PRICES)


@pytest.fixture
def config(pool: BudgetPool) -> Any:
    return {"callbacks": [BudgetCallbackHandler(pool)]}


def client(server: ScriptedServer, **options: Any) -> ChatOpenAI:
    known = {"base_url": server.base_url, "api_key": "unused", "model": "scripted-1"}
    return ChatOpenAI(**known | {"max_retries": 0} | options)


def assert_equal_books(pool: BudgetPool, server: ScriptedServer) -> None:
    spent = pool.report().total.amounts
    total = server.total

    assert spent.get("input_tokens", 0) == total.input_tokens
    assert spent.get("output_tokens", 0) == total.output_tokens
    assert spent.get("calls", 0) == total.calls
    assert pool.balance().held == usd(0)


async def test_every_way_to_call_is_booked_to_the_token(
    pool: BudgetPool, config: Any, scripted: ScriptedServer
) -> None:
    model = client(scripted, stream_usage=True)
    model.invoke("one", config)
    await model.ainvoke("two", config)
    list(model.stream("three", config))
    async for _ in model.astream("four", config):
        pass
    model.batch(["five", "six"], config)
    await model.abatch(["seven", "eight"], config)
    async for _ in model.astream_events("nine", config, version="v2"):
        pass

    assert scripted.total.calls == 9
    assert_equal_books(pool, scripted)
    details = ("cached_tokens", "reasoning_tokens")
    assert {name: pool.report().total.amounts.get(name, 0) for name in details} == {
        name: sum(getattr(served, name) for served in scripted.log())
        for name in details
    }


def test_the_cost_is_what_the_price_makes_of_the_servers_count(
    pool: BudgetPool, config: Any, scripted: ScriptedServer
) -> None:
    client(scripted).batch([f"question {n}" for n in range(10)], config)

    served = scripted.log()
    nanos = [s.prompt_tokens * 2500 + s.completion_tokens * 10_000 for s in served]
    assert pool.balance().spent.value == sum(nanos)


def test_structured_output_and_tools_are_booked(
    pool: BudgetPool, config: Any, scripted: ScriptedServer
) -> None:
    class Answer(BaseModel):
        text: str = ""

    model = client(scripted)
    chain = model.with_structured_output(Answer, method="function_calling")
    chain.with_fallbacks([model]).invoke("Hi", config)

    assert_equal_books(pool, scripted)


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_an_error_status_costs_nothing(
    pool: BudgetPool, config: Any, scripted: ScriptedServer, status: int
) -> None:
    scripted.fail_next(Fault(status=status))
    with pytest.raises(ModelError):
        client(scripted).invoke("Hi", config)

    assert_equal_books(pool, scripted)
    assert pool.balance().spent == usd(0)


def test_a_lost_reply_is_charged_as_estimated(
    pool: BudgetPool, config: Any, scripted: ScriptedServer
) -> None:
    scripted.fail_next(Fault(lose_reply=True))
    with pytest.raises(ModelError):
        client(scripted, max_tokens=100).invoke("Hi", config)

    report = pool.report()
    assert pool.balance().held == usd(0)
    assert report.total.estimated == 1
    assert report.total.amounts["input_tokens"] >= scripted.total.input_tokens
    billed = report.total.unconfirmed["output_tokens"]
    assert billed >= scripted.total.output_tokens


async def test_a_client_timeout_is_charged_as_estimated(
    pool: BudgetPool, config: Any, scripted: ScriptedServer
) -> None:
    scripted.hold()
    with pytest.raises((ModelError, TimeoutError)):
        await client(scripted, timeout=0.05).ainvoke("Hi", config)
    scripted.release()

    assert pool.balance().held == usd(0)
    assert pool.report().total.estimated == 1


def test_a_server_that_is_not_there_costs_nothing(
    pool: BudgetPool, config: Any, scripted: ScriptedServer
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(ModelError):
            client(scripted, base_url=nobody).invoke("Hi", config)

    assert pool.balance().held == usd(0)
    assert pool.balance().spent == usd(0)


def test_a_cut_stream_is_charged_for_what_was_seen(
    pool: BudgetPool, config: Any, scripted: ScriptedServer
) -> None:
    scripted.fail_next(Fault(cut_after=3))
    seen = []
    with pytest.raises(ModelError):
        seen.extend(client(scripted, stream_usage=True).stream("Hi", config))

    report = pool.report()
    assert pool.balance().held == usd(0)
    assert report.total.estimated == 1
    assert report.total.amounts["output_tokens"] >= 1


def test_a_stream_without_usage_is_estimated_and_never_zero(
    pool: BudgetPool, config: Any, scripted: ScriptedServer
) -> None:
    list(client(scripted).stream("Hi", config))

    amounts = pool.report().total.amounts
    assert pool.report().total.estimated == 1
    assert amounts["input_tokens"] >= scripted.total.input_tokens
    assert amounts["output_tokens"] > 0
    assert amounts["usd"] > 0


def test_a_wrong_model_name_in_the_reply_is_written_down(
    pool: BudgetPool, config: Any, scripted: ScriptedServer
) -> None:
    scripted.fail_next(Fault(model="somebody-else"))
    client(scripted).invoke("Hi", config)

    assert list(pool.report().by("model")) == [("somebody-else",)]
    assert pool.balance().spent.value > 0
    assert_equal_books(pool, scripted)


async def test_a_cancelled_call_over_http_frees_its_hold(
    pool: BudgetPool, config: Any, scripted: ScriptedServer
) -> None:
    scripted.hold()

    async def cancelled() -> None:
        task = asyncio.create_task(client(scripted).ainvoke("Hi", config))
        await asyncio.to_thread(scripted.wait_held)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    await cancelled()
    scripted.release()
    await asyncio.sleep(0)

    assert pool.balance().held == usd(0)
    assert pool.report().total.estimated == 1
