"""LangChain's own standard tests of chat models, run on a wrapped one."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumpd
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_budget import BudgetPool, budgeted, tokens
from langchain_budget.testing import FakeChatModel

# The suite constructs the model as it pleases, with the client's usual retries.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_budget.HiddenRetriesWarning")


@pytest.fixture
def benchmark() -> Any:
    """Run what would be measured, once."""
    return lambda measured, *args, **options: measured(*args, **options)


@pytest.fixture
def vcr() -> None:
    """Nothing is recorded: the model is here."""


class TestUnits(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"api_key": "none", "model": "gpt-4o-mini"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], Any]:
        return {"OPENAI_API_KEY": "k"}, {"model": "gpt-4o-mini"}, {}

    @pytest.fixture
    def snapshot(self) -> Any:
        """It is written down as the model that was wrapped."""
        bare = ChatOpenAI(**(self.standard_chat_model_params | self.chat_model_params))
        return lambda name: dumpd(bare)

    @pytest.fixture
    def model(self, request: Any) -> BaseChatModel:
        params = self.standard_chat_model_params | self.chat_model_params
        made = ChatOpenAI(**params)
        return budgeted(made, BudgetPool("acme", tokens(100_000)))


class TestIntegration(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return FakeChatModel

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def has_structured_output(self) -> bool:
        return False

    @pytest.fixture
    def model(self, request: Any) -> BaseChatModel:
        made = FakeChatModel(replies=["one two three four five six"], usage=(12, 6))
        return budgeted(made, BudgetPool("acme", tokens(100_000)))
