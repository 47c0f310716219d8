"""Streams that are not read to their end, by models that report usage in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from langchain_budget import BudgetCallbackHandler, BudgetPool, budget, budgeted, tokens
from tests.invariants import assert_quiet

LENGTH = 300
Usage = tuple[int, int]


class InPieces(BaseChatModel):
    """It reports differences: each piece what it adds to what was used."""

    first: Usage = (1_000, 1)
    each: Usage | None = (0, 1)
    last: Usage = (0, 1)
    breaks_after: int = LENGTH

    @property
    def _llm_type(self) -> str:
        return "pieces"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(self, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        for number in range(LENGTH):
            if number == self.breaks_after:
                raise ConnectionResetError
            yield ChatGenerationChunk(message=self._piece(number))

    def _piece(self, number: int) -> AIMessageChunk:
        usage = {0: self.first, LENGTH - 1: self.last}.get(number, self.each)
        if usage is None:
            return AIMessageChunk("w ")
        given, out = usage
        told: Any = {"input_tokens": given, "output_tokens": out}
        return AIMessageChunk("w ", usage_metadata=told | {"total_tokens": sum(usage)})


MODELS = {
    "differences": InPieces(),
    "input first, output last": InPieces(first=(1_000, 0), each=None, last=(0, 300)),
    "output only": InPieces(first=(0, 1)),
}


def by_scope(model: Any, pool: BudgetPool, read: Any) -> None:
    with budget(pool):
        read(model, None)


def by_handler(model: Any, pool: BudgetPool, read: Any) -> None:
    read(model, {"callbacks": [BudgetCallbackHandler(pool)]})


def by_model(model: Any, pool: BudgetPool, read: Any) -> None:
    read(budgeted(model, pool), None)


def some(model: Any, config: Any) -> None:
    stream = model.stream("Hi", config)
    for _ in range(50):
        next(stream)
    stream.close()


def some_async(model: Any, config: Any) -> None:
    async def read() -> None:
        stream = model.astream("Hi", config)
        for _ in range(50):
            await anext(stream)
        await stream.aclose()

    asyncio.run(read())


def whole(model: Any, config: Any) -> None:
    with suppress(ConnectionResetError):
        list(model.stream("Hi", config))


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", tokens(100_000))


each_hook = pytest.mark.parametrize("hook", [by_scope, by_handler, by_model])
each_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


@each_hook
@each_model
@pytest.mark.parametrize("read", [some, some_async])
def test_a_stream_that_is_given_up_costs_all_that_was_told_of_it(
    pool: BudgetPool, hook: Any, model: InPieces, read: Any
) -> None:
    hook(model, pool, read)

    report = pool.report()
    assert report.spent("output_tokens").value == 50
    given = report.spent("input_tokens").value
    assert given == 1_000 if model.first[0] else 0 < given < 100
    assert (report.total.estimated, report.total.failed) == (1, 0)
    assert_quiet(pool.ledger.store)


@each_hook
@each_model
def test_so_does_one_that_breaks(pool: BudgetPool, hook: Any, model: InPieces) -> None:
    hook(model.model_copy(update={"breaks_after": 200}), pool, whole)

    assert pool.report().spent("output_tokens").value == 200
    assert pool.report().spent("input_tokens").value > 0
    assert (pool.report().total.estimated, pool.report().total.failed) == (1, 1)
    assert_quiet(pool.ledger.store)


@each_hook
@pytest.mark.parametrize("kind", ["differences", "input first, output last"])
def test_one_that_is_read_to_its_end_costs_what_the_pieces_add_up_to(
    pool: BudgetPool, hook: Any, kind: str
) -> None:
    hook(MODELS[kind], pool, whole)

    assert pool.balance("tokens").spent == tokens(1_300)
    assert pool.report().total.estimated == 0
    assert_quiet(pool.ledger.store)
