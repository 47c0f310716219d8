"""A model is told what is left, at the end of a request, and nothing remembers it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from langchain_budget import (
    BudgetMiddleware,
    BudgetPool,
    InvalidAmount,
    NotAnAccount,
    Price,
    PriceTable,
    UnknownAccount,
    budget,
    calls,
    meter,
    tokens,
    usd,
)
from langchain_budget.adapters.request_middleware import (
    NOTE,
    PREFACE,
    BudgetStatus,
)
from langchain_budget.adapters.status import (
    astatus_line,
    budget_tool,
    status_line,
)
from langchain_budget.testing import FakeChatModel
from tests.failing_store import FailingStore

PRICES = PriceTable({"fake": Price.per_million(input=1_000, output=1_000)})
WAYS = ("invoke", "ainvoke")
images = meter("images")


def spend(account: Any, *amounts: Any) -> None:
    account.reserve(*amounts).settle(*amounts)


def test_a_line_says_what_is_left_of_each_limit_dollars_first() -> None:
    pool = BudgetPool("acme", calls(10), images(4), usd(1), tokens(5_000))
    spend(pool, usd("0.58"), calls(7), images(4), tokens(1))

    line = status_line(pool)

    assert line == (
        "Budget: $0.42 of $1.00 left (58% used); 4,999 of 5,000 tokens left; "
        "3 of 10 calls left; 0 of 4 images left"
    )
    assert asyncio.run(astatus_line(pool)) == line


@pytest.mark.parametrize(
    ("granted", "spent", "said"),
    [
        ("1", "0.576543211", "$0.42 of $1.00 left (57% used)"),
        ("1", "0.000000001", "$0.99 of $1.00 left (0% used)"),
        ("1", "1", "$0.00 of $1.00 left (100% used)"),
        ("0.01", "0.00123", "$0.0087 of $0.01 left (12% used)"),
        ("2500", "1234.567", "$1265.43 of $2500.00 left (49% used)"),
        ("0", "0", "$0.00 of $0.00 left (100% used)"),
        ("0.000000002", "0.000000001", "$0.000000001 of $0.000000002 left (50% used)"),
    ],
)
def test_dollars_are_cut_to_what_can_be_read_and_never_rounded_up(
    granted: str, spent: str, said: str
) -> None:
    pool = BudgetPool("acme", usd(granted))
    spend(pool, usd(spent))

    assert status_line(pool) == f"Budget: {said}"


def test_an_overrun_leaves_nothing() -> None:
    pool = BudgetPool("acme", tokens(100))
    pool.reserve(tokens(100)).settle(tokens(150))

    assert status_line(pool) == "Budget: 0 of 100 tokens left (150% used)"


def test_of_all_limits_on_the_way_up_the_one_with_the_least_left_is_told() -> None:
    pool = BudgetPool("acme", usd(1), tokens(100).per("day"))
    web = pool.open("web", limit=[usd(3), tokens(500)])
    spend(pool, usd("0.25"))

    line = status_line(web)

    assert line == (
        "Budget: $0.75 of $1.00 left (25% used); 100 of 100 tokens per day left"
    )


def test_a_slice_has_what_was_carved_out_for_it() -> None:
    pool = BudgetPool("acme", usd(1))
    web = pool.open("web", carve=usd("0.40"))

    assert status_line(web) == "Budget: $0.40 of $0.40 left (0% used)"
    assert status_line(pool) == "Budget: $0.60 of $1.00 left (40% used)"


def test_without_a_limit_there_is_nothing_to_say() -> None:
    pool, model = BudgetPool("acme"), FakeChatModel()
    agent = create_agent(model, middleware=[BudgetStatus(pool)])

    answer = agent.invoke({"messages": [("user", "Hi")]})["messages"][-1]

    assert status_line(pool) == "Budget: no limit"
    assert answer.text == "Hi"


class Seen:
    """What a model was sent, call by call; it looks things up before it answers."""

    def __init__(self, look_ups: int = 3) -> None:
        self.requests: list[list[BaseMessage]] = []
        self.model = FakeChatModel(replies=[self.answer], usage=(10, 40))
        self._look_ups = look_ups

    def answer(self, messages: list[BaseMessage]) -> AIMessage:
        self.requests.append(messages)
        number = len(self.requests)
        if number > self._look_ups:
            return AIMessage("done")
        asked = {"name": "look_up", "args": {}, "id": f"c{number}"}
        return AIMessage("", tool_calls=[asked])


@tool
def look_up() -> str:
    """Look something up."""
    return "found"


HELLO: Any = {"messages": [("user", "Hi")]}
CONFIG: Any = {"configurable": {"thread_id": "t"}}


def run(way: str, agent: Any, inputs: Any = HELLO) -> list[BaseMessage]:
    if way == "invoke":
        state = agent.invoke(inputs, CONFIG)
    else:
        state = asyncio.run(agent.ainvoke(inputs, CONFIG))
    messages: list[BaseMessage] = state["messages"]
    return messages


def notes(messages: list[BaseMessage]) -> list[str]:
    return [each.text for each in messages if NOTE in each.response_metadata]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("inner", [True, False])
def test_each_request_ends_with_what_is_left_and_nothing_remembers_it(
    way: str,
    inner: bool,  # noqa: FBT001  # pytest passes it by name
) -> None:
    seen, pool = Seen(), BudgetPool("acme", usd(1), prices=PRICES)
    stack: list[AgentMiddleware[Any, Any, Any]]
    stack = [BudgetStatus(pool), BudgetMiddleware(pool)]
    agent = create_agent(
        seen.model,
        [look_up],
        middleware=stack[::-1] if inner else stack,
        checkpointer=InMemorySaver(),
    )

    remembered = run(way, agent)

    lefts = [(100, 0), (95, 5), (90, 10), (85, 15)]
    assert [request[-1].text for request in seen.requests] == [
        f"{PREFACE} Budget: ${left / 100:.2f} of $1.00 left ({used}% used)"
        for left, used in lefts
    ]
    assert all(len(notes(request)) == 1 for request in seen.requests)
    assert notes(remembered) == []
    assert notes(agent.get_state(CONFIG).values["messages"]) == []
    assert len(remembered) == 1 + 3 * 2 + 1
    assert (pool.balance().spent, pool.balance().held) == (usd("0.20"), usd(0))


def test_all_before_the_note_is_the_same_from_call_to_call() -> None:
    seen, pool = Seen(), BudgetPool("acme", usd(1), prices=PRICES)
    stack = [BudgetStatus(pool), BudgetMiddleware(pool)]
    agent = create_agent(seen.model, [look_up], system_prompt="Go.", middleware=stack)

    run("invoke", agent)

    sent = [[each.model_dump_json() for each in request] for request in seen.requests]
    assert len(sent) == 4
    for earlier, later in pairwise(sent):
        assert earlier[:-1] == later[: len(earlier) - 1]
        assert earlier[-1] not in later


@pytest.mark.parametrize(
    ("every", "told"), [(1, [1, 1, 1, 1]), (2, [1, 0, 1, 0]), (3, [1, 0, 0, 1])]
)
def test_the_note_may_come_less_often(every: int, told: list[int]) -> None:
    seen, pool = Seen(), BudgetPool("acme", calls(10))
    status = BudgetStatus(pool, every=every)
    agent = create_agent(seen.model, [look_up], middleware=[status])

    run("invoke", agent)

    assert [len(notes(request)) for request in seen.requests] == told


@pytest.mark.parametrize("inner", [True, False])
def test_an_agent_whose_tool_was_refused_ends_as_it_would_without_the_note(
    inner: bool,  # noqa: FBT001  # pytest passes it by name
) -> None:
    seen, pool = Seen(), BudgetPool("acme", meter("tool_calls")(1))
    stack: list[AgentMiddleware[Any, Any, Any]]
    stack = [BudgetStatus(pool), BudgetMiddleware(pool, on_exceeded="end")]
    agent = create_agent(
        seen.model, [look_up], middleware=stack[::-1] if inner else stack
    )

    last = run("invoke", agent)[-1]

    assert len(seen.requests) == 2
    assert last.response_metadata["budget_stop"] == "exhausted"


def test_an_agent_is_told_of_the_account_that_is_named_like_it() -> None:
    seen, pool = Seen(look_ups=0), BudgetPool("acme", usd(1))
    spend(pool.open("web", limit=calls(5)), calls(2))
    agents = {
        name: create_agent(seen.model, middleware=[BudgetStatus(pool, path)], name=name)
        for name, path in {"web": None, "other": None, "third": "web"}.items()
    }

    for agent in agents.values():
        run("invoke", agent)

    told = [request[-1].text.partition("Budget: ")[2] for request in seen.requests]
    both = "$1.00 of $1.00 left (0% used); 3 of 5 calls left"
    assert told == [both, "$1.00 of $1.00 left (0% used)", both]


def test_in_a_scope_of_the_same_books_it_is_told_of_the_scope() -> None:
    seen, pool = Seen(look_ups=0), BudgetPool("acme", calls(10))
    agent = create_agent(seen.model, middleware=[BudgetStatus(pool)])

    with budget(pool.open("block", limit=calls(4))):
        run("invoke", agent)

    assert notes(seen.requests[0])[0].endswith("4 of 4 calls left (0% used)")


@pytest.mark.parametrize("way", WAYS)
def test_a_model_can_ask_what_is_left(way: str) -> None:
    pool = BudgetPool("acme", calls(10))
    spend(pool.open("web", limit=calls(5)), calls(1))
    asked = {"name": "check_budget", "args": {}, "id": "c1"}
    model = FakeChatModel(replies=[AIMessage("", tool_calls=[asked]), "done"])
    ask = budget_tool(pool)
    agent = create_agent(model, [ask], middleware=[BudgetMiddleware(pool)], name="web")

    result = run(way, agent)[-2]

    assert result.text == "Budget: 3 of 5 calls left (40% used)"
    assert run_tool(way, ask) == "Budget: 7 of 10 calls left (30% used)"
    assert ask.args == {}


def run_tool(way: str, asked: Any) -> Any:
    return asked.invoke({}) if way == "invoke" else asyncio.run(asked.ainvoke({}))


@pytest.mark.parametrize("way", WAYS)
def test_while_the_store_fails_a_call_goes_on_without_a_note(way: str) -> None:
    store = FailingStore()
    seen, pool = Seen(look_ups=0), BudgetPool("acme", calls(10), store=store)
    agent = create_agent(seen.model, middleware=[BudgetStatus(pool)])
    ask = budget_tool(pool)
    store.breaks("read")

    run(way, agent)

    assert [type(each) for each in seen.requests[0]] == [HumanMessage]
    assert run_tool(way, ask) == "Budget: not known right now"


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "2"])
def test_what_makes_no_sense_is_refused(every: Any) -> None:
    pool = BudgetPool("acme")

    with pytest.raises(InvalidAmount, match="every="):
        BudgetStatus(pool, every=every)
    with pytest.raises(UnknownAccount):
        BudgetStatus(pool, "nobody")
    with pytest.raises(UnknownAccount):
        budget_tool(pool, "nobody")
    with pytest.raises(NotAnAccount):
        BudgetStatus("acme")  # type: ignore[arg-type]  # what users do


def test_lines_tools_and_caches_need_no_extra() -> None:
    program = (
        "import sys; sys.modules['langchain'] = None\n"
        "from langchain_budget.adapters import cache, status, trimming"
    )

    ended = subprocess.run([sys.executable, "-c", program], check=False)

    assert ended.returncode == 0
