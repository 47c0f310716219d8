"""Limits of each agent and each of its tools, by tick and run, through real hooks."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    MemoryStore,
    Price,
    PriceTable,
    tokens,
    usd,
)
from langchain_budget.config import Metering, load
from langchain_budget.events import BudgetExceeded as Exceeded
from langchain_budget.events import BudgetWarning, Settled
from langchain_budget.testing import FakeChatModel, StillClock, capture
from tests.adapters.graphs import WAYS, Log, asks, run
from tests.invariants import assert_quiet

DEAR = Price.per_million(input=1_000, output=1_000)
PRICES = PriceTable({"fake": DEAR, "outer": DEAR})
"""A tenth of a cent a token."""

HELLO: Any = {"messages": [("user", "Hi")]}
CALLING = AIMessage("", tool_calls=[{"name": "search", "args": {"q": "x"}, "id": "1"}])


def metered(store: Any = None, **config: Any) -> Metering:
    made = load(config).open("bench", store=store, prices=PRICES)
    assert isinstance(made, Metering)
    return made


def model(**options: Any) -> FakeChatModel:
    return FakeChatModel(replies=["Hi."], usage=(30, 10), max_tokens=10, **options)


def outer_model(times: int) -> FakeChatModel:
    """Asks for the tool each time, and is done when it has answered."""
    replies = [CALLING, "Done."] * times
    return FakeChatModel(
        replies=replies, usage=(500, 5), max_tokens=10, model_name="outer"
    )


def graph(model: FakeChatModel, *agents: str) -> Any:
    """Each agent is a node that calls the model once, one after the other."""
    builder = StateGraph(Log)
    for before, name in zip((START, *agents), agents, strict=False):
        builder.add_node(name, asks(model, name))
        builder.add_edge(before, name)
    return builder.compile()


def config_of(metering: Metering) -> Any:
    return {"callbacks": [BudgetCallbackHandler(metering.pool)]}


def spent(metering: Metering, agent: str, unit: str = "tokens") -> Any:
    return metering.pool.account(f":agent/{agent}").balance(unit).spent


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("key", "limit", "unit"),
    [
        ("total_tokens_per_tick", 90, "tokens"),
        ("total_tokens_per_run", 90, "tokens"),
        ("total_cost_cents_per_tick", 9, "usd"),
        ("total_cost_cents_per_run", 9, "usd"),
    ],
)
def test_each_overall_limit_stops_alone(
    way: str, key: str, limit: int, unit: str
) -> None:
    metering, called = metered(limits={key: limit}), model()
    agent = graph(called, "ada")
    with capture(metering.pool) as events:
        for _ in range(2):
            run(way, agent, {}, config_of(metering))

        with pytest.raises(BudgetExceeded, match="bench:agent/ada") as refusal:
            run(way, agent, {}, config_of(metering))

    assert called.total.calls == 2
    assert refusal.value.limit.unit == unit
    (said,) = events.of(Exceeded)
    assert (said.budget_type, said.agent_id, said.severity) == (key, "ada", "hard_fail")
    assert (said.current_usage, said.limit) == (80 * limit // 90, limit)
    assert said.wanted
    assert_quiet(metering.pool.ledger.store)


def asking_tool(inner: FakeChatModel) -> Any:
    @tool
    def search(q: str) -> str:
        """Search for something."""
        return str(inner.invoke(q).text)

    return search


@pytest.mark.parametrize(
    ("key", "limit"),
    [
        ("calls_per_tick", 2),
        ("calls_per_run", 2),
        ("tokens_per_tick", 90),
        ("tokens_per_run", 90),
        ("cost_cents_per_tick", 9),
        ("cost_cents_per_run", 9),
    ],
)
def test_each_tool_limit_stops_alone(key: str, limit: int) -> None:
    metering, inner = metered(tool_limits={"search": {key: limit}}), model()
    outer = outer_model(3)
    agent = create_agent(outer, [asking_tool(inner)], name="ada")
    with capture(metering.pool) as events:
        for _ in range(2):
            agent.invoke(HELLO, config_of(metering))

        with pytest.raises(BudgetExceeded, match=r"bench:agent\+tool/ada\+search"):
            agent.invoke(HELLO, config_of(metering))

    assert inner.total.calls == 2
    (said,) = events.of(Exceeded)
    assert (said.budget_type, said.agent_id) == (f"tool:search.{key}", "ada")
    assert said.limit == limit
    assert_quiet(metering.pool.ledger.store)


def test_tools_that_call_no_model_are_counted_by_the_middleware() -> None:
    @tool
    def search(q: str) -> str:
        """Search for something."""
        return q

    metering = metered(tool_limits={"search": {"calls_per_tick": 1}})
    outer = outer_model(2)
    middleware = [BudgetMiddleware(metering.pool)]
    agent = create_agent(outer, [search], name="ada", middleware=middleware)
    agent.invoke(HELLO)

    with capture(metering.pool) as events, pytest.raises(BudgetExceeded):
        agent.invoke(HELLO)
    metering.advance()
    again = outer_model(1)
    create_agent(again, [search], name="ada", middleware=middleware).invoke(HELLO)

    (said,) = events.of(Exceeded)
    assert said.budget_type == "tool:search.calls_per_tick"
    assert (said.current_usage, said.limit, said.wanted) == (1, 1, 1)


def test_other_tools_and_other_agents_are_not_limited_by_it() -> None:
    metering = metered(tool_limits={"search": {"calls_per_tick": 1}})
    agents = [
        create_agent(
            outer_model(1),
            [asking_tool(model())],
            name=name,
        )
        for name in ("ada", "bob")
    ]

    for agent in agents:
        agent.invoke(HELLO, config_of(metering))

    accounts = metering.pool.account(":agent+tool").report().balances
    assert {each.account.rpartition("/")[2] for each in accounts} == {
        "ada+search",
        "bob+search",
    }


def test_a_new_tick_keeps_what_the_run_has_spent(store_url: str) -> None:
    limits = {"total_tokens_per_tick": 50, "total_tokens_per_run": 100}
    metering = metered(store_url, limits=limits)
    agent = graph(model(), "ada")
    agent.invoke({}, config_of(metering))
    with pytest.raises(BudgetExceeded, match="per tick"):
        agent.invoke({}, config_of(metering))

    metering.advance()
    agent.invoke({}, config_of(metering))
    metering.advance("tick")
    with pytest.raises(BudgetExceeded, match="per run"):
        agent.invoke({}, config_of(metering))
    metering.advance("run")
    agent.invoke({}, config_of(metering))

    assert metering.pool.report().spent("tokens") == tokens(120)
    assert metering.pool.admin.verify().ok


async def test_a_tick_ends_where_it_is_awaited() -> None:
    metering = metered(limits={"total_tokens_per_tick": 50})
    agent = graph(model(), "ada")
    await agent.ainvoke({}, config_of(metering))

    await metering.aadvance()

    await agent.ainvoke({}, config_of(metering))


def test_each_agent_has_its_own_limit() -> None:
    metering = metered(limits={"total_tokens_per_run": 50})

    graph(model(), "ada", "bob", "cyd").invoke({}, config_of(metering))

    assert [spent(metering, each) for each in ("ada", "bob", "cyd")] == [tokens(40)] * 3


def test_a_call_of_nobody_is_limited_too() -> None:
    metering, called = metered(limits={"total_tokens_per_run": 50}), model()
    called.invoke("Hi", config_of(metering))

    with (
        capture(metering.pool) as events,
        pytest.raises(BudgetExceeded, match="agent/unattributed"),
    ):
        called.invoke("Hi", config_of(metering))

    assert events.of(Exceeded)[0].agent_id == "unattributed"


def test_soft_overage_goes_on_and_says_so(store_url: str) -> None:
    limits = {"total_tokens_per_tick": 50}
    metering = metered(store_url, limits=limits, allow_soft_overage=True)
    agent = graph(model(), "ada")

    with capture(metering.pool) as events:
        for _ in range(3):
            agent.invoke({}, config_of(metering))

    assert spent(metering, "ada") == tokens(120)
    said = [(each.current_usage, each.severity) for each in events.of(Exceeded)]
    assert said == [(80, "soft"), (120, "soft")]


def test_soft_overage_does_not_shorten_answers() -> None:
    config = {"limits": {"total_tokens_per_tick": 50}, "allow_soft_overage": True}
    metering = metered(**config)
    called = FakeChatModel(replies=["word " * 200], usage=(30, 200))
    agent = create_agent(
        called, name="ada", middleware=[BudgetMiddleware(metering.pool)]
    )

    agent.invoke(HELLO)

    assert called.total.output_tokens == 200
    assert spent(metering, "ada") == tokens(230)


def test_an_answer_is_capped_to_what_the_agent_has_left() -> None:
    metering = metered(limits={"total_tokens_per_tick": 300})
    called = FakeChatModel(replies=["word " * 500])
    agent = create_agent(
        called, name="ada", middleware=[BudgetMiddleware(metering.pool)]
    )

    agent.invoke(HELLO)

    assert 200 < (called.calls[0].max_tokens or 0) < 300
    assert spent(metering, "ada") <= tokens(300)


@pytest.mark.parametrize("threshold", [0.8, 80, "80%", Decimal("0.8")])
def test_from_the_threshold_on_every_call_warns(threshold: Any) -> None:
    limits = {"total_tokens_per_run": 150}
    metering = metered(limits=limits, warning_threshold_pct=threshold)
    agent = graph(model(), "ada")

    with capture(metering.pool) as events:
        for _ in range(3):
            agent.invoke({}, config_of(metering))

    (said,) = events.of(BudgetWarning)
    assert (said.current_usage, said.limit, said.severity) == (120, 150, "soft")
    assert "120 tokens used of 150 tokens" in said.reason


def test_at_the_limit_itself_it_is_a_warning() -> None:
    metering = metered(limits={"total_tokens_per_run": 40})

    with capture(metering.pool) as events:
        graph(model(), "ada").invoke({}, config_of(metering))

    assert events.of(BudgetWarning)[-1].current_usage == 40
    assert not events.of(Exceeded)


def test_an_answer_that_was_dearer_than_expected_is_told() -> None:
    metering = metered(limits={"total_tokens_per_run": 40})
    longer = FakeChatModel(replies=["Hi."], usage=(60, 10), max_tokens=10)

    with capture(metering.pool) as events:
        graph(longer, "ada").invoke({}, config_of(metering))

    (said,) = events.of(Exceeded)
    assert (said.current_usage, said.severity, said.wanted) == (70, "hard_fail", 0)
    assert spent(metering, "ada") == tokens(70)


def test_events_of_one_call_come_in_a_fixed_order_and_know_their_entry() -> None:
    clock = StillClock(1_000)
    limits = {
        "total_tokens_per_tick": 40,
        "total_tokens_per_run": 40,
        "total_cost_cents_per_tick": 4,
        "total_cost_cents_per_run": 4,
    }
    ours = {
        "calls_per_tick": 1,
        "calls_per_run": 1,
        "tokens_per_tick": 40,
        "tokens_per_run": 40,
        "cost_cents_per_tick": 4,
        "cost_cents_per_run": 4,
    }
    store = MemoryStore(clock=clock)
    metering = metered(store, limits=limits, tool_limits={"search": ours})
    cost = usd("0.04"), tokens(40)
    labels = {"agent": "ada", "tool": "search"}

    with capture(metering.pool) as events:
        metering.pool.reserve(*cost, labels=labels).settle()

    said = events.of(BudgetWarning)
    keys = [*limits, *(f"tool:search.{key}" for key in ours if "calls" not in key)]
    assert [each.budget_type for each in said] == keys
    seq = events.of(Settled)[0].seq
    assert {each.seq for each in said} == {seq}
    assert said[0].event_id == f"{seq}:ada:total_tokens_per_tick"
    assert {each.timestamp for each in said} == {1_000}


def test_calls_below_a_cent_add_up() -> None:
    cheap = PriceTable({"fake": Price.per_million(input=1, output=1)})
    config = load({"limits": {"total_cost_cents_per_run": 1}})
    metering = config.open("bench", prices=cheap)
    agent = graph(model(), "ada")

    with capture(metering.pool) as events:
        for _ in range(201):
            agent.invoke({}, config_of(metering))

    assert [each.current_usage for each in events.of(BudgetWarning)][:1] == [
        Decimal("0.8")
    ]
    assert metering.pool.report().spent() == usd("0.00804")


@pytest.mark.parametrize("odd", ["a/b", "a+b", "50%", "über", "a b", "."])
def test_events_name_agents_and_tools_as_they_are_called(odd: str) -> None:
    metering = metered(
        limits={"total_tokens_per_run": 10},
        tool_limits={odd: {"tokens_per_run": 10}},
    )
    labels = {"agent": odd, "tool": odd}

    with capture(metering.pool) as events:
        metering.pool.reserve(tokens(10), labels=labels).settle()

    said = [(each.agent_id, each.budget_type) for each in events.of(BudgetWarning)]
    assert said == [
        (odd, "total_tokens_per_run"),
        (odd, f"tool:{odd}.tokens_per_run"),
    ]


def test_a_limit_of_nothing_admits_nothing_and_null_is_no_limit() -> None:
    limits = {"total_tokens_per_tick": 0, "total_tokens_per_run": None}
    metering, called = metered(limits=limits), model()

    with pytest.raises(BudgetExceeded, match="per tick"):
        graph(called, "ada").invoke({}, config_of(metering))

    assert called.total.calls == 0


def test_two_processes_share_what_agents_have(sqlite_url: str) -> None:
    limits = {"total_tokens_per_run": 50}
    first, second = (metered(sqlite_url, limits=limits) for _ in range(2))
    graph(model(), "ada").invoke({}, config_of(first))

    with pytest.raises(BudgetExceeded, match="10 tokens left"):
        graph(model(), "ada").invoke({}, config_of(second))
