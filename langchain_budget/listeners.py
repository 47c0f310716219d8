"""Tell listeners what has happened, in the order it is learned."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from langchain_budget.core.edges import netted
from langchain_budget.core.events import Event
from langchain_budget.core.postings import Change

Listener = Callable[[Event], None]
Watcher = Callable[[Change, int], None]
"""Told of a balance before and after an entry of the journal, and its number."""

EntryWatcher = Callable[[tuple[Change, ...], int], None]
"""Told of all balances that an entry of the journal has changed, and its number."""

_log = logging.getLogger("langchain_budget")


class _Outbox(threading.local):
    """What this thread has to tell, and whether it is telling."""

    def __init__(self) -> None:
        self.waiting: deque[Callable[[], None]] = deque()
        self.at_work = False

    def deliver(self) -> None:
        """
        Tell it all, unless this thread is telling something already.

        So nobody is told of one thing amid another: not by a call that a listener
        makes, and not by a finaliser, which may run where the listener has a lock.
        """
        if self.at_work:
            return
        self.at_work = True
        try:
            while self.waiting:
                self.waiting.popleft()()
        finally:
            self.at_work = False


_outbox: Final = _Outbox()


class Listeners:
    """Whoever wants to know; one that fails is logged and stops nobody else."""

    def __init__(self) -> None:
        self._all: tuple[Listener, ...] = ()
        self._watchers: tuple[EntryWatcher, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._all or self._watchers)

    def add(self, listener: Listener) -> Callable[[], None]:
        """Tell *listener* from now on; call what is returned to stop that."""
        added = partial(listener)  # told apart from the same one added again
        self._all = (*self._all, added)

        def remove() -> None:
            self._all = tuple(each for each in self._all if each is not added)

        return remove

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Show *watcher* each change of a limited balance; call to stop, as above."""

        def each(changes: tuple[Change, ...], seq: int) -> None:
            for change in changes:
                watcher(change, seq)

        return self.watch_entries(each)

    def watch_entries(self, watcher: EntryWatcher) -> Callable[[], None]:
        """Likewise, all that an entry of the journal has changed together."""
        added = partial(watcher)
        self._watchers = (*self._watchers, added)

        def remove() -> None:
            self._watchers = tuple(each for each in self._watchers if each is not added)

        return remove

    def show(self, changes: tuple[Change, ...], seq: int) -> None:
        """Let all who watch see what entry *seq* of the journal has changed."""
        if not self._watchers:
            return
        seen = tuple(netted(changes))
        _outbox.waiting.extend(
            partial(self._show, watcher, seen, seq) for watcher in self._watchers
        )
        _outbox.deliver()

    def tell(self, events: Iterable[Event]) -> None:
        """Deliver *events* to everyone."""
        _outbox.waiting.extend(
            partial(self._deliver, listener, event)
            for event in events
            for listener in self._all
        )
        _outbox.deliver()

    def _show(self, watcher: EntryWatcher, seen: tuple[Change, ...], seq: int) -> None:
        try:
            watcher(seen, seq)
        except Exception:
            _log.exception("a watcher of balances failed on entry %s", seq)

    def _deliver(self, listener: Listener, event: Event) -> None:
        try:
            listener(event)
        except Exception:
            _log.exception("a budget listener failed on %s", type(event).__name__)
