"""What it means to renew a lease, and to end one that was not renewed, as postings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from langchain_budget.core.accounts import Row
from langchain_budget.core.amounts import Vector
from langchain_budget.core.charges import LAPSE, LEASE
from langchain_budget.core.postings import (
    NOTHING,
    Balance,
    Basis,
    CounterKey,
    Delta,
    Note,
    Part,
    Posting,
)
from langchain_budget.core.routes import Route

LEASE_TTL_SECONDS: Final = 30.0
"""How long a lease lives when nobody says otherwise; it is renewed at half of that."""

LAPSED: Final = "lapsed lease"
"""What stands for the node of what a worker had leased and did not account for."""


class Move(NamedTuple):
    """What changes hands in one unit."""

    value: int
    """What the lease is granted more or, below zero, returns."""
    floor: int = 0
    """What its parent must have left after that."""


class Renewal(NamedTuple):
    """All that a worker agrees with the shared books at a time."""

    moves: Mapping[str, Move]
    parts: Sequence[Part] = ()
    """What was spent since the last time, by whom."""
    ttl_seconds: float = LEASE_TTL_SECONDS
    consents: bool = True
    """Whether the accounts above must be open, and not frozen."""
    overlooked: frozenset[str] = frozenset()
    """Accounts that only observe, and have no say this time."""
    closes: bool = False


def renewed(posting_id: str, row: Row, parent: Route, asked: Renewal) -> Posting:
    """
    Report what was spent, take more or return some, and live on.

    Each makes a new version of the lease's account, and names the last one that this
    worker knows: whoever is late is refused as stale.
    """
    shown = row._replace(version=row.version + 1, closed=asked.closes)
    admitted = parent.admit if asked.consents else ()
    if asked.consents and not row.closed:
        admitted = ((row.path, row.version), *admitted)
    above = tuple(each for each in admitted if each[0] not in asked.overlooked)
    return Posting(
        posting_id,
        LEASE,
        row.path,
        tuple(_deltas(row, parent, asked)),
        above,
        note=note_of(asked.parts),
        seen=((row.path, row.version),),
        rows=(shown,),
        ttl_seconds=asked.ttl_seconds,
    )


def note_of(parts: Sequence[Part]) -> Note:
    """What the journal says of several charges at once."""
    if not parts:
        return Note()
    amounts, unconfirmed = sums(parts)
    return Note(amounts, unconfirmed, Basis.REPORTED, parts=tuple(parts))


def sums(parts: Sequence[Part]) -> tuple[dict[str, int], dict[str, int]]:
    """What parts come to: amounts, and what is unconfirmed."""
    amounts: dict[str, int] = {}
    unconfirmed: dict[str, int] = {}
    for part in parts:
        _gather(amounts, part.amounts)
        _gather(unconfirmed, part.unconfirmed)
    return amounts, unconfirmed


def _gather(into: dict[str, int], amounts: Vector) -> None:
    for unit, value in amounts.items():
        into[unit] = into.get(unit, 0) + value


def _deltas(row: Row, parent: Route, asked: Renewal) -> Iterator[Delta]:
    for unit, move in asked.moves.items():
        if move.value:
            yield Delta((CounterKey(row.path, unit),), granted=move.value)
        yield from _lent(parent.keys(unit), move, asked.overlooked)
    yield from spent(Route((row, *parent.rows)), sums(asked.parts)[0])


def spent(route: Route, amounts: Vector, now: float = 0.0) -> Iterator[Delta]:
    """What was spent already, in the windows that *now* is in; it is never refused."""
    for unit, value in amounts.items():
        keys, spill = route.line(unit)
        if value:
            yield Delta(keys, spent=value, spill=spill if value > 0 else ())
        windows = route.windows(unit, now)
        if value and windows:
            yield Delta(windows, spent=value)


def _lent(
    keys: tuple[CounterKey, ...], move: Move, overlooked: frozenset[str]
) -> Iterator[Delta]:
    """The floor is asked for as if it were lent as well, and given back at once."""
    value, floor = move
    firm = tuple(key for key in keys if key.account not in overlooked)
    loose = tuple(key for key in keys if key.account in overlooked)
    if firm and (value or floor):
        yield Delta(firm, lent=value + floor, guarded=value + floor > 0)
    if firm and floor:
        yield Delta(firm, lent=-floor)
    if loose and value:
        yield Delta(loose, lent=value)


def fair(wanted: int, size: int, pot: int) -> int | None:
    """
    How much a lease may have free when its parent cannot spare a whole one.

    The *pot* is what the parent has left and what the lease itself has free: half of
    it, so that several workers come to have equal shares, but what is *wanted* now at
    the least. `None` when there is not even that.
    """
    if pot < wanted:
        return None
    return max(wanted, min(size, max(pot // 2, 0)))


def lapsed(
    posting_id: str, row: Row, balances: Mapping[CounterKey, Balance]
) -> Posting:
    """
    End a lease for a worker that has not: all it had left counts as spent.

    The worker may have spent it and not said so. When it does speak, what it did not
    spend is given back.
    """
    keys = [CounterKey(row.path, unit) for unit in sorted(row.slices)]
    left = {key: balances.get(key, Balance()).available or 0 for key in keys}
    deltas = tuple(Delta((key,), spent=value) for key, value in left.items() if value)
    amounts = {key.unit: value for key, value in left.items() if value}
    note = Note()
    if amounts:
        note = Note(amounts, NOTHING, Basis.ESTIMATED, {"node": LAPSED})
    shut = row._replace(version=row.version + 1, closed=True)
    seen = ((row.path, row.version),)
    return Posting(
        posting_id, LAPSE, row.path, deltas, note=note, seen=seen, rows=(shut,)
    )


def spoke(row: Row, booked: Vector) -> tuple[Part, ...]:
    """The lapse taken back of a worker that has spoken after all."""
    amounts = {unit: -value for unit, value in booked.items() if value}
    if not amounts:
        return ()
    times = -1 if row.closed else 0
    labels = {"node": LAPSED}
    return (Part(row.path, amounts, Basis.ESTIMATED, labels, times=times),)
