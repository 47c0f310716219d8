"""What is sent beside the messages is counted before the call, in every client."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    budgeted,
    tokens,
)
from langchain_budget.events import Reserved
from langchain_budget.testing import Rule, ScriptedServer
from tests.invariants import assert_quiet
from tests.providers.clients import ANTHROPIC, CHAT, RESPONSES, Provider

LONG = "How it was, in a few words that everybody can follow. " * 40
MOST = 400
METHODS = ("function_calling", "json_schema")


class Day(BaseModel):
    """A day of the journey."""

    place: str = Field("", description=LONG)
    nights: list[int] = Field(default_factory=list)


class Journey(BaseModel):
    """A journey, whose days are described each by itself."""

    first: Day = Field(default_factory=Day, description="Where it began")
    last: Day = Field(default_factory=Day, description="Where it ended")
    others: list[Day] = Field(default_factory=list)


class Note(TypedDict):
    """A note in the margin."""

    text: Annotated[str, ..., LONG]


PLAIN = {
    "title": "Plain",
    "description": LONG,
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
}
FORMS = {"class": Journey, "typed dict": Note, "schema": PLAIN}


@tool(description=LONG)
def look_up(city: str) -> str:
    """Look a city up."""
    return city


@pytest.fixture
def server() -> Any:
    with ScriptedServer([Rule(answer='{"text": "x"}')]) as made:
        yield made


class Watched:
    """A pool, and the input that each call was held for."""

    def __init__(self) -> None:
        self.pool = BudgetPool("acme", tokens(1_000_000))
        self.held: list[int] = []
        self.pool.subscribe(self._note)

    def _note(self, event: object) -> None:
        if isinstance(event, Reserved):
            self.held.append(event.amounts["input_tokens"])


def assert_counted(watched: Watched, server: ScriptedServer) -> None:
    """What was held covers what the server counted, and that is not little."""
    counted = [served.prompt_tokens for served in server.log()]
    assert len(watched.held) == len(counted)
    assert all(map(int.__ge__, watched.held, counted)), (watched.held, counted)
    assert min(counted) > MOST
    assert_quiet(watched.pool.ledger.store)


@pytest.mark.parametrize("strict", [None, True], ids=["", "strict"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", FORMS)
def test_a_form_that_an_answer_must_have_is_counted(
    provider: Provider,
    form: str,
    method: str,
    strict: bool | None,  # noqa: FBT001  # pytest passes it by name
    server: ScriptedServer,
) -> None:
    watched = Watched()
    model: Any = budgeted(provider.client(server, max_tokens=50), watched.pool)
    options = {"strict": strict} if strict else {}

    asking = model.with_structured_output(
        FORMS[form], method=method, include_raw=True, **options
    )
    asking.invoke("Say it")

    assert_counted(watched, server)


def test_a_call_whose_form_is_too_dear_is_not_made(
    provider: Provider, server: ScriptedServer
) -> None:
    pool = BudgetPool("acme", tokens(900))
    model: Any = budgeted(provider.client(server, max_tokens=50), pool)

    with pytest.raises(BudgetExceeded):
        model.with_structured_output(Journey, method="json_schema").invoke("Say it")

    assert server.log() == ()
    assert_quiet(pool.ledger.store)


def test_a_handler_counts_the_form_too(
    provider: Provider, server: ScriptedServer
) -> None:
    watched = Watched()
    model: Any = provider.client(server, max_tokens=50)
    asking = model.with_structured_output(
        Journey, method="json_schema", include_raw=True
    )

    asking.invoke("Hi", {"callbacks": [BudgetCallbackHandler(watched.pool)]})

    assert_counted(watched, server)


@pytest.mark.parametrize("strategy", [ProviderStrategy, ToolStrategy])
def test_the_form_of_an_agents_answer_is_counted(
    provider: Provider, strategy: Any, server: ScriptedServer
) -> None:
    watched = Watched()
    model = provider.client(server, max_tokens=50)
    agent: Any = create_agent(
        model,
        [look_up],
        middleware=[BudgetMiddleware(watched.pool)],
        response_format=strategy(Note),
    )

    agent.invoke({"messages": [("user", "Hi")]})

    assert_counted(watched, server)


def functions() -> list[dict[str, Any]]:
    return [{"name": "look_up", "description": LONG, "parameters": PLAIN}]


def form() -> dict[str, Any]:
    return {"type": "json_schema", "schema": PLAIN, "name": "Plain"}


SETTINGS = {
    "functions": (CHAT, {"functions": functions()}),
    "a form in the body": (CHAT, {"extra_body": {"response_format": form()}}),
    "tools in the body": (
        CHAT,
        {"extra_body": {"tools": [{"type": "function", "function": functions()[0]}]}},
    ),
    "instructions": (RESPONSES, {"instructions": LONG}),
    "text": (RESPONSES, {"text": {"format": form()}}),
    "output config": (ANTHROPIC, {"output_config": {"format": form()}}),
    "system": (ANTHROPIC, {"system": LONG}),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_the_model_reads_is_counted(
    name: str, server: ScriptedServer
) -> None:
    provider, settings = SETTINGS[name]
    watched = Watched()
    model = provider.client(server, max_tokens=50)

    budgeted(model.bind(**settings), watched.pool).invoke("Hi")

    assert_counted(watched, server)


def test_a_setting_that_nobody_knows_is_counted_if_it_is_long(
    server: ScriptedServer,
) -> None:
    watched = Watched()
    model = budgeted(CHAT.client(server, max_tokens=50), watched.pool)

    for settings in ({}, {"guided_json": PLAIN}, {"seed_words": ["tea"]}):
        model.invoke("Hi", extra_body=settings)

    plain, guided, short = watched.held
    assert plain == short
    assert guided > plain + MOST


def test_a_call_of_a_function_in_the_old_way_is_counted(
    server: ScriptedServer,
) -> None:
    watched = Watched()
    call = {"name": "look_up", "arguments": LONG}
    said = AIMessage("", additional_kwargs={"function_call": call})

    model = budgeted(CHAT.client(server, max_tokens=50), watched.pool)
    model.invoke([HumanMessage("Hi"), said, HumanMessage("Well?")])

    assert_counted(watched, server)


def test_tools_with_long_descriptions_are_counted(
    provider: Provider, server: ScriptedServer
) -> None:
    watched = Watched()
    model: Any = budgeted(provider.client(server, max_tokens=50), watched.pool)

    model.bind_tools([look_up, Journey]).invoke("Hi")

    assert_counted(watched, server)
