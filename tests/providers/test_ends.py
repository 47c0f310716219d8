"""However a call ends on the wire: nothing is held after it, and nothing is free."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from langchain_core.exceptions import ModelError
from pydantic import BaseModel

from langchain_budget import (
    BudgetPool,
    HiddenRetriesWarning,
    budgeted,
    calls,
    usd,
)
from langchain_budget.events import Reserved
from langchain_budget.testing import EventLog, Fault, Rule, ScriptedServer, Served
from tests.invariants import assert_quiet
from tests.providers.clients import (
    CHAT,
    HOOKS,
    RESPONSES,
    WAYS,
    Provider,
    ask,
    ask_by,
    assert_equal_books,
    booked,
)

CAP = 500
LONG = Rule(answer="one two three four five six seven eight nine ten " * 3)


def only(server: ScriptedServer) -> Served:
    (served,) = server.log()
    return served


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", ["invoke", "astream"])
@pytest.mark.parametrize("status", [429, 500])
async def test_a_call_that_is_answered_with_an_error_costs_nothing(  # noqa: PLR0913, PLR0917  # each is a question
    provider: Provider,
    status: int,
    way: str,
    hook: str,
    pool: BudgetPool,
    scripted: ScriptedServer,
) -> None:
    scripted.fail_next(Fault(status=status))

    with pytest.raises(Exception, match=f"scripted {status}"):
        await ask_by(hook, pool, provider.client(scripted), way, "Hi")

    assert only(scripted).status == status
    assert_equal_books(pool, scripted)
    assert pool.balance().spent == usd(0)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", ["stream", "astream"])
@pytest.mark.parametrize(("after", "with_error"), [(0, False), (0, True), (7, True)])
async def test_a_stream_that_breaks_costs_what_was_sent_at_least(  # noqa: PLR0913, PLR0917  # each is a question
    provider: Provider,
    after: int,
    with_error: bool,  # noqa: FBT001  # pytest passes it by name
    way: str,
    hook: str,
    pool: BudgetPool,
) -> None:
    with ScriptedServer([LONG], seed=7) as server:
        server.fail_next(Fault(cut_after=after, with_error=with_error))
        model = provider.client(server, max_tokens=CAP)
        with pytest.raises(Exception, match=r"."):
            await ask_by(hook, pool, model, way, "Tell me")

        sent = only(server)
        assert_quiet(pool.ledger.store)
        if with_error and not after:  # an error instead of an answer
            return
        seen = booked(pool).get("output_tokens", 0)
        assert after <= seen <= CAP
        assert booked(pool)["input_tokens"] >= sent.prompt_tokens
        assert booked(pool)["usd"] > 0
        at_most = seen + pool.report().total.unconfirmed["output_tokens"]
        assert sent.completion_tokens <= at_most <= CAP


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", ["invoke", "astream"])
async def test_a_lost_reply_is_charged_as_estimated(
    provider: Provider, way: str, hook: str, pool: BudgetPool, scripted: ScriptedServer
) -> None:
    scripted.fail_next(Fault(lose_reply=True))

    with pytest.raises(ModelError):
        await ask_by(hook, pool, provider.client(scripted, max_tokens=CAP), way, "Hi")

    assert pool.report().total.estimated == 1
    assert booked(pool)["input_tokens"] >= only(scripted).prompt_tokens
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", WAYS)
async def test_an_answer_without_usage_is_estimated_and_never_free(
    provider: Provider, way: str, hook: str, pool: BudgetPool
) -> None:
    with ScriptedServer([LONG], seed=7) as server:
        server.fail_next(Fault(no_usage=True))

        await ask_by(hook, pool, provider.client(server), way, "Tell me")

        said = sum(1 for _ in LONG.answer.split())
        assert pool.report().total.estimated == 1
        assert booked(pool)["input_tokens"] >= only(server).prompt_tokens
        assert booked(pool)["output_tokens"] >= said
        assert booked(pool)["usd"] > 0
        assert_quiet(pool.ledger.store)


class Answer(BaseModel):
    """What is asked for."""

    number: int


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("said", ['{"number": 7, "and more": "and more"}', "no JSON"])
@pytest.mark.parametrize("each", [CHAT, RESPONSES], ids=["chat", "responses"])
async def test_an_answer_that_the_client_cannot_read_is_not_free(
    each: Provider, said: str, way: str, hook: str, pool: BudgetPool
) -> None:
    with ScriptedServer([Rule(answer=said)], seed=7) as server:
        model: Any = each.client(server, model="gpt-4o", max_tokens=3)
        asking = model.bind(response_format=Answer)

        with pytest.raises(Exception, match=r"(?i)parse|json"):
            await ask_by(hook, pool, asking, way, "Which number?")

        assert server.total.calls == 1
        assert pool.report().total.estimated == 1
        assert booked(pool)["usd"] > 0
        assert pool.report().total.unconfirmed["output_tokens"] >= 3
        assert_quiet(pool.ledger.store)


BAD = {
    "nothing": {},
    "negative": dict.fromkeys(
        ("input_tokens", "prompt_tokens", "output_tokens", "completion_tokens"), -7
    ),
    "absurd": dict.fromkeys(
        ("input_tokens", "prompt_tokens", "output_tokens", "completion_tokens"), 10**15
    ),
}


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", ["invoke", "astream"])
@pytest.mark.parametrize("what", BAD)
async def test_usage_that_cannot_be_true_is_estimated(  # noqa: PLR0913, PLR0917  # each is a question
    provider: Provider,
    what: str,
    way: str,
    hook: str,
    pool: BudgetPool,
    scripted: ScriptedServer,
) -> None:
    scripted.fail_next(Fault(usage=BAD[what]))

    with suppress(TypeError, AttributeError, ValueError):  # a client may not like it
        await ask_by(hook, pool, provider.client(scripted), way, "Hi")

    amounts = booked(pool)
    assert min(amounts.values()) > 0
    assert amounts["input_tokens"] < 1_000
    assert amounts["output_tokens"] < 1_000
    assert pool.report().total.estimated == 1
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", ["invoke", "astream"])
async def test_names_that_nobody_knows_are_passed_over(
    provider: Provider, way: str, hook: str, pool: BudgetPool, scripted: ScriptedServer
) -> None:
    usage = provider.usage(100, 20, 0, 30, 10)
    scripted.fail_next(Fault(usage={**usage, "new": 9, "more": {"new_tokens": 9}}))

    await ask_by(hook, pool, provider.client(scripted), way, "Hi")

    assert booked(pool)["tokens"] == 160
    assert booked(pool)["cached_tokens"] == 20
    assert booked(pool)["reasoning_tokens"] == 10
    assert pool.report().total.estimated == 0
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", ["invoke", "astream"])
async def test_of_what_contradicts_itself_the_higher_is_believed(
    provider: Provider, way: str, hook: str, pool: BudgetPool, scripted: ScriptedServer
) -> None:
    told = provider.usage(0, 800, 0, 0, 300)
    told |= dict.fromkeys(told.keys() & {"prompt_tokens", "input_tokens"}, 10)
    told |= dict.fromkeys(told.keys() & {"completion_tokens", "output_tokens"}, 5)
    scripted.fail_next(Fault(usage=told))

    await ask_by(hook, pool, provider.client(scripted), way, "Hi")

    assert booked(pool)["input_tokens"] >= 800
    assert booked(pool)["output_tokens"] >= 300
    assert booked(pool)["cached_tokens"] == 800
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_a_stream_that_nobody_reads_on_is_closed_and_paid(
    provider: Provider, way: str, pool: BudgetPool
) -> None:
    with ScriptedServer([LONG], seed=7) as server:
        server.hold(after=5)
        model = budgeted(provider.client(server, max_tokens=CAP), pool)
        if way == "stream":
            pieces = model.stream("Tell me")
            assert any(each.text for each in pieces)
            pieces.close()  # type: ignore[attr-defined]  # a generator it is
        else:
            piece = model.astream("Tell me")
            async for each in piece:
                if each.text:
                    break
            await piece.aclose()  # type: ignore[attr-defined]  # likewise
        server.release()

        assert len(server.log()) == 1
        assert 1 <= booked(pool)["output_tokens"] <= CAP
        assert pool.report().total.estimated == 1
        assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_each_attempt_of_with_retry_is_held_for(
    provider: Provider, way: str, pool: BudgetPool, scripted: ScriptedServer
) -> None:
    scripted.fail_next(Fault(lose_reply=True), 2)
    announced = EventLog()
    pool.subscribe(announced.append)
    paying = budgeted(provider.client(scripted, max_tokens=CAP), pool)
    model = paying.with_retry(stop_after_attempt=3, wait_exponential_jitter=False)

    await ask(model, way, "Hi")

    assert scripted.total.calls == 3
    assert len(announced.of(Reserved)) == 3
    assert booked(pool)["calls"] == 3
    assert pool.report().total.estimated == 2
    assert booked(pool)["input_tokens"] >= scripted.total.input_tokens
    assert_quiet(pool.ledger.store)


async def test_a_retry_that_is_not_affordable_is_not_made(
    provider: Provider, scripted: ScriptedServer
) -> None:
    pool = BudgetPool("acme", calls(2))
    scripted.fail_next(Fault(lose_reply=True), 5)
    model = budgeted(provider.client(scripted), pool).with_retry(
        retry_if_exception_type=(ModelError,),
        stop_after_attempt=5,
        wait_exponential_jitter=False,
    )

    with pytest.raises(Exception, match="calls"):
        model.invoke("Hi")

    assert scripted.total.calls == 2
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("retries", [1, 2, 6])
def test_retries_of_the_client_are_warned_of_once(
    provider: Provider, retries: int, pool: BudgetPool, scripted: ScriptedServer
) -> None:
    model = provider.client(scripted, max_retries=retries)

    with pytest.warns(HiddenRetriesWarning, match="max_retries=0") as told:
        budgeted(model.with_fallbacks([model, model]), pool)

    (warning,) = told
    assert f"max_retries={retries}" in str(warning.message)
    assert "with_retry" in str(warning.message)
    assert warning.filename == __file__


def test_retries_that_the_client_has_by_default_are_warned_of(
    provider: Provider, pool: BudgetPool, scripted: ScriptedServer
) -> None:
    model = provider.make(scripted, model="m", api_key="k")

    with pytest.warns(HiddenRetriesWarning, match="max_retries=2"):
        budgeted(model, pool)


def test_what_hidden_retries_cost_is_why_they_are_warned_of(
    provider: Provider, pool: BudgetPool, scripted: ScriptedServer
) -> None:
    scripted.fail_next(Fault(lose_reply=True))
    model = provider.client(scripted, max_retries=1)

    with pytest.warns(HiddenRetriesWarning):
        budgeted(model, pool).invoke("Hi")

    assert scripted.total.calls == 2
    assert booked(pool)["calls"] == 1
    assert_quiet(pool.ledger.store)
