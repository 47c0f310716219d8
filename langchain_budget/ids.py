"""Ids that no other process makes, at the price of a counter."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterator
from typing import Final


class SerialIds:
    """
    A random prefix for each process, then a serial number.

    A forked worker draws a prefix of its own.

    >>> new_id = SerialIds()
    >>> new_id() != new_id()
    True
    """

    def __init__(self) -> None:
        self._draw()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._draw)

    def __call__(self) -> str:
        return self._prefix + str(next(self._serial))

    def _draw(self) -> None:
        self._prefix = uuid.uuid4().hex + "-"
        self._serial: Iterator[int] = itertools.count(1)


new_id: Final = SerialIds()
"""The one of this process: `register_at_fork` keeps what it is given for ever."""
