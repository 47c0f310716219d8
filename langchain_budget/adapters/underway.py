"""The table of calls that are under way, by run."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from langchain_core.messages import AIMessageChunk

from langchain_budget.adapters.exits import AllHeard
from langchain_budget.adapters.requests import Request
from langchain_budget.adapters.usage import Raw
from langchain_budget.core.postings import Hold
from langchain_budget.forks import new_lock
from langchain_budget.ledger import Ledger


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
    start: object = None
    """Shared with what the same handler holds for this call on other books."""
    batch: object = None
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
    heard_by: set[int] = field(default_factory=set)
    """The handlers that have heard of its start: each hears of a call once."""


class UnderWay:
    """
    Calls by run id. Several may have one: users can give their calls one id.

    A handler hears of each call once, so that a start that it hears again is that of
    another call; a start that another handler has heard before is the same call.
    """

    def __init__(self) -> None:
        self._calls: dict[int, list[Call]] = {}
        self._lock = new_lock()

    def join(self, key: int, ledger: Ledger, handler: object) -> Call | None:
        """This very call on these books, if another handler has begun it."""
        with self._lock:
            for call in list(self._calls.get(key, ())):
                if ledger.is_same(call.ledger) and id(handler) not in call.heard_by:
                    call.heard_by.add(id(handler))
                    return call
        return None

    def add(self, key: int, call: Call) -> None:
        """A call begins."""
        call.heard_by.add(id(call.owner))
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

    def twins(self, key: int, one: Call) -> list[Call]:
        """
        What else is held for the call that *one* was to hold for.

        On other books by the same handler, and by each other handler that has begun
        one call more than this one has: the last of them.
        """
        starts: dict[int, list[object]] = {}
        for call in self.of(key):
            begun = starts.setdefault(id(call.owner), [])
            if call.start not in begun:
                begun.append(call.start)
        mine = [each for each in starts.get(id(one.owner), ()) if each is not one.start]
        same = {
            id(begun[-1]) for begun in starts.values() if len(begun) > len(mine)
        } | {id(one.start)}
        return [call for call in self.of(key) if id(call.start) in same]

    def drop(self, key: int, lifeline: object) -> list[Call]:
        """The calls that hung on *lifeline*; no lock: a finaliser may run in ours."""
        calls = self._calls.get(key, [])
        lost = [call for call in list(calls) if call.lifeline is lifeline]
        for call in lost:
            calls.remove(call)
        if not calls:
            self._calls.pop(key, None)
        return lost

    def batch(self, batch: object) -> list[tuple[int, Call]]:
        """The calls that were begun with others in one `generate`."""
        return [
            (key, call)
            for key, calls in list(self._calls.items())
            for call in list(calls)
            if call.batch is batch and call.hold
        ]
