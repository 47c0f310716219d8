"""The table of calls that are under way, by run."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from langchain_core.messages import AIMessageChunk

from langchain_budget.adapters.exits import AllHeard
from langchain_budget.adapters.requests import Request
from langchain_budget.adapters.usage import Raw
from langchain_budget.core.postings import Hold
from langchain_budget.forks import new_lock
from langchain_budget.ledger import Ledger

if TYPE_CHECKING:
    from langchain_budget.adapters.batches import Batch


@dataclass(slots=True, eq=False)
class Call:
    """A call under way and the hold that waits for its end."""

    ledger: Ledger
    owner: object
    """The handler that began it; what others hear of the same call changes nothing."""
    request: Request
    labels: Mapping[str, str]
    hold: Hold | None = None
    """`None` while it is being made."""
    announced: object = None
    """Told to all handlers of this call, and with no call of the same run id."""
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
    lifeline: weakref.ref[UUID] | None = None


class UnderWay:
    """
    Calls by run id. Several may have one: users can give their calls one id.

    All handlers of a call are told of it with one and the same object, by which it is
    told apart from others.
    """

    def __init__(self) -> None:
        self._calls: dict[int, list[Call]] = {}
        self._lock = new_lock()

    def join(self, key: int, ledger: Ledger, announced: object) -> Call | None:
        """This very call on these books, if another handler has begun it."""
        for call in list(self._calls.get(key, ())):
            if call.announced is announced and ledger.is_same(call.ledger):
                return call
        return None

    def add(self, key: int, call: Call) -> None:
        """A call begins."""
        with self._lock:
            self._calls.setdefault(key, []).append(call)

    def remove(self, key: int, call: Call) -> None:
        """A call has ended, or was not made."""
        with self._lock:
            calls = self._calls.get(key, [])
            if call in calls:
                calls.remove(call)
            if not calls:
                self._calls.pop(key, None)

    def of(self, key: int, owner: object = None) -> list[Call]:
        """The calls of a run that are held for; one of each books for one *owner*."""
        calls = [call for call in list(self._calls.get(key, ())) if call.hold]
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

    def twins(self, key: int, announced: object) -> list[tuple[int, Call]]:
        """What is held for the same call: on other books, or by other handlers."""
        return [(key, call) for call in self.of(key) if call.announced is announced]

    def drop(self, key: int, lifeline: object) -> list[Call]:
        """The calls that hung on *lifeline*; no lock: a finaliser may run in ours."""
        calls = self._calls.get(key, [])
        lost = [call for call in list(calls) if call.lifeline is lifeline]
        for call in lost:
            calls.remove(call)
        if not calls:
            self._calls.pop(key, None)
        return lost

    def batch(self, announced: object) -> list[tuple[int, Call]]:
        """What is held for the prompts of one `generate`."""
        return [
            (key, call)
            for key, calls in list(self._calls.items())
            for call in list(calls)
            if call.batch and call.batch.announced is announced and call.hold
        ]
