"""What earlier answers teach of the input that nobody could count."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_budget import BudgetExceeded, BudgetPool, budget, budgeted, tokens
from langchain_budget.events import Reserved
from langchain_budget.testing import FakeChatModel

FILE = {"type": "file", "url": "https://example.org/a.pdf"}
IMAGE = {"type": "image", "url": "https://example.org/a.png"}
SERVERS = [{"type": "url", "url": "https://example.org/mcp", "name": "library"}]
LONG = "word " * 1_000


def fake(*inputs: int) -> FakeChatModel:
    """A model that reports so much input, call by call."""
    return FakeChatModel(
        replies=["Fine."],
        usage=[(tokens_in, 10) for tokens_in in inputs],
        max_tokens=20,
    )


def held_of(model: FakeChatModel, *asked: Any, **settings: Any) -> list[int]:
    """The input that each call was held for."""
    pool, held = BudgetPool("acme"), list[int]()
    pool.subscribe(
        lambda event: (
            isinstance(event, Reserved) and held.append(event.amounts["input_tokens"])
        )
    )
    with budget(pool):
        for each in asked:
            model.invoke([HumanMessage(each)], **settings)
    return held


@pytest.mark.parametrize("block", [FILE, IMAGE], ids=["file", "image"])
def test_a_file_that_was_longer_than_guessed_makes_no_other_call_dear(
    block: Any,
) -> None:
    model = fake(80_000, 20)

    with budget(tokens(140_000)) as paying:
        model.invoke([HumanMessage([block])])
        model.invoke("Thanks!")
        model.invoke(LONG * 5)

    assert paying.total_tokens == 80_070


def test_a_template_that_a_server_adds_is_expected_the_next_time() -> None:
    held = held_of(fake(500), "Hi", "Hi", "Hi", LONG)

    assert held[0] < 20
    assert held[1:3] == [500, 500]
    assert held[3] - held_of(fake(500), LONG)[0] == 500 - held[0]


def test_a_long_text_in_many_tokens_tells_of_a_short_one_in_proportion() -> None:
    short, long = held_of(fake(1), "Hi", LONG)

    held = held_of(fake(3 * long, 3 * short, 3 * long), LONG, "Hi", LONG)

    assert held == [long, 3 * short, 3 * long]


def test_what_a_remote_tool_brings_is_expected_of_the_next_such_call_alone() -> None:
    model, pool = fake(20_000), BudgetPool("acme", tokens(45_000))
    paying = budgeted(model, pool)

    for _ in range(2):
        paying.bind(mcp_servers=SERVERS).invoke("What is new?")
    with pytest.raises(BudgetExceeded):
        paying.bind(mcp_servers=SERVERS).invoke("What else is new?")

    assert len(model.calls) == 2
    assert held_of(fake(20_000), "Hi", mcp_servers=SERVERS)[0] < 100
    paying.invoke("Thanks!", max_tokens=5)
    assert len(model.calls) == 3
