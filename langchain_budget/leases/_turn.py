"""One at a time, whether it waits or awaits."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from langchain_budget.errors import StoreError, StoreReentered
from langchain_budget.forks import have_any, new_latch

Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Turn:
    """A lock for threads and tasks alike, of any loop."""

    def __init__(self) -> None:
        self._lock = new_latch()
        self._waiters: deque[Waiter] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop of the task whose turn it is."""
        self._here: set[int] = set()
        """The threads without a loop that have entered, or are about to."""

    def enter(self) -> None:
        """Wait until it is this thread's turn; a finaliser does not wait for itself."""
        me = threading.get_ident()
        if me in self._here:
            raise StoreReentered
        try:
            self._here.add(me)
            self._acquire()
        except BaseException:
            self._here.discard(me)
            raise

    def _acquire(self) -> None:
        if self._lock.acquire(blocking=False):
            return
        if self._loop is not None and self._loop is _loop_here():
            msg = (
                "a task of this event loop is asking the store, and waiting for it "
                "here would stop that task: await the awaitable twin instead"
            )
            raise StoreError(msg)
        if have_any():  # which whoever has its turn may wait for
            raise StoreReentered
        self._lock.acquire()

    async def aenter(self) -> None:
        """Awaitable twin of `enter`."""
        loop = asyncio.get_running_loop()
        while not self._lock.acquire(blocking=False):
            woken = loop.create_future()
            self._waiters.append((loop, woken))
            if self._lock.acquire(blocking=False):
                break  # it was left before anybody could be woken
            await woken
        self._loop = loop

    def entered(self) -> bool:
        """Whether it is this thread's turn, or this task's, without waiting."""
        loop, me = _loop_here(), threading.get_ident()
        if me in self._here:
            return False
        if loop is None:
            self._here.add(me)
        if not self._lock.acquire(blocking=False):
            self._here.discard(me)
            return False
        self._loop = loop
        return True

    def leave(self) -> None:
        """It is the next one's turn; tasks that wait all look again."""
        self._loop = None
        self._here.discard(threading.get_ident())
        self._lock.release()
        while self._waiters:
            loop, woken = self._waiters.popleft()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_wake, woken)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


def _loop_here() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
