"""Plays the demo: serves the model, opens the books, runs the graph, and compares."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from langchain_openai import ChatOpenAI
from openai import OpenAIError
from pydantic import SecretStr
from rich.console import Console

from langchain_budget import (
    Amount,
    BudgetError,
    BudgetPool,
    BudgetRefused,
    Price,
    PriceTable,
)
from langchain_budget.cli import demo_view
from langchain_budget.cli.demo_graph import QUESTION, build_graph, open_accounts
from langchain_budget.cli.demo_script import MODEL, PRICE, RULES
from langchain_budget.cli.demo_verdict import verdict
from langchain_budget.core.amounts import TOKENS, USD
from langchain_budget.pricing.catalog import GenaiPrices
from langchain_budget.pricing.prices import ModelRef
from langchain_budget.pricing.usage import Usage
from langchain_budget.testing import ScriptedServer

TYPICAL: Final = Usage(input=80, output=24)
"""About what one call of an analyst uses."""

CALLS_WORTH: Final = 42
"""How many of those the pool may spend when no limit is given."""

SERVER_SECONDS: Final = 600
REQUEST_SECONDS: Final = 120


class PriceNeeded(BudgetError):
    """A limit in dollars, and a model whose price nobody knows."""


class Trouble(NamedTuple):
    """What ended the graph too early, and whether that is a failure of the demo."""

    text: str
    failed: bool


class Options(NamedTuple):
    """What was asked for on the command line."""

    base_url: str = ""
    """Empty is a scripted server of our own."""
    model: str = MODEL
    api_key: str = "unused"
    price: Price | None = None
    limit: Amount | None = None
    seed: int = 7


class Stage(NamedTuple):
    """Where the graph plays: a server, and what its model costs."""

    options: Options
    base_url: str
    server: ScriptedServer | None = None

    @property
    def price(self) -> Price | None:
        """What the model costs, if anybody knows."""
        ref = ModelRef("openai", self.options.model)
        own = PRICE if self.server else None
        return self.options.price or own or GenaiPrices().price_of(ref)

    def model(self, agent: str, max_tokens: int) -> ChatOpenAI:
        """Make the real client; it does not retry, so that a call is one request."""
        return ChatOpenAI(
            base_url=self.base_url,
            api_key=SecretStr(self.options.api_key),
            model=self.options.model,
            max_completion_tokens=max_tokens,
            max_retries=0,
            timeout=REQUEST_SECONDS,
            stream_usage=True,
            default_headers={"x-agent": agent},
        )


def play(options: Options, *, watch: bool | None = None, pace: float = 0) -> bool:
    """
    Run the graph and show all of it; tell whether the books are right.

    Args:
        options: What to run.
        watch: Show a live table; `None` is when the output is a terminal.
        pace: Seconds that each line of a live display stands.

    Raises:
        PriceNeeded: The limit is in dollars, and the model has no price.
    """
    console = Console(force_terminal=watch or None, highlight=False)
    live = watch is not False and console.is_terminal
    with staged(options) as stage:
        limit = limit_of(options.limit, stage.price)
        pool = open_pool(stage, limit)
        console.print(demo_view.title(options.model, stage.price, limit))
        watcher = demo_view.Watcher(pool, console, pace if live else 0)
        with watcher.watching(live=live):
            trouble = run(pool, stage, limit.unit)
        found = verdict(pool.report(), stage.server.total if stage.server else None)
    missed = watcher.story.untold()
    told = trouble.text if trouble else ""
    console.print(demo_view.ending(pool.report(), found, missed, told))
    return found.right and not (trouble and trouble.failed)


def open_pool(stage: Stage, limit: Amount) -> BudgetPool:
    """Open the pool and an account for each agent."""
    declared = {stage.options.model: stage.price} if stage.price else {}
    pool = BudgetPool("team", limit, prices=PriceTable(declared))
    open_accounts(pool, limit)
    return pool


def run(pool: BudgetPool, stage: Stage, unit: str) -> Trouble | None:
    """Run the graph once; tell what ended it too early, if something did."""
    graph = build_graph(pool, stage.model, unit)
    try:
        graph.invoke({"question": QUESTION})
    except BudgetRefused as refusal:
        return Trouble(f"The graph stopped early: {refusal}", failed=False)
    except OpenAIError as error:
        told = f"The server at {stage.base_url} failed: {error}"
        return Trouble(f"{told} Is there a model {stage.options.model!r}?", failed=True)
    return None


@contextmanager
def staged(options: Options) -> Iterator[Stage]:
    """Give the server that was asked for, or one of our own that ends afterwards."""
    # Refusals are shown as they should be; the framework need not log them too.
    logging.getLogger("langchain_core.callbacks").setLevel(logging.ERROR)
    if options.base_url:
        yield Stage(options, options.base_url)
        return
    stay_here()
    server = ScriptedServer(
        RULES, seed=options.seed, model=MODEL, max_seconds=SERVER_SECONDS
    )
    with server:
        yield Stage(options, server.base_url, server)


def stay_here() -> None:
    """Keep proxies and tracing out of what never leaves this machine."""
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = "127.0.0.1"
    os.environ["LANGSMITH_TRACING_V2"] = "false"
    os.environ.pop("OPENAI_PROXY", None)


def limit_of(asked: Amount | None, price: Price | None) -> Amount:
    """Give the pool's limit: as asked for, else one that suits the model's price."""
    if asked and asked.unit == USD and price is None:
        msg = (
            "a limit in dollars needs a price, and none is known for this model: add "
            "--input-price and --output-price, or give the limit as '5000 tokens'"
        )
        raise PriceNeeded(msg)
    if asked:
        return asked
    cost = price.cost(TYPICAL) if price else 0
    if not cost:
        return Amount(TOKENS, CALLS_WORTH * TYPICAL.total)
    return Amount(USD, CALLS_WORTH * cost)
