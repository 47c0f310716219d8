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

Look = Callable[[], Iterable[Standing]]

COLUMNS: Final = ("limit", "spent", "held", "lent", "left")
STYLES: Final = {"active": "green", "exhausted": "red", "frozen": "bold blue"}


def show(standings: Iterable[Standing]) -> None:
    """Print the table once."""
    Console(highlight=False).print(table(standings))


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
            _repeat(lambda: console.print(table(look())), interval, count)
    except KeyboardInterrupt:
        return


def _repeat(show: Callable[[], None], interval: float, count: int | None) -> None:
    pause = threading.Event()
    show()
    for _ in itertools.count() if count is None else range(count - 1):
        pause.wait(interval)
        show()


def table(standings: Iterable[Standing]) -> Table:
    """One row for each limit, accounts indented as they lie."""
    listed = list(standings)
    made = Table(box=box.SIMPLE_HEAD)
    made.add_column("account", overflow="fold")
    made.add_column("state", overflow="fold")
    for name in COLUMNS:
        made.add_column(name, justify="right", no_wrap=True)
    top = listed[0].account.count("/") if listed else 0
    for standing in listed:
        depth = standing.account.count("/") - top
        name = standing.account if not depth else standing.account.rpartition("/")[2]
        for row in _rows(standing, "  " * depth + name):
            made.add_row(*row)
    return made


def _rows(standing: Standing, name: str) -> Iterable[tuple[Text, ...]]:
    if not standing.balances:
        yield Text(name), _state(standing.state_of()), *(Text("") for _ in COLUMNS)
    for number, balance in enumerate(standing.balances):
        cells = balance.cells()[2:]
        first = Text(name if not number else "")
        yield first, _state(standing.state_of(balance)), *map(Text, cells)


def _state(told: str) -> Text:
    style = next((STYLES[word] for word in STYLES if told.startswith(word)), "dim")
    return Text(told, style=style)
