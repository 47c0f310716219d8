"""A refusal has what there was of the result, and nothing of it is written anywhere."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_core.language_models import LLM
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.outputs import GenerationChunk
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    BudgetRefused,
    CallTooLarge,
    PriceUnknown,
    budget,
    calls,
    meter,
    tokens,
    usd,
)
from langchain_budget.testing import FakeChatModel
from tests.adapters.graphs import WAYS, run
from tests.invariants import assert_quiet

CHEESE = "the moon is made of cheese"
LONG = f"{CHEESE} " * 400
HELLO: Any = {"messages": [("user", "What is the moon made of?")]}
THREAD: Any = {"configurable": {"thread_id": "1"}}


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", tokens(1_000), expected_output=100)


def handled(pool: BudgetPool) -> Any:
    return {"callbacks": [BudgetCallbackHandler(pool)]}


def read(stream: Any) -> list[str]:
    """What was read of *stream*, which is cut off."""
    texts = []
    with pytest.raises(BudgetRefused) as caught:
        texts.extend(each.text for each in stream)
    texts.append(_only(caught.value).text)
    return texts


async def drained(stream: Any) -> None:
    """Read *stream* to its end."""
    async for _ in stream:
        await asyncio.sleep(0)


def _only(refusal: BudgetRefused) -> AIMessageChunk:
    (message,) = refusal.partial
    assert isinstance(message, AIMessageChunk)
    return message


def test_a_stream_that_is_cut_off_leaves_what_it_said(pool: BudgetPool) -> None:
    model = FakeChatModel(replies=[LONG])

    *pieces, partial = read(model.stream("Hi", handled(pool)))

    assert LONG.startswith(partial)
    assert partial.startswith("".join(pieces))
    assert len(pieces) > 300
    assert_quiet(pool.ledger.store)


async def test_so_does_an_async_one(pool: BudgetPool) -> None:
    stream = FakeChatModel(replies=[LONG]).astream("Hi", handled(pool))

    with pytest.raises(BudgetExceeded) as caught:
        await drained(stream)

    assert LONG.startswith(_only(caught.value).text)
    assert str(await caught.value.areport()) == str(pool.report())


def test_so_does_one_that_is_too_large_for_a_single_call() -> None:
    pool = BudgetPool("acme", tokens(100_000), expected_output=100)
    pool.ledger.per_call = {"tokens": 500}

    with pytest.raises(CallTooLarge) as caught:
        list(FakeChatModel(replies=[LONG]).stream("Hi", handled(pool)))

    assert LONG.startswith(_only(caught.value).text)
    assert str(caught.value.report()) == str(pool.report())


def test_so_does_one_of_protocol_events(pool: BudgetPool) -> None:
    model = FakeChatModel(replies=[LONG])

    with pytest.raises(BudgetExceeded) as caught:
        list(model.stream_events("Hi", handled(pool), version="v3").text)

    assert LONG.startswith(_only(caught.value).text)
    assert len(_only(caught.value).text.split()) > 600


class Completing(LLM):
    """A model that completes plain text, word by word."""

    @property
    def _llm_type(self) -> str:
        return "completing"

    def _call(self, *_: Any, **__: Any) -> str:
        return LONG

    def _stream(
        self, prompt: str, stop: Any = None, run_manager: Any = None, **_: Any
    ) -> Iterator[GenerationChunk]:
        for word in LONG.split():
            chunk = GenerationChunk(text=f"{word} ")
            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def test_so_does_a_model_of_plain_text(pool: BudgetPool) -> None:
    with pytest.raises(BudgetExceeded) as caught:
        list(Completing().stream("Hi", handled(pool)))

    assert LONG.startswith(_only(caught.value).text)
    assert len(_only(caught.value).text) > 100


def test_so_does_a_scope(pool: BudgetPool) -> None:
    model = FakeChatModel(replies=[LONG])

    with budget(pool):
        *_, partial = read(model.stream("Hi"))

    assert LONG.startswith(partial)


def test_a_retry_that_is_refused_again_leaves_the_last(pool: BudgetPool) -> None:
    model = FakeChatModel(replies=[LONG]).with_retry(
        retry_if_exception_type=(BudgetExceeded,), stop_after_attempt=2
    )

    with pytest.raises(BudgetExceeded) as caught:
        model.invoke("Hi", handled(BudgetPool("acme", tokens(10))))

    assert caught.value.partial == ()
    assert caught.value.report() is not None


async def test_a_group_of_tasks_hands_each_of_them_on(pool: BudgetPool) -> None:
    model = FakeChatModel(replies=[LONG])
    seen: list[str] = []

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(drained(model.astream("Hi", handled(pool))))
    except* BudgetExceeded as group_of:
        (refusal,) = group_of.exceptions
        assert isinstance(refusal, BudgetExceeded)
        seen += [_only(refusal).text, str(await refusal.areport())]

    assert LONG.startswith(seen[0])
    assert seen[1] == str(pool.report())


def streaming(model: FakeChatModel) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("talk", lambda state: {"messages": [model.invoke("Hi")]})
    builder.add_edge(START, "talk")
    return builder.compile(checkpointer=InMemorySaver())


def test_a_graph_that_streams_messages_leaves_what_was_said(pool: BudgetPool) -> None:
    graph = streaming(FakeChatModel(replies=[LONG]))

    with pytest.raises(BudgetExceeded) as caught:
        list(graph.stream(HELLO, THREAD | handled(pool), stream_mode="messages"))

    assert LONG.startswith(_only(caught.value).text)


@tool
def search(query: str) -> str:
    """Search for something."""
    return f"found {query}"


def searching() -> AIMessage:
    call = {"name": "search", "args": {"query": "x"}, "id": "call-1"}
    return AIMessage("", tool_calls=[call])


def agent_of(pool: BudgetPool, *middleware: Any, **options: Any) -> Any:
    return create_agent(
        FakeChatModel(replies=[searching()], usage=(200, 100), max_tokens=100),
        [search],
        middleware=[*middleware, BudgetMiddleware(pool, **options)],
        checkpointer=InMemorySaver(),
    )


@pytest.mark.parametrize("way", WAYS)
def test_an_agent_that_raises_leaves_its_messages(pool: BudgetPool, way: str) -> None:
    agent = agent_of(pool, ModelRetryMiddleware())

    with pytest.raises(BudgetExceeded) as caught:
        run(way, agent, HELLO, THREAD)

    first, *others = caught.value.partial
    assert isinstance(first, HumanMessage)
    assert isinstance(others[-1], ToolMessage)
    saved = agent.get_state(THREAD).values["messages"]
    assert list(caught.value.partial) == saved
    assert str(caught.value.report()) == str(pool.report())


@pytest.mark.parametrize("way", WAYS)
def test_so_does_one_whose_tool_is_refused(way: str) -> None:
    agent = agent_of(BudgetPool("acme", meter("tool_calls")(0)))

    with pytest.raises(BudgetExceeded) as caught:
        run(way, agent, HELLO, THREAD)

    _, asked = caught.value.partial
    assert isinstance(asked, AIMessage)
    assert asked.tool_calls[0]["name"] == "search"


def test_so_does_one_whose_person_says_no(pool: BudgetPool) -> None:
    agent = agent_of(pool, on_exceeded="interrupt")
    agent.invoke(HELLO, THREAD)
    agent.invoke(Command(resume=1), THREAD)

    with pytest.raises(BudgetExceeded) as caught:
        agent.invoke(Command(resume=False), THREAD)

    assert len(caught.value.partial) > 1


def test_so_does_one_that_is_set_up_wrong() -> None:
    agent = agent_of(BudgetPool("acme", usd(1)), on_exceeded="end")

    with pytest.raises(PriceUnknown) as caught:
        agent.invoke(HELLO, THREAD)

    (asked,) = caught.value.partial
    assert asked.text == "What is the moon made of?"


def test_an_answer_that_is_cut_off_says_more_than_the_messages_before_it(
    pool: BudgetPool,
) -> None:
    """The agent's own pool is large; another one is used up in mid-stream."""
    agent = create_agent(
        FakeChatModel(replies=[LONG]), middleware=[BudgetMiddleware(BudgetPool("own"))]
    )

    with pytest.raises(BudgetExceeded) as caught:
        list(agent.stream(HELLO, handled(pool), stream_mode="messages"))

    assert LONG.startswith(_only(caught.value).text)
    assert str(caught.value.report()) == str(pool.report())


def test_the_inner_agent_has_the_say() -> None:
    inner_pool = BudgetPool("inner", calls(0))
    inner = create_agent(FakeChatModel(), middleware=[BudgetMiddleware(inner_pool)])

    @tool
    def delegate(task: str) -> str:
        """Have somebody else do it."""
        return str(inner.invoke({"messages": [("user", task)]}))

    call = {"name": "delegate", "args": {"task": "dig"}, "id": "call-1"}
    outer = create_agent(
        FakeChatModel(replies=[AIMessage("", tool_calls=[call])]),
        [delegate],
        middleware=[BudgetMiddleware(BudgetPool("outer"))],
    )

    with pytest.raises(BudgetExceeded) as caught:
        outer.invoke(HELLO)

    (asked,) = caught.value.partial
    assert asked.text == "dig"
    assert str(caught.value.report()) == str(inner_pool.report())


def cut_off(pool: BudgetPool) -> BudgetRefused:
    with pytest.raises(BudgetExceeded) as caught:
        list(FakeChatModel(replies=[LONG]).stream("Hi", handled(pool)))
    return caught.value


@pytest.mark.parametrize(
    "write",
    [
        str,
        repr,
        lambda error: "".join(traceback.format_exception(error)),
        lambda error: pickle.dumps(error).decode("latin-1"),
        lambda error: JsonPlusSerializer().dumps_typed(error)[1].decode("latin-1"),
        lambda error: str(
            JsonPlusSerializer(pickle_fallback=True).dumps_typed({"error": error})
        ),
        lambda error: str(vars(copy.copy(error))),
    ],
    ids=["str", "repr", "traceback", "pickle", "json", "json-pickle", "copy"],
)
def test_what_was_said_is_in_no_text_of_the_error(
    pool: BudgetPool, write: Callable[[BudgetRefused], str]
) -> None:
    error = cut_off(pool)

    assert CHEESE in _only(error).text
    assert "moon" not in write(error)


def test_what_was_said_is_not_logged(
    pool: BudgetPool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = cut_off(pool)
    logging.getLogger("mine").error("refused", exc_info=error)

    assert "budget" in caplog.text.lower()
    assert "moon" not in caplog.text


class Listening(InMemorySaver):
    """A checkpointer that shows what is written besides the state."""

    def __init__(self) -> None:
        super().__init__(serde=JsonPlusSerializer(pickle_fallback=True))

    def written(self) -> str:
        rows = (each for task in self.writes.values() for each in task.values())
        return str([(channel, value) for _, channel, value, _ in rows])


@pytest.mark.parametrize("grouped", [False, True])
async def test_no_checkpoint_has_what_was_said(
    pool: BudgetPool, *, grouped: bool
) -> None:
    """A group is no refusal to the graph: it writes that error down."""
    model, saver = FakeChatModel(replies=[LONG]), Listening()

    async def talk(_: Any) -> dict[str, Any]:
        reading = drained(model.astream("Hi", handled(pool)))
        if not grouped:
            await reading
        async with asyncio.TaskGroup() as group:
            group.create_task(reading)
        return {}

    builder = StateGraph(MessagesState).add_node("talk", talk).add_edge(START, "talk")
    graph = builder.compile(checkpointer=saver)
    with pytest.raises((BudgetExceeded, ExceptionGroup)):
        await graph.ainvoke(HELLO, THREAD)

    assert "cheese" not in saver.written()
    assert ("__error__" in saver.written()) is grouped
    assert "BudgetExceeded" in saver.written() or not grouped
