"""A call that was made is free only where it is known that nobody billed it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import (
    ModelAPIError,
    ModelConnectionError,
    ModelRateLimitError,
)

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    budget,
    budgeted,
    calls,
    tokens,
)
from langchain_budget.testing import FakeChatModel
from tests.invariants import assert_quiet

TEN = 10


class Boom(Exception):
    """Of somebody else; nobody knows what it means."""


class Unsafe(Boom):
    """What a service says that looks at answers; it looks as if the model said so."""

    status_code = 400


class AtTheEnd(BaseCallbackHandler):
    """Another package's handler that does not like an answer."""

    raise_error = True

    def on_llm_end(self, *_: Any, **__: Any) -> None:
        raise Unsafe


class AtTheFirstToken(BaseCallbackHandler):
    """Another package's handler that does not like how an answer begins."""

    raise_error = True

    def on_llm_new_token(self, *_: Any, **__: Any) -> None:
        raise Unsafe


class AtTheStart(BaseCallbackHandler):
    """Another package's handler that refuses every call."""

    raise_error = True
    run_inline = True

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        raise Boom


def invoke(model: Any, callbacks: list[Any]) -> None:
    model.invoke("Hi", {"callbacks": callbacks})


def stream(model: Any, callbacks: list[Any]) -> None:
    list(model.stream("Hi", {"callbacks": callbacks}))


def ainvoke(model: Any, callbacks: list[Any]) -> None:
    asyncio.run(model.ainvoke("Hi", {"callbacks": callbacks}))


def astream(model: Any, callbacks: list[Any]) -> None:
    async def read() -> None:
        async for _ in model.astream("Hi", {"callbacks": callbacks}):
            pass

    asyncio.run(read())


def by_scope(pool: BudgetPool, way: Any, model: Any, *others: Any) -> None:
    with budget(pool):
        way(model, list(others))


def by_handler(pool: BudgetPool, way: Any, model: Any, *others: Any) -> None:
    way(model, [*others, BudgetCallbackHandler(pool)])


def by_first_handler(pool: BudgetPool, way: Any, model: Any, *others: Any) -> None:
    way(model, [BudgetCallbackHandler(pool), *others])


def by_model(pool: BudgetPool, way: Any, model: Any, *others: Any) -> None:
    way(budgeted(model, pool), list(others))


HOOKS = [by_scope, by_handler, by_first_handler, by_model]
WAYS = [invoke, stream, ainvoke, astream]
each_hook = pytest.mark.parametrize("hook", HOOKS, ids=lambda each: each.__name__)
each_way = pytest.mark.parametrize("way", WAYS, ids=lambda each: each.__name__)


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", tokens(100_000))


def a_model(**options: Any) -> FakeChatModel:
    return FakeChatModel(**{"replies": ["one two"], "usage": (12, 2)} | options)


def spent(pool: BudgetPool) -> int:
    """After what is left of the calls is collected."""
    gc.collect()
    value = pool.balance("tokens").spent.value
    assert_quiet(pool.ledger.store)
    return value


@each_hook
@each_way
@pytest.mark.parametrize(
    "other", [AtTheEnd(), AtTheFirstToken()], ids=["end", "first token"]
)
def test_what_another_handler_raises_of_an_answer_makes_no_call_free(
    pool: BudgetPool, hook: Any, way: Any, other: Any
) -> None:
    model = a_model()

    for _ in range(TEN):
        with suppress(Boom):
            hook(pool, way, model, other)

    assert len(model.calls) == TEN
    assert spent(pool) >= TEN
    assert pool.report().spent("calls") == calls(TEN)


@each_hook
@pytest.mark.parametrize("way", [invoke, stream])
@pytest.mark.parametrize("also", [(), (AtTheEnd(),)], ids=["alone", "with another"])
def test_what_another_handler_refuses_was_not_made_and_is_free(
    pool: BudgetPool, hook: Any, way: Any, also: Any
) -> None:
    model = a_model()

    for _ in range(TEN):
        with pytest.raises(Boom):
            hook(pool, way, model, *also, AtTheStart())

    assert model.calls == ()
    assert spent(pool) == 0


def test_two_hooks_agree_on_what_was_not_made(pool: BudgetPool) -> None:
    other = BudgetPool("other", tokens(1_000))
    both = BudgetCallbackHandler(pool), BudgetCallbackHandler(other)

    with budget() as b, suppress(Boom):
        a_model().invoke("Hi", {"callbacks": [*both, AtTheStart()]})
    gc.collect()

    assert (spent(pool), spent(other), b.total_tokens) == (0, 0, 0)


class Expired(BaseException):
    """As gevent's `Timeout` is: no `Exception`."""


class ReadTimeout(OSError):
    """As `requests` calls it; no `TimeoutError`."""


class GatewayTimeout(Exception):
    """As Google's client has it, also where it has not waited itself."""

    code = 504


MAY_COST = [KeyError, Boom, SystemExit, Expired, ReadTimeout, ConnectionResetError]
MAY_COST += [GatewayTimeout, MemoryError]


@pytest.mark.parametrize("hook", [by_handler, by_model])
@each_way
@pytest.mark.parametrize("error", MAY_COST, ids=lambda each: each.__name__)
def test_an_end_that_nobody_knows_is_not_free(
    pool: BudgetPool, hook: Any, way: Any, error: type[BaseException]
) -> None:
    with pytest.raises(BaseException):  # noqa: B017, PT011  # `ainvoke` makes it another
        hook(pool, way, a_model(replies=[error]))

    assert spent(pool) > 0
    assert pool.report().total.estimated == 1
    assert pool.report().total.failed == issubclass(error, Exception)


class Status(Exception):
    """An answer with an error, as clients have it."""

    def __init__(self, **told: Any) -> None:
        self.__dict__.update(told)


class Response:
    """What came back."""

    status_code = 429


class ConnectError(OSError):
    """As `httpx` calls it."""


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


FREE: dict[str, Callable[[], Exception]] = {
    "rate limit": ModelRateLimitError,
    "overload": ModelAPIError,
    "status": lambda: Status(status_code=500),
    "code": lambda: Status(code=429),
    "response": lambda: Status(response=Response()),
    "AWS": lambda: Status(response={"ResponseMetadata": {"HTTPStatusCode": 400}}),
    "wrapped": lambda: caused(Boom(), Status(code=400)),
    "not connected": ConnectionRefusedError,
    "no connection": lambda: caused(ModelConnectionError(), ConnectError()),
    "no such method": NotImplementedError,
}


@pytest.mark.parametrize("hook", [by_handler, by_model])
@pytest.mark.parametrize("way", [invoke, astream])
@pytest.mark.parametrize("error", FREE.values(), ids=FREE)
def test_an_end_that_was_certainly_not_billed_is_free(
    pool: BudgetPool, hook: Any, way: Any, error: Callable[[], Exception]
) -> None:
    failing = a_model(replies=[error()])

    with pytest.raises(Exception):  # noqa: B017, PT011  # whatever it is
        hook(pool, way, failing)

    assert spent(pool) == 0
    assert pool.report().total.failed == 1


@each_hook
def test_how_the_call_before_it_ended_says_nothing_of_the_next(
    pool: BudgetPool, hook: Any
) -> None:
    first, second = a_model(replies=[ModelAPIError()]), a_model(replies=[KeyError()])

    try:
        hook(pool, invoke, first)
    except ModelAPIError:
        with suppress(KeyError):
            hook(pool, invoke, second)

    assert spent(pool) > 0
    assert pool.report().total.estimated == 1


def test_a_refusal_on_other_books_is_free_on_these(pool: BudgetPool) -> None:
    empty = BudgetPool("empty", calls(0))

    with pytest.raises(BudgetExceeded):
        by_handler(pool, invoke, budgeted(a_model(), empty))

    assert spent(pool) == 0
