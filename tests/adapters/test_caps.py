"""What each client is told of the longest answer: by its class, not by its provider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_openai import AzureChatOpenAI
from pydantic import ConfigDict, Field
from typing_extensions import override

from langchain_budget import (
    BudgetMiddleware,
    BudgetPool,
    budgeted,
    output_tokens,
    tokens,
)
from tests.invariants import assert_quiet

Hook = Callable[[Any, BudgetPool], Any]


def by_budgeted(model: Any, pool: BudgetPool) -> None:
    budgeted(model, pool).invoke("Hi")


def by_middleware(model: Any, pool: BudgetPool) -> None:
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])
    agent.invoke({"messages": [("user", "Hi")]})


hooks = pytest.mark.parametrize("hook", [by_budgeted, by_middleware])


class Client(BaseChatModel):
    """It keeps what it would send."""

    model_config = ConfigDict(populate_by_name=True)
    sent: list[dict[str, Any]] = Field(default_factory=list)

    @property
    @override
    def _llm_type(self) -> str:
        return "client"

    def _answer(self, payload: dict[str, Any]) -> ChatResult:
        self.sent.append(payload)
        usage: Any = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
        message = AIMessage("Fine.", usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=message)])


class Ollama(Client):
    """
    Stands in for `ChatOllama` 1.1, which is no dependency of these tests.

    Like that, it takes its options from the call or else its own, never both; its
    client knows no other settings; and it tells nobody of a cap of its own.
    """

    num_predict: int | None = None
    num_ctx: int | None = None
    temperature: float | None = None

    @override
    def _get_ls_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> LangSmithParams:
        return LangSmithParams(ls_provider="ollama", ls_model_type="chat")

    def _chat_params(
        self, messages: list[Any], stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        own = {
            "num_predict": self.num_predict,
            "num_ctx": self.num_ctx,
            "temperature": self.temperature,
            "stop": stop,
        }
        options = kwargs.pop("options", None)
        if options is None:
            options = {name: value for name, value in own.items() if value is not None}
        return {"messages": messages, "options": options, **kwargs}

    @override
    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return self._chat(**self._chat_params(messages, stop, **kwargs))

    def _chat(self, messages: Any, options: Any) -> ChatResult:
        return self._answer(options)


@hooks
@pytest.mark.parametrize(
    ("own", "given", "sent"),
    [
        ({}, {}, {"num_predict": 300}),
        (
            {"num_ctx": 9, "temperature": 0},
            {},
            {"num_ctx": 9, "temperature": 0, "num_predict": 300},
        ),
        (
            {"num_predict": 900},
            {"stop": ["x"]},
            {"stop": ["x"], "num_predict": 300},
        ),
        (
            {"num_ctx": 9},
            {"options": {"seed": 7, "num_predict": -1}},
            {"seed": 7, "num_predict": 300},
        ),
    ],
)
def test_ollama_is_told_among_its_options(
    hook: Hook, own: dict[str, Any], given: dict[str, Any], sent: dict[str, Any]
) -> None:
    pool, model = BudgetPool("acme", output_tokens(300)), Ollama(**own)

    hook(model.bind(**given), pool)

    assert model.sent == [sent]
    assert_quiet(pool.ledger.store)


@hooks
@pytest.mark.parametrize("given", [{}, {"options": {"num_predict": 20}}])
def test_a_cap_of_ollamas_own_is_held_for(hook: Hook, given: dict[str, Any]) -> None:
    """It is less than the smallest answer that is worth its input."""
    pool, model = BudgetPool("acme", tokens(50)), Ollama(num_predict=20)

    hook(model.bind(**given), pool)

    assert model.sent == [{"num_predict": 20}]


@hooks
def test_a_cap_of_ollamas_own_that_fits_stays(hook: Hook) -> None:
    pool, model = BudgetPool("acme", tokens(500)), Ollama(num_predict=100)

    hook(model, pool)

    assert model.sent == [{"num_predict": 100}]


class Passing(Client):
    """It sends what the call gives it, as most clients do."""

    max_tokens: int | None = None

    @override
    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return self._answer({**self._sent, **kwargs})

    @property
    def _sent(self) -> dict[str, Any]:
        return {}


class Gemini(Passing):
    """Its own cap has one name, and another for users."""

    max_output_tokens: int | None = Field(default=None, alias="max_tokens")


class ClaudeOnVertex(Gemini):
    """A cap that it sends by another name than it has."""

    max_output_tokens: int | None = Field(default=1_024, alias="max_tokens")

    @property
    def _default_params(self) -> dict[str, Any]:
        return {"max_tokens": self.max_output_tokens}

    @property
    @override
    def _sent(self) -> dict[str, Any]:
        return self._default_params


class Router(Passing):
    """It has a cap by two names, and sends whichever is set."""

    max_completion_tokens: int | None = None

    @property
    def _default_params(self) -> dict[str, Any]:
        most = self.max_completion_tokens
        return {} if most is None else {"max_completion_tokens": most}

    @property
    @override
    def _sent(self) -> dict[str, Any]:
        return self._default_params


@hooks
@pytest.mark.parametrize(
    ("model", "sent"),
    [
        (Passing(), {"max_tokens": 300}),
        (Passing(max_tokens=900), {"max_tokens": 300}),
        (Gemini(), {"max_output_tokens": 300}),
        (ClaudeOnVertex(), {"max_tokens": 300}),
        (Router(), {"max_tokens": 300}),
        (Router(max_completion_tokens=900), {"max_completion_tokens": 300}),
    ],
    ids=lambda each: type(each).__name__,
)
def test_each_class_is_told_by_the_name_that_it_sends(
    hook: Hook, model: Passing, sent: dict[str, int]
) -> None:
    pool = BudgetPool("acme", output_tokens(300))
    fresh = model.model_copy(update={"sent": []})

    hook(fresh, pool)

    assert fresh.sent == [sent]


class Azure(AzureChatOpenAI):
    """The real one, which keeps what it would send and sends nothing."""

    sent: list[dict[str, Any]] = Field(default_factory=list)

    @override
    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        payload = self._get_request_payload(messages, stop=stop, **kwargs)
        self.sent.append({key: payload[key] for key in payload if "max" in key})
        return ChatResult(generations=[ChatGeneration(message=AIMessage("Fine."))])


@hooks
@pytest.mark.parametrize("own", [{}, {"max_tokens": 2_000}], ids=["unset", "own"])
@pytest.mark.parametrize("responses", [False, True], ids=["chat", "responses"])
def test_azure_is_told_once(
    hook: Hook,
    own: dict[str, Any],
    responses: bool,  # noqa: FBT001  # pytest passes it by name
) -> None:
    pool = BudgetPool("acme", output_tokens(300))
    options: dict[str, Any] = {"api_key": "none", "api_version": "1", "max_retries": 0}
    model = Azure(
        model="m",
        azure_endpoint="http://localhost:1",
        azure_deployment="m",
        use_responses_api=responses,
        **options,
        **own,
    )

    hook(model, pool)

    name = "max_output_tokens" if responses else "max_completion_tokens"
    assert model.sent == [{name: 300}]
