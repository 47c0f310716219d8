"""Embeddings and rerankers, which no handler sees, pay once they are wrapped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from langchain_core.exceptions import ModelAPIError
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import OpenAIEmbeddings
from langgraph.graph import START, StateGraph
from pydantic import BaseModel

from langchain_budget import (
    BudgetExceeded,
    BudgetPool,
    Price,
    PriceTable,
    budgeted,
    calls,
    tokens,
    usd,
)
from langchain_budget.testing import Gate
from tests.invariants import assert_quiet

TEXTS = ["one two three", "four five"]
PRICES = PriceTable(
    {
        "small": Price.per_million(input="0.10", output=0),
        "rank": Price.per_million(input=0, output=0, per_call="0.002"),
    }
)


class Plain(Embeddings):
    """Embeddings of no pydantic model, whose methods call each other."""

    model = "small"

    def __init__(self, gate: Gate | None = None, error: Exception | None = None):
        self.asked: list[list[str]] = []
        self._gate, self._error = gate, error

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.asked.append(texts)
        if self._error is not None:
            raise self._error
        return [[1.0]] * len(texts)

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    async def aembed_query(self, text: str) -> list[float]:
        if self._gate is not None:
            await self._gate.aenter()
        return await super().aembed_query(text)


class Threaded(Plain):
    """Its awaited methods run the others in a thread, without our context."""

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, self.embed_documents, texts)

    async def aembed_query(self, text: str) -> list[float]:
        return (await self.aembed_documents([text]))[0]


class Typed(BaseModel, Embeddings):
    """Embeddings that are a pydantic model, as most are."""

    model: str = "small"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(len(text)), 1.0] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return [float(len(text)), 1.0]


class Reranker(BaseDocumentCompressor):
    """It likes short documents."""

    model: str = "rank"

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> Sequence[Document]:
        return sorted(documents, key=lambda each: len(each.page_content))


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", tokens(1_000), usd(1), prices=PRICES)


WAYS: dict[str, Callable[[Any], Any]] = {
    "embed_documents": lambda e: e.embed_documents(TEXTS),
    "embed_query": lambda e: e.embed_query("one"),
    "aembed_documents": lambda e: asyncio.run(e.aembed_documents(TEXTS)),
    "aembed_query": lambda e: asyncio.run(e.aembed_query("one")),
}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@pytest.mark.parametrize("made", [Plain, Threaded])
@each_way
def test_each_call_is_one_call_that_is_counted_and_priced(
    pool: BudgetPool, way: Callable[[Any], Any], made: type[Plain]
) -> None:
    paying = budgeted(made(), pool)

    way(paying)

    spent = pool.balance("tokens").spent.value
    assert len(paying.asked) == 1
    assert pool.report().spent("calls") == calls(1)
    assert spent >= sum(len(text.split()) for text in paying.asked[0])
    assert pool.balance("usd").spent.value == spent * 100
    assert pool.report().total.estimated
    assert_quiet(pool.ledger.store)


@each_way
def test_what_does_not_fit_is_refused_and_not_made(way: Callable[[Any], Any]) -> None:
    pool = BudgetPool("acme", tokens(3))
    paying = budgeted(Plain(), pool)

    with pytest.raises(BudgetExceeded):
        way(paying)

    assert paying.asked == []
    assert pool.balance("tokens").spent == tokens(0)
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize(
    "error", [ModelAPIError(), TimeoutError()], ids=["failed", "lost"]
)
@each_way
def test_what_failed_is_free_and_what_was_lost_is_not(
    pool: BudgetPool, way: Callable[[Any], Any], error: Exception
) -> None:
    paying = budgeted(Plain(error=error), pool)

    with pytest.raises(type(error)):
        way(paying)

    assert bool(pool.balance("tokens").spent.value) == isinstance(error, TimeoutError)
    assert_quiet(pool.ledger.store)


async def test_a_cancelled_call_is_charged_its_input(pool: BudgetPool) -> None:
    gate = Gate()
    task = asyncio.ensure_future(budgeted(Plain(gate), pool).aembed_query("one two"))
    await gate.await_started()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert pool.balance("tokens").spent.value >= 2
    assert_quiet(pool.ledger.store)


def test_nothing_to_embed_is_no_call(pool: BudgetPool) -> None:
    assert budgeted(Plain(), pool).embed_documents([]) == []
    assert budgeted(Reranker(), pool).compress_documents([], "why") == []

    assert pool.report().spent("calls") == calls(0)


def test_it_is_of_its_own_class_and_the_original_is_left_alone(
    pool: BudgetPool,
) -> None:
    own: list[Any] = [Plain(), Typed(), Reranker()]

    for each in own:
        paying = budgeted(each, pool)
        assert isinstance(paying, type(each))
        assert type(paying).__name__ == type(each).__name__
        assert type(each) in {Plain, Typed, Reranker}
        with pytest.raises(TypeError, match="budgeted already"):
            budgeted(paying, pool)


def test_a_vector_store_pays_for_what_it_embeds(pool: BudgetPool) -> None:
    paying = budgeted(Typed(), pool)

    InMemoryVectorStore.from_texts(TEXTS, paying)

    assert pool.report().spent("calls") == calls(1)


def test_openai_embeddings_are_priced_by_their_catalog_name() -> None:
    pool = BudgetPool("acme", usd("0.000001"))
    model = OpenAIEmbeddings(
        model="text-embedding-3-small", api_key="none", max_retries=0
    )

    with pytest.raises(BudgetExceeded) as caught:
        budgeted(model, pool).embed_documents(["word " * 1_000])

    assert caught.value.limit == usd("0.000001")


def test_a_call_is_charged_to_the_node_that_it_is_made_in(pool: BudgetPool) -> None:
    search = pool.open("search")
    paying = budgeted(Plain(), pool)
    builder: Any = StateGraph(dict)
    builder.add_node("search", lambda _: {"found": paying.embed_query("one")})
    builder.add_edge(START, "search")

    builder.compile().invoke({})

    assert search.report().spent("calls") == calls(1)


@pytest.mark.parametrize("way", ["compress_documents", "acompress_documents"])
def test_a_reranker_pays_by_the_call(pool: BudgetPool, way: str) -> None:
    paying = budgeted(Reranker(), pool)
    documents = [Document("a long one"), Document("short")]

    ranked = getattr(paying, way)(documents, "why")
    ranked = asyncio.run(ranked) if way.startswith("a") else ranked

    assert [each.page_content for each in ranked] == ["short", "a long one"]
    assert pool.balance("usd").spent == usd("0.002")
    assert pool.report().spent("calls") == calls(1)
    assert_quiet(pool.ledger.store)
