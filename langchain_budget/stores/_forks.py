"""What must be at rest while the process forks."""

from __future__ import annotations

import os
import threading
from typing import Final, Protocol
from weakref import WeakValueDictionary


class Restful(Protocol):
    """Something that a forked child must not find open, or in use."""

    def rest(self) -> bool:
        """Let go of everything and do nothing until `go_on`; whether that worked."""

    def go_on(self) -> None:
        """Be ready again, in the parent and in the child."""


class _Resting(threading.local):
    """What the thread that forks has brought to rest."""

    def __init__(self) -> None:
        self.all: list[Restful] = []


def rest_at_forks(one: Restful) -> None:
    """Have *one* rest whenever the process forks."""
    _all[id(one)] = one


_all: Final[WeakValueDictionary[int, Restful]] = WeakValueDictionary()
_resting: Final = _Resting()


def _rest() -> None:
    for known in _all.valuerefs():
        one = known()
        if one is not None and one.rest():
            _resting.all.append(one)


def _go_on() -> None:
    while _resting.all:
        _resting.all.pop().go_on()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_rest, after_in_parent=_go_on, after_in_child=_go_on)
