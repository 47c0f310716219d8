"""What a simulation shows: a line for each event, and a table at the end."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from langchain_budget import Amount, BudgetPool, Report
from langchain_budget.cli.demo_story import name_of
from langchain_budget.cli.demo_verdict import Verdict
from langchain_budget.cli.demo_view import MARKS, standing, state
from langchain_budget.config.per_agent import PerAgentBudgets
from langchain_budget.core.amounts import CALLS, USD, Vector
from langchain_budget.core.announcements import AGENT_FROZEN, agent_of
from langchain_budget.events import Event, Transferred
from langchain_budget.reports.report import AccountBalance

TICK_SECONDS: Final = 0.15
"""How long each tick stands when watching."""

STYLES: Final = {"frozen": "bold blue", "unfrozen": "bold cyan", "sold": "magenta"}


class Diary:
    """What has happened to each agent, and when."""

    def __init__(self) -> None:
        self.tick = 0
        self.frozen: defaultdict[str, list[int]] = defaultdict(list)
        self.traded: defaultdict[str, Amount] = defaultdict(lambda: Amount(USD, 0))
        """What it has bought, or below zero sold."""

    def freeze(self, agent: str) -> None:
        """Note that *agent* froze now."""
        self.frozen[agent].append(self.tick)

    def move(self, event: Transferred) -> None:
        """Note that budget has moved."""
        self.traded[event.account] -= event.amount
        self.traded[event.payee] += event.amount


class Watcher:
    """
    Shows who freezes, trades and goes on, when it happens.

    Args:
        pool: Whose events.
        budgets: What the agents were given.
        console: Where to.
    """

    def __init__(
        self, pool: BudgetPool, budgets: PerAgentBudgets, console: Console
    ) -> None:
        self.diary = Diary()
        self._pool = pool
        self._budgets = budgets
        self._console = console
        self._live: Live | None = None
        self._pause = threading.Event()

    @contextmanager
    def watching(self, *, live: bool) -> Iterator[None]:
        """Show what happens inside, with a table at the bottom if *live*."""
        # Who hears of a sale first hears of whom it has revived afterwards.
        ends = (
            self._pool.subscribe(self._sold),
            self._budgets.announce(self._pool, self._announced),
        )
        try:
            if live:
                with self._table():
                    yield
            else:
                yield
        finally:
            for end in ends:
                end()

    def begin(self, tick: int) -> None:
        """Show how the accounts stand when a tick begins."""
        self.diary.tick = tick
        if self._live is not None:
            table = Group(standing(self._pool.report()), f"  tick {tick}")
            self._live.update(table, refresh=True)
            self._pause.wait(TICK_SECONDS)

    def _sold(self, event: Event) -> None:
        if isinstance(event, Transferred):
            self.diary.move(event)
            told = f"{event.amount} to {name_of(event.payee)}"
            self._say("sold", name_of(event.account), told)

    def _announced(self, name: str, payload: Mapping[str, Any]) -> None:
        agent = payload["agent_id"]
        if name == AGENT_FROZEN:
            self.diary.freeze(agent)
            self._say("frozen", agent, payload["reason"])
        else:
            self._say("unfrozen", agent, f"by {payload['unfrozen_by']}")

    def _say(self, kind: str, who: str, text: str) -> None:
        when = f"  tick {self.diary.tick:>3}  "
        line = Text.assemble(when, (f"{kind:<9}", STYLES[kind]), f"{who:<10} ", text)
        self._console.print(line)

    @contextmanager
    def _table(self) -> Iterator[None]:
        with Live(
            standing(self._pool.report()),
            console=self._console,
            auto_refresh=False,
            transient=True,
        ) as self._live:
            yield
        self._live = None


def title(
    budgets: PerAgentBudgets, ticks: int, agents: Sequence[str]
) -> RenderableType:
    """What is about to run."""
    each, ceiling = budgets.initial_llm_budget, budgets.total_api_cost_limit
    rules = [
        f"each has {shown(each)}",
        f"all together {shown(ceiling)}",
        "budgets can be traded" if budgets.llm_budget_tradeable else "nobody trades",
    ]
    if not budgets.per_agent_enforcement:
        rules.append("only the limit of all is enforced")
    return Text.assemble(
        ("langchain-budget simulate\n", "bold"),
        f"{len(agents)} agents, {ticks} ticks: {'; '.join(rules)}.\n",
    )


def ending(report: Report, diary: Diary, found: Verdict, ended: str) -> RenderableType:
    """How it ended, how each agent fared, and whether the books are right."""
    over = f"Ended at tick {diary.tick}"
    why = f"{over}: {ended}." if ended else f"{over}, the last one."
    findings = [Text.assemble(MARKS[good], f" {text}") for good, text in found.findings]
    return Group("", Text(why, "bold"), "", agents(report, diary), *findings)


def agents(report: Report, diary: Diary) -> Table:
    """A row for each agent, and one for all of them."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("agent", no_wrap=True)
    for head in ("quota", "used", "left", "calls", "traded"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("frozen at")
    table.add_column("state", no_wrap=True)
    lines = {agent: line.amounts for (agent,), line in report.by("agent").items()}
    for balance in report.balances:
        if (agent := agent_of(balance.account)) is not None:
            table.add_row(*cells(balance, lines.pop(agent, {}), diary), state(balance))
    for agent, sums in sorted(lines.items()):  # those without a limit
        table.add_row(agent, shown(None), *spent(sums), "", "never", "active")
    table.add_section()
    table.add_row("all", "", *spent(report.total.amounts), style="bold")
    return table


def cells(balance: AccountBalance, sums: Vector, diary: Diary) -> list[str]:
    """The figures of one agent."""
    agent, traded = name_of(balance.account), diary.traded[balance.account]
    used, _, calls = spent(sums)
    left = shown(balance.available)
    moved = f"{'+' if traded.value > 0 else ''}{traded}" if traded else ""
    when = ", ".join(map(str, diary.frozen[agent])) or "never"
    return [agent, shown(balance.granted), used, left, calls, moved, when]


def spent(sums: Vector) -> tuple[str, str, str]:
    """What was spent, an empty cell, and the number of calls."""
    return str(Amount(USD, sums.get(USD, 0))), "", f"{sums.get(CALLS, 0):,}"


def shown(limit: Amount | None) -> str:
    """A limit, or that there is none."""
    return "no limit" if limit is None else str(limit)
