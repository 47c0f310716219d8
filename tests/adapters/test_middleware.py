"""In an agent: hold the most a call can cost, cap its answer, settle, stop well."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelFallbackMiddleware,
    ModelRequest,
    ModelResponse,
    ModelRetryMiddleware,
)
from langchain.agents.structured_output import ToolStrategy
from langchain_core.caches import InMemoryCache
from langchain_core.exceptions import ModelAPIError
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    Price,
    PriceTable,
    PriceUnknown,
    UnknownAccount,
    budget,
    budget_guard,
    calls,
    events,
    meter,
    tokens,
    usd,
)
from langchain_budget.adapters.clamp import SMALLEST_ANSWER, UNCAPPED_ANSWER
from langchain_budget.testing import FakeChatModel, Gate, Rule, ScriptedServer
from tests.adapters.graphs import WAYS, assert_quiet, run

HELLO: Any = {"messages": [("user", "Hi")]}
LONG = "word " * 500
PRICES = PriceTable(
    {
        "fake": Price.per_million(input="2.50", output=10),
        "scripted-1": Price.per_million(input="2.50", output=10),
    }
)


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return f"{word}: a word"


def calling(*words: str) -> AIMessage:
    """A model's answer that calls a tool for each word."""
    asked = [
        {"name": "look_up", "args": {"word": word}, "id": f"call-{at}"}
        for at, word in enumerate(words)
    ]
    return AIMessage("", tool_calls=asked)


class Heard:
    """How many holds were made, and what was charged for them."""

    def __init__(self, pool: BudgetPool) -> None:
        self.held: list[events.Reserved] = []
        self.charged: list[events.Settled] = []
        pool.subscribe(self)

    def __call__(self, event: Any) -> None:
        if isinstance(event, events.Reserved):
            self.held.append(event)
        if isinstance(event, events.Settled):
            self.charged.append(event)


def spend_all(call: Callable[[], Any]) -> None:
    """Call until it is refused."""
    for _ in range(99):
        try:
            call()
        except BudgetExceeded:
            return
    pytest.fail("nothing was refused")


@pytest.fixture
def model() -> FakeChatModel:
    return FakeChatModel(replies=[LONG])


@pytest.mark.parametrize("way", WAYS)
def test_the_answer_is_capped_to_what_is_left_and_the_limit_is_kept(
    way: str, model: FakeChatModel
) -> None:
    pool = BudgetPool("acme", tokens(300))
    heard = Heard(pool)
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])
    answer = run(way, agent, HELLO)["messages"][-1]

    cap = model.calls[0].max_tokens
    assert cap is not None
    assert heard.held[0].amounts["tokens"] == 300
    assert heard.held[0].amounts["output_tokens"] == cap
    assert answer.usage_metadata["output_tokens"] == cap
    assert answer.response_metadata["finish_reason"] == "length"
    assert_quiet(pool, model, "tokens")


@pytest.mark.parametrize("way", WAYS)
def test_below_a_small_answer_the_model_is_not_called(
    way: str, model: FakeChatModel
) -> None:
    pool = BudgetPool("acme", tokens(SMALLEST_ANSWER))
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])

    with pytest.raises(BudgetExceeded, match="64 tokens left of 64"):
        run(way, agent, HELLO)
    assert model.total.calls == 0
    assert_quiet(pool, model, "tokens")


@pytest.mark.parametrize("way", WAYS)
def test_call_after_call_the_limit_is_never_passed(way: str) -> None:
    pool = BudgetPool("acme", usd("0.02"), prices=PRICES)
    model = FakeChatModel(replies=[LONG])
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])

    spend_all(lambda: run(way, agent, HELLO))

    assert [call.max_tokens for call in model.calls][-1] != UNCAPPED_ANSWER
    assert usd("0.019") < pool.balance().spent <= usd("0.02")
    assert pool.balance().held == usd(0)


def test_agents_beside_each_other_keep_the_limit_together() -> None:
    pool = BudgetPool("acme", tokens(1_000))
    model = FakeChatModel(replies=[LONG])
    agent = create_agent(model, middleware=[BudgetMiddleware(pool, on_exceeded="end")])
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(agent.invoke, [HELLO] * 64))

    balance = pool.balance("tokens")
    assert tokens(900) < balance.spent <= tokens(1_000)
    assert_quiet(pool, model, "tokens")


def test_a_cap_of_the_users_own_is_kept_when_it_is_lower(model: FakeChatModel) -> None:
    pool = BudgetPool("acme", tokens(300))
    for capped in (
        model.model_copy(update={"max_tokens": 7}),
        model.bind(max_tokens=7),
    ):
        agent: Any = create_agent(
            capped,  # type: ignore[arg-type]  # a bound model works, if untyped
            middleware=[BudgetMiddleware(pool)],
        )
        agent.invoke(HELLO)

    assert [call.output_tokens for call in model.calls] == [7, 7]


def test_without_a_limit_no_answer_is_capped(model: FakeChatModel) -> None:
    pool = BudgetPool("acme", calls(9))
    create_agent(model, middleware=[BudgetMiddleware(pool)]).invoke(HELLO)

    assert model.calls[0].max_tokens is None
    assert_quiet(pool, model)


def test_the_real_client_sends_the_cap_and_the_server_keeps_to_it(
    scripted: ScriptedServer,
) -> None:
    pool = BudgetPool("acme", usd("0.012"), prices=PRICES)
    heard = Heard(pool)
    client = ChatOpenAI(
        base_url=scripted.base_url, api_key="unused", model="scripted-1", max_retries=0
    )
    agent = create_agent(client, middleware=[BudgetMiddleware(pool)])
    spend_all(lambda: agent.invoke(HELLO))

    caps = [event.amounts["output_tokens"] for event in heard.held]
    served = scripted.log()
    assert len(served) == len(caps) > 1
    assert all(
        one.completion_tokens <= cap for one, cap in zip(served, caps, strict=True)
    )
    assert pool.balance().spent <= usd("0.012")
    assert pool.report().spent("tokens").value == sum(
        one.prompt_tokens + one.completion_tokens for one in served
    )


def test_on_the_wire_a_long_answer_is_cut_at_the_cap() -> None:
    with ScriptedServer(seed=3, rules=[Rule(answer=LONG)]) as server:
        pool = BudgetPool("acme", tokens(200))
        heard = Heard(pool)
        client = ChatOpenAI(
            base_url=server.base_url, api_key="unused", model="scripted-1"
        )
        agent = create_agent(client, middleware=[BudgetMiddleware(pool)])
        answer = agent.invoke(HELLO)["messages"][-1]

        cap = heard.held[0].amounts["output_tokens"]
        assert answer.response_metadata["finish_reason"] == "length"
        assert SMALLEST_ANSWER < server.log()[0].completion_tokens <= cap < 200
        assert pool.balance("tokens").spent <= tokens(200)


@pytest.mark.parametrize("way", WAYS)
def test_end_finishes_with_a_message_and_a_whole_state(
    way: str, model: FakeChatModel
) -> None:
    pool = BudgetPool("acme", calls(0))
    agent = create_agent(
        model,
        middleware=[BudgetMiddleware(pool, on_exceeded="end")],
        checkpointer=InMemorySaver(),
    )
    config: Any = {"configurable": {"thread_id": "1"}}
    last = run(way, agent, HELLO, config)["messages"][-1]

    assert isinstance(last, AIMessage)
    assert last.text.startswith("I stopped before I was done. account 'acme' has 0")
    assert last.response_metadata == {
        "budget_stop": "exhausted",
        "budget_incomplete": True,
        "budget_account": "acme",
    }
    assert agent.get_state(config).next == ()
    pool.set_limit(calls(1))
    assert len(run(way, agent, HELLO, config)["messages"]) == 4
    assert_quiet(pool, model)


@pytest.mark.parametrize("way", WAYS)
def test_an_error_leaves_a_state_that_goes_on_after_a_top_up(
    way: str, model: FakeChatModel
) -> None:
    pool = BudgetPool("acme", calls(0))
    agent = create_agent(
        model, middleware=[BudgetMiddleware(pool)], checkpointer=InMemorySaver()
    )
    config: Any = {"configurable": {"thread_id": "1"}}
    with pytest.raises(BudgetExceeded):
        run(way, agent, HELLO, config)
    pool.top_up(calls(1))

    assert len(run(way, agent, None, config)["messages"]) == 2
    assert_quiet(pool, model)


@pytest.mark.parametrize("way", WAYS)
def test_tools_are_counted_and_not_run_beyond_the_limit(way: str) -> None:
    pool = BudgetPool("acme", meter("tool_calls")(2))
    model = FakeChatModel(replies=[calling("a"), calling("b"), calling("c")])
    agent = create_agent(model, [look_up], middleware=[BudgetMiddleware(pool)])

    with pytest.raises(BudgetExceeded, match="0 tool calls left of 2"):
        run(way, agent, HELLO)
    assert model.total.calls == 3
    assert pool.balance("tool_calls").spent == meter("tool_calls")(2)
    assert pool.report().spent("calls") == calls(3)


@pytest.mark.parametrize("way", WAYS)
def test_end_after_a_refused_tool_asks_the_model_no_more(way: str) -> None:
    pool = BudgetPool("acme", meter("tool_calls")(2))
    model = FakeChatModel(replies=[calling("a", "b", "c")])
    agent = create_agent(
        model, [look_up], middleware=[BudgetMiddleware(pool, on_exceeded="end")]
    )
    _, asked, *told, last = run(way, agent, HELLO)["messages"]

    assert [each.tool_call_id for each in told] == [
        call["id"] for call in asked.tool_calls
    ]
    assert sorted(each.status for each in told) == ["error", "success", "success"]
    assert "This tool was not run" in last.text
    assert not last.tool_calls
    assert model.total.calls == 1


def test_a_turn_after_that_begins_anew() -> None:
    pool = BudgetPool("acme", meter("tool_calls")(0))
    model = FakeChatModel(replies=[calling("a"), "Hello."])
    agent = create_agent(
        model,
        [look_up],
        middleware=[BudgetMiddleware(pool, on_exceeded="end")],
        checkpointer=InMemorySaver(),
    )
    config: Any = {"configurable": {"thread_id": "1"}}
    agent.invoke(HELLO, config)

    assert agent.invoke(HELLO, config)["messages"][-1].text == "Hello."


def test_only_the_middleware_that_refused_a_tool_decides_how_to_go_on() -> None:
    """A refusal that was written into the state by one is no error to another."""
    strict = BudgetPool("strict", meter("tool_calls")(0))
    model = FakeChatModel(replies=[calling("a"), "Hello."])
    agent = create_agent(
        model,
        [look_up],
        middleware=[
            BudgetMiddleware(strict, on_exceeded="end"),
            BudgetMiddleware(BudgetPool("generous")),
        ],
    )

    assert "I stopped" in agent.invoke(HELLO)["messages"][-1].text


@pytest.mark.filterwarnings("ignore:a model call reached two handlers")
@pytest.mark.parametrize("way", WAYS)
def test_several_hooks_are_one_hold_and_one_charge(
    way: str, model: FakeChatModel
) -> None:
    pool, other = BudgetPool("acme", tokens(900)), BudgetPool("other", tokens(900))
    heard, heard_too = Heard(pool), Heard(other)
    agent = create_agent(
        model, middleware=[BudgetMiddleware(pool), BudgetMiddleware(other)]
    )
    handlers = [BudgetCallbackHandler(each) for each in (pool, pool, other)]
    with budget(tokens(20_000)) as private, budget(pool):
        run(way, agent, HELLO, {"callbacks": handlers})

    used = model.total.input_tokens + model.total.output_tokens
    for each in (heard, heard_too):
        assert (len(each.held), len(each.charged)) == (1, 1)
    assert private.total_tokens == used
    assert_quiet(pool, model, "tokens")
    assert_quiet(other, model, "tokens")


def test_a_scope_inside_the_account_binds_too(model: FakeChatModel) -> None:
    pool = BudgetPool("acme", calls(9))
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])
    with budget(pool), budget(calls(1)) as scope:
        agent.invoke(HELLO)
        with pytest.raises(BudgetExceeded, match="0 calls left of 1"):
            agent.invoke(HELLO)

    assert scope.successful_requests == 1
    assert_quiet(pool, model)


def test_an_account_inside_the_scope_binds_too(model: FakeChatModel) -> None:
    pool = BudgetPool("acme", calls(9))
    pool.open("team", limit=calls(1))
    agent = create_agent(model, middleware=[BudgetMiddleware(pool, "team")])
    with budget(pool):
        agent.invoke(HELLO)
        with pytest.raises(BudgetExceeded, match="acme/team"):
            agent.invoke(HELLO)

    assert_quiet(pool, model)


def test_the_tightest_of_two_pools_caps_the_answer(model: FakeChatModel) -> None:
    wide, tight = BudgetPool("same", tokens(900)), BudgetPool("same", tokens(200))
    for pools in ([wide, tight], [tight, wide]):
        agent = create_agent(model, middleware=[BudgetMiddleware(p) for p in pools])
        agent.invoke(HELLO)
        cap = model.calls[-1].max_tokens
        assert cap is not None
        assert cap < 200
        tight.set_limit(tokens(200 + tight.balance("tokens").spent.value))

    assert_quiet(wide, model, "tokens")
    assert_quiet(tight, model, "tokens")


def test_two_of_one_pool_are_rejected_when_the_agent_is_made() -> None:
    pool = BudgetPool("acme")
    pool.open("team")
    twice = [BudgetMiddleware(pool), BudgetMiddleware(pool, "team")]

    with pytest.raises(AssertionError, match="duplicate middleware"):
        create_agent(FakeChatModel(), middleware=twice)


@pytest.mark.parametrize("way", WAYS)
def test_each_attempt_of_a_retry_is_held_and_charged(way: str) -> None:
    pool = BudgetPool("acme", calls(5), prices=PRICES)
    heard = Heard(pool)
    model = FakeChatModel(replies=[ModelAPIError(), TimeoutError(), "Hello."])
    retry = ModelRetryMiddleware(max_retries=2, initial_delay=0, jitter=False)
    agent = create_agent(model, middleware=[retry, BudgetMiddleware(pool)])
    run(way, agent, HELLO)

    assert len(heard.held) == 3
    charged = [(str(each.basis), bool(each.amounts)) for each in heard.charged]
    assert charged == [("reported", False), ("estimated", True), ("reported", True)]
    assert pool.report().total.failed == 2
    assert pool.balance("calls").spent == calls(2)
    assert pool.balance("calls").held == calls(0)


@pytest.mark.parametrize("outermost", [True, False])
def test_a_refusal_passes_fallbacks_and_retries(*, outermost: bool) -> None:
    pool, model, cheap = BudgetPool("acme", calls(0)), FakeChatModel(), FakeChatModel()
    layers = [ModelFallbackMiddleware(cheap), ModelRetryMiddleware()]
    own = BudgetMiddleware(pool)
    agent = create_agent(
        model, middleware=[own, *layers] if outermost else [*layers, own]
    )

    with pytest.raises(BudgetExceeded):
        agent.invoke(HELLO)
    assert model.total.calls == cheap.total.calls == 0


def test_a_fallback_of_another_model_is_charged_as_that_model() -> None:
    pool = BudgetPool("acme", calls(5))
    model = FakeChatModel(replies=[ModelAPIError()])
    cheap = FakeChatModel(model_name="cheap")
    fallback = ModelFallbackMiddleware(cheap)
    agent = create_agent(model, middleware=[fallback, BudgetMiddleware(pool)])
    agent.invoke(HELLO)

    lines = pool.report().by("model")
    assert {model: line.failed for (model,), line in lines.items()} == {
        "cheap": 0,
        "fake": 1,
    }
    assert lines[("fake",)].amounts == {}
    assert_quiet(pool, cheap)


async def test_a_cancelled_call_is_closed_at_once_as_estimated() -> None:
    pool, gate = BudgetPool("acme", tokens(900)), Gate()
    heard = Heard(pool)
    model = FakeChatModel(replies=[LONG], gate=gate)
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])
    call = asyncio.create_task(agent.ainvoke(HELLO))
    await gate.await_started()
    assert pool.balance("tokens").held == tokens(900)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert [str(each.basis) for each in heard.charged] == ["estimated"]
    assert pool.balance("tokens").held == tokens(0)
    assert tokens(0) < pool.balance("tokens").spent < tokens(50)


def test_a_model_that_fails_is_charged_nothing() -> None:
    failure = ModelAPIError()
    pool, model = BudgetPool("acme", calls(5)), FakeChatModel(replies=[failure])
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])

    with pytest.raises(ModelAPIError):
        agent.invoke(HELLO)
    balance = pool.balance("calls")
    assert (balance.spent, balance.held) == (calls(0), calls(0))


def test_a_middleware_inside_that_answers_itself_costs_nothing() -> None:
    class Answers(AgentMiddleware):
        def wrap_model_call(self, request: Any, handler: Any) -> ModelResponse:
            return ModelResponse(result=[AIMessage("Hello.")])

    pool, model = BudgetPool("acme", calls(5)), FakeChatModel()
    agent = create_agent(model, middleware=[BudgetMiddleware(pool), Answers()])
    agent.invoke(HELLO)

    assert_quiet(pool, model)


@pytest.mark.filterwarnings("ignore:several model calls were made")
def test_a_middleware_inside_that_calls_twice_is_charged_twice() -> None:
    class AsksTwice(AgentMiddleware):
        def wrap_model_call(self, request: ModelRequest, handler: Any) -> ModelResponse:
            handler(request)
            answer: ModelResponse = handler(request)
            return answer

    pool, model = BudgetPool("acme", calls(5)), FakeChatModel()
    agent = create_agent(model, middleware=[BudgetMiddleware(pool), AsksTwice()])
    agent.invoke(HELLO)

    assert model.total.calls == 2
    assert_quiet(pool, model)


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_reports_no_usage_is_charged_as_estimated(way: str) -> None:
    pool = BudgetPool("acme", tokens(300))
    heard = Heard(pool)
    model = FakeChatModel(replies=[LONG], no_usage=True)
    run(way, create_agent(model, middleware=[BudgetMiddleware(pool)]), HELLO)

    assert [str(each.basis) for each in heard.charged] == ["estimated"]
    assert tokens(200) < pool.balance("tokens").spent
    assert pool.balance("tokens").held == tokens(0)


def test_a_cached_answer_costs_nothing() -> None:
    pool, model = BudgetPool("acme", calls(5)), FakeChatModel(replies=["Hello."])
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])
    set_llm_cache(InMemoryCache())
    try:
        agent.invoke(HELLO)
        agent.invoke(HELLO)
    finally:
        set_llm_cache(None)

    assert model.total.calls == 1
    assert_quiet(pool, model)


def test_streamed_messages_are_charged_once(model: FakeChatModel) -> None:
    pool = BudgetPool("acme", tokens(300))
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])
    texts = [chunk.text for chunk, _ in agent.stream(HELLO, stream_mode="messages")]

    assert len(texts) > 200
    assert_quiet(pool, model, "tokens")


async def test_streamed_messages_that_are_abandoned_are_closed(
    model: FakeChatModel,
) -> None:
    pool = BudgetPool("acme", tokens(300))
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])
    stream: Any = agent.astream(HELLO, stream_mode="messages")
    await anext(stream)
    await stream.aclose()

    balance = pool.balance("tokens")
    assert balance.held == tokens(0)
    assert tokens(0) < balance.spent <= tokens(300)


class Answer(BaseModel):
    """What was found out, in a form that takes some tokens to describe."""

    subject: str
    reasons: list[str]


@pytest.mark.parametrize("form", [Answer, ToolStrategy(Answer)])
def test_a_structured_answer_is_held_with_its_form(form: Any) -> None:
    pool = BudgetPool("acme", tokens(900))
    heard = Heard(pool)
    args = {"subject": "tea", "reasons": ["hot"]}
    said = AIMessage("", tool_calls=[{"name": "Answer", "args": args, "id": "1"}])
    model = FakeChatModel(replies=[said])
    agent = create_agent(
        model, response_format=form, middleware=[BudgetMiddleware(pool)]
    )

    assert agent.invoke(HELLO)["structured_response"] == Answer(**args)
    assert heard.held[0].amounts["input_tokens"] >= model.total.input_tokens > 30
    assert_quiet(pool, model, "tokens")


@pytest.mark.parametrize(
    "more", [{"tools": [look_up]}, {"system_prompt": "Be terse. " * 50}]
)
def test_what_is_sent_beside_the_messages_is_held_too(more: Any) -> None:
    pool, model = BudgetPool("acme", tokens(2_000)), FakeChatModel()
    heard = Heard(pool)
    for options in (more, {}):
        agent = create_agent(model, **options, middleware=[BudgetMiddleware(pool)])
        agent.invoke(HELLO)

    held = [each.amounts["input_tokens"] for each in heard.held]
    counted = [call.input_tokens for call in model.calls]
    assert held[0] - held[1] >= counted[0] - counted[1] > 0


def test_end_before_a_structured_answer_gives_none() -> None:
    agent = create_agent(
        FakeChatModel(),
        response_format=ToolStrategy(Answer),
        middleware=[BudgetMiddleware(BudgetPool("acme", calls(0)), on_exceeded="end")],
    )

    assert agent.invoke(HELLO).get("structured_response") is None


@pytest.mark.parametrize("way", WAYS)
def test_a_model_without_a_price_is_named_where_dollars_are_limited(way: str) -> None:
    pool = BudgetPool("acme", usd(1))
    model = FakeChatModel(model_name="mystery-9")
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])

    with pytest.raises(PriceUnknown, match="mystery-9") as seen:
        run(way, agent, HELLO)
    assert seen.value.model == "mystery-9"
    assert model.total.calls == 0


def test_it_charges_the_account_named_like_the_agent() -> None:
    pool = BudgetPool("acme", calls(9))
    writer = pool.open("writer", limit=calls(1))
    other = pool.open("other")
    other.open("writer", limit=calls(0))
    agent = create_agent(
        FakeChatModel(), name="writer", middleware=[BudgetMiddleware(pool)]
    )
    agent.invoke(HELLO)
    assert writer.balance("calls").spent == calls(1)

    named = create_agent(
        FakeChatModel(), name="writer", middleware=[BudgetMiddleware(pool, "other")]
    )
    named.invoke(HELLO)
    assert other.report().spent("calls") == calls(1)
    with pytest.raises(BudgetExceeded, match="acme/writer"):
        agent.invoke(HELLO)


def test_it_says_who_called_what() -> None:
    pool = BudgetPool("acme", calls(9))
    heard = Heard(pool)
    model = FakeChatModel(replies=[calling("a"), "Hello."])
    agent = create_agent(
        model, [look_up], name="writer", middleware=[BudgetMiddleware(pool)]
    )
    agent.invoke(HELLO)

    asked, looked_up, _ = [dict(each.labels) for each in heard.charged]
    assert (asked["agent"], asked["node"], asked["model"]) == (
        "writer",
        "model",
        "fake",
    )
    assert (looked_up["agent"], looked_up["tool"]) == ("writer", "look_up")
    assert pool.report().by("agent").keys() == {("writer",)}


def test_in_a_reserved_step_the_cap_is_the_reservation_and_what_is_free() -> None:
    pool, model = BudgetPool("acme", tokens(900)), FakeChatModel(replies=[LONG])
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])
    builder = StateGraph(MessagesState)
    builder.add_node("guard", budget_guard(pool, then="work", reserve=tokens(100)))
    builder.add_node("work", agent)
    graph = builder.add_edge(START, "guard").compile()
    kept = pool.reserve(tokens(600))
    graph.invoke(HELLO)
    kept.release()

    cap = model.calls[0].max_tokens
    assert cap is not None
    assert 200 < cap < 300
    assert_quiet(pool, model, "tokens")


def test_in_a_reserved_step_of_a_pool_without_that_limit_nothing_is_capped() -> None:
    pool, model = BudgetPool("acme"), FakeChatModel(replies=[LONG])
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])
    builder = StateGraph(MessagesState)
    builder.add_node("guard", budget_guard(pool, then="work", reserve=tokens(100)))
    builder.add_node("work", agent)
    builder.add_edge(START, "guard").compile().invoke(HELLO)

    assert model.calls[0].max_tokens is None
    assert model.total.output_tokens == 500
    assert_quiet(pool, model, "tokens")


def test_tool_calls_draw_on_what_was_reserved_for_the_step() -> None:
    pool = BudgetPool("acme", meter("tool_calls")(1))
    model = FakeChatModel(replies=[calling("a"), "Hello."])
    agent = create_agent(model, [look_up], middleware=[BudgetMiddleware(pool)])
    builder = StateGraph(MessagesState)
    reserve = meter("tool_calls")(1)
    builder.add_node("guard", budget_guard(pool, then="work", reserve=reserve))
    builder.add_node("work", agent)
    state = builder.add_edge(START, "guard").compile().invoke(HELLO)

    assert state["messages"][-1].text == "Hello."
    assert pool.balance("tool_calls").spent == reserve


def test_what_makes_no_sense_is_told_when_it_is_made() -> None:
    pool = BudgetPool("acme")

    with pytest.raises(ValueError, match="on_exceeded='explode': choose one of error"):
        BudgetMiddleware(pool, on_exceeded="explode")  # type: ignore[arg-type]  # the test
    with pytest.raises(UnknownAccount, match="nobody"):
        BudgetMiddleware(pool, "nobody")


def test_without_the_extra_an_error_names_it() -> None:
    """In an interpreter that cannot import `langchain`; all else goes on working."""
    code = """
import sys
sys.modules["langchain"] = None
import langchain_budget
with langchain_budget.budget(langchain_budget.calls(1)):
    pass
try:
    from langchain_budget import BudgetMiddleware
except langchain_budget.MissingExtra as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert "pip install 'langchain-budget[langchain]'" in done.stdout


def test_a_tool_message_of_others_stops_nothing() -> None:
    pool, model = BudgetPool("acme", calls(9)), FakeChatModel(replies=["Hello."])
    agent = create_agent(
        model, [look_up], middleware=[BudgetMiddleware(pool, on_exceeded="end")]
    )
    asked = [*HELLO["messages"], calling("a"), ToolMessage("no", tool_call_id="call-0")]

    assert agent.invoke({"messages": asked})["messages"][-1].text == "Hello."
