"""
How the store in memory keeps its journal: flat tuples, opened out when read.

The garbage collector walks over all that is kept again and again, but it lets go of
a plain tuple in which there are only strings, numbers and such tuples. Keeping the
objects that the port speaks of made a reserve and settle take three times as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langchain_budget.core.amounts import Vector
from langchain_budget.core.postings import (
    NOTHING,
    Basis,
    CloseHold,
    CounterKey,
    Delta,
    Effect,
    Entry,
    Hold,
    Note,
    OpenHold,
    Posting,
    Spill,
    Status,
)

Line = tuple[Any, ...]
"""One entry as it is kept; what it holds is in the methods that write and read it."""

Flat = tuple[Any, ...]
"""Deltas one after another: the number of a chain and five fields each."""

Chain = tuple[tuple[CounterKey, ...], tuple[Spill, ...]]
"""The counters of a delta, and its spills: the same for every call of a route."""

_STRIDE: Final = 6
_OPENS, _CLOSES, _OTHER = range(3)


class Journal:
    """Entries in the order in which they were written."""

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._chains: list[Chain] = []

    def __len__(self) -> int:
        return len(self._lines)

    def number(self, chain: Chain) -> int:
        """A number for a chain; ask once for each."""
        self._chains.append(chain)
        return len(self._chains) - 1

    def write_open(
        self, posting: Posting, asked: OpenHold, now: float, deltas: Flat
    ) -> Line:
        """Write that a hold was opened; the line is what is kept of the hold."""
        line = (
            _OPENS,
            now,
            now + asked.ttl_seconds,
            posting.kind,
            posting.id,
            posting.account,
            posting.rows,
            asked.id,
            asked.started,
            _flat(asked.amounts),
            _flat(asked.worst),
            _flat(asked.labels),
            *deltas,
        )
        self._lines.append(line)
        return line

    def write_close(  # noqa: PLR0913  # one line has that many parts
        ...
