"""Who waits for what others may yet give back, and who goes first."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final

from langchain_budget.forks import alone, is_mine, new_lock

POLL_SECONDS: Final = 0.05
"""How often the first of those who wait looks for what other processes gave back."""


class Place:
    """Somebody's place in a queue; it is called when it is worth trying again."""

    def __init__(self, account: str, rank: tuple[int, int]) -> None:
        self.account = account
        """Where something is lacking."""
        self.rank = rank
        """Higher priority first, then whoever came first."""
        self._calls: SimpleQueue[None] = SimpleQueue()
        """No event: a finaliser may call amid another call, or where one waits."""
        self._wake: Callable[[], object] | None = None

    def call(self) -> None:
        """It is this one's turn to try."""
        self._calls.put(None)
        if self._wake is not None:
            with suppress(RuntimeError):  # its loop was closed, and it waits no more
                self._wake()

    def wait(self, seconds: float) -> None:
        """Wait for a call, in a thread."""
        with suppress(Empty):
            self._calls.get(timeout=seconds)
        self._forget_calls()

    async def await_(self, seconds: float) -> None:
        """Wait for a call, in an event loop."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        self._wake = partial(loop.call_soon_threadsafe, woken.set)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._calls.empty():
                    await woken.wait()
        self._forget_calls()

    def _forget_calls(self) -> None:
        with suppress(Empty):
            while True:
                self._calls.get_nowait()


class Queue:
    """Those of one process who wait for the same account, in order."""

    def __init__(self) -> None:
        self._lock = new_lock()
        self._places: dict[str, list[Place]] = {}
        self._left: deque[Place] = deque()
        """Places that were given up, perhaps by a finaliser amid all this."""
        self._serial = itertools.count()

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    def __bool__(self) -> bool:
        return bool(self._places)

    def enter(self, account: str, priority: int) -> Place:
        """A place behind those of the same priority or a higher one."""
        place = Place(account, (-priority, next(self._serial)))
        with alone(self._lock):
            self._insert(place)
        return place

    def move(self, place: Place, account: str) -> None:
        """It is in another account that something is lacking: let others try here."""
        if place.account != account:
            with alone(self._lock):
                self._remove(place)
                place.account = account
                self._insert(place)
            self.call()

    def leave(self, place: Place) -> None:
        """Give up a place; whoever is first then tries."""
        self._left.append(place)
        self.call()

    def ahead(self, accounts: Iterable[str], priority: int) -> str:
        """One of *accounts* that somebody waits for who goes first, or nothing."""
        with alone(self._lock):
            self._remove_left()
            for account in accounts:
                waiting = self._places.get(account)
                if waiting and waiting[0].rank[0] <= -priority:
                    return account
        return ""

    def is_first(self, place: Place) -> bool:
        """Whether nobody who waits for the same account goes before."""
        with alone(self._lock):
            self._remove_left()
            return self._places[place.account][0] is place

    def call(self) -> None:
        """Something was given back: the first of each account may try."""
        if is_mine(self._lock):
            return  # a finaliser; whoever waits looks again before long
        with self._lock:
            self._remove_left()
            first = [waiting[0] for waiting in self._places.values()]
        for place in first:
            place.call()

    def _insert(self, place: Place) -> None:
        waiting = self._places.setdefault(place.account, [])
        waiting.append(place)
        waiting.sort(key=lambda each: each.rank)

    def _remove_left(self) -> None:
        while self._left:
            self._remove(self._left.popleft())

    def _remove(self, place: Place) -> None:
        waiting = self._places[place.account]
        waiting.remove(place)
        if not waiting:
            del self._places[place.account]
