"""A process: a pool object of its own, with its own caches and outbox."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, Final

from langchain_budget import BudgetPool
from langchain_budget.core.amounts import Amount
from langchain_budget.core.events import Event
from langchain_budget.ledger import Ledger
from tests.simulation.wire import Message, Pause, Wire

Life = Coroutine[Message | Pause, Any, Any]

ROOT: Final = "acme"
MARKS: Final = ("50%", "90%")


class Process:
    """
    One of several that share the books.

    What it knows is gone when it is killed; what is started anew has another name.
    """

    def __init__(self, name: str, deliver: Callable[[Message], Any]) -> None:
        self._name, self._deliver = name, deliver
        self._lives = count(1)
        self.tasks: dict[Any, None] = {}
        self.heard: list[Event] = []
        self.lives: dict[str, Callable[[], Life]] = {}
        """What goes on here, and begins anew when the process does."""
        self.restart()

    @property
    def ledger(self) -> Ledger:
        return self.pool.ledger

    def restart(self) -> None:
        """Open the pool as it is in the store, and forget everything else."""
        self.name = f"{self._name}.{next(self._lives)}"
        wire, serial = Wire(self._deliver), count(1)
        (row,) = wire.rows([ROOT]).values()
        limits = [Amount(*limit) for limit in row.spec.limits]
        self.pool = BudgetPool(ROOT, *limits, store=wire, warn_at=MARKS)
        self.pool.ledger.new_id = lambda: f"{self.name}-{next(serial)}"
        self.pool.subscribe(self.heard.append)

    def inhabit(self, name: str, live: Callable[[], Life]) -> None:
        self.lives[name] = live
