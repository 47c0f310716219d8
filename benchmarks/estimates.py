"""
How far the input that is held is from what is billed, before and after calibration.

Real clients ask the scripted server, which counts tokens in its own way, and by up to
a tenth differently each time, as templates do that nobody sees. Each kind of text has
books of its own: its first call is held for as counted; after some answers, the part
that was missing is known. What is too much stays: it is a promise, and no average.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI

from langchain_budget import BudgetCallbackHandler, BudgetPool
from langchain_budget.events import Event, Reserved
from langchain_budget.testing import ScriptedServer

TOOL = {
    "type": "function",
    "function": {
        "name": "search_flights",
        "description": "Find flights between two airports on a day.",
        "parameters": {
            "type": "object",
            "properties": {
                name: {"type": "string", "description": f"The {name} of the flight"}
                for name in ("origin", "destination", "date", "cabin", "carrier")
            },
            "required": ["origin", "destination", "date"],
        },
    },
}
RECORDS = [{"id": 37 * n, "city": "Lisbon", "ok": n % 3 == 0} for n in range(60)]
TEXTS: Mapping[str, str] = {
    "English": "The ferry came in late, and two people waited on the quay. " * 30,
    "German": "Die Fähre kam verspätet an, und zwei Leute warteten am Kai. " * 30,
    "Russian": "Паром пришёл поздно, и на причале ждали двое. " * 30,
    "Chinese": "渡轮来晚了,码头上有两个人在等。" * 60,
    "Python": "def total(self) -> int:\n    return sum(self.stock.values())\n" * 30,
    "JSON": json.dumps(RECORDS),
    "base64": base64.b64encode(bytes(n * n % 251 for n in range(1_500))).decode(),
    "tools": "Which flight is next?",
}


class Row(NamedTuple):
    """One kind of text with one client; errors in percent of what was billed."""

    client: str
    kind: str
    billed: int
    """Input tokens of a call, on average."""
    before: float
    after: float
    short: float
    """By how much a hold was too small at worst, after calibration."""


def table(rounds: int) -> str:
    """All clients, all kinds of text."""
    heads = ("client", "kind", "billed", "before %", "after %", "short %")
    lines = ["".join(f"{head:>11}" for head in heads)]
    with ScriptedServer(seed=7) as server:
        for name, model in _clients(server).items():
            for kind in TEXTS:
                row = _measured(server, name, model, kind, rounds)
                lines.append(
                    f"{row.client:>11}{row.kind:>11}{row.billed:>11}"
                    f"{row.before:>+11.0f}{row.after:>+11.0f}{row.short:>11.0f}"
                )
    return "\n".join(lines)


def _clients(server: ScriptedServer) -> dict[str, BaseChatModel]:
    options: Any = {"api_key": "unused", "max_retries": 0, "max_tokens": 16}
    gpt = {"model": "gpt-4o", "base_url": server.base_url, **options}
    url = server.anthropic_url
    claude = {"model": "claude-haiku-4-5", "base_url": url, **options}
    return {
        "chat": ChatOpenAI(**gpt),
        "responses": ChatOpenAI(use_responses_api=True, **gpt),
        "anthropic": ChatAnthropic(**claude),
    }


def _measured(
    server: ScriptedServer, name: str, model: BaseChatModel, kind: str, rounds: int
) -> Row:
    pool = BudgetPool("acme")
    held: list[int] = []
    pool.subscribe(lambda event: held.extend(_input(event)))
    paying: Any = model.bind_tools([TOOL]) if kind == "tools" else model
    start = len(server.log())
    for n in range(2 * rounds):
        config: Any = {"callbacks": [BudgetCallbackHandler(pool)]}
        paying.invoke(f"{n}: {TEXTS[kind]}", config)
    billed = [served.prompt_tokens for served in server.log()[start:]]
    errors = [100 * (h - b) / b for h, b in zip(held, billed, strict=True)]
    later = errors[rounds:]
    return Row(
        name,
        kind,
        sum(billed) // len(billed),
        errors[0],
        sum(later) / len(later),
        max(0.0, -min(later)),
    )


def _input(event: Event) -> Iterator[int]:
    if isinstance(event, Reserved):
        yield dict(event.amounts)["input_tokens"]
