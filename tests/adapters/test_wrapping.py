"""A wrapped model stays what it was, however its class is written."""

from __future__ import annotations

import asyncio
import copy
import pickle
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import CallbackManager
from langchain_core.exceptions import ModelAPIError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import ConfigurableField
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import PrivateAttr
from typing_extensions import override

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    budget,
    budgeted,
    calls,
    tokens,
)
from langchain_budget.adapters.clamp import UNCAPPED_ANSWER
from langchain_budget.testing import FakeChatModel
from tests.invariants import assert_quiet

USAGE: Any = {"input_tokens": 10, "output_tokens": 3, "total_tokens": 13}


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", tokens(100_000))


def spent(pool: BudgetPool) -> int:
    assert_quiet(pool.ledger.store)
    return pool.balance("tokens").spent.value


class Plain(BaseChatModel):
    """A model that does no more than it must."""

    @property
    @override
    def _llm_type(self) -> str:
        return "plain"

    @override
    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        message = AIMessage("hello", usage_metadata=USAGE)
        return ChatResult(generations=[ChatGeneration(message=message)])


async def test_a_model_without_a_stream_streams_its_whole_answer(
    pool: BudgetPool,
) -> None:
    model = budgeted(Plain(), pool)
    graph: Any = StateGraph(MessagesState)
    graph.add_node("n", lambda _: {"messages": [model.invoke("Hi")]})
    graph.add_edge(START, "n")

    said = [each.text for each in model.stream("Hi")]
    awaited = [each.text async for each in model.astream("Hi")]
    pieces = list(graph.compile().stream({"messages": []}, stream_mode="messages"))

    assert said == awaited == [piece.text for piece, _ in pieces] == ["hello"]
    assert spent(pool) == 3 * 13


class Awaited(Plain):
    """It streams only where it is awaited."""

    @override
    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for word in ("he", "llo"):
            yield ChatGenerationChunk(message=AIMessageChunk(word))


async def test_a_model_that_streams_only_when_awaited(pool: BudgetPool) -> None:
    model = budgeted(Awaited(), pool)

    said = [each.text for each in model.stream("Hi")]
    awaited = [each.text async for each in model.astream("Hi")]

    assert said == ["hello"]
    assert [each for each in awaited if each] == ["he", "llo"]
    assert pool.report().spent("calls").value == 2


class Terse(Plain):
    """Its methods take no run manager, as the framework allows."""

    @override
    def _generate(self, messages: Any, stop: Any = None, **kwargs: Any) -> ChatResult:
        assert not kwargs
        return super()._generate(messages)


def test_a_method_that_takes_no_run_manager_is_given_none() -> None:
    model = budgeted(Terse(), BudgetPool("acme"))

    assert model.invoke("Hi").text == "hello"


class Native(FakeChatModel):
    """It has events of its own beside its stream."""

    def _stream_chat_model_events(self, *_: Any, **__: Any) -> Iterator[Any]:
        raise AssertionError

    _astream_chat_model_events = _stream_chat_model_events


async def test_native_events_do_not_pass_the_wrapper_by(pool: BudgetPool) -> None:
    model = budgeted(Native(replies=["one two"], usage=(10, 2)), pool)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = "".join(model.stream_events("Hi", version="v3").text)
        events = await model.astream_events("Hi", version="v3")
        awaited = "".join([each async for each in events.text])

    assert text == awaited == "one two"
    assert spent(pool) == 24


class Threaded(Plain):
    """Its awaited method runs the other one in a thread, without our context."""

    _runs: list[str] = PrivateAttr(default_factory=list)

    @cached_property
    def client(self) -> object:
        """Made on first use."""
        return object()

    @property
    def runs(self) -> list[str]:
        """What was called."""
        return self._runs

    @override
    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        self._runs.append(f"{id(self.client)}")
        return super()._generate(messages)

    @override
    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        call = partial(self._generate, messages, stop, None, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(None, call)

    @override
    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        call = self._agenerate(messages, stop, None, **kwargs)
        with ThreadPoolExecutor(1) as threads:
            threads.submit(asyncio.run, call).result()
        message = AIMessageChunk("hello", usage_metadata=USAGE)
        yield ChatGenerationChunk(message=message)


async def test_what_a_model_calls_itself_in_a_thread_is_the_same_call() -> None:
    pool = BudgetPool("acme", tokens(100))
    model = budgeted(Threaded(), pool)

    await model.ainvoke("Hi", max_tokens=80)
    await asyncio.wait_for(asyncio.to_thread(list, model.stream("Hi")), 10)

    assert spent(pool) == 26
    assert pool.report().spent("calls").value == 2


def test_what_a_model_keeps_it_keeps(pool: BudgetPool) -> None:
    model = budgeted(Threaded(), pool)

    for _ in range(3):
        model.invoke("Hi")

    assert model.runs == [f"{id(model.client)}"] * 3


class Again(Plain):
    """It asks itself once more, as a run of its own."""

    @override
    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        if len(messages) == 1:
            self.invoke([*messages, *messages])
        return super()._generate(messages)


def test_a_run_that_a_model_starts_of_itself_is_the_same_call(pool: BudgetPool) -> None:
    handler = BudgetCallbackHandler(pool)

    with budget(pool):
        budgeted(Again(callbacks=[handler]), pool).invoke("Hi")

    assert spent(pool) == 13


CUT = pytest.mark.parametrize("way", ["messages", "events", "streaming", "v3"])


class Streaming(FakeChatModel):
    """It can be told to stream inside of `invoke`."""

    streaming: bool = False


async def heard(way: str, model: Any) -> None:
    """Call `invoke` so that it streams inside."""
    graph: Any = StateGraph(MessagesState)
    graph.add_node("n", lambda _: {"messages": [model.invoke("Hi")]})
    graph.add_edge(START, "n")
    built = graph.compile()
    if way == "messages":
        list(built.stream({"messages": []}, stream_mode="messages"))
    elif way == "events":
        async for _ in built.astream_events({"messages": []}):
            pass
    elif way == "v3":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            list(built.stream_events({"messages": []}, version="v3"))
    else:
        model.invoke("Hi")


@CUT
async def test_a_capped_answer_that_was_streamed_inside_is_not_kept(way: str) -> None:
    pool, cache = BudgetPool("acme", tokens(150)), InMemoryCache()
    own: dict[str, Any] = {"streaming": True} if way == "streaming" else {}
    model = budgeted(Streaming(replies=["word " * 300], cache=cache, **own), pool)

    await heard(way, model)
    pool.top_up(tokens(5_000))
    again = model.invoke("Hi")

    assert len(again.text.split()) == 300
    assert len(model.calls) == 2


class Chatterbox(Streaming):
    """It keeps to no cap, and its stream does not say how it ended."""

    @override
    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for number in range(500):
            yield ChatGenerationChunk(message=AIMessageChunk(f"w{number} "))


@CUT
async def test_a_stream_that_was_cut_is_not_kept(way: str) -> None:
    pool, cache = BudgetPool("acme", tokens(200)), InMemoryCache()
    own: dict[str, Any] = {"streaming": True} if way == "streaming" else {}
    model = budgeted(Chatterbox(cache=cache, **own), pool)

    await heard(way, model)
    pool.top_up(tokens(5_000))
    again = model.invoke("Hi")

    assert len(again.text.split()) == (500 if own else 1)


@pytest.mark.parametrize("limits", [(), (calls(10),)])
def test_a_stream_is_not_ended_where_nothing_limits_it(limits: tuple[Any, ...]) -> None:
    pool = BudgetPool("acme", *limits)
    model = budgeted(FakeChatModel(replies=["w " * (UNCAPPED_ANSWER + 99)]), pool)

    pieces = list(model.stream("Hi"))

    assert sum(bool(each.text) for each in pieces) == UNCAPPED_ANSWER + 99
    assert not any("budget_stop" in each.response_metadata for each in pieces)


def test_a_model_without_a_maximum_is_capped_where_a_call_waits() -> None:
    pool = BudgetPool("acme", tokens(100_000))
    model = FakeChatModel(replies=["w " * (UNCAPPED_ANSWER + 99)])

    answer = budgeted(model, pool, wait_seconds=1).invoke("Hi")

    assert model.calls[0].max_tokens == UNCAPPED_ANSWER
    assert answer.response_metadata["budget_capped"] is True


def test_an_agent_may_retry_a_wrapped_model(pool: BudgetPool) -> None:
    failing = FakeChatModel(replies=[ModelAPIError(), "second"], usage=(10, 3))
    model: Any = budgeted(failing, pool).with_retry(wait_exponential_jitter=False)
    agent: Any = create_agent(model, middleware=[BudgetMiddleware(pool)])

    said = agent.invoke({"messages": [("user", "Hi")]})["messages"]

    assert said[-1].text == "second"
    assert spent(pool) == 13


def test_its_fields_are_not_configured_for_its_budget_would_be_lost(
    pool: BudgetPool,
) -> None:
    model = budgeted(Plain(), pool)

    with pytest.raises(TypeError, match="configure the model first"):
        model.configurable_fields(cache=ConfigurableField(id="cache"))
    with pytest.raises(TypeError, match="has no budget"):
        type(model)().invoke("Hi")


def test_alternatives_pay_each_for_itself(pool: BudgetPool) -> None:
    one, other = (
        budgeted(FakeChatModel(replies=[each], usage=(10, 3)), pool) for each in "ab"
    )
    model = one.configurable_alternatives(ConfigurableField(id="m"), other=other)

    said = [model.invoke("Hi", {"configurable": c}).text for c in ({}, {"m": "other"})]

    assert said == ["a", "b"]
    assert spent(pool) == 26


def with_handler(pool: BudgetPool) -> Any:
    return Plain(callbacks=[BudgetCallbackHandler(pool)])


def wrapped_with_handler(pool: BudgetPool) -> Any:
    return budgeted(with_handler(pool), pool)


@pytest.mark.parametrize("made", [with_handler, wrapped_with_handler])
def test_a_deep_copy_spends_from_the_same_budget(
    made: Callable[[BudgetPool], Any], pool: BudgetPool
) -> None:
    copy.deepcopy(made(pool)).invoke("Hi")

    assert spent(pool) == 13
    assert copy.deepcopy(pool) is pool
    middleware = BudgetMiddleware(pool)
    assert copy.deepcopy(middleware) is middleware


@pytest.mark.parametrize("callbacks", [None, [], CallbackManager([])])
def test_it_is_written_down_as_the_model_that_was_wrapped(
    callbacks: Any, pool: BudgetPool
) -> None:
    model = budgeted(Threaded(callbacks=callbacks), pool)
    model.invoke("Hi")

    again = pickle.loads(pickle.dumps(model))  # noqa: S301  # our own

    assert type(again) is Threaded
    assert len(again.runs) == 1
    assert not getattr(again.callbacks, "handlers", again.callbacks)
    assert spent(pool) == 13
    assert budgeted(again, pool).invoke("Hi").text == "hello"


def test_what_cannot_be_paid_is_refused_in_every_class(pool: BudgetPool) -> None:
    poor = BudgetPool("poor", tokens(20))

    for model in (Plain(), Threaded(), Again(), Native()):
        with pytest.raises(BudgetExceeded):
            budgeted(model, poor).invoke("Hi")

    assert spent(pool) == spent(poor) == 0
