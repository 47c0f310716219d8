"""What a tool says that it has cost, wherever it says so; and nothing else."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.types import Command

from langchain_budget import Amount, tokens, usd
from langchain_budget.adapters.tool_results import actual_cost


class Broken:
    @property
    def cost_usd(self) -> float:
        raise RuntimeError("no network")


def message(**fields: Any) -> ToolMessage:
    return ToolMessage("found", tool_call_id="1", **fields)


COST = {"cost_usd": 0.0002}


@pytest.mark.parametrize(
    "result",
    [
        SimpleNamespace(cost_usd=0.0002),
        COST,
        {"usage": COST},
        {"cost_usd": None, "usage": COST},
        {"cost_usd": "0.0002", "usage": {"cost_usd": 5}},
        message(artifact=COST),
        message(artifact=SimpleNamespace(cost_usd=0.0002)),
        message(artifact={"rows": []}, response_metadata=COST),
        message(additional_kwargs=COST),
        message(additional_kwargs={"usage": COST}),
        AIMessage("Hi", response_metadata=COST),
        SimpleNamespace(cost_usd=usd("0.0002")),
        ("content", COST),
        Command(update={"messages": [message(artifact=COST)]}),
        [
            message(artifact={"cost_usd": 0.0001}),
            message(artifact={"cost_usd": "1e-4"}),
        ],
    ],
)
def test_a_reported_cost_is_found(result: object) -> None:
    assert actual_cost(result) == usd("0.0002")


@pytest.mark.parametrize(
    "result",
    [
        None,
        "cost_usd: 5",
        '{"cost_usd": 5}',
        ToolMessage('{"cost_usd": 5}', tool_call_id="1"),
        {"cost_usd": None},
        {"usage": "none"},
        {"price": 5},
        [{"cost_usd": 5}],
        Command(goto="end"),
        Command(update={"messages": [message()]}),
        message(artifact=[1, 2]),
        7,
    ],
)
def test_text_and_data_report_nothing(result: object) -> None:
    assert actual_cost(result) is None


def test_a_free_call_is_not_an_unknown_one() -> None:
    assert actual_cost({"cost_usd": 0}) == usd(0)


@pytest.mark.parametrize(
    ("said", "cost"),
    [
        (0.1 + 0.2, usd("0.300000001")),
        (1e-12, usd("0.000000001")),
        (3, usd(3)),
        ("0.05", usd("0.05")),
    ],
)
def test_a_figure_is_rounded_up_to_the_nano_dollar(said: Any, cost: Amount) -> None:
    assert actual_cost({"cost_usd": said}) == cost


@pytest.mark.parametrize(
    "said",
    [float("nan"), float("inf"), -0.01, True, "much", [5], tokens(5), -usd(1), "1e99"],
)
def test_a_figure_that_cannot_be_true_is_logged_and_is_none(
    said: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "langchain_budget"):
        cost = actual_cost({"cost_usd": said})

    assert cost is None
    assert len(caplog.records) == 1
    assert "a cost that cannot be true" in caplog.text


def test_a_result_that_cannot_be_read_is_logged_and_is_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert actual_cost(Broken()) is None
    assert "no network" in caplog.text
