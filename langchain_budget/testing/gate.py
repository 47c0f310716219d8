"""Hold calls at a known point, in threads and in tasks, without sleeping."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock


class GateTimeout(AssertionError):
    """What a test waited for at a gate did not happen in time."""


class Gate:
    """A gate that calls arrive at, and stop at until it is opened.

    A call announces itself with `enter` (`aenter` in a task). A test waits for calls
    with `wait_started` (`await_started`), does its worst, and then lets them all go
    with `open`. Nobody waits longer than *timeout* seconds: then `GateTimeout` says
    who waited for what.
    """

    def __init__(self, *, timeout: float = 10.0) -> None:
        self._timeout = timeout
        self._lock = Lock()
        self._started = 0
        self._is_open = False
        self._waiting: list[tuple[Callable[[], bool], Future[None]]] = []

    @property
    def started(self) -> int:
        """How many calls have arrived so far."""
        return self._started

    def wait_started(self, calls: int = 1) -> None:
        """Wait until so many calls have arrived."""
        self._wait(self._when(lambda: self._started >= calls), f"{calls} calls")

    async def await_started(self, calls: int = 1) -> None:
        """Wait, in a task, until so many calls have arrived."""
        await self._await(self._when(lambda: self._started >= calls), f"{calls} calls")

    def enter(self) -> None:
        """Arrive, and wait until the gate is open."""
        self._arrive()
        self._wait(self._when(lambda: self._is_open), "open()")

    async def aenter(self) -> None:
        """Arrive in a task, and wait until the gate is open."""
        self._arrive()
        await self._await(self._when(lambda: self._is_open), "open()")

    def open(self) -> None:
        """Let everybody through, now and later."""
        with self._lock:
            self._is_open = True
        self._wake()

    def _arrive(self) -> None:
        with self._lock:
            self._started += 1
        self._wake()

    def _when(self, ready: Callable[[], bool]) -> Future[None]:
        future: Future[None] = Future()
        with self._lock:
            self._waiting.append((ready, future))
        self._wake()
        return future

    def _wake(self) -> None:
        with self._lock:
            due = [waiter for waiter in self._waiting if waiter[0]()]
            self._waiting = [waiter for waiter in self._waiting if not waiter[0]()]
        for _, future in due:
            if future.set_running_or_notify_cancel():
                future.set_result(None)

    def _wait(self, future: Future[None], awaited: str) -> None:
        try:
            future.result(self._timeout)
        except TimeoutError:
            raise self._too_late(awaited) from None

    async def _await(self, future: Future[None], awaited: str) -> None:
        try:
            await asyncio.wait_for(asyncio.wrap_future(future), self._timeout)
        except TimeoutError:
            raise self._too_late(awaited) from None

    def _too_late(self, awaited: str) -> GateTimeout:
        return GateTimeout(
            f"waited {self._timeout} s at a gate for {awaited};"
            f" {self._started} calls have arrived, open is {self._is_open}"
        )
