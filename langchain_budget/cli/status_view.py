"""How accounts stand, as a table of a terminal."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from typing import Final

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from langchain_budget.reports.explanation import Standing
from langchain_budget.reports.render import text_table

Look = Callable[[], Iterable[Standing]]

WORDS: Final = ("account", "state", "limit")
COLUMNS: Final = ("spent", "held", "lent", "left")
HEADS: Final = (*WORDS, *COLUMNS)
NARROWEST: Final = 12
"""Letters of each of these that stand in one line in any terminal."""

STYLES: Final = {"active": "green", "exhausted": "red", "frozen": "bold blue"}


def show(standings: Iterable[Standing]) -> None:
    """Print the table once."""
    _print(Console(highlight=False), standings)


def watch(look: Look, interval: float, count: int | None) -> None:
    """Show the table again and again; Ctrl-C ends it well."""
    console = Console(highlight=False)
    try:
        if console.is_terminal:
            with Live(console=console, auto_refresh=False) as live:
                _repeat(
                    lambda: live.update(table(look()), refresh=True), interval, count
                )
        else:
            _repeat(lambda: _print(console, look()), interval, count)
    except KeyboardInterrupt:
        return


def _print(console: Console, standings: Iterable[Standing]) -> None:
    """Fit it into a terminal; a pipe or a file has lines of any length."""
    if console.is_terminal:
        console.print(table(standings))
    else:
        console.out(text_table(HEADS, list(_rows(standings))))


def _repeat(show: Callable[[], None], interval: float, count: int | None) -> None:
    pause = threading.Event()
    show()
    for _ in itertools.count() if count is None else range(count - 1):
        pause.wait(interval)
        show()


def table(standings: Iterable[Standing]) -> Table:
    """One row for each limit, accounts indented as they lie."""
    rows = list(_rows(standings))
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for number, name in enumerate(WORDS):
        longest = max((len(row[number]) for row in rows), default=0)
        made.add_column(name, overflow="fold", min_width=min(longest, NARROWEST))
    made.columns[-1].justify = "right"
    for name in COLUMNS:
        made.add_column(name, justify="right", no_wrap=True)
    for name, told, *cells in rows:
        made.add_row(Text(name), _state(told), *map(Text, cells))
    return made


def _rows(standings: Iterable[Standing]) -> Iterable[tuple[str, ...]]:
    listed = list(standings)
    top = listed[0].account.count("/") if listed else 0
    for standing in listed:
        depth = standing.account.count("/") - top
        name = standing.account if not depth else standing.account.rpartition("/")[2]
        yield from _lines(standing, "  " * depth + name)


def _lines(standing: Standing, name: str) -> Iterable[tuple[str, ...]]:
    if not standing.balances:
        yield name, standing.state_of(), *("" for _ in HEADS[2:])
    for number, balance in enumerate(standing.balances):
        first = name if not number else ""
        yield first, standing.state_of(balance), *balance.cells()[2:]


def _state(told: str) -> Text:
    style = next((STYLES[word] for word in STYLES if told.startswith(word)), "dim")
    return Text(told, style=style)
