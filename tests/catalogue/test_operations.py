"""Tool costs: the lifecycle of an operation, strategies, supervisors, hierarchies."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt

from langchain_budget import (
    Amount,
    BudgetExceeded,
    BudgetPool,
    Price,
    PriceTable,
    ToolCosts,
    budget,
    budgeted_tool,
    status_line,
    usd,
)
from langchain_budget.core.policies.allocation import shares
from langchain_budget.events import Event, Released, Reserved, Settled
from langchain_budget.pricing.tool_costs import STANDARD_TOOL_COSTS
from langchain_budget.testing import FakeChatModel, capture
from tests.invariants import assert_quiet, unchanged

COSTS = ToolCosts(STANDARD_TOOL_COSTS)
PRICES = PriceTable({"fake": Price.per_million(input=0, output=40_000)})
"""A hundred tokens cost four dollars."""

STAGES = {"extraction": "30%", "transformation": "50%", "loading": "20%"}


def reading(cost: Any, log: list[str]) -> Any:
    @tool("Read")
    def read(path: str) -> dict[str, Any]:
        """Read a file."""
        log.append("runs")
        if isinstance(cost, BaseException):
            raise cost
        return {"path": path, "cost_usd": cost}

    return read


def test_an_operation_is_estimated_held_run_and_charged_in_that_order() -> None:
    pool, log = BudgetPool("session", usd("0.01")), list[str]()

    def note(event: Event) -> None:
        log.append(type(event).__name__)

    pool.subscribe(note)
    read = budgeted_tool(reading("0.0002", log), pool, costs=COSTS)
    with capture(pool) as events:
        read.invoke({"path": "a.txt"})

    assert log == ["Reserved", "runs", "Settled"]
    assert events.of(Reserved)[0].amounts["usd"] == usd("0.001").value
    assert events.of(Settled)[0].amounts["usd"] == usd("0.0002").value
    assert pool.balance().spent == usd("0.0002")


@pytest.mark.parametrize("dollars", [10, 50, None])
def test_a_limit_is_for_development_production_or_there_is_none(
    dollars: int | None,
) -> None:
    limit = None if dollars is None else usd(dollars)
    pool = BudgetPool("session", limit)
    pool.reserve(usd(4)).settle()

    assert pool.balance().granted == limit
    assert bool(pool.can_afford(usd(100))) is (dollars is None)
    assert bool(pool.can_afford(usd((dollars or 1_000) - 4)))


def test_a_refusal_names_what_is_needed_and_what_is_left() -> None:
    pool = BudgetPool("session", usd("0.05"))
    agent = budgeted_tool(reading(0, []), pool, costs=ToolCosts({"Read": "0.10"}))

    with unchanged(pool.ledger.store), pytest.raises(BudgetExceeded) as refused:
        agent.invoke({"path": "a.txt"})

    assert "has $0.05 left" in str(refused.value)
    assert "may need $0.10" in str(refused.value)


def test_costs_below_a_cent_are_shown() -> None:
    pool = BudgetPool("session", usd("0.0005"))
    read = budgeted_tool(reading(0, []), pool, costs=COSTS)

    with pytest.raises(BudgetExceeded, match=r"\$0\.0005 left.*may need \$0\.001"):
        read.invoke({"path": "a.txt"})


@pytest.mark.parametrize(
    ("limit", "spent", "line"),
    [
        (usd(10), "2.50", "Budget: $7.50 of $10.00 left (25% used)"),
        (usd(0), "0", "Budget: $0.00 of $0.00 left (100% used)"),
        (None, "2.50", "Budget: no limit"),
    ],
)
def test_a_budget_can_be_asked_how_it_stands(limit: Any, spent: str, line: str) -> None:
    pool = BudgetPool("session", limit)
    pool.reserve(usd(spent)).settle()

    assert status_line(pool) == line
    assert bool(pool.can_afford(usd(1))) is (limit != usd(0))


def session_of(questions: int) -> Amount:
    """What it spends on so many questions of four dollars."""
    model = FakeChatModel(replies=["Hi."], usage=(7, 100), max_tokens=100)
    with budget(usd(5), prices=PRICES) as session:
        for _ in range(questions):
            model.invoke("Hi")
    return session.report().spent()


def test_a_session_has_five_dollars_and_ends_with_its_block() -> None:
    spent = [session_of(1), session_of(1)]

    assert spent == [usd(4), usd(4)]
    with pytest.raises(BudgetExceeded):
        session_of(2)


def test_agents_without_limits_share_a_pool_and_give_back_what_they_do_not_use(
    store_url: str,
) -> None:
    pool = BudgetPool("shared", usd(100), store=store_url)
    ada, bob = (pool.open(name) for name in ("ada", "bob"))
    costs = ToolCosts({"Read": "60"})
    cheap = budgeted_tool(reading(1, []), pool, "ada", costs=costs)
    broken = budgeted_tool(reading(ValueError("no"), []), pool, "bob", costs=costs)

    with ada.reserve(usd(60)) as hold:
        with pytest.raises(BudgetExceeded, match="'shared' has"):
            broken.invoke({"path": "b.txt"})
        hold.settle(usd(0))
    cheap.invoke({"path": "a.txt"})
    with capture(pool) as events, pytest.raises(ValueError, match="no"):
        broken.invoke({"path": "b.txt"})

    assert pool.balance().spent == usd(1)
    assert bob.can_afford(usd(99))
    assert not bob.can_afford(usd("99.01"))
    assert not events.of(Released)  # it is counted as a call, at no cost
    assert_quiet(pool.ledger.store)


def test_a_supervisor_gives_20_20_and_10_of_50_and_not_a_cent_more(
    store_url: str,
) -> None:
    supervisor = BudgetPool("supervisor", usd(50), store=store_url)
    team = {"data_analyst": 20, "code_writer": 20, "reviewer": 10}
    for name, dollars in team.items():
        supervisor.open(name, carve=usd(dollars))

    with pytest.raises(BudgetExceeded):
        supervisor.open("one_more", carve=usd(1))
    with pytest.raises(BudgetExceeded):
        supervisor.account("reviewer").set_limit(usd(11))

    assert supervisor.balance().available == usd(0)
    assert_quiet(supervisor.ledger.store)


def test_a_worker_is_given_more_or_less_without_counting_twice(store_url: str) -> None:
    supervisor = BudgetPool("supervisor", usd(50), store=store_url)
    worker = supervisor.open("worker", carve=usd(40))
    worker.reserve(usd(10)).settle()

    worker.set_limit(usd(50))
    worker.set_limit(usd(15))
    supervisor.reserve(usd(5)).settle()
    worker.close()

    assert supervisor.balance().spent == usd(15)
    assert supervisor.balance().available == usd(35)
    assert_quiet(supervisor.ledger.store)


def test_a_hierarchy_of_30_50_and_20_percent_leaves_no_further_percent(
    store_url: str,
) -> None:
    root = BudgetPool("pipeline", usd(100), store=store_url)
    for name, value in shares(usd(100).value, STAGES).items():
        root.open(name, carve=Amount("usd", value))

    with pytest.raises(BudgetExceeded):
        root.open("more", carve=usd(1))
    deep = root.account("transformation").open("deep", share="50%")
    deep.open("deeper", carve=usd(10)).reserve(usd(5)).settle()
    root.account("transformation").close()

    assert [root.account(name).balance().granted for name in STAGES][::2] == [
        usd(30),
        usd(20),
    ]
    assert root.balance().spent == usd(5)
    assert root.balance().available == usd(45)
    assert_quiet(root.ledger.store)


def test_of_no_limit_there_is_no_percentage(store_url: str) -> None:
    root = BudgetPool("pipeline", store=store_url)

    with unchanged(root.ledger.store), pytest.raises(ValueError, match="share"):
        root.open("child", share="50%")


def test_nobody_is_asked_to_approve_what_cannot_be_paid() -> None:
    pool, asked = BudgetPool("session", usd("0.0005")), list[str]()

    @tool("Read")
    def read(path: str) -> str:
        """Read a file, if somebody lets us."""
        asked.append(path)
        return str(interrupt("May I?"))

    builder = StateGraph(MessagesState)
    builder.add_node("tools", ToolNode([budgeted_tool(read, pool, costs=COSTS)]))
    builder.add_edge(START, "tools")
    graph = builder.compile(checkpointer=InMemorySaver())
    call = {"name": "Read", "args": {"path": "a.txt"}, "id": "1"}
    state: Any = {"messages": [AIMessage("", tool_calls=[call])]}
    thread: Any = {"configurable": {"thread_id": "1"}}

    with pytest.raises(BudgetExceeded):
        graph.invoke(state, thread)
    refused = list(asked)
    pool.top_up(usd(1))
    waiting = graph.invoke(None, thread)

    assert refused == []
    assert asked == ["a.txt"]
    assert waiting["__interrupt__"][0].value == "May I?"
