"""Per-agent budgets: what the catalogue asks for and no other test shows."""

import pytest

from langchain_budget import (
    Amount,
    BudgetExceeded,
    BudgetPool,
    InvalidTransfer,
    MemoryStore,
    calls,
    meter,
    usd,
)
from langchain_budget.config.per_agent import PerAgentBudgets
from langchain_budget.testing import StillClock
from tests.invariants import assert_quiet, unchanged

RESOURCES = [
    usd("0.04"),
    meter("compute")(40),
    meter("disk")(40),
    meter("memory")(40),
]
YEAR = 366 * 24 * 3600


def test_the_state_of_an_agent_is_read_from_its_account(store_url: str) -> None:
    compute = meter("compute")
    pool = BudgetPool("agents", usd(10), store=store_url)
    ada = pool.open("ada", limit=[usd("0.10"), compute(60), meter("scrip")(5)])
    ada.reserve(usd("0.10"), compute(20)).settle()

    dollars, seconds = ada.balance(), ada.balance("compute")

    assert (ada.name, dollars.state) == ("ada", "exhausted")
    assert (dollars.granted, dollars.spent) == (usd("0.10"), usd("0.10"))
    assert (seconds.granted, seconds.spent) == (compute(60), compute(20))
    assert ada.balance("scrip").available == meter("scrip")(5)


@pytest.mark.parametrize("amount", RESOURCES, ids=lambda each: each.unit)
def test_every_resource_is_transferred_by_the_same_method(
    store_url: str, amount: Amount
) -> None:
    each = [Amount(one.unit, one.value * 2) for one in RESOURCES]
    pool = BudgetPool("agents", store=store_url)
    ada, bob = (pool.open(name, limit=each) for name in ("ada", "bob"))

    for one in RESOURCES:
        if one == amount:
            ada.transfer("bob", one)

    for one in RESOURCES:
        moved = one.value if one == amount else 0
        have = [who.balance(one.unit).available for who in (ada, bob)]
        assert [left and left.value for left in have] == [
            2 * one.value - moved,
            2 * one.value + moved,
        ]
    assert_quiet(pool.ledger.store)


def test_a_run_in_memory_begins_with_what_everybody_starts_with() -> None:
    first = PerAgentBudgets().open(["ada"])
    first.account("ada").reserve(usd("0.10")).settle()

    second = PerAgentBudgets().open(["ada"])

    assert second.account("ada").balance().available == usd("0.10")
    assert first.account("ada").balance().state == "exhausted"


def test_nothing_is_refilled_that_has_no_window() -> None:
    clock = StillClock(1_000_000)
    pool = PerAgentBudgets().open(["ada"], store=MemoryStore(clock))
    ada = pool.account("ada")
    ada.reserve(usd("0.10")).settle()

    clock.advance(YEAR)
    pool.advance("run")

    with pytest.raises(BudgetExceeded):
        ada.reserve(usd("0.000000001"))


def test_a_trade_is_two_transfers_at_a_price_that_agents_agree_on(
    store_url: str,
) -> None:
    pool = BudgetPool("agents", store=store_url)
    ada, bob = (pool.open(name, limit=[usd(1), calls(10)]) for name in ("ada", "bob"))

    ada.transfer(bob, calls(4), reason="four calls for 30 cents")
    bob.transfer(ada, usd("0.30"), reason="four calls for 30 cents")

    assert (ada.balance().granted, bob.balance().granted) == (usd("1.30"), usd("0.70"))
    assert (ada.balance("calls").granted, bob.balance("calls").granted) == (
        calls(6),
        calls(14),
    )
    kinds = [each.kind for each in pool.admin.journal()]
    assert kinds.count("transfer") == 2


def test_nobody_sells_what_it_has_not_got_yet(store_url: str) -> None:
    pool = PerAgentBudgets().open(["ada", "bob"], store=store_url)
    ada = pool.account("ada")

    with unchanged(pool.ledger.store), pytest.raises(BudgetExceeded):
        ada.transfer("bob", usd("0.11"))
    with unchanged(pool.ledger.store), pytest.raises(InvalidTransfer):
        ada.transfer("bob", calls(1))

    ada.top_up(usd("0.01"))
    ada.transfer("bob", usd("0.11"))
