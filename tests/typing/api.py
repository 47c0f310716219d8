"""How users write it; type checkers read this file, nothing runs it."""

from __future__ import annotations

from decimal import Decimal
from typing import assert_type

from langchain_budget import (
    Account,
    Amount,
    BudgetCallbackHandler,
    BudgetMiddleware,
    BudgetPool,
    BudgetRefused,
    OnOutage,
    Price,
    PriceTable,
    Report,
    Reservation,
    budget,
    budget_guard,
    meter,
    tokens,
    usd,
)
from langchain_budget.config import (
    Metering,
    MeteringConfig,
    load,
    parse_limit,
    tier,
)
from langchain_budget.core.amounts import Limit
from langchain_budget.events import BudgetWarning, Event, Settled


def heard(event: Event) -> None:
    if isinstance(event, Settled):
        assert_type(event.hold, str)


def pools() -> None:
    prices = PriceTable({"mine": Price.per_million(input="0.15", output=Decimal(1))})
    pool = BudgetPool("acme", usd(10), tokens(1_000_000), prices=prices)
    research = pool.open("research", limit=usd(3), warn_at=(0.5, "90%"))
    assert_type(research, Account)
    assert_type(research.open("web", share="30%"), Account)
    assert_type(pool.report(), Report)
    assert_type(pool.balance("tokens").available, Amount | None)
    pool.subscribe(heard)()
    research.transfer("writing", usd("0.10"), reason="done early", key="1")


def reservations(pool: BudgetPool) -> None:
    with pool.reserve(usd("0.10"), meter("images")(2)) as reservation:
        assert_type(reservation, Reservation)
        reservation.settle(usd("0.07"))
    if not pool.can_afford(usd(1)):
        pool.top_up(usd(1))


def leases(pool: BudgetPool) -> None:
    with pool.lease(usd(1), ttl_seconds=30) as worker:
        assert_type(worker, Account)
    policy = OnOutage.open_up_to(usd("0.50"), retry_seconds=2)
    BudgetPool("acme", usd(10), store="sqlite:///budget.db", on_outage=policy)
    BudgetPool("acme", usd(10), on_outage=OnOutage.leased(usd(1), ttl_seconds=60))
    if (status := pool.report().outage) is not None:
        assert_type(status.used, tuple[Amount, ...])


async def twins(pool: BudgetPool) -> None:
    async with await pool.areserve(usd("0.10")) as reservation:
        await reservation.asettle(usd("0.07"))
    assert_type(await pool.aopen("web"), Account)
    assert_type(await pool.areport(), Report)


def hooks(pool: BudgetPool) -> None:
    BudgetCallbackHandler(pool, accounts={"planner": "research"}, reserve="worst")
    BudgetMiddleware(pool, "research", on_exceeded="end")
    budget_guard(pool, "research", then="work", otherwise=None, reserve=usd("0.10"))


@budget(usd("0.50"))
def ask(question: str) -> int:
    return len(question)


@budget(usd("0.50"))
async def aask(question: str) -> int:
    return len(question)


async def scopes() -> None:
    assert_type(ask("Why?"), int)
    assert_type(await aask("Why?"), int)
    try:
        with budget(usd("0.50")) as b:
            assert_type(b.wrap(ask)("Why?"), int)
    except BudgetRefused as refusal:
        assert_type(refusal.account, str)
    assert_type(b.total_cost, Decimal)


def operators() -> None:
    pool = BudgetPool.attach("acme", store="sqlite:///budget.db")
    assert_type(pool, BudgetPool)
    assert_type(pool.admin.verify().ok, bool)
    assert_type(pool.admin.export("acme.jsonl"), int)
    assert_type(pool.admin.reconcile({"gpt-4o": usd(1)}, apply=True).agrees, bool)
    assert_type(pool.admin.holds()[0].seconds_left, float)
    assert_type(pool.explain(usd(1)).advice, tuple[str, ...])
    pool.admin.adjust(-usd("0.25"), reason="counted twice", key="ticket 17")
    assert_type(BudgetPool.restore("acme.jsonl"), BudgetPool)


def configured() -> None:
    opened = load("budget.yaml").open(store="sqlite:///budget.db")
    assert_type(opened.pool, BudgetPool)
    opened.advance("run")
    config = load({"tool_limits": {}})
    if isinstance(config, MeteringConfig):
        assert_type(config.open("bench"), Metering)
    assert_type(parse_limit("$5 per day"), Amount | Limit)
    assert_type(tier("T2").open().report().penalty, Decimal)


def metered(event: Event) -> None:
    if isinstance(event, BudgetWarning):
        assert_type(event.current_usage, int | Decimal)


async def awaited_operators(pool: BudgetPool) -> None:
    assert_type((await pool.admin.averify()).ok, bool)
    await pool.admin.avoid("hold", reason="gone")
    await pool.admin.aobserve(on=True)
