"""Whether a store answers, and when to ask it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from langchain_budget.errors import StoreError, StoreLeftAlone
from langchain_budget.forks import new_lock
from langchain_budget.outages.policy import OnOutage
from langchain_budget.stores.memory import MemoryStore


class Watch:
    """What one process knows of its store."""

    def __init__(self, policy: OnOutage) -> None:
        self.down = False
        self.since: float | None = None
        """When the last outage began."""
        self.error = StoreError()
        self.calls = 0
        """How many calls were admitted in it."""
        self.before: Mapping[str, int] = {}
        """What was used before it."""
        self._policy = policy
        self._wrote = True
        """Whether the store has taken anything since it began."""
        self._retry_at = policy.clock()
        self._lock = new_lock()
        self._wall = MemoryStore().now

    def fell(self, error: StoreError) -> tuple[bool, bool]:
        """
        It did not answer; whether that begins an outage, and whether a new one.

        Where it can be read but takes nothing, the last outage goes on.
        """
        with self._lock:
            began, self.down, self.error = not self.down, True, error
            anew = began and self._wrote
            self._retry_at = self._policy.clock() + self._policy.retry_seconds
            if anew:
                self.since, self.calls, self._wrote = self._wall(), 0, False
            return began, anew

    def rose(self) -> bool:
        """It answers; whether that ends an outage."""
        with self._lock:
            ended, self.down = self.down, False
            return ended

    def wrote(self) -> None:
        """It has taken something."""
        self._wrote = True

    def admitted(self) -> None:
        """A call goes on without it."""
        with self._lock:
            self.calls += 1

    def is_left_alone(self) -> bool:
        """Whether it is not to be asked; one caller at a time tries again."""
        if not self.down:
            return False
        with self._lock:
            now = self._policy.clock()
            if now < self._retry_at:
                return True
            self._retry_at = now + self._policy.retry_seconds
            return False


class Silence:
    """Stands for a store that is left alone."""

    def __init__(self, error: StoreError) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return self._adeny if name.startswith("a") else self._deny

    def _deny(self, *_: object) -> NoReturn:
        raise StoreLeftAlone(str(self._error)) from self._error

    async def _adeny(self, *_: object) -> NoReturn:
        self._deny()
