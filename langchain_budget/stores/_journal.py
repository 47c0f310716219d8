"""
How the store in memory keeps its journal: flat tuples, opened out when read.

The garbage collector walks over all that is kept again and again, but it lets go of
a plain tuple in which there are only strings, numbers and such tuples. Where the
postings were kept as they came as well, calls took half as long again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_budget.core.accounts import Row
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

Chains = Sequence[Chain]

_OPENING, _CLOSING, _OTHER = range(3)
_HEAD: Final = 7
DELTAS: Final = 13
"""Where those of a hold begin."""
_CLOSED: Final = 18
"""Where those of a charge begin."""
WIDTH: Final = 6
"""How many fields of a line a delta takes."""


def opening(posting: Posting, at: float, moved: Moved) -> Line:
    """A hold was opened; this line is also what is kept of the hold."""
    posting_id, kind, account, _, _, _, _, _, _, rows, _, _ = posting
    asked: Any = posting.hold
    hold, ttl_seconds, started, amounts, worst, labels = asked
    deltas, spilled = moved
    head = (
        _OPENING,
        at,
        kind,
        posting_id,
        account,
        spilled,
        rows,
        hold,
        at + ttl_seconds,
        started,
        _flat(amounts),
        _flat(worst) if worst else (),
        _flat(labels) if labels else (),
    )
    return head + deltas


def closing(
    posting: Posting, at: float, moved: Moved, opened: Line, *, releases: bool
) -> Line:
    """The hold of *opened* was closed, or was closed before and charged anew."""
    posting_id, kind, account, _, _, _, note, _, _, rows, _, _ = posting
    asked: Any = posting.hold
    _, status, basis, charged, _, _, _ = asked
    amounts, unconfirmed, known, labels, reason, parts = note
    deltas, spilled = moved
    spent = _flat(charged)
    head = (
        _CLOSING,
        at,
        kind,
        posting_id,
        account,
        spilled,
        rows,
        opened,
        releases,
        status._value_,
        basis._value_,
        spent,
        spent if amounts is charged else _flat(amounts),
        _flat(unconfirmed) if unconfirmed else (),
        known._value_,
        _flat(labels) if labels else (),
        reason,
        parts,
    )
    return head + deltas


def never_opened(posting: Posting, at: float) -> Line:
    """What stands for a hold that was given up before it was seen."""
    asked: Any = posting.hold
    head = (_OPENING, at, "reserve", asked.id, posting.account, (), ())
    return (*head, asked.id, at, False, (), (), ())


def other(posting: Posting, at: float, moved: Moved, rows: tuple[Row, ...]) -> Line:
    """Something that has no hold; such lines are few, and need not be small."""
    deltas, spilled = moved
    _, kind, account, *_ = posting
    head = (_OTHER, at, kind, posting.id, account, spilled, rows)
    return (*head, posting.note, *deltas)


def kept(opened: Line, deadline: float) -> Line:
    """The same hold with another deadline."""
    return (*opened[:8], deadline, *opened[9:])


def expires_at(opened: Line) -> float:
    """When the hold is overdue."""
    deadline: float = opened[8]
    return deadline


def deltas_of(opened: Line) -> Flat:
    """What the hold has set aside."""
    return opened[DELTAS:]


def opened_by(closed: Line) -> Line:
    """The line of the hold that was closed."""
    opened: Line = closed[7]
    return opened


def hold_of(chains: Chains, opened: Line, closed: Line | None = None) -> Hold:
    """A hold as the world may see it."""
    hold_id, deadline, started, amounts, worst, labels = opened[_HEAD:DELTAS]
    hold = Hold(
        hold_id,
        opened[4],
        _mapping(amounts),
        _mapping(worst),
        deltas(chains, deltas_of(opened)),
        started,
        opened[1],
        deadline,
        labels=_mapping(labels),
    )
    if closed is None:
        return hold
    status, basis, charged = closed[9:12]
    return hold._replace(
        status=Status(status), basis=Basis(basis), charged=_mapping(charged)
    )


def entry_of(chains: Chains, seq: int, line: Line) -> Entry:
    """A line of the journal as the world may see it."""
    form, at, kind, posting, account, spilled, rows = line[:_HEAD]
    hold, note, moved, released = _READERS[form](line)
    return Entry(
        seq,
        at,
        kind,
        posting,
        account,
        hold,
        note,
        deltas(chains, moved),
        deltas(chains, released),
        spilled,
        rows,
    )


def deltas(chains: Chains, flat: Flat) -> tuple[Delta, ...]:
    """Deltas as the port speaks of them."""
    found = []
    for at in range(0, len(flat), WIDTH):
        counters, spill = chains[flat[at]]
        granted, held, spent, lent, guarded = flat[at + 1 : at + WIDTH]
        found.append(Delta(counters, granted, held, spent, lent, guarded, spill))
    return tuple(found)


_Read = tuple[str, Note, Flat, Flat]


def _read_opening(line: Line) -> _Read:
    note = Note(_mapping(line[10]), labels=_mapping(line[12]))
    return line[7], note, deltas_of(line), ()


def _read_closing(line: Line) -> _Read:
    opened, releases, _, _, _, amounts, unconfirmed, *rest = line[7:_CLOSED]
    known, labels, reason, parts = rest
    note = Note(
        _mapping(amounts),
        _mapping(unconfirmed),
        Basis(known),
        _mapping(labels),
        reason,
        parts,
    )
    return opened[7], note, line[_CLOSED:], deltas_of(opened) if releases else ()


def _read_other(line: Line) -> _Read:
    return "", line[7], line[8:], ()


_READERS: Final = (_read_opening, _read_closing, _read_other)


def _flat(mapping: Mapping[str, Any]) -> tuple[Any, ...]:
    """The keys, then the values. A call for nothing is saved where most are empty."""
    return (*mapping, *mapping.values())


def _mapping(flat: tuple[Any, ...]) -> Mapping[str, Any]:
    half = len(flat) // 2
    return dict(zip(flat[:half], flat[half:], strict=True)) if flat else NOTHING
