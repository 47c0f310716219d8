"""What is sent is the newest that fits; what a model cannot do without is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from langchain_budget import (
    BudgetMiddleware,
    BudgetPool,
    InvalidAmount,
    UnknownAccount,
    calls,
    tokens,
    usd,
)
from langchain_budget.adapters.request_middleware import (
    PREFACE,
    BudgetStatus,
    ContextTrimming,
)
from langchain_budget.adapters.trimming import trim_context
from langchain_budget.testing import FakeChatModel

WAYS = ("invoke", "ainvoke")


def words(messages: Sequence[BaseMessage]) -> int:
    return sum(len(each.text.split()) for each in messages)


def said(messages: Sequence[BaseMessage]) -> list[str]:
    return [each.text for each in messages]


def asking(name: str) -> AIMessage:
    call = {"name": "look_up", "args": {}, "id": name}
    return AIMessage(f"calls {name}", tool_calls=[call])


def result(name: str, text: str = "") -> ToolMessage:
    return ToolMessage(text or f"result {name}", tool_call_id=name)


TALK: list[AnyMessage] = [
    SystemMessage("be brief"),
    HumanMessage("first question"),
    AIMessage("first answer"),
    HumanMessage("second question"),
    AIMessage("second answer"),
    HumanMessage("third question"),
]


@pytest.mark.parametrize(
    ("most", "kept"),
    [
        (12, [0, 1, 2, 3, 4, 5]),
        (11, [0, 3, 4, 5]),
        (8, [0, 3, 4, 5]),
        (7, [0, 5]),  # an answer alone would begin the conversation
        (4, [0, 5]),
        (3, [0, 5]),
        (0, [0, 5]),
    ],
)
def test_the_newest_turns_that_fit_are_kept_and_the_system_prompt(
    most: int, kept: list[int]
) -> None:
    trimmed = trim_context(TALK, most, count=words)

    assert trimmed == [TALK[at] for at in kept]


def test_a_newest_message_that_is_too_long_is_kept() -> None:
    long = HumanMessage("word " * 500)

    assert trim_context([*TALK, long], 10, count=words) == [TALK[0], long]
    assert trim_context([long], 10, count=words) == [long]
    assert trim_context([], 10) == []
    assert trim_context(TALK[:1], 0) == TALK[:1]


def test_what_is_older_than_a_message_that_does_not_fit_goes_with_it() -> None:
    long = [HumanMessage("word " * 50), AIMessage("an answer")]

    assert trim_context([*TALK[1:5], *long, TALK[5]], 20, count=words) == [TALK[5]]


def test_calls_of_tools_and_their_results_stay_together() -> None:
    two = AIMessage(
        "calls two", tool_calls=asking("a").tool_calls + asking("b").tool_calls
    )
    loop = [
        HumanMessage("a question"),
        two,
        result("a"),
        result("b"),
        asking("c"),
        result("c"),
    ]

    kept = {
        most: said(trim_context(loop, most, count=words)) for most in (12, 11, 6, 0)
    }

    newest = ["a question", "calls c", "result c"]
    assert kept == {12: said(loop), 11: newest, 6: newest, 0: newest}


def test_a_tool_call_id_that_comes_again_is_that_of_the_last_call() -> None:
    again = [HumanMessage("q"), asking("a"), result("a"), asking("a"), result("a")]

    kept = trim_context(again, 5, count=words)

    assert kept == [again[0], *again[3:]]


def test_a_result_that_nobody_asked_for_is_not_the_beginning() -> None:
    lost = [result("a"), HumanMessage("a question"), AIMessage("an answer")]

    assert trim_context(lost, 99, count=words) == lost[1:]


@pytest.mark.parametrize("most", [0, 4_999, 5_000, 20_000])
def test_images_are_counted_and_kept_whole(most: int) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    looks: list[BaseMessage] = [
        HumanMessage([{"type": "text", "text": "What is it?"}, image]),
        AIMessage([{"type": "text", "text": "A cat."}]),
        HumanMessage("And now?"),
    ]

    kept = trim_context(looks, most)

    assert kept == (looks if most == 20_000 else looks[2:])


def test_without_a_count_rather_too_many_than_too_few_tokens_are_counted() -> None:
    talk = [HumanMessage("word " * 100) for _ in range(10)]

    assert len(trim_context(talk, 300)) == 2
    assert len(trim_context(talk)) == 10


def test_messages_come_back_as_they_were_given() -> None:
    talk: list[Any] = [
        {"role": "system", "content": "be brief"},
        ("user", "a long first question"),
        {"role": "assistant", "content": "an answer"},
        "another question",
    ]

    assert trim_context(talk, 4, count=words) == [talk[0], talk[3]]


@pytest.mark.parametrize("most", [-1, 1.5, "10", True, None])
def test_what_is_no_number_of_tokens_is_refused(most: Any) -> None:
    with pytest.raises(InvalidAmount):
        trim_context(TALK, most)
    with pytest.raises(InvalidAmount):
        ContextTrimming(BudgetPool("acme"), max_tokens=most)


@pytest.mark.parametrize(
    ("most", "kept"),
    [(2_000, [3, 4]), (2_001, [3, 4]), (4_000, [1, 2, 3, 4]), (999, [])],
)
def test_as_documented_it_stops_at_the_first_message_that_does_not_fit(
    most: int, kept: list[int]
) -> None:
    long = [{"content": "x" * 4_003, "role": "user", "at": at} for at in range(5)]

    trimmed = trim_context(long, most, as_documented=True)

    assert trimmed == [long[at] for at in kept]


def test_as_documented_2000_tokens_is_the_default_and_the_system_prompt_goes() -> None:
    talk = [
        {"role": "system", "content": "s" * 40},
        {"role": "user", "content": "a" * 4_000},
        {"role": "user", "content": "b" * 4_000},
    ]

    assert trim_context(talk, as_documented=True) == talk[1:]
    assert trim_context(talk, 3, as_documented=True) == []


def test_as_documented_only_the_text_of_blocks_counts() -> None:
    blocks: Any = [{"type": "text", "text": "x" * 40}, {"type": "image_url"}]
    talk = [HumanMessage(blocks), HumanMessage("x" * 7)]

    assert trim_context(talk, 11, as_documented=True) == talk
    assert trim_context(talk, 10, as_documented=True) == talk[1:]


class Seen:
    """What a model was sent, call by call; it looks things up before it answers."""

    def __init__(self, look_ups: int = 0) -> None:
        self.requests: list[list[BaseMessage]] = []
        self.model = FakeChatModel(replies=[self.answer])
        self._look_ups = look_ups

    def answer(self, messages: list[BaseMessage]) -> AIMessage:
        self.requests.append(messages)
        number = len(self.requests)
        return AIMessage("done") if number > self._look_ups else asking(f"c{number}")


@tool
def look_up() -> str:
    """Look something up."""
    return "found " * 50


def run(way: str, agent: Any, text: str = "q1") -> list[BaseMessage]:
    inputs = {"messages": [("user", text)]}
    config = {"configurable": {"thread_id": "t"}}
    if way == "invoke":
        state = agent.invoke(inputs, config)
    else:
        state = asyncio.run(agent.ainvoke(inputs, config))
    messages: list[BaseMessage] = state["messages"]
    return messages


@pytest.mark.parametrize("way", WAYS)
def test_an_agent_sends_less_and_remembers_everything(way: str) -> None:
    seen, pool = Seen(look_ups=4), BudgetPool("acme", tokens(100_000))
    trimming = ContextTrimming(pool, max_tokens=158, count=words)
    agent = create_agent(
        seen.model, [look_up], system_prompt="be brief", middleware=[trimming]
    )

    remembered = run(way, agent)

    assert [len(each) for each in seen.requests] == [2, 4, 6, 6, 6]
    assert [type(each) for each in seen.requests[-1][:3]] == [
        SystemMessage,
        HumanMessage,
        AIMessage,
    ]
    assert len(remembered) == 1 + 4 * 2 + 1


def test_trimmed_requests_begin_alike_until_another_quarter_is_left_out() -> None:
    seen, pool = Seen(look_ups=80), BudgetPool("acme", tokens(1_000_000))
    trimming = ContextTrimming(pool, max_tokens=52 * 20, count=words)
    agent = create_agent(seen.model, [look_up], middleware=[trimming])

    agent.invoke({"messages": [("user", "q1")]}, {"recursion_limit": 999})

    begins = [request[1].id for request in seen.requests[1:]]
    assert len(set(begins)) == 1 + 60 // 5 + 1
    assert max(map(words, seen.requests)) <= 52 * 20
    assert min(map(words, seen.requests[20:])) > 52 * 14


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_trimmed_until_less_than_a_share_is_left(way: str) -> None:
    seen, pool = Seen(), BudgetPool("acme", usd(1), calls(1_000))
    trimming = ContextTrimming(pool, max_tokens=0, below="20%")
    agent = create_agent(
        seen.model, middleware=[trimming], checkpointer=InMemorySaver()
    )

    for number, cents in enumerate((0, 80, 1)):
        pool.reserve(usd(f"0.{cents:02}")).settle(usd(f"0.{cents:02}"))
        run(way, agent, f"q{number}")

    assert [len(each) for each in seen.requests] == [1, 3, 1]


def test_a_limit_above_the_account_counts_as_well() -> None:
    seen, pool = Seen(), BudgetPool("acme", calls(10))
    pool.open("web", limit=calls(5))
    pool.reserve(calls(9)).settle(calls(9))
    trimming = ContextTrimming(pool, "web", max_tokens=0, below=0.2)
    agent = create_agent(
        seen.model, middleware=[trimming], checkpointer=InMemorySaver()
    )

    for _ in range(2):
        run("invoke", agent)

    assert [len(each) for each in seen.requests] == [1, 1]


@pytest.mark.parametrize("notes_first", [True, False])
def test_a_note_of_what_is_left_is_neither_trimmed_nor_taken_for_the_question(
    notes_first: bool,  # noqa: FBT001  # pytest passes it by name
) -> None:
    seen, pool = Seen(look_ups=2), BudgetPool("acme", tokens(100_000))
    stack = [BudgetStatus(pool), ContextTrimming(pool, max_tokens=0)]
    agent = create_agent(
        seen.model, [look_up], middleware=stack if notes_first else stack[::-1]
    )

    run("invoke", agent)

    last = said(seen.requests[-1])
    assert (last[0], last[1]) == ("q1", "calls c2")
    assert [text.startswith(PREFACE) for text in last] == [False] * 3 + [True]


def test_the_hold_is_for_what_is_sent() -> None:
    seen, pool = Seen(), BudgetPool("acme", tokens(2_000))
    stack = [ContextTrimming(pool, max_tokens=100), BudgetMiddleware(pool)]
    agent = create_agent(seen.model, middleware=stack)
    talk = [("user", "word " * 5_000), ("ai", "ok"), ("user", "Go on.")]

    agent.invoke({"messages": talk})

    assert said(seen.requests[0]) == ["Go on."]


def test_a_share_or_account_that_makes_no_sense_is_refused() -> None:
    pool = BudgetPool("acme")

    with pytest.raises(InvalidAmount):
        ContextTrimming(pool, below="120%")
    with pytest.raises(UnknownAccount):
        ContextTrimming(pool, "nobody")
