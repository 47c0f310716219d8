import asyncio
from collections.abc import Awaitable, Callable, Iterable
from copy import deepcopy
from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_budget.testing import FakeChatModel, ModelCall, Total


@tool
def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


def multiplying(a: int, b: int) -> AIMessage:
    call = {"name": "multiply", "args": {"a": a, "b": b}, "id": None}
    return AIMessage("", tool_calls=[call])


def merged(chunks: Iterable[Any]) -> Any:
    return reduce(add, chunks)


async def amerged(model: Any, asked: str) -> Any:
    return merged([chunk async for chunk in model.astream(asked)])


async def last_of_v2(model: Any, asked: str) -> Any:
    events = [event async for event in model.astream_events(asked, version="v2")]
    return events[-1]["data"]["output"]


def finished_v3(model: Any, asked: str) -> Any:
    stream = model.stream_events(asked, version="v3")
    list(stream)
    return stream.output


async def afinished_v3(model: Any, asked: str) -> Any:
    stream = await model.astream_events(asked, version="v3")
    return await stream.output


async def abatched(model: Any, asked: str) -> Any:
    return (await model.abatch([asked]))[0]


Entry = Callable[[Any, str], Any]
AsyncEntry = Callable[[Any, str], Awaitable[Any]]


def blocking(entry: AsyncEntry) -> Entry:
    async def run(model: Any, asked: str) -> Any:
        return await entry(model, asked)

    return lambda model, asked: asyncio.run(run(model, asked))


ENTRIES = {
    "invoke": lambda model, asked: model.invoke(asked),
    "ainvoke": blocking(lambda model, asked: model.ainvoke(asked)),
    "stream": lambda model, asked: merged(model.stream(asked)),
    "astream": blocking(amerged),
    "batch": lambda model, asked: model.batch([asked])[0],
    "abatch": blocking(abatched),
    "astream_events v2": blocking(last_of_v2),
    "stream_events v3": finished_v3,
}
A_BETA = pytest.param(
    blocking(afinished_v3),
    id="astream_events v3",
    marks=pytest.mark.filterwarnings("ignore:.*is in beta"),
)
every_entry = pytest.mark.parametrize(
    "ask", [*(pytest.param(ask, id=name) for name, ask in ENTRIES.items()), A_BETA]
)
whole_or_streamed = pytest.mark.parametrize(
    "ask", [ENTRIES["invoke"], ENTRIES["stream"]], ids=["invoke", "stream"]
)


@every_entry
def test_every_way_to_call_reports_the_usage_that_is_logged(ask: Entry):
    model = FakeChatModel(
        replies=["two words"],
        usage=(100, 40),
        input_details={"cache_read": 80, "cache_creation": 5},
        output_details={"reasoning": 30, "audio": 1},
    )

    answer = ask(model, "hi")

    assert answer.text == "two words"
    assert answer.usage_metadata == {
        "input_tokens": 100,
        "output_tokens": 40,
        "total_tokens": 140,
        "input_token_details": {"cache_read": 80, "cache_creation": 5},
        "output_token_details": {"reasoning": 30, "audio": 1},
    }
    assert model.calls == (ModelCall(100, 40, None, "fake", (), completed=True),)


@every_entry
def test_every_way_to_call_returns_tool_calls(ask: Entry):
    model = FakeChatModel(replies=[multiplying(6, 7)])

    (call,) = ask(model, "what is six times seven").tool_calls

    assert (call["name"], call["args"]) == ("multiply", {"a": 6, "b": 7})
    assert call["id"] == "call_0_0"


@whole_or_streamed
def test_usage_is_counted_in_words_when_none_is_given(ask: Entry):
    model = FakeChatModel(replies=["It is   forty-two.", multiplying(6, 7)])

    words = ask(model, "what is it").usage_metadata
    tool_call = ask(model.bind_tools([multiply]), "what is it").usage_metadata

    assert (words["input_tokens"], words["output_tokens"]) == (3, 3)
    assert tool_call["output_tokens"] == 1
    assert tool_call["input_tokens"] > 3


@whole_or_streamed
def test_no_usage_is_reported_on_request_but_logged(ask: Entry):
    model = FakeChatModel(no_usage=True, usage=(10, 5))

    assert ask(model, "hi").usage_metadata is None
    assert model.total == Total(10, 5, 1)


@pytest.mark.parametrize("reply", ["one two", ""])
def test_split_usage_comes_with_the_first_and_the_last_chunk(reply: str):
    model = FakeChatModel(replies=[reply], usage=(10, 5), split_usage=True)

    chunks = [chunk for chunk in model.stream("hi") if chunk.usage_metadata]

    assert len(chunks) == (2 if reply else 1)
    assert merged(chunks).usage_metadata["input_tokens"] == 10
    assert merged(chunks).usage_metadata["output_tokens"] == 5


def test_a_scripted_message_may_bring_its_own_usage():
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    own = AIMessage("hi", usage_metadata={**usage, "input_token_details": {"audio": 2}})
    model = FakeChatModel(replies=[own], usage=(100, 40))

    answer = model.invoke("hi")

    assert answer.usage_metadata == own.usage_metadata
    assert answer is not own
    assert model.total == Total(7, 3, 1)


def test_replies_and_their_usage_follow_each_other_and_the_last_repeats():
    model = FakeChatModel(
        replies=["one", AIMessage("two"), lambda messages: messages[-1].text * 3],
        usage=[(1, 10), (2, 20)],
    )

    answers = [model.invoke("ho") for _ in range(4)]

    assert [answer.text for answer in answers] == ["one", "two", "hohoho", "hohoho"]
    assert [call.output_tokens for call in model.calls] == [10, 20, 20, 20]


@whole_or_streamed
@pytest.mark.parametrize("error", [TimeoutError("slow"), TimeoutError])
def test_a_scripted_exception_is_raised_and_costs_nothing(
    ask: Entry, error: type[TimeoutError] | TimeoutError
):
    model = FakeChatModel(replies=[error], usage=(10, 5))

    with pytest.raises(TimeoutError):
        ask(model, "hi")

    assert model.calls == (ModelCall(0, 0, None, "fake", (), completed=False),)


@whole_or_streamed
def test_output_is_cut_to_the_tokens_a_call_allows(ask: Entry):
    model = FakeChatModel(replies=["one two three four"], max_tokens=3)

    answers = [
        ask(model, "hi"),
        ask(model.bind(max_tokens=2), "hi"),
        ask(model.bind(max_completion_tokens=1), "hi"),
        ask(model.bind(max_tokens=4), "hi"),
    ]

    assert [len(answer.text.split()) for answer in answers] == [3, 2, 1, 4]
    finishes = [answer.response_metadata["finish_reason"] for answer in answers]
    assert finishes == ["length", "length", "length", "stop"]
    logged = [(call.max_tokens, call.output_tokens) for call in model.calls]
    assert logged == [(3, 3), (2, 2), (1, 1), (4, 4)]


def test_given_usage_is_cut_to_the_tokens_a_call_allows():
    model = FakeChatModel(usage=(10, 500), output_details={"reasoning": 300})

    usage = model.invoke("hi", max_tokens=50).usage_metadata

    assert usage["output_tokens"] == usage["output_token_details"]["reasoning"] == 50


def test_callbacks_are_told_the_model_the_provider_and_the_limit():
    class Listener(BaseCallbackHandler):
        def on_chat_model_start(self, *_: object, metadata: Any, **kwargs: Any) -> None:
            self.metadata = metadata
            self.params = kwargs["invocation_params"]

    listener = Listener()
    model = FakeChatModel(model_name="small", provider="openai", max_tokens=9)

    answer = model.bind(model="large", max_completion_tokens=8).invoke(
        "hi", {"callbacks": [listener]}
    )

    told = {key: listener.metadata[f"ls_{key}"] for key in ("provider", "model_name")}
    assert told == {"provider": "openai", "model_name": "large"}
    assert listener.metadata["ls_max_tokens"] == 8
    assert listener.params["model"] == "large"
    assert answer.response_metadata["model_name"] == "large"
    assert model.calls[0].model == "large"


def test_an_abandoned_stream_has_used_what_was_read():
    model = FakeChatModel(replies=["one two three four"], usage=(10, 4))

    for read, _chunk in enumerate(model.stream("hi"), start=1):
        if read == 3:
            break

    assert model.calls == (ModelCall(10, 3, None, "fake", (), completed=False),)


def test_a_stream_cancelled_in_a_task_has_used_what_was_read():
    async def main() -> None:
        stream = model.astream("one two three four")
        await anext(stream)
        await anext(stream)
        await stream.aclose()

    model = FakeChatModel()

    asyncio.run(main())

    assert model.total == Total(4, 2, 1)
    assert not model.calls[0].completed


@pytest.mark.parametrize("whole", ["one two", "one two three"])
def test_a_stream_breaks_after_so_many_chunks(whole: str):
    model = FakeChatModel(replies=[whole], usage=(10, 4), fail_after=2)
    read = []

    with pytest.raises(ConnectionError, match="after 2 chunks"):
        read.extend(chunk.text for chunk in model.stream("hi"))

    assert model.calls == (ModelCall(10, 2, None, "fake", (), completed=False),)


def test_an_agent_uses_its_tool_and_answers():
    model = FakeChatModel(replies=[multiplying(6, 7), lambda m: f"It is {m[-1].text}."])
    agent = create_agent(model, [multiply])

    answer = agent.invoke({"messages": [HumanMessage("six times seven?")]})

    assert answer["messages"][-1].text == "It is 42."
    assert [call.tools for call in model.calls] == [("multiply",)] * 2


def test_an_agent_that_is_streamed_token_by_token_uses_its_tool_and_answers():
    model = FakeChatModel(replies=[multiplying(6, 7), lambda m: f"It is {m[-1].text}."])
    agent = create_agent(model, [multiply])

    asked = {"messages": [HumanMessage("six times seven?")]}
    tokens = [token for token, _ in agent.stream(asked, stream_mode="messages")]

    assert [token.text for token in tokens[-4:]] == ["It ", "is ", "42.", ""]
    assert all(call.completed for call in model.calls)


def test_bound_tools_are_described_as_most_providers_want_them():
    bound = FakeChatModel().bind_tools([multiply], tool_choice="any")

    assert bound.kwargs["tools"][0]["type"] == "function"
    assert bound.kwargs["tools"][0]["function"]["name"] == "multiply"
    assert bound.kwargs["tool_choice"] == "any"


def test_structured_output_comes_from_a_tool_call():
    class Animal(BaseModel):
        legs: int

    call = {"name": "Animal", "args": {"legs": 4}, "id": "a"}
    model = FakeChatModel(replies=[AIMessage("", tool_calls=[call])])

    assert model.with_structured_output(Animal).invoke("cow") == Animal(legs=4)


@pytest.mark.parametrize("copied", [FakeChatModel.model_copy, deepcopy])
def test_a_copy_goes_on_with_the_script_and_the_log(
    copied: Callable[[FakeChatModel], FakeChatModel],
):
    model = FakeChatModel(replies=["one", "two"])

    answers = [model.invoke("hi"), copied(model).invoke("hi")]

    assert [answer.text for answer in answers] == ["one", "two"]
    assert len(model.calls) == 2


def test_an_answer_from_a_cache_is_no_call():
    model = FakeChatModel(cache=InMemoryCache())

    answers = [model.invoke("hi"), model.invoke("hi")]

    assert answers[1].text == answers[0].text == "hi"
    assert len(model.calls) == 1
