"""A budget for each agent: what is checked, charged, frozen, announced and read."""

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from langchain_budget import (
    Account,
    AccountFrozen,
    Amount,
    BudgetError,
    BudgetExceeded,
    BudgetPool,
    InvalidName,
    LimitConflict,
    usd,
)
from langchain_budget import events as happened
from langchain_budget.config.per_agent import PerAgentBudgets
from langchain_budget.core.announcements import announcements
from langchain_budget.testing import capture
from tests.invariants import assert_quiet, unchanged
from tests.twins import Do

Pay = Callable[..., Awaitable[None]]
Heard = list[tuple[str, Any]]

SPENT = {"agent_id": "ada", "reason": "llm_budget_exhausted"}


@pytest.fixture
def pay(do: Do) -> Pay:
    """Charge *cost* for a call that was expected to cost *estimate*."""

    async def pay(account: Account, cost: str, estimate: str = "") -> None:
        hold = await do(account.reserve, usd(estimate or cost))
        await do(hold.settle, usd(cost))

    return pay


@pytest.fixture
def pool(store_url: str) -> BudgetPool:
    return PerAgentBudgets().open(["ada", "bob"], store=store_url)


@pytest.fixture
def ada(pool: BudgetPool) -> Account:
    return pool.account("ada")


@pytest.fixture
def heard(pool: BudgetPool) -> Heard:
    found: Heard = []
    PerAgentBudgets().announce(pool, lambda *each: found.append(each))
    return found


def left(account: Account) -> Amount | None:
    return account.balance().available


async def test_budget_check(pool: BudgetPool, ada: Account, do: Do, pay: Pay) -> None:
    await pay(ada, "0.06")

    enough = await do(ada.can_afford, usd("0.04"))
    too_much = await do(ada.can_afford, usd("0.040000001"))
    with unchanged(pool.ledger.store), pytest.raises(BudgetExceeded) as refused:
        await do(ada.reserve, usd("0.05"))

    assert enough
    assert not too_much
    assert refused.value.account == "agents/ada"
    assert (refused.value.wanted, refused.value.available) == (usd("0.05"), usd("0.04"))
    assert await do(ada.reserve, usd("0.04"))  # all of the rest may be spent


async def test_budget_charge(
    pool: BudgetPool, ada: Account, heard: Heard, pay: Pay
) -> None:
    await pay(ada, "0.012345678")
    await pay(ada, "0.11", estimate="0.08")

    assert ada.balance().spent == usd("0.122345678")
    assert pool.balance().spent == usd("0.122345678")
    assert pool.account("bob").balance().spent == usd(0)
    assert heard == [("agent_frozen", SPENT)]
    assert_quiet(pool.ledger.store)


async def test_budget_exhaustion_freezes(
    pool: BudgetPool, ada: Account, heard: Heard, do: Do, pay: Pay
) -> None:
    """Ten times a cent out of ten cents, which floats would not see the end of."""
    for _ in range(9):
        await pay(ada, "0.01")
    before = ada.balance().state, [*heard]

    await pay(ada, "0.01")

    assert before == ("active", [])
    assert (ada.balance().state, heard) == ("exhausted", [("agent_frozen", SPENT)])
    with unchanged(pool.ledger.store), pytest.raises(BudgetExceeded):
        await do(ada.reserve, usd("0.000000001"))
    await pay(pool.account("bob"), "0.10")  # the others go on


async def test_budget_remaining(ada: Account, do: Do, pay: Pay) -> None:
    await pay(ada, "0.03")
    hold = await do(ada.reserve, usd("0.05"))
    held = ada.balance()

    await do(hold.settle, usd("0.08"))

    assert (held.granted, held.spent, held.held) == (
        usd("0.10"),
        usd("0.03"),
        hold.amounts[0],
    )
    assert held.available == usd("0.02")
    assert left(ada) == -usd("0.01")


async def test_charges_beyond_the_end_are_no_further_freezes(
    ada: Account, heard: Heard, do: Do
) -> None:
    holds = [await do(ada.reserve, usd("0.03")) for _ in range(3)]

    for hold in holds:
        await do(hold.settle, usd("0.05"))

    assert ada.balance().spent == usd("0.15")
    assert heard == [("agent_frozen", SPENT)]


def test_calls_at_once_do_not_pass_the_check_together(ada: Account) -> None:
    barrier = Barrier(16)

    def call(_: int) -> bool:
        barrier.wait()
        try:
            ada.reserve(usd("0.05")).settle(usd("0.05"))
        except BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        admitted = sum(threads.map(call, range(16)))

    assert admitted == 2
    assert left(ada) == usd(0)


async def test_an_agent_frozen_by_hand_says_why(
    pool: BudgetPool, ada: Account, heard: Heard, do: Do
) -> None:
    await do(ada.freeze, "talks to strangers")
    with unchanged(pool.ledger.store), pytest.raises(AccountFrozen):
        await do(ada.reserve)  # even what costs nothing
    await do(ada.thaw, "it is sorry")

    assert heard == [
        ("agent_frozen", {"agent_id": "ada", "reason": "talks to strangers"}),
        (
            "agent_unfrozen",
            {
                "agent_id": "ada",
                "unfrozen_by": "it is sorry",
                "resources_transferred": {},
            },
        ),
    ]


async def test_two_causes_are_one_freeze_that_ends_with_the_last(
    ada: Account, heard: Heard, do: Do, pay: Pay
) -> None:
    await pay(ada, "0.10")
    await do(ada.freeze, "month end")
    await do(ada.top_up, usd("0.05"))
    still = [*heard]

    await do(ada.thaw, "a new month")

    assert still == [("agent_frozen", SPENT)]
    [_, (name, payload)] = heard
    assert (name, payload["unfrozen_by"]) == ("agent_unfrozen", "a new month")


async def test_a_top_up_says_what_it_has_brought(
    ada: Account, heard: Heard, do: Do, pay: Pay
) -> None:
    await pay(ada, "0.10")

    await do(ada.top_up, usd("0.05"))

    told = {
        "agent_id": "ada",
        "unfrozen_by": "credit",
        "resources_transferred": {"llm_budget": "0.05"},
    }
    assert heard == [("agent_frozen", SPENT), ("agent_unfrozen", told)]


async def test_who_gave_long_before_has_not_revived_it(
    pool: BudgetPool, ada: Account, heard: Heard, do: Do, pay: Pay
) -> None:
    await do(pool.account("bob").transfer, ada, usd("0.05"))
    await pay(ada, "0.15")

    await do(ada.set_limit, usd("0.20"))

    _, (_, payload) = heard
    assert payload["unfrozen_by"] == "credit"
    assert payload["resources_transferred"] == {}


async def test_who_listens_late_knows_who_is_frozen(
    pool: BudgetPool, ada: Account, do: Do, pay: Pay
) -> None:
    await pay(ada, "0.10")
    await do(ada.freeze, "month end")
    heard: Heard = []
    stop = PerAgentBudgets().announce(pool, lambda *each: heard.append(each))

    await do(ada.top_up, usd("0.05"))
    silent = [*heard]
    await do(ada.thaw)
    stop()
    await do(ada.freeze)

    assert silent == []
    assert [name for name, _ in heard] == ["agent_unfrozen"]


async def test_pools_and_accounts_below_agents_are_no_agents(
    pool: BudgetPool, ada: Account, heard: Heard, do: Do, pay: Pay
) -> None:
    tool = await do(ada.open, "tool", limit=usd("0.01"))

    await pay(tool, "0.01")
    await do(pool.freeze)

    assert heard == []


def test_an_edge_that_was_overtaken_is_not_told() -> None:
    """Threads tell what they have changed, in whatever order they get to it."""
    frozen = happened.AccountFrozen(
        account="acme/ada", seq=6, reason="exhausted", unit="usd"
    )
    thawed = happened.AccountThawed(
        account="acme/ada", seq=8, reason="credit", unit="usd"
    )

    told = [*announcements([thawed, frozen])]

    assert told == []
    assert len([*announcements([frozen, thawed])]) == 2


async def test_without_enforcement_an_agent_goes_on_until_the_ceiling(
    store_url: str, do: Do, pay: Pay
) -> None:
    budgets = PerAgentBudgets(
        total_api_cost_limit=usd("0.30"), per_agent_enforcement=False
    )
    pool = budgets.open(["ada", "bob"], store=store_url)
    ada, heard = pool.account("ada"), list[str]()
    budgets.announce(pool, lambda name, _: heard.append(name))

    await pay(ada, "0.25")
    with pytest.raises(BudgetExceeded) as refused:
        await do(ada.reserve, usd("0.06"))

    assert ada.balance().spent == usd("0.25")
    assert refused.value.account == "agents"
    assert heard == []


async def test_the_ceiling_stops_everybody(store_url: str, do: Do, pay: Pay) -> None:
    budgets = PerAgentBudgets(total_api_cost_limit=usd("0.15"))
    pool = budgets.open(["ada", "bob", "eve"], store=store_url)
    await pay(pool.account("ada"), "0.10")
    await pay(pool.account("bob"), "0.05")

    for name in ("bob", "eve"):
        with unchanged(pool.ledger.store), pytest.raises(BudgetExceeded) as refused:
            await do(pool.account(name).reserve, usd("0.01"))
        assert refused.value.account == "agents"

    assert pool.balance().state == "exhausted"
    assert left(pool.account("eve")) == usd("0.10")  # it has a quota, and no money


async def test_nothing_is_not_unlimited(do: Do, pay: Pay) -> None:
    nothing = PerAgentBudgets.load({"agents": {"initial_llm_budget": 0}}).open(["ada"])
    no_limit = PerAgentBudgets.load({"agents": {"initial_llm_budget": None}}).open(
        ["ada"]
    )

    with pytest.raises(BudgetExceeded):
        await do(nothing.account("ada").reserve, usd("0.000000001"))
    await pay(no_limit.account("ada"), "10")

    assert no_limit.balance().state == "exhausted"  # the ceiling is there


def test_an_exhausted_agent_may_do_what_is_free(ada: Account) -> None:
    ada.reserve(usd("0.10")).settle(usd("0.10"))

    assert ada.can_afford(usd(0))

    ada.freeze("not even that")
    assert not ada.can_afford(usd(0))


def test_a_newcomer_gets_what_all_got() -> None:
    budgets = PerAgentBudgets(
        initial_llm_budget=usd("0.25"), llm_budget_tradeable=False
    )
    pool = budgets.open(["ada"])

    eve = budgets.register(pool, "eve")

    assert left(eve) == usd("0.25")
    assert not eve.traits().tradeable


@pytest.mark.parametrize(
    "names", [[], ["ada", "ada"], ["ada", ""], ["a/b"], [7], ["ada", "agents"]]
)
def test_odd_names_open_nothing(names: Any) -> None:
    with pytest.raises(InvalidName):
        PerAgentBudgets().open(names)


def test_one_name_is_one_agent() -> None:
    assert left(PerAgentBudgets().open("ada").account("ada")) == usd("0.10")


def test_books_with_other_budgets_are_not_taken_over(sqlite_url: str) -> None:
    PerAgentBudgets().open(["ada"], store=sqlite_url)

    with pytest.raises(LimitConflict, match="ada"):
        PerAgentBudgets(initial_llm_budget=usd(1)).open(["ada"], store=sqlite_url)


YAML = """
agents:
  initial_llm_budget: 0.10
  llm_budget_tradeable: true
budget:
  total_api_cost_limit: 10.00
  per_agent_enforcement: true
"""


def read(tmp_path: Path, text: str) -> PerAgentBudgets:
    file = tmp_path / "budgets.yaml"
    file.write_text(text, encoding="utf-8")
    return PerAgentBudgets.load(file)


@pytest.mark.parametrize("text", [YAML, "", "agents:\nbudget:\n"])
def test_what_is_left_out_is_as_in_the_example(tmp_path: Path, text: str) -> None:
    budgets = read(tmp_path, text)

    assert budgets == PerAgentBudgets(
        initial_llm_budget=usd("0.10"),
        llm_budget_tradeable=True,
        total_api_cost_limit=usd(10),
        per_agent_enforcement=True,
    )


def test_everything_can_be_said_otherwise(tmp_path: Path) -> None:
    budgets = read(
        tmp_path,
        "agents: {initial_llm_budget: null, llm_budget_tradeable: false}\n"
        "budget: {total_api_cost_limit: 0, per_agent_enforcement: false}\n",
    )

    assert budgets == PerAgentBudgets(
        initial_llm_budget=None,
        llm_budget_tradeable=False,
        total_api_cost_limit=usd(0),
        per_agent_enforcement=False,
    )


@pytest.mark.parametrize(
    ("given", "exact"),
    [
        (0.1, "0.1"),
        (0.1 + 0.2, "0.300000001"),  # what is finer than counted is rounded up
        (3, "3"),
        ("0.07", "0.07"),
        (Decimal("1.10"), "1.10"),
    ],
)
def test_money_is_what_it_is_written_as(given: Any, exact: str) -> None:
    budgets = PerAgentBudgets.load({"agents": {"initial_llm_budget": given}})

    assert budgets.initial_llm_budget == usd(exact)


def test_a_file_has_more_digits_than_a_float(tmp_path: Path) -> None:
    budgets = read(tmp_path, "budget: {total_api_cost_limit: 1_234_567_890.123456789}")

    assert budgets.total_api_cost_limit == usd("1234567890.123456789")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("agents: {initial_llm_bugdet: 1}", "initial_llm_budget"),
        ("agent: {initial_llm_budget: 1}", "agents"),
        ("agents: {initial_llm_budget: .nan}", "initial_llm_budget"),
        ("agents: {initial_llm_budget: -0.1}", "initial_llm_budget"),
        ("agents: {initial_llm_budget: .inf}", "initial_llm_budget"),
        ("agents: {initial_llm_budget: true}", "initial_llm_budget"),
        ("agents: {initial_llm_budget: ten cents}", "initial_llm_budget"),
        (
            "agents: {initial_llm_budget: 1, initial_llm_budget: 2}",
            "initial_llm_budget",
        ),
        ("agents: {llm_budget_tradeable: 1}", "llm_budget_tradeable"),
        ("budget: {per_agent_enforcement: maybe}", "per_agent_enforcement"),
        ("budget: 10", "budget"),
        ("- agents", ""),
        ("agents: {", ""),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, settings: str, told: str) -> None:
    with pytest.raises(BudgetError) as error:
        read(tmp_path, settings)

    assert isinstance(error.value, ValueError)
    assert "budgets.yaml" in str(error.value)
    assert told in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"nowhere\.yaml.*No such file"):
        PerAgentBudgets.load(tmp_path / "nowhere.yaml")


async def test_the_library_says_what_the_names_stand_for(
    pool: BudgetPool, ada: Account, pay: Pay
) -> None:
    with capture(pool) as events:
        await pay(ada, "0.10")

    assert [each.payload for each in announcements(events)] == [SPENT]
