"""Outages of a real server, behind a proxy that does what networks do."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetPool,
    OnOutage,
    StoreUnavailable,
    calls,
)
from langchain_budget.leases.lease import Lease
from langchain_budget.testing import FakeChatModel, StillClock
from tests.invariants import assert_quiet, assert_report_adds_up
from tests.proxy import Proxy
from tests.twins import Do

LIMIT = calls(100)
OPEN = OnOutage.open_up_to(calls(10))
LEASED = OnOutage.leased(calls(10))
FAULTS = pytest.mark.parametrize(
    "fault", [Proxy.refuse, Proxy.blackhole], ids=["refused", "hangs"]
)


class Remote:
    """A server that is far away, and how long ago it was last asked."""

    def __init__(self, url: str, proxy: Proxy) -> None:
        self.proxy = proxy
        self.clock = StillClock(1_000)
        self._url = f"{proxy.url_for(url)}?timeout=0.3"

    def open(self, policy: OnOutage) -> BudgetPool:
        timed = policy._replace(clock=self.clock)
        return BudgetPool("acme", LIMIT, store=self._url, on_outage=timed)

    def heal(self) -> None:
        """It answers again, and it is time to find out."""
        self.proxy.heal()
        self.clock.advance(1)


@pytest.fixture
def remote(redis_url: str) -> Iterator[Remote]:
    with Proxy(redis_url) as proxy:
        yield Remote(redis_url, proxy)


@FAULTS
@pytest.mark.parametrize("policy", [OPEN, LEASED], ids=["open", "leased"])
async def test_calls_go_on_and_are_booked_when_the_server_is_back(
    remote: Remote, policy: OnOutage, fault: Any, do: Do
) -> None:
    pool = remote.open(policy)
    await do((await do(pool.reserve, calls(1))).settle, calls(1))
    fault(remote.proxy)

    holds = [await do(pool.reserve, calls(1)) for _ in range(10)]
    with pytest.raises(StoreUnavailable):
        await do(pool.reserve, calls(1))
    for hold in holds:
        await do(hold.settle, calls(1))
    remote.heal()

    assert (await do(pool.balance, "calls")).spent == calls(11)
    await do((await do(pool.reserve, calls(1))).settle, calls(1))
    await do(pool.balance, "calls")
    await do(pool.close)
    assert (await do(pool.balance, "calls")).spent == calls(12)
    assert_quiet(pool.ledger.store)
    assert_report_adds_up(pool)


async def test_a_reply_that_is_lost_is_no_second_charge(remote: Remote, do: Do) -> None:
    pool = remote.open(OPEN)
    remote.proxy.lose_reply(100)
    hold = await do(pool.reserve, calls(1))
    await do(hold.settle, calls(1))
    remote.heal()

    assert (await do(pool.balance, "calls")).spent == calls(1)
    await do((await do(pool.reserve, calls(1))).release)
    assert (await do(pool.balance, "calls")).spent == calls(1)
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("policy", [OnOutage.closed(), OPEN, LEASED], ids=str)
async def test_a_server_that_hangs_does_not_stop_the_event_loop(
    remote: Remote, policy: OnOutage
) -> None:
    pool, model = remote.open(policy), FakeChatModel()
    config: Any = {"callbacks": [BudgetCallbackHandler(pool)]}
    await model.ainvoke("Hi", config)
    remote.proxy.blackhole()
    call = asyncio.create_task(model.ainvoke("Hi", config))
    turns = 0
    while not (await asyncio.wait([call], timeout=0.01))[0]:
        turns += 1

    assert turns > 5
    if policy.sizes:
        await call
    else:
        assert isinstance(call.exception(), StoreUnavailable)
    remote.heal()


@FAULTS
async def test_a_lease_goes_on_until_its_deadline(
    remote: Remote, fault: Any, do: Do
) -> None:
    pool = remote.open(OnOutage.closed())
    lease: Lease[Any] = pool.lease(calls(10), ttl_seconds=30, clock=remote.clock)
    with lease as worker:
        await do((await do(worker.reserve, calls(1))).settle, calls(1))
        fault(remote.proxy)
        remote.clock.advance(29)
        await do((await do(worker.reserve, calls(1))).settle, calls(1))
        remote.clock.advance(1)
        with pytest.raises(StoreUnavailable):
            await do(worker.reserve, calls(1))
        remote.heal()
        await do((await do(worker.reserve, calls(1))).settle, calls(1))

    assert (await do(pool.balance, "calls")).spent == calls(3)
    assert_quiet(pool.ledger.store)
