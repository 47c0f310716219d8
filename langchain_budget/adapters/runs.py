"""The runs that enclose a call, kept while they last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from uuid import UUID

KEPT: Final = 100_000
"""Runs whose end never comes are dropped, oldest first, beyond this number."""


class Run(NamedTuple):
    """A chain, graph node or tool that is running."""

    parent: int | None
    tool: str = ""
    scope: Any = None
    """The scope it was started in, for threads that carry no context."""
    task: str = ""
    """The graph task that it is or is a part of, while guards follow runs."""
    reserved: tuple[Any, ...] = ()
    """What guards have reserved for this task."""


class Runs:
    """Parents by run id; every method is one step for other threads."""

    def __init__(self) -> None:
        self._runs: dict[int, Run] = {}

    def start(self, run_id: UUID, run: Run) -> bool:
        """
        A run begins; whether that is new.

        Several handlers are told of it, on threads at once: what it takes along, such
        as a reservation, only one of them may look for.
        """
        is_new = self._runs.setdefault(run_id.int, run) is run
        if len(self._runs) > KEPT:
            self._runs.pop(next(iter(self._runs)), None)
        return is_new

    def fill_in(self, run_id: UUID, run: Run) -> None:
        """All that is known of a run, from whoever it was new to."""
        self._runs[run_id.int] = run

    def end(self, run_id: UUID) -> Run | None:
        """A run ends; `None` when it was not known or has ended before."""
        return self._runs.pop(run_id.int, None)

    def above(self, parent: UUID | None) -> Iterator[tuple[int, Run]]:
        """The enclosing runs, innermost first, and their numbers."""
        number = parent.int if parent else None
        while number is not None:
            run = self._runs.get(number)
            if run is None:
                return
            yield number, run
            number = run.parent
