"""A place where copies are kept until they are too old or too many."""

from __future__ import annotations

from copy import deepcopy
from threading import Lock
from typing import Any, Final, NamedTuple

from langchain_budget.arguments import lifetime
from langchain_budget.core.faults import InvalidAmount
from langchain_budget.leases.lease import Clock

TTL_SECONDS: Final = 3_600.0
"""How long what is cached is good for, unless somebody says otherwise."""

MOST_ENTRIES: Final = 10_000
"""How much is kept, unless somebody says otherwise; then the oldest goes."""


class Miss:
    """The type of `MISS`."""

    def __repr__(self) -> str:
        return "MISS"

    def __bool__(self) -> bool:
        return False


MISS: Final = Miss()
"""What a cache answers that has nothing; `None` is something that may be kept."""


class _Entry(NamedTuple):
    value: Any
    since: float


class Shelf:
    """Copies of what was put there, oldest first, until they are too old or many."""

    def __init__(
        self, ttl_seconds: float | None, max_entries: int, clock: Clock
    ) -> None:
        if type(max_entries) is not int or max_entries < 1:
            msg = f"max_entries={max_entries!r}: give a whole number above zero"
            raise InvalidAmount(msg)
        self._ttl = None if ttl_seconds is None else lifetime(ttl_seconds)
        self._most = max_entries
        self._clock = clock
        self._lock = Lock()
        self._entries: dict[str, _Entry] = {}

    def get(self, key: str) -> Any:
        """A copy of what is there and young enough, or `MISS`."""
        with self._lock:
            self._drop_old()
            entry = self._entries.get(key)
        return MISS if entry is None else copied(entry.value)

    def put(self, key: str, value: Any) -> None:
        """Keep *value* itself: whoever puts it there lets go of it."""
        with self._lock:
            self._entries.pop(key, None)
            self._drop_old()
            if len(self._entries) >= self._most:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = _Entry(value, self._clock())

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    def _drop_old(self) -> None:
        if self._ttl is None:
            return
        now = self._clock()
        while self._entries:
            oldest = next(iter(self._entries))
            if now - self._entries[oldest].since < self._ttl:
                return
            del self._entries[oldest]


def copied(value: Any) -> Any:
    """A copy that nobody else has; `MISS` of what cannot be copied."""
    try:
        return deepcopy(value)
    except Exception:  # noqa: BLE001  # objects may refuse in any way; not kept then
        return MISS
