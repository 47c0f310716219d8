"""The ways in which an agent stops well when its budget is used up."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langchain_budget import (
    AccountFrozen,
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    InvalidAmount,
    Price,
    PriceTable,
    meter,
    tokens,
    usd,
)
from langchain_budget.adapters.stops import CHECK_IN
from langchain_budget.testing import FakeChatModel
from tests.invariants import assert_quiet

PRICES = PriceTable(
    {
        "dear": Price.per_million(input="10", output="100"),
        "cheap": Price.per_million(input="1", output="1"),
    }
)
ASKED = {"messages": [("user", "Do all of it")]}
THREAD: Any = {"configurable": {"thread_id": "1"}}


@tool
def search(query: str) -> str:
    """Search for something."""
    return f"found {query}"


def searching(number: int = 1) -> AIMessage:
    call = {"name": "search", "args": {"query": "x"}, "id": f"call-{number}"}
    return AIMessage("", tool_calls=[call])


def busy(**options: Any) -> FakeChatModel:
    """It searches for ever; each answer takes 300 tokens."""
    return FakeChatModel(replies=[searching()], usage=(200, 100), **options)


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", tokens(1_000))


def agent_of(model: FakeChatModel, pool: BudgetPool, **options: Any) -> Any:
    middleware = [BudgetMiddleware(pool, **options)]
    return create_agent(
        model, [search], middleware=middleware, checkpointer=InMemorySaver()
    )


async def both(agent: Any, given: Any, how: str) -> Any:
    if how == "invoke":
        return agent.invoke(given, THREAD)
    return await agent.ainvoke(given, THREAD)


each_way = pytest.mark.parametrize("how", ["invoke", "ainvoke"])


@each_way
async def test_check_in_says_what_is_done_and_left(how: str) -> None:
    pool = BudgetPool("acme", tokens(1_500))
    model = FakeChatModel(
        replies=[searching(1), searching(2), searching(3), "Two of three are done."],
        usage=[(200, 100), (200, 100), (200, 100), (60, 10)],
        max_tokens=100,
    )
    agent = agent_of(model, pool, on_exceeded="check_in", finalisation=tokens(500))

    result = await both(agent, ASKED, how)

    last = result["messages"][-1]
    assert last.text == "Two of three are done."
    assert last.response_metadata["budget_stop"] == "exhausted"
    assert last.response_metadata["budget_incomplete"] is True
    assert model.calls[-1].tools == ()
    assert all("budget" not in each.text for each in result["messages"])
    kept = pool.account("finalisation").balance("tokens")
    assert kept.spent == tokens(70)
    assert_quiet(pool.ledger.store)
    saved = agent.get_state(THREAD).values["messages"][-1]
    assert saved.response_metadata["budget_incomplete"] is True


@each_way
async def test_without_a_number_some_is_set_aside_for_the_last_answer(how: str) -> None:
    def answer(messages: list[BaseMessage]) -> AIMessage | str:
        asked = messages[-1].text == CHECK_IN
        return "So far, so good." if asked else searching(len(messages))

    pool = BudgetPool("acme", tokens(2_000))
    model = FakeChatModel(replies=[answer], max_tokens=60)
    agents = [agent_of(model, pool, on_exceeded="check_in") for _ in range(2)]
    kept = pool.account("finalisation")
    assert kept.balance("tokens").granted == tokens(100)

    result = await both(agents[0], ASKED, how)

    last = result["messages"][-1]
    assert last.text == "So far, so good."
    assert last.response_metadata["budget_incomplete"] is True
    assert model.calls[-1].tools == ()
    assert kept.balance("tokens").granted == tokens(100)  # what it borrowed is back
    assert 0 < kept.balance("tokens").spent.value <= 100
    assert_quiet(pool.ledger.store)


async def test_a_last_answer_that_asks_for_tools_is_none() -> None:
    pool = BudgetPool("acme", tokens(2_000))
    model = FakeChatModel(replies=[searching(n) for n in range(60)], max_tokens=60)
    agent = agent_of(model, pool, on_exceeded="check_in")

    result = await both(agent, ASKED, "invoke")

    last = result["messages"][-1]
    assert "stopped before I was done" in last.text
    assert not last.tool_calls
    assert model.calls[-1].tools == ()
    told = [each.response_metadata for each in result["messages"]]
    assert sum("budget_incomplete" in each for each in told) == 1


async def test_of_a_window_nothing_is_set_aside() -> None:
    pool = BudgetPool("acme", tokens(1_000).per("day"))

    agent = agent_of(busy(max_tokens=100), pool, on_exceeded="check_in")
    result = await both(agent, ASKED, "invoke")

    last = result["messages"][-1]
    assert last.response_metadata["budget_incomplete"] is True
    assert_quiet(pool.ledger.store)


async def test_check_in_ends_with_words_when_the_last_answer_does_not_fit(
    pool: BudgetPool,
) -> None:
    agent = agent_of(busy(), pool, on_exceeded="check_in", finalisation=tokens(20))

    result = await both(agent, ASKED, "invoke")

    assert "stopped before I was done" in result["messages"][-1].text


@each_way
async def test_an_interrupt_asks_and_a_resume_grants_once(
    pool: BudgetPool, how: str
) -> None:
    model = busy(max_tokens=100)
    agent = agent_of(model, pool, on_exceeded="interrupt")
    first = await both(agent, ASKED, how)
    (asked,) = first["__interrupt__"]
    calls = len(model.calls)

    assert asked.value["type"] == "budget_top_up"
    assert (asked.value["account"], asked.value["unit"]) == ("acme", "tokens")
    assert asked.value["short"] > 0
    answer = {"amount": 700, "approver": "ada", "reason": "nearly done"}
    second = await both(agent, Command(resume=answer), how)

    assert "__interrupt__" in second
    assert pool.balance("tokens").granted == tokens(1_700)
    assert len(model.calls) > calls
    spent = sum(model.total[:2])
    assert pool.balance("tokens").spent.value == spent
    (entry,) = [each for each in pool.admin.journal() if each.kind == "top_up"]
    assert entry.note.reason == "approved by ada: nearly done"
    assert_quiet(pool.ledger.store)


async def test_too_little_is_asked_for_again_and_each_answer_counts_once(
    pool: BudgetPool,
) -> None:
    agent = agent_of(busy(max_tokens=100), pool, on_exceeded="interrupt")
    await both(agent, ASKED, "invoke")

    for number in range(3):
        result = await both(agent, Command(resume=1), "invoke")
        assert pool.balance("tokens").granted == tokens(1_001 + number)
        assert "__interrupt__" in result


@pytest.mark.parametrize("answer", [False, None, ""])
async def test_a_no_is_the_refusal(pool: BudgetPool, answer: Any) -> None:
    agent = agent_of(busy(max_tokens=100), pool, on_exceeded="interrupt")
    await both(agent, ASKED, "invoke")

    with pytest.raises(BudgetExceeded):
        await both(agent, Command(resume={"amount": answer}), "invoke")


@pytest.mark.parametrize("answer", ["much", -5, 1.5])
async def test_an_answer_that_makes_no_sense_grants_nothing(
    pool: BudgetPool, answer: Any
) -> None:
    agent = agent_of(busy(max_tokens=100), pool, on_exceeded="interrupt")
    await both(agent, ASKED, "invoke")

    with pytest.raises(InvalidAmount):
        await both(agent, Command(resume=answer), "invoke")

    assert pool.balance("tokens").granted == tokens(1_000)


async def test_a_day_is_topped_up_for_that_day(pool: BudgetPool) -> None:
    day = BudgetPool("daily", tokens(500).per("day"))
    agent = agent_of(busy(max_tokens=100), day, on_exceeded="interrupt")
    await both(agent, ASKED, "invoke")

    await both(agent, Command(resume=400), "invoke")

    (balance,) = day.report().balances
    assert balance.granted == tokens(900)


async def test_a_rolling_window_is_not_topped_up_for_ever(pool: BudgetPool) -> None:
    rolling = BudgetPool("rolling", tokens(500).per("5h"))
    agent = agent_of(busy(max_tokens=100), rolling, on_exceeded="interrupt")

    with pytest.raises(BudgetExceeded, match="in any 5h"):
        await both(agent, ASKED, "invoke")

    assert [
        each.kind for each in rolling.admin.journal() if each.kind == "top_up"
    ] == []
    assert_quiet(rolling.ledger.store)


async def test_a_limit_that_is_set_counts_whatever_was_topped_up(
    pool: BudgetPool,
) -> None:
    day = BudgetPool("daily", tokens(500).per("day"))
    agent = agent_of(busy(max_tokens=100), day, on_exceeded="interrupt")
    await both(agent, ASKED, "invoke")
    await both(agent, Command(resume=400), "invoke")

    day.set_limit(tokens(600).per("day"))

    (balance,) = day.report().balances
    assert balance.granted == tokens(600)


@each_way
async def test_cheaper_models_are_tried_in_turn(how: str) -> None:
    pool = BudgetPool("acme", usd("0.005"), prices=PRICES)
    dear = FakeChatModel(model_name="dear", replies=[searching()], usage=(1000, 1000))
    cheap = FakeChatModel(
        model_name="cheap", replies=[searching(2), "Done."], usage=(100, 10)
    )
    agent = agent_of(dear, pool, on_exceeded="downgrade", models=[cheap])

    result = await both(agent, ASKED, how)

    assert result["messages"][-1].text == "Done."
    assert (len(dear.calls), len(cheap.calls)) == (0, 2)
    assert pool.balance().spent == usd("0.00022")
    assert_quiet(pool.ledger.store)


async def test_a_chain_of_models_ends_in_a_stop(pool: BudgetPool) -> None:
    agent = agent_of(busy(), pool, on_exceeded="downgrade", models=[busy(), busy()])

    result = await both(agent, ASKED, "ainvoke")

    assert result["messages"][-1].response_metadata["budget_stop"] == "exhausted"


async def test_an_end_may_have_words_of_its_own(pool: BudgetPool) -> None:
    agent = agent_of(busy(), pool, on_exceeded="end", message="Out of money, sorry.")

    result = await both(agent, ASKED, "invoke")

    assert result["messages"][-1].text == "Out of money, sorry."


@each_way
async def test_a_person_and_the_model_may_be_told_in_words_of_their_own(
    how: str,
) -> None:
    pool = BudgetPool("acme", meter("tool_calls")(0))
    model = FakeChatModel(replies=[searching()])
    agent = agent_of(
        model,
        pool,
        on_exceeded="end",
        message="Out of money, sorry.",
        tool_message="Go on without a search.",
    )

    *_, told, last = (await both(agent, ASKED, how))["messages"]

    assert (told.text, told.status) == ("Go on without a search.", "error")
    assert "0 tool calls left" in told.artifact
    assert last.text == "Out of money, sorry."


async def test_what_the_model_is_told_is_not_said_to_a_person() -> None:
    pool = BudgetPool("acme", meter("tool_calls")(0))
    model = FakeChatModel(replies=[searching(), "Done."])
    agent = agent_of(model, pool, on_exceeded="end", tool_message="Go on without.")

    *_, told, last = (await both(agent, ASKED, "invoke"))["messages"]

    assert told.text == "Go on without."
    assert last.text.startswith("I stopped before I was done. This tool was not run")
    assert "0 tool calls left" in last.text


async def test_the_model_goes_on_with_what_it_is_told() -> None:
    pool = BudgetPool("acme", meter("tool_calls")(0))
    model = FakeChatModel(replies=[searching(), "Done."])
    agent = agent_of(model, pool, on_exceeded="drain", tool_message="Go on without.")

    *_, told, last = (await both(agent, ASKED, "invoke"))["messages"]

    assert (told.text, last.text) == ("Go on without.", "Done.")


async def test_a_drained_graph_says_so_and_keeps_its_state(pool: BudgetPool) -> None:
    agent = agent_of(busy(), pool, on_exceeded="drain")

    result = await both(agent, ASKED, "invoke")

    assert result["messages"][-1].response_metadata["budget_incomplete"] is True


async def test_some_tools_are_exempt() -> None:
    pool = BudgetPool("acme", meter("tool_calls")(0))
    model = FakeChatModel(replies=[searching(), "Done."])
    agent = agent_of(model, pool, exempt_tools=["search"])

    result = await both(agent, ASKED, "invoke")

    assert result["messages"][-1].text == "Done."


async def test_a_frozen_account_is_not_topped_up(pool: BudgetPool) -> None:
    agent = agent_of(busy(), pool, on_exceeded="interrupt")
    pool.freeze("audit")

    with pytest.raises(AccountFrozen):
        await both(agent, ASKED, "invoke")


@pytest.mark.parametrize(
    "options",
    [
        {"on_exceeded": "stop"},
        {"on_exceeded": "downgrade"},
        {"on_exceeded": "end", "models": [FakeChatModel()]},
        {"on_exceeded": "error", "finalisation": tokens(10)},
    ],
)
def test_what_does_not_go_together_is_refused(
    pool: BudgetPool, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="on_exceeded"):
        BudgetMiddleware(pool, **options)

    assert pool.balance("tokens").lent == tokens(0)
