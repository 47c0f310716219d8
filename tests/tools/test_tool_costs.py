"""What a tool is expected to cost: exact figures, and nothing odd can get in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from langchain_budget import (
    InexactAmount,
    InvalidAmount,
    Price,
    PriceTable,
    UnitMismatch,
    tokens,
    usd,
)
from langchain_budget.pricing.tool_costs import (
    STANDARD_TOOL_COSTS,
    TEXT_PRICE,
    ToolCosts,
)

GUIDE = {
    "Read": "0.001",
    "Grep": "0.001",
    "Glob": "0.001",
    "Delete": "0.002",
    "Write": "0.005",
    "Edit": "0.005",
    "HTTP": "0.005",
    "Bash": "0.01",
    "PythonCode": "0.01",
    "WebFetch": "0.01",
    "MCP": "0.02",
    "Workflow": "0.05",
    "Agent": "0.10",
}
LONG = "Explain" * 10_000


def test_the_standard_table_has_the_figures_of_the_guide() -> None:
    costs = ToolCosts(STANDARD_TOOL_COSTS)

    assert STANDARD_TOOL_COSTS.keys() == GUIDE.keys()
    for tool, price in GUIDE.items():
        assert costs.estimate(tool, {"any": "thing"}) == usd(price)


def test_a_cheaper_tool_and_one_call_for_many_save_what_the_guide_says() -> None:
    costs = ToolCosts(STANDARD_TOOL_COSTS)
    read, bash, write, code = map(
        costs.estimate, ("Read", "Bash", "Write", "PythonCode")
    )

    assert bash - read == usd("0.009")
    assert usd("0.05") - code == usd("0.04")
    assert write.value * 10 == usd("0.05").value


@pytest.mark.parametrize("tool", ["LLM", "AgentNode"])
@pytest.mark.parametrize(
    ("params", "cost"),
    [
        ({"prompt": "Explain quantum mechanics in detail"}, "0.0001"),
        ({"prompt": LONG}, "0.00875"),
        ({"prompt": LONG, "messages": "not read"}, "0.00875"),
        ({}, "0.0001"),
        ({"prompt": None}, "0.0001"),
        ({"messages": []}, "0.0001"),
        ({"messages": [{"role": "user", "content": LONG}]}, "0.00875"),
        ({"messages": [{"content": None}, {"content": LONG}]}, "0.00875"),
        ({"messages": [("user", LONG)]}, "0.00875"),
        ({"messages": [HumanMessage(LONG)]}, "0.00875"),
        ({"messages": (SystemMessage("Hi."), HumanMessage(LONG))}, "0.0087505"),
        ({"messages": [{"content": [{"type": "text", "text": LONG}]}]}, "0.00875"),
        ({"messages": [{"content": [{"type": "image_url", "image_url": LONG}]}]}, None),
        ({"messages": [object()]}, "0.0001"),
    ],
)
def test_text_is_priced_by_its_length_whatever_it_stands_in(
    tool: str, params: dict[str, object], cost: str | None
) -> None:
    assert ToolCosts().estimate(tool, params) == usd(cost or "0.0001")


def test_arguments_that_are_one_text_are_a_prompt() -> None:
    assert ToolCosts().estimate("LLM", LONG) == usd("0.00875")


def test_the_table_goes_before_the_length_of_the_text() -> None:
    costs = ToolCosts({"LLM": "0.5"})

    assert costs.estimate("LLM", {"prompt": LONG}) == usd("0.5")


def test_a_model_that_is_named_is_priced_as_itself_with_its_longest_answer() -> None:
    models = PriceTable({"gpt-4": Price.per_million(input=30, output=60)})
    costs = ToolCosts(models=models)

    named = costs.estimate("LLM", {"prompt": LONG, "model": "gpt-4", "max_tokens": 100})
    unknown = costs.estimate("LLM", {"prompt": LONG, "model": "new", "max_tokens": 100})

    assert named == usd("0.531")
    assert unknown == usd("0.00875")


def test_other_tools_may_be_priced_by_their_text() -> None:
    costs = ToolCosts(token_tools={"translate": TEXT_PRICE})

    assert costs.estimate("translate", {"prompt": LONG}) == usd("0.00875")
    assert costs.estimate("LLM", {"prompt": LONG}) == usd("0.01")


@pytest.mark.parametrize(
    ("options", "cost"),
    [
        ({}, "0.01"),
        ({"unknown": "0.03"}, "0.03"),
        ({"unknown": 0}, "0"),
        ({"base": "0.01"}, "0.012"),
        ({"base": usd("0.01"), "buffer": "1.5", "unknown": 9}, "0.015"),
        ({"base": "0.000000001", "buffer": Decimal("1.01")}, "0.000000002"),
    ],
)
def test_an_unknown_tool_costs_a_final_figure_or_a_base_with_a_buffer(
    options: Any, cost: str
) -> None:
    assert ToolCosts(STANDARD_TOOL_COSTS, **options).estimate("new") == usd(cost)


def test_prices_are_taken_as_they_are_when_the_list_is_made() -> None:
    prices: dict[str, Any] = {**STANDARD_TOOL_COSTS, "Read": usd("0.002"), "free": 0}
    costs = ToolCosts(prices)
    prices["Read"] = "7"

    assert costs.estimate("Read") == usd("0.002")
    assert costs.estimate("free") == usd(0)
    assert costs.estimate("Write") == usd("0.005")


@pytest.mark.parametrize("wrong", [0.01, True, None, "much", "NaN", "-1", -1, "1e99"])
def test_what_is_no_price_is_rejected(wrong: Any) -> None:
    for options in ({"prices": {"search": wrong}}, {"unknown": wrong}):
        with pytest.raises(InvalidAmount):
            ToolCosts(**options)


@pytest.mark.parametrize("wrong", [1.2, True, "0.99", 0, "-1", "NaN", "1e99"])
def test_what_is_no_buffer_is_rejected(wrong: Any) -> None:
    with pytest.raises(InvalidAmount):
        ToolCosts(base="0.01", buffer=wrong)


def test_a_price_in_another_unit_or_as_a_float_says_what_to_do() -> None:
    with pytest.raises(UnitMismatch, match=r"no sum in dollars.*usd\('0.01'\)"):
        ToolCosts({"search": tokens(5)})
    with pytest.raises(InexactAmount, match="pass a string"):
        ToolCosts({"search": 0.01})  # type: ignore[dict-item]  # a float is no money
