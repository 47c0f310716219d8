"""Tell listeners what has happened, in the order it is learned."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial

from langchain_budget.core.events import Event

Listener = Callable[[Event], None]

_log = logging.getLogger("langchain_budget")


class Listeners:
    """Whoever wants to know; one that fails is logged and stops nobody else."""

    def __init__(self) -> None:
        self._all: tuple[Listener, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(self, listener: Listener) -> Callable[[], None]:
        """Tell *listener* from now on; call what is returned to stop that."""
        added = partial(listener)  # told apart from the same one added again
        self._all = (*self._all, added)

        def remove() -> None:
            self._all = tuple(each for each in self._all if each is not added)

        return remove

    def tell(self, events: Iterable[Event]) -> None:
        """Deliver *events* to everyone."""
        for event in events:
            for listener in self._all:
                self._deliver(listener, event)

    def _deliver(self, listener: Listener, event: Event) -> None:
        try:
            listener(event)
        except Exception:
            _log.exception("a budget listener failed on %s", type(event).__name__)
