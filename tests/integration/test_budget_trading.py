"""Agents of a graph trade their budgets: who pays, who freezes, who goes on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph

from langchain_budget import (
    AccountFrozen,
    Amount,
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    InvalidAmount,
    InvalidTransfer,
    Price,
    PriceTable,
    UnknownAccount,
    tokens,
    usd,
)
from langchain_budget.cli.simulation_graph import World, build_graph
from langchain_budget.config.per_agent import PerAgentBudgets
from langchain_budget.testing import FakeChatModel
from tests.adapters.graphs import Log, asks
from tests.invariants import assert_quiet, unchanged

AGENTS = ("ada", "bob")
CENT = 1_000  # tokens of an answer
PRICES = PriceTable({"fake": Price.per_million(input=0, output=10)})

Run = Callable[[BudgetPool, FakeChatModel, str], Awaitable[None]]
Move = Callable[..., Awaitable[None]]
Heard = list[tuple[str, Any]]

FROZEN = ("agent_frozen", {"agent_id": "ada", "reason": "llm_budget_exhausted"})


def unfrozen(dollars: str) -> tuple[str, Any]:
    return "agent_unfrozen", {
        "agent_id": "ada",
        "unfrozen_by": "bob",
        "resources_transferred": {"llm_budget": dollars},
    }


@pytest.fixture(params=["invoke", "ainvoke"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def play(way: str, graph: Any, state: Any) -> None:
    """Run a graph as one that awaits, or in a thread that never does."""
    if way == "ainvoke":
        await graph.ainvoke(state)
    else:
        await asyncio.to_thread(graph.invoke, state)


@pytest.fixture
def run(way: str) -> Run:
    """Let one agent of the graph call the model once."""

    async def run(pool: BudgetPool, model: FakeChatModel, name: str) -> None:
        await play(way, graph_of(pool, model), {"next": name, "log": []})

    return run


@pytest.fixture
def move(way: str) -> Move:
    async def move(pool: BudgetPool, payer: str, payee: Any, amount: Any) -> None:
        account = pool.account(payer)
        if way == "ainvoke":
            await account.atransfer(payee, amount)
        else:
            account.transfer(payee, amount)

    return move


@pytest.fixture
def pool(store_url: str) -> BudgetPool:
    return PerAgentBudgets().open(AGENTS, store=store_url, prices=PRICES)


@pytest.fixture
def model() -> FakeChatModel:
    return answers(5)


@pytest.fixture
def heard(pool: BudgetPool) -> Heard:
    found: Heard = []
    PerAgentBudgets().announce(pool, lambda *each: found.append(each))
    return found


def answers(cents: int, *, capped: bool = True) -> FakeChatModel:
    """A model whose answers cost so much; only if *capped* is that known before."""
    cost = cents * CENT
    cap = cost if capped else None
    return FakeChatModel(replies=["Done."], usage=(7, cost), max_tokens=cap)


def graph_of(pool: BudgetPool, model: FakeChatModel) -> Any:
    """A graph with a node for each agent; the state says whose turn it is."""
    builder: Any = StateGraph(Turn)
    for name in AGENTS:
        builder.add_node(name, asks(model, name))
    builder.add_conditional_edges(START, lambda state: state["next"], [*AGENTS])
    return builder.compile().with_config(callbacks=[BudgetCallbackHandler(pool)])


class Turn(Log):
    next: str


def left(pool: BudgetPool) -> tuple[Amount | None, ...]:
    return tuple(pool.account(name).balance().available for name in AGENTS)


def quotas(pool: BudgetPool) -> tuple[Amount | None, ...]:
    return tuple(pool.account(name).balance().granted for name in AGENTS)


async def test_transfer_llm_budget(
    pool: BudgetPool, model: FakeChatModel, run: Run, move: Move
) -> None:
    await run(pool, model, "ada")

    await move(pool, "ada", "bob", usd("0.03"))

    assert quotas(pool) == (usd("0.07"), usd("0.13"))
    assert left(pool) == (usd("0.02"), usd("0.13"))
    for _ in range(2):
        await run(pool, model, "bob")
    with pytest.raises(BudgetExceeded):
        await run(pool, model, "ada")  # what it has sold it cannot spend
    assert model.total.calls == 3
    assert_quiet(pool.ledger.store)


async def test_budget_isolation(
    pool: BudgetPool, model: FakeChatModel, heard: Heard, run: Run
) -> None:
    for _ in range(2):
        await run(pool, model, "ada")
    with pytest.raises(BudgetExceeded) as refused:
        await run(pool, model, "ada")

    await run(pool, model, "bob")

    assert refused.value.account == "agents/ada"
    assert model.total.calls == 3  # what was refused was never sent
    assert left(pool) == (usd(0), usd("0.05"))
    assert heard == [FROZEN]
    assert spent_by_agent(pool) == {"ada": usd("0.10"), "bob": usd("0.05")}


async def test_frozen_agent_can_receive(
    pool: BudgetPool, model: FakeChatModel, heard: Heard, run: Run, move: Move
) -> None:
    for _ in range(2):
        await run(pool, model, "ada")

    await move(pool, "bob", "ada", usd("0.05"))
    await run(pool, model, "ada")

    assert heard == [FROZEN, unfrozen("0.05"), FROZEN]
    assert quotas(pool) == (usd("0.15"), usd("0.05"))
    assert model.total.calls == 3


async def test_too_little_leaves_who_has_overspent_frozen(
    pool: BudgetPool, heard: Heard, run: Run, move: Move
) -> None:
    await run(pool, answers(13, capped=False), "ada")

    await move(pool, "bob", "ada", usd("0.03"))
    even = left(pool)[0], pool.account("ada").balance().state, [*heard]
    await move(pool, "bob", "ada", usd("0.000000001"))

    assert even == (usd(0), "exhausted", [FROZEN])
    assert heard == [FROZEN, unfrozen("0.000000001")]


async def test_who_gives_all_away_freezes(
    pool: BudgetPool, model: FakeChatModel, heard: Heard, run: Run, move: Move
) -> None:
    await run(pool, model, "ada")

    await move(pool, "ada", "bob", usd("0.05"))

    assert heard == [FROZEN]
    with pytest.raises(BudgetExceeded):
        await run(pool, model, "ada")


IMPOSSIBLE = [
    ("bob", usd("0.050000001"), BudgetExceeded),  # five cents are spent already
    ("bob", usd(0), InvalidAmount),
    ("bob", -usd("0.01"), InvalidAmount),  # or it would be theft
    ("bob", 0.01, InvalidAmount),
    ("bob", float("nan"), InvalidAmount),
    ("bob", tokens(1), InvalidTransfer),
    ("ada", usd("0.01"), InvalidTransfer),
    ("eve", usd("0.01"), UnknownAccount),
]


@pytest.mark.parametrize("asked", IMPOSSIBLE)
async def test_what_cannot_be_moved_stays(
    pool: BudgetPool, model: FakeChatModel, run: Run, move: Move, asked: Any
) -> None:
    payee, amount, error = asked
    await run(pool, model, "ada")

    with unchanged(pool.ledger.store), pytest.raises(error):
        await move(pool, "ada", payee, amount)


async def test_who_is_frozen_gives_nothing(
    pool: BudgetPool, model: FakeChatModel, run: Run, move: Move
) -> None:
    for _ in range(2):
        await run(pool, model, "ada")
    pool.account("bob").freeze("on leave")

    for payer, payee in (("ada", "bob"), ("bob", "ada")):
        with (
            unchanged(pool.ledger.store),
            pytest.raises((BudgetExceeded, AccountFrozen)),
        ):
            await move(pool, payer, payee, usd("0.01"))


async def test_nobody_trades_what_is_not_tradeable(
    store_url: str, model: FakeChatModel, run: Run, move: Move
) -> None:
    budgets = PerAgentBudgets(llm_budget_tradeable=False)
    pool = budgets.open(AGENTS, store=store_url, prices=PRICES)
    await run(pool, model, "ada")

    with unchanged(pool.ledger.store), pytest.raises(InvalidTransfer, match="agents/"):
        await move(pool, "bob", "ada", usd("0.01"))


async def test_a_quota_is_no_money_once_the_ceiling_is_reached(
    store_url: str, model: FakeChatModel, run: Run
) -> None:
    budgets = PerAgentBudgets(total_api_cost_limit=usd("0.10"))
    pool = budgets.open(AGENTS, store=store_url, prices=PRICES)
    await run(pool, model, "ada")
    await run(pool, model, "bob")

    for name in AGENTS:
        with pytest.raises(BudgetExceeded) as refused:
            await run(pool, model, name)
        assert refused.value.account == "agents"

    assert model.total.calls == 2


async def test_without_enforcement_only_the_ceiling_stops(
    store_url: str, model: FakeChatModel, run: Run
) -> None:
    budgets = PerAgentBudgets(
        total_api_cost_limit=usd("0.20"), per_agent_enforcement=False
    )
    pool = budgets.open(AGENTS, store=store_url, prices=PRICES)

    for _ in range(4):
        await run(pool, model, "ada")
    with pytest.raises(BudgetExceeded) as refused:
        await run(pool, model, "ada")

    assert refused.value.account == "agents"
    assert left(pool) == (-usd("0.10"), usd("0.10"))


async def test_agents_in_parallel_freeze_and_trade_by_themselves(
    pool: BudgetPool, model: FakeChatModel, way: str
) -> None:
    """Bob sells to Ada in the same step in which she spends."""

    def sell(_: Any) -> Log:
        pool.account("bob").transfer("ada", usd("0.05"))
        return {"log": ["bob"]}

    async def asell(_: Any) -> Log:
        await pool.account("bob").atransfer("ada", usd("0.05"))
        return {"log": ["bob"]}

    builder: Any = StateGraph(Log)
    builder.add_node("ada", asks(model, "ada", times=2))
    builder.add_node("bob", RunnableLambda(sell, asell))
    for name in AGENTS:
        builder.add_edge(START, name)
    graph = builder.compile().with_config(callbacks=[BudgetCallbackHandler(pool)])

    await play(way, graph, {"log": []})

    assert left(pool) == (usd("0.05"), usd("0.05"))
    assert_quiet(pool.ledger.store)


async def test_three_agents_freeze_one_by_one_and_one_is_revived(
    store_url: str, way: str
) -> None:
    """Twenty ticks of a graph, in which the first sells to who has run out."""
    models = {
        name: answers(cents) for name, cents in zip("abc", (0, 1, 2), strict=True)
    }
    models["a"] = FakeChatModel(replies=["Done."], usage=(7, 100), max_tokens=2 * CENT)
    budgets = PerAgentBudgets()
    pool = budgets.open(models, store=store_url, prices=PRICES)
    heard: list[tuple[str, str]] = []
    budgets.announce(pool, lambda name, said: heard.append((name, said["agent_id"])))
    graph = build_graph(World(pool, models, 20, trades=True, enforced=True))

    await play(way, graph, {})

    assert heard[:2] == [("agent_frozen", "c"), ("agent_unfrozen", "c")]
    assert [name for name, agent in heard if agent == "a"] == []
    frozen = [agent for name, agent in heard if name == "agent_frozen"]
    assert frozen.index("c") < frozen.index("b")
    assert models["a"].total.calls == 20
    assert_quiet(pool.ledger.store)
    for name, model in models.items():
        cost = Amount("usd", model.total.output_tokens * 10_000)
        assert spent_by_agent(pool)[name] == cost
    granted = [pool.account(name).balance().granted or usd(0) for name in models]
    assert sum(granted, usd(0)) == usd("0.30")


def spent_by_agent(pool: BudgetPool) -> dict[str, Amount]:
    lines = pool.report().by("agent")
    return {
        agent: Amount("usd", line.amounts["usd"]) for (agent,), line in lines.items()
    }
