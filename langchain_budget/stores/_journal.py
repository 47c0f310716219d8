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
"""An entry as it is kept; the methods that write it say what stands where."""

Flat = tuple[Any, ...]
"""Deltas one after another: the number of a chain, then five fields of the delta."""

Moved = tuple[Flat, tuple[Effect, ...]]
"""What a posting did to the counters: its deltas, and what spilled."""

Chain = tuple[tuple[CounterKey, ...], tuple[Spill, ...]]
"""The counters of a delta and its spills: the same for every call of a route."""

_WIDTH: Final = 6
_Facts = tuple[str, Note, tuple[Delta, ...], tuple[Delta, ...]]


class Journal:
    """Lines in the order in which they were written."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._chains: list[Chain] = []

    def number(self, chain: Chain) -> int:
        """A number to write in the place of *chain*."""
        self._chains.append(chain)
        return len(self._chains) - 1

    def write_opening(
        self, posting: Posting, asked: OpenHold, at: float, moved: Moved
    ) -> Line:
        """Write that a hold was opened; this line is also what is kept of it."""
        hold, ttl_seconds, started, amounts, worst, labels = asked
        line = (
            _OPENING,
            at,
            posting.kind,
            posting.id,
            posting.account,
            moved[1],
            posting.rows,
            hold,
            at + ttl_seconds,
            started,
            _flat(amounts),
            _flat(worst),
            _flat(labels),
        ) + moved[0]
        self.lines.append(line)
        return line

    def write_closing(
        self, posting: Posting, asked: CloseHold, at: float, moved: Moved, ended: Ended
    ) -> Line:
        """Write that the hold of a line was closed, or closed better."""
        _, status, basis, charged, _ = asked
        amounts, unconfirmed, known, labels, reason = posting.note
        spent = _flat(charged)
        line = (
            _CLOSING,
            at,
            posting.kind,
            posting.id,
            posting.account,
            moved[1],
            posting.rows,
            opened,
            released,
            status._value_,
            basis._value_,
            spent,
            spent if amounts is charged else _flat(amounts),
            _flat(unconfirmed),
            known._value_,
            _flat(labels),
            reason,
        ) + moved[0]
        self.lines.append(line)
        return line

    def write_other(self, posting: Posting, at: float, moved: Moved) -> None:
        """Write what had nothing to do with a hold; such entries are few."""
        line = (_OTHER, at, posting.kind, posting.id, posting.account, moved[1], posting.rows, posting.note)
        self.lines.append(line + moved[0])
