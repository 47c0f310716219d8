"""The table of calls that are under way, by run."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from langchain_core.messages import AIMessageChunk

from langchain_budget.adapters.exits import AllHeard
from langchain_budget.adapters.requests import UNSIZED, Request
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
    request: Request = UNSIZED
    labels: Mapping[str, str] = field(default_factory=dict)
    hold: Hold | None = None
    """`None` while it is being made; until then it is not said what is asked for."""
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
    is_off: bool = False
    """Whether a handler has refused it, so that the model is not called."""
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

    def enter(self, key: int, call: Call) -> Call:
        """
        A call begins; if another handler has begun it on the same books, that one.

        On an event loop several are told at once, each on a thread.
        """
        with self._lock:
            calls = self._calls.setdefault(key, [])
            for known in (each for each in calls if each.announced is call.announced):
                if call.ledger.is_same(known.ledger):
                    return known
                call.is_off = call.is_off or known.is_off
            calls.append(call)
            return call

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
        known = list(self._calls.get(key, ()))
        calls = [call for call in known if call.hold and not call.is_off]
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
        """The same call as on other books, or as other handlers have it."""
        calls = list(self._calls.get(key, ()))
        return [(key, call) for call in calls if call.announced is announced]

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
        """The prompts of one `generate`."""
        return [
            (key, call)
            for key, calls in list(self._calls.items())
            for call in list(calls)
            if call.batch and call.batch.announced is announced
        ]
