"""What is given up ends where the collector runs: also amid a question to the store."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from types import FrameType
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler

from langchain_budget import (
    Amount,
    BudgetCallbackHandler,
    BudgetPool,
    budget,
    budgeted,
    tokens,
)
from langchain_budget.core.events import Event
from langchain_budget.errors import BudgetError, StoreReentered, StoreUnavailable
from langchain_budget.leases._turn import Turn
from langchain_budget.stores._queue import Queue
from langchain_budget.testing import FakeChatModel
from tests.faults.books import pool_at
from tests.invariants import assert_quiet

PATIENCE = 60  # seconds for what takes a few milliseconds, or for ever
LIMIT = tokens(100_000)
URLS = {
    "memory": "memory://",
    "sqlite": "sqlite_url",
    "redis": "redis_url",
    "postgresql": "postgres_url",
}
AMID = {
    "memory": "Tables.post",
    "sqlite": "Page.post",
    "redis": "LifoQueue._get",  # the client has a lock here, of its own
    "postgresql": "Cursor.execute",
}
"""What each store calls while it writes."""

MODEL = FakeChatModel(replies=["one two three"], usage=(100, 20))


class Reader:
    """Begins something, and is in a cycle of references with it."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        copy_context().run(next, iterator)
        self.me, self.iterator = self, iterator


def wrapped(pool: BudgetPool) -> Iterator[Any]:
    return budgeted(MODEL, pool).stream("Hi")


def handled(pool: BudgetPool) -> Iterator[Any]:
    handlers: list[BaseCallbackHandler] = [BudgetCallbackHandler(pool)]
    return MODEL.stream("Hi", {"callbacks": handlers})


def scoped(pool: BudgetPool) -> Iterator[Any]:
    with budget(pool), budget(tokens(100)) as inner:
        MODEL.invoke("Hi")
        yield inner


def reserved(pool: BudgetPool) -> Iterator[Any]:
    with pool.reserve(tokens(5)):
        yield


KINDS = [wrapped, handled, scoped, reserved]


@pytest.fixture(autouse=True)
def _collect_when_told() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(params=URLS)
def store(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def pool(store: str, request: pytest.FixtureRequest) -> BudgetPool:
    url = URLS[store]
    return pool_at(url if "://" in url else request.getfixturevalue(url), LIMIT)


@contextmanager
def collecting_in(function: str) -> Iterator[list[str]]:
    """Run the collector once, where a thread that begins now calls *function*."""
    collected: list[str] = []

    def watch(frame: FrameType, event: str, _: object) -> None:
        name = frame.f_code.co_qualname
        if event == "call" and name == function and not collected:
            collected.append(name)
            gc.collect()

    threading.setprofile(watch)
    try:
        yield collected
    finally:
        threading.setprofile(None)


def in_time(duty: Callable[[], object]) -> None:
    """Do it in a thread, which may hang for ever."""
    done = threading.Event()
    run = copy_context().run
    threading.Thread(target=lambda: (run(duty), done.set()), daemon=True).start()
    assert done.wait(PATIENCE), "it hangs"


def spent_when_closed_at_once(kind: Callable[[BudgetPool], Iterator[Any]]) -> Amount:
    pool = BudgetPool("acme", LIMIT)
    iterator = kind(pool)
    copy_context().run(next, iterator)
    iterator.close()  # type: ignore[attr-defined]  # they are generators
    assert pool.balance("tokens").held == tokens(0)
    return pool.balance("tokens").spent


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_given_up_amid_a_question_ends_with_the_next_one(
    pool: BudgetPool, store: str, kind: Callable[[BudgetPool], Iterator[Any]]
) -> None:
    Reader(kind(pool))

    with collecting_in(AMID[store]) as collected:
        in_time(lambda: pool.reserve(tokens(1)).release())

    assert collected
    assert_ended(pool, kind)


@pytest.mark.parametrize("store", ["memory", "sqlite"], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_given_up_amid_an_awaited_question_ends_with_the_next_one(
    pool: BudgetPool, store: str, kind: Callable[[BudgetPool], Iterator[Any]]
) -> None:
    Reader(kind(pool))

    with collecting_in(AMID[store]) as collected:
        in_time(lambda: asyncio.run(reserve_and_release(pool)))

    assert collected
    assert_ended(pool, kind)


async def reserve_and_release(pool: BudgetPool) -> None:
    await (await pool.areserve(tokens(1))).arelease()


def assert_ended(pool: BudgetPool, kind: Callable[[BudgetPool], Iterator[Any]]) -> None:
    assert pool.balance("tokens").held == tokens(0)
    assert pool.balance("tokens").spent == spent_when_closed_at_once(kind)
    assert [row.path for row in pool.ledger.store.below("") if not row.closed] == [
        "acme"
    ]
    assert not pool.ledger.late
    assert_quiet(pool.ledger.store)


class LastWill:
    """In a cycle of references; does something when it is collected."""

    def __init__(self, will: Callable[[], object]) -> None:
        self.me, self.will = self, will

    def __del__(self) -> None:
        self.will()


def test_who_reads_or_reserves_amid_a_question_is_told_so(
    pool: BudgetPool, store: str
) -> None:
    told: list[BaseException] = []

    def ask() -> None:
        for question in (pool.report, lambda: pool.reserve(tokens(7))):
            with pytest.raises(BudgetError) as refused:
                question()
            told.append(refused.value)

    LastWill(ask)
    with collecting_in(AMID[store]):
        in_time(lambda: pool.reserve(tokens(1)).release())

    assert isinstance(told[0], StoreReentered)
    assert isinstance(told[1], StoreUnavailable)
    assert "outside of finalisers" in str(told[1])
    assert_quiet(pool.ledger.store)


def test_a_lease_that_is_given_up_amid_a_question_is_given_back(
    pool: BudgetPool, store: str
) -> None:
    def leased() -> Iterator[None]:
        with pool.lease(tokens(100)) as worker:
            worker.reserve(tokens(3)).settle(tokens(2))
            yield

    Reader(leased())
    with collecting_in(AMID[store]):
        in_time(lambda: pool.reserve(tokens(1)).release())

    balance = pool.balance("tokens")
    assert (balance.spent, balance.lent) == (tokens(2), tokens(0))
    assert_quiet(pool.ledger.store)


def test_nobody_is_told_of_one_thing_amid_another() -> None:
    pool, heard, lock = BudgetPool("acme", LIMIT), list[Event](), threading.Lock()

    def listen(event: Event) -> None:
        with lock:
            gc.collect()
            heard.append(event)

    Reader(reserved(pool))
    pool.subscribe(listen)
    in_time(lambda: pool.reserve(tokens(1)))

    assert [type(event).__name__ for event in heard] == ["Reserved", "Released"]


def test_a_place_that_is_given_up_amid_another_is_nobodys_turn() -> None:
    queue = Queue()
    first = queue.enter("acme", 5)
    second = queue.enter("acme", 5)
    LastWill(lambda: queue.leave(first))

    with collecting_in("Queue._insert.<locals>.<lambda>") as collected:
        in_time(lambda: queue.enter("acme", 5))

    assert collected
    assert queue.is_first(second)


def test_a_finaliser_does_not_wait_for_the_turn_of_its_own_thread() -> None:
    turn, told = Turn(), list[BaseException]()

    def enter_twice() -> None:
        turn.enter()
        with pytest.raises(StoreReentered) as refused:
            turn.enter()
        told.append(refused.value)
        turn.leave()

    in_time(enter_twice)

    assert told
    turn.enter()
