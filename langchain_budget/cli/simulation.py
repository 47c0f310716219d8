"""Plays a simulation: opens the books, runs the graph, and compares."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, NamedTuple

from rich.console import Console

from langchain_budget import Amount, BudgetError, BudgetPool, Price, PriceTable, Report
from langchain_budget.cli import simulation_view as view
from langchain_budget.cli.demo_verdict import Finding, Verdict, held
from langchain_budget.cli.simulation_graph import (
    MOST_TOKENS,
    TOKEN_NANOS,
    World,
    build_graph,
)
from langchain_budget.config.per_agent import PerAgentBudgets
from langchain_budget.core.amounts import CALLS, INPUT_TOKENS, OUTPUT_TOKENS, USD
from langchain_budget.testing import FakeChatModel, Total

POOL: Final = "simulation"
MODEL: Final = "simulated-1"
INPUT: Final = 300
"""Tokens that go into each call; they are free, so a seed tells the same everywhere."""

FRUGAL: Final = 150
GREEDY: Final = 1_500
"""Tokens that the answers of the first agent and of the last have on average."""

SPREAD: Final = 30
"""How far an answer may be from that, in hundredths."""


class Options(NamedTuple):
    """What was asked for on the command line."""

    budgets: PerAgentBudgets
    ticks: int = 20
    agents: int = 3
    seed: int = 7
    store: str | None = None


class BooksInUse(BudgetError):
    """The store has books of a simulation already; budgets start anew with each."""

    def __str__(self) -> str:
        return (
            f"the store has books of a {POOL!r} already, and each run starts with new "
            f"budgets: give another --store, or none"
        )


def play(options: Options, *, watch: bool | None = None) -> bool:
    """
    Run the simulation and show it; tell whether the books are right.

    Args:
        options: What to run.
        watch: Show a live table; `None` is when the output is a terminal.

    Raises:
        BooksInUse: The store has such books already.
    """
    be_quiet()
    console = Console(force_terminal=watch or None, highlight=False)
    models = models_of(options)
    pool = open_pool(options, models)
    console.print(view.title(options.budgets, options.ticks, list(models)))
    watcher = view.Watcher(pool, options.budgets, console)
    live = watch is not False and console.is_terminal
    with watcher.watching(live=live):
        ended = run(world_of(options, pool, models), watcher)
    report = pool.report()
    totals = {name: model.total for name, model in models.items()}
    found = verdict(report, totals, options.budgets.initial_llm_budget)
    console.print(view.ending(report, watcher.diary, found, ended))
    return found.right


def be_quiet() -> None:
    """Keep refusals out of the log, and what happens here on this machine."""
    logging.getLogger("langchain_core.callbacks").setLevel(logging.ERROR)
    os.environ["LANGSMITH_TRACING_V2"] = "false"


def models_of(options: Options) -> dict[str, FakeChatModel]:
    """A scripted model for each agent; the first has the shortest answers."""
    count = options.agents
    steps = max(count - 1, 1)
    return {
        f"agent-{number + 1}": model_of(
            options, number, FRUGAL + (GREEDY - FRUGAL) * number // steps
        )
        for number in range(count)
    }


def model_of(options: Options, agent: int, average: int) -> FakeChatModel:
    """A model whose answers are about *average* tokens long, as the seed has it."""
    usage = [
        (INPUT, answer_length(f"{options.seed}/{agent}/{call}", average))
        for call in range(options.ticks)
    ]
    return FakeChatModel(
        model_name=MODEL, replies=["Done."], usage=usage, max_tokens=MOST_TOKENS
    )


def answer_length(key: str, average: int) -> int:
    """How many tokens an answer has: always the same for a *key*."""
    drawn = int.from_bytes(sha256(key.encode()).digest()[:8])
    return average * (100 - SPREAD + drawn % (2 * SPREAD + 1)) // 100


def open_pool(options: Options, models: Mapping[str, FakeChatModel]) -> BudgetPool:
    """Open books that nobody has written in."""
    price = Price.per_million(input=0, output=TOKEN_NANOS // 1_000)
    prices = PriceTable({MODEL: price})
    pool = options.budgets.open(models, pool=POOL, store=options.store, prices=prices)
    if pool.report().total.amounts:
        raise BooksInUse
    return pool


def world_of(
    options: Options, pool: BudgetPool, models: Mapping[str, FakeChatModel]
) -> World:
    """Put together what the graph is about."""
    budgets = options.budgets
    limited = budgets.initial_llm_budget is not None and budgets.per_agent_enforcement
    return World(pool, models, options.ticks, budgets.llm_budget_tradeable, limited)


def run(world: World, watcher: view.Watcher) -> str:
    """Run the graph to its end; tell why it ended early, if it did."""
    ended = ""
    for update in build_graph(world).stream({}, stream_mode="updates"):
        for said in update.values():
            if said and "tick" in said:
                watcher.begin(said["tick"])
            ended = (said or {}).get("ended", ended)
    return ended


def verdict(
    report: Report, totals: Mapping[str, Total], initial: Amount | None
) -> Verdict:
    """Compare the books with what the models have counted, agent by agent."""
    booked = {agent: line.amounts for (agent,), line in report.by("agent").items()}
    wrong = [
        name for name, total in totals.items() if expected(total) != booked.get(name)
    ]
    calls, tokens = (sum(total[at] for total in totals.values()) for at in (2, 1))
    counted = f"the models counted {calls:,} calls and {tokens:,} tokens of answers"
    told = (
        f"the books DIFFER: {', '.join(wrong)}" if wrong else "the books say the same"
    )
    findings = [Finding(not wrong, counted), Finding(not wrong, told), held(report)]
    if initial is not None:
        findings.append(conserved(report, initial.value * len(totals)))
    return Verdict(tuple(findings))


def expected(total: Total) -> dict[str, int] | None:
    """What must be on the books of an agent whose model counted *total*."""
    if not total.calls:
        return None
    return {
        USD: total.output_tokens * TOKEN_NANOS,
        "tokens": total.input_tokens + total.output_tokens,
        INPUT_TOKENS: total.input_tokens,
        OUTPUT_TOKENS: total.output_tokens,
        CALLS: total.calls,
    }


def conserved(report: Report, handed_out: int) -> Finding:
    """Whether trading has neither made nor lost a budget."""
    quotas = sum(
        each.granted.value
        for each in report.balances
        if each.granted is not None and each.account != report.account
    )
    told = "all quotas together are what was handed out"
    equal = quotas == handed_out
    return Finding(equal, told if equal else f"{told}: NOT SO")
