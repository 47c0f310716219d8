"""Locks that no other thread has while the process forks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary, WeakMethod

_PATIENCE_SECONDS: Final = 30.0
"""How long a fork waits for a lock, should its own thread have it."""

Action = Callable[[], None]


class _Taken(threading.local):
    """What the thread that forks has taken."""

    def __init__(self) -> None:
        self.locks: list[threading.Lock] = []


_known: Final[WeakKeyDictionary[threading.Lock, Callable[[], Action | None]]] = (
    WeakKeyDictionary()
)
_taken: Final = _Taken()


def new_lock(before_fork: Action | None = None) -> threading.Lock:
    """
    A lock that a fork waits for, so that the child never finds it locked.

    Args:
        before_fork: A method that is called with the lock, before the process forks.
    """
    lock = threading.Lock()
    _known[lock] = WeakMethod(before_fork) if before_fork else _nothing
    return lock


def _nothing() -> None:
    pass


def _take_all() -> None:
    for known in _known.keyrefs():
        lock = known()
        if lock is not None and lock.acquire(timeout=_PATIENCE_SECONDS):
            _taken.locks.append(lock)
            action = _known[lock]()
            if action is not None:
                action()


def _give_back() -> None:
    while _taken.locks:
        _taken.locks.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_take_all, after_in_parent=_give_back, after_in_child=_give_back
    )
