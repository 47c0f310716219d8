"""What the demo shows: lines while it runs, tables when it is over."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from langchain_budget import Amount, BudgetPool, Price, Report
from langchain_budget.cli.demo_story import Line, Story, amount, name_of
from langchain_budget.cli.demo_verdict import Verdict
from langchain_budget.core.amounts import CALLS, INPUT_TOKENS, OUTPUT_TOKENS, USD, show
from langchain_budget.events import Event
from langchain_budget.pricing.usage import Usage
from langchain_budget.reports.report import AccountBalance
from langchain_budget.reports.statement import Line as Sums

STYLES: Final = {
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
MARKS: Final = {
    True: ("ok   ", "bold green"),
    False: ("WRONG", "bold red"),
    None: ("?    ", "bold yellow"),
}
BAR_WIDTH: Final = 16


class Watcher:
    """
    Shows each event of a pool when it happens, and how the accounts stand then.

    Args:
        pool: Whose events.
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
        self._pause = threading.Event()

    @contextmanager
    def watching(self, *, live: bool) -> Iterator[None]:
        """Show what happens inside, with a table at the bottom if *live*."""
        stop = self._pool.subscribe(self.show)
        try:
            if live:
                with self._table():
                    yield
            else:
                yield
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
                self._pause.wait(self._pace * (len(lines) or 0.5))

    @contextmanager
    def _table(self) -> Iterator[None]:
        table = standing(self._pool.report())
        with Live(
            table, console=self._console, auto_refresh=False, transient=True
        ) as self._live:
            yield
        self._live = None


def title(model: str, price: Price | None, limit: Amount) -> RenderableType:
    """What is about to run."""
    return Text.assemble(
        ("langchain-budget demo\n", "bold"),
        "A supervisor and three workers spend from one pool of ",
        f"{amount(limit.unit, limit.value)}.\n",
        (f"Model {model}, {cost_of(price)}.", "dim"),
    )


def cost_of(price: Price | None) -> str:
    """What a million tokens cost."""
    if price is None:
        return "of unknown price, so tokens are limited"
    into = 1_000 * price.cost(Usage(input=1_000))
    out = 1_000 * price.cost(Usage(output=1_000))
    return f"{show(USD, into)} in and {show(USD, out)} out per million tokens"


def shown(line: Line) -> RenderableType:
    """A line of the story; captions stand out."""
    if line.kind == "caption":
        return Text(f"\n{line.text}", "bold")
    return Text.assemble(
        "  ", (f"{line.kind:<8}", STYLES[line.kind]), f"{line.who:<18} ", line.text
    )


def standing(report: Report) -> RenderableType:
    """How the accounts stand, each with a bar: for a live display."""
    table = Table.grid(padding=(0, 2))
    for balance in report.balances:
        held = f"{figure(balance, 'held')} held" if balance.held else ""
        table.add_row(
            Text(f"  {name_of(balance.account)}", "bold"),
            bar(balance),
            Text(f"{figure(balance, 'available')} left", justify="right"),
            Text(held, "yellow", justify="right"),
            state(balance),
        )
    return Group("", table)


def bar(balance: AccountBalance) -> ProgressBar:
    """How much of a limit is spent or held."""
    style = STYLES[balance.state]
    limit = balance.granted.value if balance.granted else 0
    used = balance.spent.value + balance.held.value
    return ProgressBar(
        total=max(limit, 1),
        completed=min(used, limit),
        width=BAR_WIDTH,
        complete_style=style,
        finished_style=style,
    )


def ending(
    report: Report, found: Verdict, missed: Sequence[str], trouble: str
) -> RenderableType:
    """The accounts, who spent what, whether it is right, and what went otherwise."""
    findings = [Text.assemble(MARKS[good], f" {text}") for good, text in found.findings]
    notes = [Text(f"This time {each}.", "yellow") for each in missed]
    if trouble:
        notes = [Text(trouble, "bold red")]
    return Group("", accounts(report), "", spending(report), *findings, *notes)


def accounts(report: Report) -> Table:
    """Every account with its limit."""
    table = _table("Accounts", ["account"], ["limit", "spent", "held", "left"])
    table.add_column("state")
    for balance in report.balances:
        names = ("granted", "spent", "held", "available")
        figures = [figure(balance, name) for name in names]
        table.add_row(name_of(balance.account), *figures, state(balance))
    return table


def spending(report: Report) -> Table:
    """Calls, tokens and cost by agent and node, and their sum."""
    numbers = ["calls", "input", "output", "cost"]
    table = _table("Spending by agent and node", ["agent", "node"], numbers)
    for (agent, node), sums in report.by("agent", "node").items():
        table.add_row(agent, node, *cells(sums))
    table.add_section()
    table.add_row("total", "", *cells(report.total), style="bold")
    return table


def cells(sums: Sums) -> list[str]:
    """The figures of one row."""
    amounts = sums.amounts
    units = (CALLS, INPUT_TOKENS, OUTPUT_TOKENS)
    counts = [f"{amounts.get(unit, 0):,}" for unit in units]
    priced = (not sums.unpriced and USD in amounts) or not amounts.get(CALLS)
    cost = amount(USD, amounts.get(USD, 0)) if priced else "unknown"
    return [*counts, cost]


def figure(balance: AccountBalance, name: str) -> str:
    """One of an account's quantities."""
    value = getattr(balance, name)
    return "unlimited" if value is None else amount(balance.unit, value.value)


def state(balance: AccountBalance) -> Text:
    """An account's state, in its colour."""
    return Text(balance.state, STYLES[balance.state])


def _table(title: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in texts:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right")
    return table
