import pytest

from langchain_budget.core.faults import InvalidPolicy
from langchain_budget.core.policies.model_choice import (
    CHEAP_FIRST,
    DEAR_FIRST,
    ModelChoice,
)


@pytest.mark.parametrize(
    ("complexity", "cheap_first", "dear_first"),
    [
        ("simple", "gpt-3.5-turbo", "gpt-3.5-turbo"),
        ("complex", "gpt-4", "gpt-4"),
        ("unknown", "gpt-3.5-turbo", "gpt-4"),
    ],
)
def test_an_unknown_kind_of_task_gets_the_model_of_the_default(
    complexity: str, cheap_first: str, dear_first: str
) -> None:
    assert CHEAP_FIRST.model(complexity) == cheap_first
    assert DEAR_FIRST.model(complexity) == dear_first


def test_changing_the_callers_table_changes_no_choice() -> None:
    table = {"simple": "small"}
    choice = ModelChoice(table)

    table["simple"] = "large"

    assert choice.model("simple") == "small"


def test_the_default_has_a_model() -> None:
    with pytest.raises(InvalidPolicy, match="name one of 'easy', 'hard'"):
        ModelChoice({"easy": "small", "hard": "large"})
