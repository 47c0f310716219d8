"""A network that loses what the store said: afterwards the books are true."""

import asyncio
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from langchain_budget import BudgetPool, Reservation, StoreError, StoreUnavailable, usd
from langchain_budget.core.amounts import Amount
from tests.faults.books import later, pool_at
from tests.faults.crew import Crew
from tests.faults.duties import ALL, CENT, reserve_and_wait
from tests.invariants import assert_quiet
from tests.proxy import Proxy
from tests.servers import PostgresServer, RedisServer
from tests.twins import Do

HELD, USED = usd("0.60"), usd("0.25")
OFTEN = 50  # more often than anybody tries again

FAULTS: dict[str, Callable[[Proxy], None]] = {
    "the reply is lost": lambda proxy: proxy.lose_reply(),
    "the reply is cut off": lambda proxy: proxy.cut_after(3),
    "all replies are lost": lambda proxy: proxy.lose_reply(OFTEN),
    "nobody is let in": lambda proxy: proxy.refuse(),
    "nothing passes": lambda proxy: proxy.blackhole(),
}
SECONDS = {"postgresql": 1, "redis": 0.3}  # in all; for each try
MENDED_BY_TRYING_AGAIN = {"the reply is lost", "the reply is cut off"}


class Far(NamedTuple):
    """Books behind a network."""

    pool: BudgetPool
    proxy: Proxy
    server: PostgresServer | RedisServer
    url: str
    near_url: str


@pytest.fixture(params=["postgresql", "redis"])
def far(request: pytest.FixtureRequest) -> Iterator[Far]:
    names = {"postgresql": "postgres", "redis": "redis"}
    url = request.getfixturevalue(f"{names[request.param]}_url")
    server = request.getfixturevalue(f"{names[request.param]}_server")
    pool_at(url, ALL).ledger.store.close()
    with Proxy(url) as proxy:
        far_url = f"{proxy.url_for(url)}?timeout={SECONDS[request.param]}"
        pool = pool_at(far_url, ALL)
        yield Far(pool, proxy, server, far_url, url)
        pool.ledger.store.close()


@pytest.fixture(params=FAULTS)
def fault(request: pytest.FixtureRequest) -> str:
    """What happens to the network."""
    fault: str = request.param
    return fault


async def test_a_reserve(far: Far, do: Do, fault: str) -> None:
    (await do(far.pool.reserve, HELD)).release()
    FAULTS[fault](far.proxy)
    hold: Reservation | None = None
    try:
        hold = await do(far.pool.reserve, HELD)
    except StoreUnavailable:
        assert fault not in MENDED_BY_TRYING_AGAIN
    far.proxy.heal()

    assert (await do(far.pool.balance)).held == (HELD if hold else usd(0))
    if hold:
        await do(hold.settle, USED)
    assert (await do(far.pool.balance)).spent == (USED if hold else usd(0))
    assert_true(far)


async def test_a_settle(far: Far, do: Do, fault: str) -> None:
    hold = await do(far.pool.reserve, HELD)
    FAULTS[fault](far.proxy)
    await do(hold.settle, USED)
    assert len(far.pool.ledger.late) == (fault not in MENDED_BY_TRYING_AGAIN)
    far.proxy.heal()

    assert (await do(far.pool.balance)).spent == USED
    assert_true(far)


async def test_a_release(far: Far, do: Do, fault: str) -> None:
    hold = await do(far.pool.reserve, HELD)
    FAULTS[fault](far.proxy)
    await do(hold.release)
    far.proxy.heal()

    assert (await do(far.pool.balance)).available == ALL
    assert_true(far)


async def test_a_grant_that_is_made_again_under_its_key(
    far: Far, do: Do, fault: str
) -> None:
    FAULTS[fault](far.proxy)
    try:
        await do(far.pool.top_up, ALL, key="invoice 7")
    except StoreError:
        assert fault not in MENDED_BY_TRYING_AGAIN
    far.proxy.heal()
    await do(far.pool.top_up, ALL, key="invoice 7")

    assert (await do(far.pool.balance)).granted == ALL + ALL
    assert_true(far)


@pytest.mark.parametrize("fault", ["the reply is lost", "all replies are lost"])
async def test_a_slice_that_is_opened(far: Far, do: Do, fault: str) -> None:
    FAULTS[fault](far.proxy)
    try:
        await do(far.pool.open, "web", carve=HELD)
    except StoreError:
        assert fault not in MENDED_BY_TRYING_AGAIN
    far.proxy.heal()
    web = await do(far.pool.open, "web", carve=HELD)

    assert (await do(far.pool.balance)).lent == HELD
    assert (await do(web.balance)).available == HELD
    assert_true(far)


async def test_what_a_paused_server_admits_after_all_is_given_back(
    far: Far, do: Do
) -> None:
    (await do(far.pool.reserve, HELD)).release()
    far.server.stop_process()
    with pytest.raises(StoreUnavailable):
        await do(far.pool.reserve, HELD)
    far.server.continue_process()

    assert (await do(far.pool.balance)).held == usd(0)
    (await do(far.pool.reserve, ALL)).release()
    assert_true(far)


async def test_what_a_paused_server_books_after_all_is_booked_once(
    far: Far, do: Do
) -> None:
    hold = await do(far.pool.reserve, HELD)
    far.server.stop_process()
    await do(hold.settle, USED)
    assert len(far.pool.ledger.late) == 1
    far.server.continue_process()

    assert (await do(far.pool.balance)).spent == USED
    assert_true(far)


async def test_whoever_is_cancelled_while_the_store_decides_holds_nothing(
    far: Far,
) -> None:
    (await far.pool.areserve(HELD)).release()
    far.proxy.hold_replies()
    task = asyncio.create_task(far.pool.areserve(HELD))
    await asyncio.to_thread(far.proxy.wait_for_reply)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    far.proxy.heal()

    (await far.pool.areserve(ALL)).release()
    assert (await far.pool.abalance()).held == usd(0)
    assert_true(far)


async def test_whoever_is_cancelled_while_a_settle_is_booked_has_paid(far: Far) -> None:
    hold = await far.pool.areserve(HELD)
    far.proxy.hold_replies()
    task = asyncio.create_task(hold.asettle(USED))
    await asyncio.to_thread(far.proxy.wait_for_reply)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    far.proxy.heal()

    assert (await far.pool.abalance()).spent == USED
    assert_true(far)


@pytest.mark.parametrize(("step", "spent"), [("ready", usd(0)), ("reserved", CENT)])
def test_whoever_is_killed_before_it_hears_what_was_done_blocks_nothing(
    far: Far, crew: Crew, step: str, spent: Amount
) -> None:
    worker = crew.hire(reserve_and_wait, far.url)
    worker.reach(step)
    far.proxy.hold_replies()
    worker.go_on()
    far.proxy.wait_for_reply()
    worker.kill()
    far.proxy.heal()

    after = later(far.pool, far.near_url, ALL)
    assert after.balance().spent == spent
    after.reserve(ALL - spent).release()
    assert_quiet(after.ledger.store)


def assert_true(far: Far) -> None:
    """What the books say by themselves, asked over another way."""
    near = pool_at(far.near_url, ALL)
    assert near.balance() == far.pool.balance()
    assert_quiet(near.ledger.store)
    near.ledger.store.close()
