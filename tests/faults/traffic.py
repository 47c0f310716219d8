"""Calls that go on and on while a test breaks something."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Self

from langchain_budget import BudgetPool, StoreUnavailable, calls
from tests.server_process import wait_until

THREADS = 4


class Traffic:
    """Threads that reserve and settle one call after the other, inside the block."""

    def __init__(self, pool: BudgetPool) -> None:
        self._pool = pool
        self._ended = Event()
        self._admitted: list[bool] = []

    def __enter__(self) -> Self:
        self._threads = ThreadPoolExecutor(THREADS)
        self._work = [self._threads.submit(self._go_on) for _ in range(THREADS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._threads.shutdown()
        for work in self._work:
            work.result()

    @property
    def settled(self) -> int:
        """How many calls were paid."""
        return self._admitted.count(True)

    def passes(self, more: int = 20) -> None:
        """Wait until so many more are paid."""
        until = self.settled + more
        wait_until(lambda: self.settled >= until)

    def stops(self, more: int = 8) -> None:
        """Wait until so many are refused from now on."""
        until = self._admitted.count(False) + more
        wait_until(lambda: self._admitted.count(False) >= until)

    def _go_on(self) -> None:
        while not self._ended.is_set():
            try:
                reservation = self._pool.reserve(calls(1))
            except StoreUnavailable:
                self._admitted.append(False)
            else:
                reservation.settle(calls(1))
                self._admitted.append(True)
