"""What each provider is told of the longest answer, in its own word for it."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    budgeted,
    output_tokens,
    tokens,
    usd,
)
from langchain_budget.testing import ScriptedServer
from tests.invariants import assert_quiet
from tests.providers.clients import ANTHROPIC, CHAT, PRICES, WAYS, Provider, ask

CLAUDE = "claude-haiku-4-5"
CLAUDES_MOST = 64_000
HUGE = 999_999_999
THINKING = {"type": "enabled", "budget_tokens": 1_024}


def caps(server: ScriptedServer) -> list[tuple[str, int | None]]:
    return [(served.cap, served.max_tokens) for served in server.log()]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("own", [None, 5_000, HUGE], ids=["unset", "own", "huge"])
async def test_what_is_left_is_the_cap_on_the_wire(
    provider: Provider, own: int | None, way: str, scripted: ScriptedServer
) -> None:
    pool = BudgetPool("acme", output_tokens(300))
    options = {} if own is None else {"max_tokens": own}

    await ask(budgeted(provider.client(scripted, **options), pool), way, "Hi")

    assert caps(scripted) == [(provider.cap, 300)]
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_a_cap_that_was_bound_does_not_win_over_what_is_left(
    provider: Provider, name: str, scripted: ScriptedServer
) -> None:
    pool = BudgetPool("acme", output_tokens(300))
    bound = {name if provider is not ANTHROPIC else "max_tokens": 5_000}
    model = provider.client(scripted, max_tokens=4_000).bind(**bound)

    await ask(budgeted(model, pool), "invoke", "Hi")

    assert caps(scripted) == [(provider.cap, 300)]


async def test_a_cap_below_what_is_left_stays(
    provider: Provider, pool: BudgetPool, scripted: ScriptedServer
) -> None:
    model = budgeted(provider.client(scripted, max_tokens=77), pool)

    await ask(model, "invoke", "Hi")

    assert caps(scripted) == [(provider.cap, 77)]


async def test_spending_never_passes_a_limit_however_often_one_asks(
    provider: Provider, scripted: ScriptedServer
) -> None:
    pool = BudgetPool("acme", usd("0.01"), prices=PRICES)
    model = budgeted(provider.client(scripted), pool)

    async def ask_on() -> None:
        for n in range(200):
            await ask(model, WAYS[n % 4], f"Question {n}")

    with pytest.raises(BudgetExceeded):
        await ask_on()

    assert pool.balance().spent <= usd("0.01")
    assert scripted.total.calls > 2
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("asked", [None, CLAUDES_MOST, HUGE])
async def test_a_cap_at_the_models_own_maximum_holds_what_is_expected(
    asked: int | None, scripted: ScriptedServer
) -> None:
    """Its client always sends one: holding that would refuse all small budgets."""
    pool = BudgetPool("acme", tokens(10_000))
    options = {} if asked is None else {"max_tokens": asked}
    model = ANTHROPIC.client(scripted, model=CLAUDE, **options)

    await ask(model, "invoke", "Hi", {"callbacks": [BudgetCallbackHandler(pool)]})

    assert caps(scripted) == [("max_tokens", asked or CLAUDES_MOST)]
    assert pool.balance("tokens").spent == tokens(sum(scripted.total[:2]))
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bound", [False, True], ids=["own", "bound"])
async def test_an_answer_is_never_capped_below_its_thinking_and_something_more(
    bound: bool,  # noqa: FBT001  # pytest passes it by name
    way: str,
    scripted: ScriptedServer,
) -> None:
    pool = BudgetPool("acme", output_tokens(1_024 + 64))
    own: dict[str, Any] = {} if bound else {"thinking": THINKING}
    model: Any = ANTHROPIC.client(scripted, model=CLAUDE, **own)
    paying = budgeted(model.bind(thinking=THINKING) if bound else model, pool)

    await ask(paying, way, "Hi")

    assert caps(scripted) == [("max_tokens", 1_024 + 64)]


@pytest.mark.parametrize("left", [1, 64, 1_024, 1_024 + 63])
async def test_what_does_not_pay_for_thinking_and_an_answer_is_refused(
    left: int, scripted: ScriptedServer
) -> None:
    pool = BudgetPool("acme", output_tokens(left))
    model = ANTHROPIC.client(scripted, model=CLAUDE, thinking=THINKING)

    with pytest.raises(BudgetExceeded, match=r"1,?088"):
        await ask(budgeted(model, pool), "invoke", [HumanMessage("Hi")])

    assert scripted.log() == ()
    assert_quiet(pool.ledger.store)


BODIES = ["max_tokens", "max_completion_tokens", "max_output_tokens"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", BODIES)
async def test_a_cap_in_the_body_which_nobody_can_lower_is_held_for_or_refused(
    provider: Provider, name: str, way: str, scripted: ScriptedServer
) -> None:
    body = {"extra_body": {name: 3_000}}
    model: Any = provider.client(scripted, max_tokens=100).bind(**body)
    small, large = (BudgetPool("acme", output_tokens(n)) for n in (2_999, 3_000))

    with pytest.raises(BudgetExceeded, match="3,000"):
        await ask(budgeted(model, small), way, "Hi")
    assert scripted.log() == ()
    await ask(budgeted(model, large), way, "Hi")

    assert len(scripted.log()) == 1
    assert_quiet(small.ledger.store)
    assert_quiet(large.ledger.store)


async def test_a_cap_in_the_body_is_found_among_further_settings(
    scripted: ScriptedServer,
) -> None:
    body = {"extra_body": {"max_tokens": 3_000}}
    model = ANTHROPIC.client(scripted, max_tokens=100, model_kwargs=body)

    with pytest.raises(BudgetExceeded, match="3,000"):
        await ask(
            budgeted(model, BudgetPool("acme", output_tokens(2_999))), "invoke", "Hi"
        )

    assert scripted.log() == ()


async def test_a_cap_in_the_body_below_what_is_left_stays(
    provider: Provider, pool: BudgetPool, scripted: ScriptedServer
) -> None:
    model: Any = provider.client(scripted).bind(extra_body={provider.cap: 77})

    await ask(budgeted(model, pool), "invoke", "Hi")

    assert caps(scripted) == [(provider.cap, 77)]


@pytest.mark.parametrize(
    "settings",
    [
        {"n": 3},
        {"extra_body": {"n": 3}},
        {"n": 2, "extra_body": {"n": 3}},
        {"n": True, "extra_body": {"n": 3}},
        {"n": 3, "extra_body": {"n": None}},
    ],
)
async def test_several_answers_are_held_for_wherever_they_are_asked_for(
    settings: dict[str, Any], scripted: ScriptedServer
) -> None:
    pool = BudgetPool("acme", output_tokens(299))
    model: Any = CHAT.client(scripted, max_tokens=100)

    await ask(budgeted(model.bind(**settings), pool), "invoke", "Hi")

    assert caps(scripted) == [(CHAT.cap, 99)]
