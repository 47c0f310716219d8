"""What the demo shows: lines while it runs, tables when it is over."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from langchain_budget import BudgetPool, Report
from langchain_budget.cli.demo_story import Line, Story, amount, name_of
from langchain_budget.core.amounts import CALLS, INPUT_TOKENS, OUTPUT_TOKENS, USD
from langchain_budget.events import Event
from langchain_budget.reports.report import AccountBalance
from langchain_budget.reports.statement import Line as Sums

STYLES: Final = {
    "caption": "bold",
    "paid": "green",
    "refused": "bold red",
    "frozen": "bold blue",
    "moved": "magenta",
    "thawed": "bold cyan",
    "warned": "yellow",
    "active": "green",
    "exhausted": "red",
    "closed": "dim",
}
COUNTED: Final = (CALLS, INPUT_TOKENS, OUTPUT_TOKENS)


class Watcher:
    """
    Shows each event of a pool when it happens, and how the accounts stand then.

    Args:
        console: Where to.
        pace: Seconds that each line stands before the next one; the calls wait.
    """

    def __init__(self, pool: BudgetPool, console: Console, pace: float) -> None:
        self.story = Story()
        self._pool = pool
        self._console = console
        self._pace = pace
        self._live: Live | None = None
        self._lock = threading.Lock()
        self._never = threading.Event()

    @contextmanager
    def watching(self, *, live: bool) -> Iterator[Story]:
        """Show what happens inside, with a table at the bottom if *live*."""
        stop = self._pool.subscribe(self.show)
        try:
            if live:
                with self._table():
                    yield self.story
            else:
                yield self.story
        finally:
            stop()

    def show(self, event: Event) -> None:
        """Print what there is to say about *event*."""
        with self._lock:
            lines = list(self.story.lines(event))
            for line in lines:
                self._console.print(shown(line))
            if self._live is not None:
                self._live.update(standing(self._pool.report()), refresh=True)
                self._never.wait(self._pace * len(lines))

    @contextmanager
    def _table(self) -> Iterator[None]:
        start = standing(self._pool.report())
        with Live(start, console=self._console, auto_refresh=False, transient=True) as it:
            self._live = it
            yield
        self._live = None


def shown(line: Line) -> RenderableType:
    """A line of the story; captions stand out and wrap."""
    if line.kind == "caption":
        return Padding(Text(line.text, STYLES["caption"]), (1, 0, 0, 0))
    return Text.assemble(
        "  ", (f"{line.kind:<8}", STYLES[line.kind]), f"{line.who:<18} ", line.text
    )


def standing(report: Report) -> RenderableType:
    """How the accounts stand, each with a bar: for a live display."""
    table = Table.grid(padding=(0, 2))
    for balance in report.balances:
        granted = balance.granted.value if balance.granted else 0
        used = balance.spent.value + balance.held.value
        table.add_row(
            Text(name_of(balance.account), style="bold"),
            ProgressBar(
                total=max(granted, 1),
                completed=min(used, granted),
                width=24,
                complete_style=STYLES[balance.state],
                finished_style=STYLES[balance.state],
            ),
            Text(figure(balance, "available") + " left", justify="right"),
            state(balance),
        )
    return Padding(table, (1, 0, 0, 2))


def tables(report: Report) -> RenderableType:
    """The accounts, and who spent what, with the sum in the last row."""
    return Group("", accounts(report), "", spending(report))


def accounts(report: Report) -> Table:
    """Every account with its limit."""
    table = Table(title="Accounts", title_justify="left", title_style="bold")
    table.add_column("account")
    for name in ("limit", "spent", "held", "left"):
        table.add_column(name, justify="right")
    table.add_column("state")
    for balance in report.balances:
        figures = [
            figure(balance, name) for name in ("granted", "spent", "held", "available")
        ]
        table.add_row(name_of(balance.account), *figures, state(balance))
    return table


def spending(report: Report) -> Table:
    """Calls, tokens and cost by agent and node."""
    table = Table(
        title="Spending by agent and node", title_justify="left", title_style="bold"
    )
    for name in ("agent", "node"):
        table.add_column(name)
    for name in ("calls", "input", "output", "cost"):
        table.add_column(name, justify="right")
    for (agent, node), sums in report.by("agent", "node").items():
        table.add_row(agent, node, *cells(sums))
    table.add_section()
    table.add_row("total", "", *cells(report.total), style="bold")
    return table


def cells(sums: Sums) -> list[str]:
    """The figures of one row."""
    counts = [f"{sums.amounts.get(unit, 0):,}" for unit in COUNTED]
    unpriced = sums.unpriced and not sums.amounts.get(USD)
    cost = "unknown" if unpriced else amount(USD, sums.amounts.get(USD, 0))
    return [*counts, cost]


def figure(balance: AccountBalance, name: str) -> str:
    """One of an account's quantities."""
    value = getattr(balance, name)
    return "unlimited" if value is None else amount(balance.unit, value.value)


def state(balance: AccountBalance) -> Text:
    """An account's state, in its colour."""
    return Text(balance.state, style=STYLES[balance.state])
