"""Connections that are lent one at a time: to threads, and to the tasks of a loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import Any, Final, Generic, NamedTuple, TypeVar

import psycopg
from psycopg import waiting
from psycopg.pq import TransactionStatus

Line = tuple[Any, ...]
_Result = TypeVar("_Result")
_IDLE: Final = TransactionStatus.IDLE

WAKE_SECONDS: Final = 0.1
"""How often a wait looks whether its time is up."""

PREPARE_AFTER: Final = 5
"""How often a statement comes before it is prepared."""


class TimedOut(psycopg.OperationalError):
    """There was no answer in time."""


class NotConnected(psycopg.OperationalError):
    """No connection was made, so nothing was asked."""


class Target(NamedTuple):
    """Where to connect to, and how often at most at the same time."""

    conninfo: str
    most: int
    prepares: bool
    """Whether statements are prepared; some poolers cannot do that."""

    @property
    def options(self) -> dict[str, Any]:
        """How each connection is made."""
        return {
            "conninfo": self.conninfo,
            "autocommit": True,
            "prepare_threshold": PREPARE_AFTER if self.prepares else None,
        }


class Link(psycopg.Connection[Line]):
    """A connection that waits until its deadline and no longer."""

    deadline: float = float("inf")

    def wait(
        self,
        gen: Generator[Any, Any, _Result],
        interval: float = WAKE_SECONDS,
        timeout: float | None = None,  # noqa: ARG002  # the deadline says it
    ) -> _Result:
        """Run *gen*. Interrupted, it is not wound up: the pool hangs up instead."""
        gen = _until(gen, self.deadline)
        return waiting.wait(gen, self.pgconn.socket, interval)

    def __del__(self, *_: object) -> None:
        """Nobody is warned: a store need not be closed."""


class AsyncLink(psycopg.AsyncConnection[Line]):
    """The same for tasks."""

    deadline: float = float("inf")

    async def wait(
        self,
        gen: Generator[Any, Any, _Result],
        interval: float = WAKE_SECONDS,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109  # as above
    ) -> _Result:
        """Awaitable twin of `Link.wait`."""
        gen = _until(gen, self.deadline)
        return await waiting.wait_async(gen, self.pgconn.socket, interval)

    def __del__(self, *_: object) -> None:
        """As above."""


def _until(
    gen: Generator[Any, Any, _Result], deadline: float
) -> Generator[Any, Any, _Result]:
    """*gen*, until *deadline*: while nothing is ready, it is resumed to see that."""
    ready = None
    try:
        while True:
            ready = yield gen.send(ready)
            if not ready and monotonic() > deadline:
                msg = "the server did not answer in time"
                raise TimedOut(msg)
    except StopIteration as done:
        result: _Result = done.value
        return result


_Cursor = TypeVar("_Cursor", psycopg.Cursor[Line], psycopg.AsyncCursor[Line])


class _Shelf(Generic[_Cursor]):
    """The connections that nobody uses, each with its cursor; the newest goes first."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._idle: list[_Cursor] = []
        self._closed = False

    def take(self) -> _Cursor | None:
        """One of them, if there is one."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def put(self, cursor: _Cursor) -> None:
        """Keep a connection, if it is fit for use."""
        pgconn = cursor.connection.pgconn
        status = pgconn.transaction_status
        if status == _IDLE and not self._closed:
            self._idle.append(cursor)
            return
        pgconn.finish()
        if status == TransactionStatus.UNKNOWN:
            # Whoever hung up on one has most likely hung up on all.
            self.clear()

    def clear(self) -> None:
        """Hang up; but never on behalf of the process that this one was forked from."""
        while (cursor := self.take()) is not None:
            if self._pid == os.getpid():
                cursor.connection.pgconn.finish()

    def close(self) -> None:
        """Keep nothing from now on."""
        self._closed = True
        self.clear()


class Pool:
    """Connections for the threads of a process."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._free = threading.Semaphore(target.most)
        self.shelf: _Shelf[psycopg.Cursor[Line]] = _Shelf()

    @contextmanager
    def lend(self, deadline: float) -> Iterator[psycopg.Cursor[Line]]:
        """A connection; if all are in use, wait for one."""
        if not self._free.acquire(timeout=max(deadline - monotonic(), 0)):
            raise _all_in_use(self._target)
        try:
            cursor = self.shelf.take() or self._connect()
            cursor.connection.deadline = deadline  # type: ignore[attr-defined]  # a Link
            try:
                yield cursor
            finally:
                self.shelf.put(cursor)
        finally:
            self._free.release()

    def _connect(self) -> psycopg.Cursor[Line]:
        try:
            return Link.connect(**self._target.options).cursor()
        except psycopg.OperationalError as error:
            raise NotConnected(str(error)) from error


class AsyncPool:
    """Connections for the tasks of a loop."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._free = asyncio.Semaphore(target.most)
        self.shelf: _Shelf[psycopg.AsyncCursor[Line]] = _Shelf()

    @asynccontextmanager
    async def lend(self, deadline: float) -> AsyncIterator[psycopg.AsyncCursor[Line]]:
        """Awaitable twin of `Pool.lend`."""
        try:
            async with asyncio.timeout(deadline - monotonic()):
                await self._free.acquire()
        except TimeoutError:
            raise _all_in_use(self._target) from None
        try:
            cursor = self.shelf.take() or await self._connect()
            cursor.connection.deadline = deadline  # type: ignore[attr-defined]  # a Link
            try:
                yield cursor
            finally:
                self.shelf.put(cursor)
        finally:
            self._free.release()

    async def _connect(self) -> psycopg.AsyncCursor[Line]:
        try:
            return (await AsyncLink.connect(**self._target.options)).cursor()
        except psycopg.OperationalError as error:
            raise NotConnected(str(error)) from error


class Pools:
    """A pool for each process, and for each loop in it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._own: dict[int, Pool] = {}
        self._loops: dict[asyncio.AbstractEventLoop, AsyncPool] = {}

    def own(self) -> Pool:
        """That of this process: a child leaves its parent's connections alone."""
        pid = os.getpid()
        # There is no lock, which another thread might hold while this one forks.
        return self._own.get(pid) or self._own.setdefault(pid, Pool(self._target))

    def running(self) -> AsyncPool:
        """That of the running loop."""
        loop = asyncio.get_running_loop()
        pool = self._loops.get(loop)
        if pool is None:
            for each in [*self._loops]:
                if each.is_closed():
                    self._hang_up(self._loops.pop(each, None))
            pool = self._loops[loop] = AsyncPool(self._target)
        return pool

    def close(self) -> None:
        """Hang up; a connection that is in use is closed when it comes back."""
        for pid in [*self._own]:
            self._hang_up(self._own.pop(pid, None))
        for loop in [*self._loops]:
            self._hang_up(self._loops.pop(loop, None))

    def _hang_up(self, pool: Pool | AsyncPool | None) -> None:
        if pool is not None:  # not if another thread was quicker
            pool.shelf.close()


def _all_in_use(target: Target) -> TimedOut:
    return TimedOut(f"all {target.most} connections were in use all the time")
