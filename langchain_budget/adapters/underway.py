"""The table of calls that are under way, by run."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import UUID

from langchain_core.messages import AIMessageChunk

from langchain_budget.adapters.exits import AllHeard
from langchain_budget.adapters.requests import UNSIZED, Request
from langchain_budget.adapters.usage import Raw
from langchain_budget.core.faults import BudgetError
from langchain_budget.core.postings import Hold
from langchain_budget.forks import new_lock
from langchain_budget.ledger import Ledger

if TYPE_CHECKING:
    from langchain_budget.adapters.batches import Batch


@dataclass(slots=True, eq=False, weakref_slot=True)
class Announcement:
    """A request as all handlers are told of it: a run, or several prompts at once."""

    told: object
    """Told to all of them, and with no other request; `None` tells nothing apart."""
    runs: set[int] = field(default_factory=set)
    """Of its prompts, as far as they were heard of."""
    refuse: Callable[[], BudgetError] | None = None
    """Once a handler has refused it, so that nothing is sent: the same again."""


UNANNOUNCED: Final = Announcement(None)

KEPT_OFF: Final = 1_000
"""How many requests that are off are remembered for those who hear of them late."""


@dataclass(slots=True, eq=False)
class Call:
    """A call under way and the hold that waits for its end."""

    ledger: Ledger
    owner: object
    """The handler that began it; what others hear of the same call changes nothing."""
    request: Request = UNSIZED
    labels: Mapping[str, str] = field(default_factory=dict)
    hold: Hold | None = None
    """`None` while it is being made; until then it is not said what is asked for."""
    announced: Announcement = UNANNOUNCED
    batch: Batch | None = None
    """Shared with the other prompts of one `generate`, if there are several."""
    heard: AllHeard | None = None
    """Tells, if its end is not heard of, whether another handler has refused it."""
    seen: int = 0
    """Output tokens that were streamed so far."""
    in_tokens: bool = False
    """Whether these are told one by one, so that events say nothing new."""
    pieces: list[AIMessageChunk | str] = field(default_factory=list)
    """What was streamed so far, where it may be cut off; nobody else is shown it."""
    usage: Raw | None = None
    """What the stream itself reported so far, in the framework's words."""
    more: list[Hold] = field(default_factory=list)
    """What was held in addition, since more was streamed than was expected."""
    room: int = 0
    """Output tokens that are held for, with that; 0 before any were streamed."""
    keep_at: float = 0.0
    """When the store is to be told that the call is still running."""
    closed: bool = False
    is_off: bool = False
    """Whether it was given up before the model was called."""
    is_left: bool = False
    """Whether a run around it has ended, perhaps while its hold was being made."""
    lifeline: weakref.ref[UUID] | None = None


class UnderWay:
    """
    Calls by run id. Several may have one: users can give their calls one id.

    All handlers of a call are told of it with one and the same object, by which it is
    told apart from others. On an event loop they may be told at once, on threads, or
    one of them when another has refused.
    """

    def __init__(self) -> None:
        self._calls: dict[int, list[Call]] = {}
        self._announced: weakref.WeakValueDictionary[tuple[int, int], Announcement] = (
            weakref.WeakValueDictionary()
        )
        self._off: deque[Announcement] = deque(maxlen=KEPT_OFF)
        self._lock = new_lock()

    def announced(self, told: object, run: int = 0) -> Announcement:
        """The request that handlers are told of with *told*, if need be of one run."""
        if told is None:
            return Announcement(None)
        with self._lock:
            return self._announced.setdefault((id(told), run), Announcement(told))

    def enter(self, key: int, call: Call) -> Call:
        """
        A call begins; if another handler has begun it on the same books, that one.

        Raises:
            BudgetError: One has refused it.
        """
        with self._lock:
            if call.announced.refuse is not None:
                raise call.announced.refuse()
            calls = self._calls.get(key, [])
            for known in list(calls):
                told = known.announced.told is call.announced.told
                if told and call.ledger.is_same(known.ledger):
                    return known
            calls.append(call)
            call.announced.runs.add(key)
            self._calls[key] = calls  # also if a finaliser has just found it empty
            return call

    def call_off(
        self, announced: Announcement, refuse: Callable[[], BudgetError]
    ) -> list[Call]:
        """The calls of a request that is not made, which are under way no more."""
        with self._lock:
            announced.refuse = refuse
            self._off.append(announced)
            return self._removed(announced)

    def drop_own(self, announced: Announcement, owner: object) -> list[Call]:
        """Likewise only those of one handler: the request is made without it."""
        with self._lock:
            return self._removed(announced, owner)

    def _removed(self, announced: Announcement, owner: object = None) -> list[Call]:
        off = [
            (key, call)
            for key in announced.runs
            for call in list(self._calls.get(key, ()))
            if call.announced.told is announced.told and owner in (None, call.owner)
        ]
        for key, call in off:
            call.is_off = True
            self.remove(key, call)
        return [call for _, call in off]

    def remove(self, key: int, call: Call) -> None:
        """A call has ended, or was not made."""
        with self._lock:
            calls = self._calls.get(key, [])
            with suppress(ValueError):  # a finaliser may be doing the same
                calls.remove(call)
            if not calls:
                self._calls.pop(key, None)

    def entered(self, key: int) -> list[Call]:
        """The calls of a run, those included whose hold is being made."""
        return list(self._calls.get(key, ()))

    def of(self, key: int, owner: object = None) -> list[Call]:
        """The calls of a run that are held for; one of each books for one *owner*."""
        calls = [call for call in self.entered(key) if call.hold]
        if owner is None:
            return calls
        mine: dict[Ledger, Call] = {}
        for call in calls:
            if call.owner is owner:
                mine.setdefault(call.ledger, call)
        return list(mine.values())

    def take(self, key: int, owner: object = None) -> list[Call]:
        """Likewise, and they are under way no more."""
        calls = self.of(key, owner)
        for call in calls:
            self.remove(key, call)
        return calls

    def drop(self, key: int, lifeline: object) -> list[Call]:
        """The calls that hung on *lifeline*; no lock: a finaliser may run in ours."""
        calls = self._calls.get(key, [])
        lost = [call for call in list(calls) if call.lifeline is lifeline]
        for call in lost:
            with suppress(ValueError):
                calls.remove(call)
        if not calls:
            self._calls.pop(key, None)
        return lost
