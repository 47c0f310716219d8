"""What forks and ends of the process mean for what was spent without a store."""

from __future__ import annotations

import atexit
import os
import weakref
from contextlib import suppress
from typing import Protocol

from langchain_budget.errors import BudgetError


class Debtor(Protocol):
    """Books that may have spent something that their store does not know."""

    def start_anew(self) -> None:
        """What the parent process has spent, it reports itself."""

    def end(self) -> None:
        """The last occasion to report, and to give back what was kept ready."""


_ALL: weakref.WeakSet[Debtor] = weakref.WeakSet()


def follow(debtor: Debtor) -> None:
    """Tell *debtor* of both."""
    _ALL.add(debtor)


def _after_fork() -> None:
    for debtor in list(_ALL):
        debtor.start_anew()


def _at_exit() -> None:
    for debtor in list(_ALL):
        with suppress(BudgetError):
            debtor.end()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
