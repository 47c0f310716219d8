"""
How the store in memory keeps its journal: flat tuples, opened out when read.

The garbage collector walks over all that is kept again and again, but it lets go of
a plain tuple in which there are only strings, numbers and such tuples. Keeping the
objects that the port speaks of made a reserve and settle take three times as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from langchain_budget.core.amounts import Vector
from langchain_budget.core.postings import (
    NOTHING,
    Basis,
    CounterKey,
    Delta,
    Effect,
    Entry,
    Hold,
    Note,
    Posting,
    Spill,
    Status,
)

Line = tuple[Any, ...]
"""An entry as it is kept; the functions that make one say what stands where."""

Flat = tuple[Any, ...]
"""Deltas one after another: the number of a chain, then five fields of the delta."""

Moved = tuple[Flat, tuple[Effect, ...]]
"""What a posting did to the counters: its deltas, and what spilled."""

Chain = tuple[tuple[CounterKey, ...], tuple[Spill, ...]]
"""The counters of a delta and its spills: the same for every call of a route."""

_WIDTH: Final = 6
_HEAD: Final = 7
_OPENING, _CLOSING, _OTHER = range(3)


def opening(posting: Posting, at: float, moved: Moved) -> Line:
    """Say that a hold was opened; this line is also what is kept of the hold."""
    asked: Any = posting.hold
    hold, ttl_seconds, started, amounts, worst, labels = asked
    deltas, spilled = moved
    head = (_OPENING, at, posting.kind, posting.id, posting.account)
    return (
        _OPENING,
        at,
        posting.kind,
        posting.id,
        posting.account,
        spilled,
        posting.rows,
        hold,
        at + ttl_seconds,
        started,
        _flat(amounts),
        _flat(worst),
        _flat(labels),
        *deltas,
    )


def closing(posting: Posting, at: float, moved: Moved, opened: Line) -> Line:
    """Say that the hold of *opened* was closed."""
    asked: Any = posting.hold
    _, status, basis, charged, _ = asked
    amounts, unconfirmed, known, labels, reason = posting.note
    deltas, spilled = moved
    spent = _flat(charged)
    return (
        _CLOSING,
        at,
        posting.kind,
        posting.id,
        posting.account,
        spilled,
        posting.rows,
        opened,
        status._value_,
        basis._value_,
        spent,
        spent if amounts is charged else _flat(amounts),
        _flat(unconfirmed),
        known._value_,
        _flat(labels),
        reason,
        *deltas,
    )
