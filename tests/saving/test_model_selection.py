"""Each request goes to the model that is good enough for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from langchain_budget import BudgetMiddleware, BudgetPool, Price, PriceTable, usd
from langchain_budget.adapters.model_selection import ModelSelection
from langchain_budget.testing import FakeChatModel

PRICES = PriceTable(
    {
        "cheap": Price.per_million(input=2, output=2),
        "good": Price.per_million(input=30, output=30),
    }
)
WAYS = ("invoke", "ainvoke")


@tool
def look_up() -> str:
    """Look something up."""
    return "found"


def model(name: str) -> FakeChatModel:
    asked = {"name": "look_up", "args": {}, "id": "c1"}
    replies = [AIMessage("", tool_calls=[asked]), "done"]
    return FakeChatModel(model_name=name, replies=replies, usage=(900, 100))


def first_word(request: Any) -> str:
    word: str = request.messages[0].text.split()[0]
    return word


def run(way: str, agent: Any, text: str) -> None:
    inputs: Any = {"messages": [("user", text)]}
    if way == "invoke":
        agent.invoke(inputs)
    else:
        asyncio.run(agent.ainvoke(inputs))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("text", "used", "cost"),
    [
        ("simple sum", "cheap", "0.004"),
        ("complex proof", "good", "0.06"),
        ("unheard of", "cheap", "0.004"),
    ],
)
def test_a_request_goes_to_the_model_of_its_kind_and_is_charged_its_price(
    way: str, text: str, used: str, cost: str
) -> None:
    pool = BudgetPool("acme", usd(1), prices=PRICES)
    models = {"simple": model("cheap"), "complex": model("good")}
    stack = [ModelSelection(models, first_word), BudgetMiddleware(pool)]
    agent = create_agent(models["complex"], [look_up], middleware=stack)

    run(way, agent, text)

    calls = [call for each in models.values() for call in each.calls]
    assert [call.model for call in calls] == [used, used]
    assert calls[0].tools == ("look_up",)
    assert (pool.balance().spent, pool.balance().held) == (usd(cost), usd(0))


def test_what_has_no_kind_goes_to_the_default() -> None:
    models = {"small": model("cheap"), "large": model("good")}
    selection = ModelSelection(models, lambda _: None, default="large")
    agent = create_agent(models["small"], [look_up], middleware=[selection])

    run("invoke", agent, "anything")

    assert (len(models["small"].calls), len(models["large"].calls)) == (0, 2)


@pytest.mark.parametrize("choices", [{}, {"large": model("good")}])
def test_the_default_must_be_one_of_the_choices(choices: Any) -> None:
    with pytest.raises(ValueError, match="default='simple': choose one of"):
        ModelSelection(choices, first_word)
