"""A price book of one's own may fail: no paid answer is lost, and no hold stays."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from openai import DefaultAsyncHttpxClient, DefaultHttpxClient

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetMiddleware,
    BudgetPool,
    Price,
    PriceUnknown,
    ToolCosts,
    budget,
    budgeted,
    budgeted_tool,
    tokens,
    usd,
)
from langchain_budget.events import Event, PricingFailed
from langchain_budget.pricing.prices import InexactPrice, ModelRef
from langchain_budget.testing import FakeChatModel, Gate, ScriptedServer
from tests.invariants import assert_quiet
from tests.providers.clients import (
    CHAT,
    PRICE,
    ask,
    ask_by,
    billed,
    booked,
    close_all,
)

HOOKS = ("scope", "handler", "budgeted", "middleware")
WAYS = ("invoke", "ainvoke", "stream", "astream", "batch", "abatch")
COST = 10 * 2_500 + 2 * 10_000  # what the fake model's ten and two tokens cost

NONSENSE = (
    -1,
    0.5,
    float("nan"),
    "0.15",
    {"input": 1},
    Price.free,
    {"m": Price.free()},
)


class OutOfOrder(Exception):
    """Raised by a price book."""


class Shaky:
    """A price book that answers until it is told to fail."""

    def __init__(self) -> None:
        self.says: Callable[[ModelRef], Any] = lambda model: PRICE

    def price_of(self, model: ModelRef) -> Price | None:
        price: Price | None = self.says(model)
        return price

    def fail(self, error: BaseException | None = None) -> None:
        def says(model: ModelRef) -> Price:
            raise error or OutOfOrder(f"no line to the list of {model.model}")

        self.says = says

    def tell(self, nonsense: object) -> None:
        self.says = lambda model: nonsense


@pytest.fixture
def book() -> Shaky:
    return Shaky()


@pytest.fixture
def pool(book: Shaky) -> BudgetPool:
    return BudgetPool("acme", usd(1), prices=book)


@pytest.fixture
def told(pool: BudgetPool) -> list[Event]:
    events: list[Event] = []
    pool.subscribe(events.append)
    return events


def a_model(meanwhile: Callable[[], None], **options: Any) -> FakeChatModel:
    """Answers after something has happened."""

    def reply(sent: object) -> str:
        meanwhile()
        return "Hello there."

    return FakeChatModel(
        **{"replies": [reply], "usage": (10, 2), "max_tokens": 5} | options
    )


async def call(hook: str, pool: BudgetPool, model: Any, way: str) -> str:
    """Let an answer be paid for through one of the hooks, in one of the ways."""
    if hook == "middleware":
        agent = create_agent(model, middleware=[BudgetMiddleware(pool)])
        return await run(agent, {"messages": [("user", "Hi")]}, way)
    if hook == "budgeted":
        return await run(budgeted(model, pool), "Hi", way)
    if hook == "handler":
        config = {"callbacks": [BudgetCallbackHandler(pool)]}
        return await run(model, "Hi", way, config)
    with budget(pool):
        return await run(model, "Hi", way)


async def run(runnable: Any, asked: Any, way: str, config: Any = None) -> str:
    if way == "batch":
        (said,) = runnable.batch([asked], config)
    elif way == "abatch":
        (said,) = await runnable.abatch([asked], config)
    elif isinstance(runnable, BaseChatModel):
        said = await ask(runnable, way, asked, config)
    else:
        said = await last_state(runnable, way, asked)
    text: str = (said["messages"][-1] if isinstance(said, dict) else said).text
    return text


async def last_state(agent: Any, way: str, asked: Any) -> Any:
    match way:
        case "stream":
            return [*agent.stream(asked, stream_mode="values")][-1]
        case "astream":
            states = agent.astream(asked, stream_mode="values")
            return [state async for state in states][-1]
        case "ainvoke":
            return await agent.ainvoke(asked)
    return agent.invoke(asked)


def dated(sent: object) -> AIMessage:
    """Comes from a model that has a more exact name than was asked for."""
    told = {"model_name": "fake-2026-01-01"}
    return AIMessage("Hello there.", response_metadata=told)


def failures(events: list[Event]) -> list[PricingFailed]:
    return [each for each in events if isinstance(each, PricingFailed)]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", WAYS)
async def test_a_paid_answer_is_returned_and_charged_at_the_price_it_was_held_at(
    hook: str, way: str, book: Shaky, pool: BudgetPool, told: list[Event]
) -> None:
    model = a_model(book.fail)

    answer = await call(hook, pool, model, way)

    assert answer == "Hello there."
    assert pool.balance().spent.value == COST
    assert pool.report().total.amounts["tokens"] == 12
    assert pool.report().total.estimated == 1
    assert pool.report().total.unconfirmed == {}
    assert [(each.model, each.error) for each in failures(told)] == [
        ("fake", "OutOfOrder")
    ]
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("nonsense", [*NONSENSE, None])
async def test_nonsense_is_no_price_once_the_answer_is_paid(
    hook: str, nonsense: object, book: Shaky, pool: BudgetPool, told: list[Event]
) -> None:
    model = a_model(lambda: book.tell(nonsense))

    answer = await call(hook, pool, model, "invoke")

    assert answer == "Hello there."
    assert pool.balance().spent.value == COST
    assert pool.report().total.estimated == 1
    assert len(failures(told)) == (nonsense is not None)
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", WAYS)
async def test_without_a_price_before_the_call_it_is_refused_with_the_cause(
    hook: str, way: str, book: Shaky, pool: BudgetPool, told: list[Event]
) -> None:
    book.fail()
    model = a_model(lambda: None)

    with pytest.raises(PriceUnknown) as refused:
        await call(hook, pool, model, way)

    assert isinstance(refused.value.__cause__, OutOfOrder)
    assert refused.value.model == "fake"
    assert not model.calls
    assert len(failures(told)) == 1
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_nonsense_before_the_call_is_refused_and_named(
    nonsense: object, book: Shaky, pool: BudgetPool
) -> None:
    book.tell(nonsense)

    with pytest.raises(PriceUnknown) as refused:
        await call("handler", pool, a_model(lambda: None), "invoke")

    assert isinstance(refused.value.__cause__, InexactPrice)
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", WAYS)
async def test_where_no_dollars_are_limited_the_cost_is_unknown_and_tokens_count(
    hook: str, way: str, book: Shaky
) -> None:
    pool = BudgetPool("acme", tokens(50_000), prices=book)
    book.fail()

    answer = await call(hook, pool, a_model(lambda: None), way)

    assert answer == "Hello there."
    assert pool.balance("tokens").spent == tokens(12)
    assert pool.report().total.unpriced == 1
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("hook", HOOKS)
async def test_an_unknown_name_of_the_model_that_answered_costs_what_was_asked_for(
    hook: str, book: Shaky, pool: BudgetPool, told: list[Event]
) -> None:
    known = {"fake": replace(PRICE, source="the vendor's list")}
    book.says = lambda model: known[model.model]
    model = a_model(lambda: None, replies=[dated])

    answer = await call(hook, pool, model, "invoke")

    assert answer == "Hello there."
    assert pool.balance().spent.value == COST
    (failed,) = failures(told)
    assert (failed.account, failed.model, failed.error) == (
        "acme",
        "fake-2026-01-01",
        "KeyError",
    )
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("hook", ["scope", "handler", "budgeted"])
async def test_an_interrupt_out_of_the_book_goes_on_and_the_charge_is_kept(
    hook: str, book: Shaky, pool: BudgetPool
) -> None:
    model = a_model(lambda: book.fail(KeyboardInterrupt()))

    with pytest.raises(KeyboardInterrupt):
        await call(hook, pool, model, "invoke")
    pool.reserve(usd("0.01")).release()

    assert pool.report().total.estimated == 1
    assert pool.balance().spent > usd(0)
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("hook", ["scope", "handler", "budgeted"])
async def test_a_call_that_breaks_off_is_charged_as_if_the_price_were_known(
    hook: str, book: Shaky, pool: BudgetPool
) -> None:
    async def spent(during: Callable[[], None]) -> int:
        before = pool.balance().spent.value
        model = a_model(during, fail_after=1)
        with pytest.raises(ConnectionError):
            await call(hook, pool, model, "stream")
        return pool.balance().spent.value - before

    usual = await spent(lambda: None)
    failed = await spent(book.fail)

    assert failed == usual > 0
    assert_quiet(pool.ledger.store)


async def test_a_failing_book_is_told_of_once_until_it_works_again(
    book: Shaky,
    pool: BudgetPool,
    told: list[Event],
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = a_model(lambda: None)
    config: Any = {"callbacks": [BudgetCallbackHandler(pool)]}
    caplog.set_level(logging.WARNING, "langchain_budget")

    for _ in range(2):
        book.fail()
        for _ in range(3):
            with pytest.raises(PriceUnknown):
                model.invoke("Tell nobody", config)
        book.says = lambda ref: PRICE
        model.invoke("Tell nobody", config)

    assert len(failures(told)) == 2
    assert (
        len([each for each in caplog.records if each.name == "langchain_budget"]) == 2
    )
    assert "OutOfOrder" in caplog.text
    assert "'fake'" in caplog.text
    assert "Tell nobody" not in caplog.text


def test_a_long_stream_goes_on_and_is_charged_in_full(
    book: Shaky, pool: BudgetPool
) -> None:
    words = " ".join(["word"] * 2_000)
    model = FakeChatModel(replies=[words])
    config: Any = {"callbacks": [BudgetCallbackHandler(pool)]}
    stream = model.stream("Hi", config)
    next(stream)

    book.fail()
    said = list(stream)

    assert len(said) >= 1_999
    spent = pool.report().total.amounts
    assert spent["output_tokens"] == 2_000
    assert spent["usd"] == spent["input_tokens"] * 2_500 + 2_000 * 10_000
    assert_quiet(pool.ledger.store)


class Texts(Embeddings):
    """Embeddings of two texts, during which something happens."""

    model = "small"

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile
        self.asked = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.asked += 1
        self._meanwhile()
        return [[1.0]] * len(texts)

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


@pytest.mark.parametrize("way", ["embed_documents", "aembed_documents"])
async def test_embeddings_are_returned_and_charged_all_the_same(
    way: str, book: Shaky, pool: BudgetPool, told: list[Event]
) -> None:
    made: Any = budgeted(Texts(book.fail), pool)

    asked = getattr(made, way)(["one", "two"])
    vectors = await asked if way.startswith("a") else asked

    assert vectors == [[1.0], [1.0]]
    assert pool.balance().spent > usd(0)
    assert len(failures(told)) == 1
    assert_quiet(pool.ledger.store)


def test_embeddings_without_a_price_are_refused_with_the_cause(
    book: Shaky, pool: BudgetPool
) -> None:
    book.fail()
    plain = Texts(lambda: None)

    with pytest.raises(PriceUnknown) as refused:
        budgeted(plain, pool).embed_query("one")

    assert isinstance(refused.value.__cause__, OutOfOrder)
    assert not plain.asked
    assert_quiet(pool.ledger.store)


@tool("LLM")
def ask_a_model(prompt: str, model: str) -> str:
    """Ask a model."""
    return f"{model} says: {prompt}"


@pytest.mark.parametrize("nonsense", [None, *NONSENSE])
def test_a_tool_whose_price_cannot_be_told_is_refused_with_the_cause(
    book: Shaky, pool: BudgetPool, nonsense: object, told: list[Event]
) -> None:
    book.fail() if nonsense is None else book.tell(nonsense)
    paying = budgeted_tool(ask_a_model, pool, costs=ToolCosts(models=book))

    with pytest.raises(PriceUnknown) as refused:
        paying.invoke({"prompt": "Hi", "model": "fake"})

    kind = OutOfOrder if nonsense is None else InexactPrice
    assert isinstance(refused.value.__cause__, kind)
    assert refused.value.model == "fake"
    assert len(failures(told)) == 1
    assert_quiet(pool.ledger.store)


def test_a_tool_that_may_cost_so_much_at_most_needs_a_price(book: Shaky) -> None:
    pool = BudgetPool("acme", prices=book)
    book.fail()
    costs = ToolCosts(models=book)
    paying = budgeted_tool(ask_a_model, pool, costs=costs, max_cost=usd(1))

    with pytest.raises(PriceUnknown) as refused:
        paying.invoke({"prompt": "Hi", "model": "fake"})

    assert isinstance(refused.value.__cause__, OutOfOrder)
    assert_quiet(pool.ledger.store)


def test_a_tool_whose_price_cannot_be_told_is_counted_where_no_dollars_are_limited(
    book: Shaky,
) -> None:
    pool = BudgetPool("acme", prices=book)
    book.fail()
    paying = budgeted_tool(ask_a_model, pool, costs=ToolCosts(models=book))

    said = paying.invoke({"prompt": "Hi", "model": "fake"})

    assert said == "fake says: Hi"
    total = pool.report().total
    assert (total.amounts["tool_calls"], "usd" in total.amounts) == (1, False)
    assert total.unpriced == 1
    assert_quiet(pool.ledger.store)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    with ScriptedServer(seed=3) as running:
        yield running
    await close_all()


@pytest.mark.parametrize("hook", ["scope", "handler", "budgeted"])
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
async def test_the_books_are_those_of_the_provider_although_the_price_book_failed(
    hook: str, way: str, book: Shaky, pool: BudgetPool, server: ScriptedServer
) -> None:
    async def afail(reply: object) -> None:
        book.fail()

    client = CHAT.client(
        server,
        http_client=DefaultHttpxClient(
            event_hooks={"response": [lambda reply: book.fail()]}
        ),
        http_async_client=DefaultAsyncHttpxClient(event_hooks={"response": [afail]}),
    )

    for n in range(3):
        book.says = lambda model: PRICE
        answer = await ask_by(hook, pool, client, way, f"Question {n}?")
        assert answer.text

    assert booked(pool) == billed(server)
    assert pool.report().total.estimated == 3
    assert_quiet(pool.ledger.store)


async def test_a_call_whose_end_nobody_reports_is_charged_at_the_price_from_before(
    book: Shaky, pool: BudgetPool
) -> None:
    gate = Gate()
    model = FakeChatModel(max_tokens=5, gate=gate)
    config: Any = {"callbacks": [BudgetCallbackHandler(pool)]}
    task = asyncio.create_task(model.ainvoke("Hi", config))
    await gate.await_started(1)

    book.fail()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    await asyncio.sleep(0)
    gc.collect()
    pool.reserve(usd("0.01")).release()

    spent = pool.report().total.amounts
    assert spent["usd"] == spent["input_tokens"] * 2_500 > 0
    assert_quiet(pool.ledger.store)
