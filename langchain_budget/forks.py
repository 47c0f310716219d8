"""
Locks that no other thread has while the process forks, and that know their thread.

A finaliser (`__del__`, a callback of a weak reference, a generator that is given up)
runs wherever the garbage collector does: also in a thread that has one of our locks.
There it must not wait for a lock, for it would wait for itself.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol, cast
from weakref import WeakKeyDictionary, WeakMethod

from langchain_budget.core.faults import StoreReentered

_PATIENCE_SECONDS: Final = 30.0
"""How long a fork waits for a lock, should nobody give it back."""

Action = Callable[[], None]


class Lock(Protocol):
    """What is used of a `threading.RLock`."""

    def __enter__(self) -> object: ...
    def __exit__(self, *_: object) -> object: ...
    def _is_owned(self) -> bool: ...


class _Taken(threading.local):
    """What the thread that forks has taken."""

    def __init__(self) -> None:
        self.locks: list[Any] = []


_known: Final[WeakKeyDictionary[Any, Callable[[], Action | None]]] = WeakKeyDictionary()
_taken: Final = _Taken()


def new_lock(before_fork: Action | None = None) -> Lock:
    """
    A lock that a fork waits for, so that the child never finds it locked.

    The thread that has it is let in again: use `alone` where that must not be.

    Args:
        before_fork: A method that is called with the lock, before the process forks.
    """
    lock = cast("Lock", threading.RLock())
    _known[lock] = WeakMethod(before_fork) if before_fork else _nothing
    return lock


def new_latch() -> threading.Lock:
    """Likewise, one that has no owner: whoever comes may give it back."""
    latch = threading.Lock()
    _known[latch] = _nothing
    return latch


def is_mine(lock: Lock) -> bool:
    """Whether this thread has *lock*: so this is a finaliser that runs inside."""
    return lock._is_owned()  # noqa: SLF001  # the standard library asks so, too


def alone(lock: Lock) -> Lock:
    """
    *lock*, for a thread that does not have it yet.

    Raises:
        StoreReentered: It has; a finaliser asks for it.
    """
    if lock._is_owned():  # noqa: SLF001  # as above; a call less
        raise StoreReentered
    return lock


def have_any() -> bool:
    """Whether this thread has any lock with an owner; this looks at all there are."""
    known = [each() for each in _known.keyrefs()]
    return any(_is_mine(each) for each in known if each is not None)


def _is_mine(lock: Any) -> bool:
    return not isinstance(lock, type(_LATCH)) and is_mine(lock)


_LATCH: Final = threading.Lock()


def _nothing() -> None:
    pass


def _take_all() -> None:
    for known in _known.keyrefs():
        lock = known()
        if lock is None or _is_mine(lock):  # which lets go of it in the child as well
            continue
        if lock.acquire(timeout=_PATIENCE_SECONDS):
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
