"""What each operation on a hold or a balance means, as a posting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from langchain_budget.core.accounts import SEPARATOR, common_ancestor
from langchain_budget.core.amounts import USD, Vector
from langchain_budget.core.postings import (
    NO_LABELS,
    NO_NOTE,
    NOTHING,
    Basis,
    CloseHold,
    CounterKey,
    Delta,
    Hold,
    Kind,
    Note,
    OpenHold,
    Posting,
    Refusal,
    Status,
)
from langchain_budget.core.routes import Route

HOLD_TTL_SECONDS: Final = 900.0
"""How long a hold lives when nobody says otherwise: a quarter of an hour."""

FRESH: Final = frozenset({(Status.OPEN, Basis.NONE)})
SUPERSEDABLE: Final = frozenset(
    {
        (Status.SETTLED, Basis.ESTIMATED),
        (Status.EXPIRED, Basis.ESTIMATED),
        (Status.EXPIRED, Basis.NONE),
    }
)
"""A charge that was guessed gives way, once, to what the provider reports."""


MAY_FREE: Final = frozenset({Kind.EXHAUSTED, Kind.CONTENDED})
"""Refusals that an expired hold or a loan may mend."""

_KINDS: Final = {
    Status.SETTLED: "settle",
    Status.RELEASED: "release",
    Status.EXPIRED: "expire",
}


class Order(NamedTuple):
    """What a reservation asks for."""

    amounts: Vector
    worst: Vector = NOTHING
    """The most it could cost, in the units where that is more than *amounts*."""
    ttl_seconds: float = HOLD_TTL_SECONDS
    started: bool = False
    labels: Mapping[str, str] = NO_LABELS
    unpriced: bool = False
    """The cost in dollars is unknown: refuse where dollars are limited."""


class Charge(NamedTuple):
    """What a hold is settled at."""

    amounts: Vector
    basis: Basis = Basis.REPORTED
    labels: Mapping[str, str] = NO_LABELS


def reserve(
    route: Route, hold_id: str, order: Order, borrowed: Vector = NOTHING
) -> Posting:
    """
    Set the money aside on every account of the route, or on none.

    What is *borrowed* is carved out of the parent in the same posting.
    """
    return Posting(
        hold_id,
        "reserve",
        route.account,
        route.held(order.amounts, borrowed) if borrowed else route.held(order.amounts),
        route.admit,
        OpenHold(
            hold_id,
            order.ttl_seconds,
            order.started,
            order.amounts,
            order.worst,
            order.labels,
        ),
        NO_NOTE,
        (),
        route.keys(USD) if order.unpriced else (),
    )


def shortfall(route: Route, refusal: Refusal) -> int:
    """What the account lacks, if it is a slice that may borrow; otherwise nothing."""
    row = route.rows[0]
    own = refusal.account == row.path and refusal.unit in row.slices
    if not (own and row.spec.borrows and refusal.kind in MAY_FREE):
        return 0
    return refusal.wanted - (refusal.balance.available or 0)


def settle(hold: Hold, charge: Charge, route: Route) -> Posting:
    """Book what was really used, and give back the rest of the hold."""
    return _close(hold, Status.SETTLED, charge, _spent(hold, charge.amounts, route))


def release(hold: Hold) -> Posting:
    """Give back all of a hold: nothing was used."""
    return _close(hold, Status.RELEASED, Charge(NOTHING, Basis.NONE), ())


def expire(hold: Hold, route: Route) -> Posting:
    """Close a hold past its time: charged as estimated if the call had started."""
    if not hold.started:
        return _close(hold, Status.EXPIRED, Charge(NOTHING, Basis.NONE), ())
    charge = Charge(hold.amounts, Basis.ESTIMATED, hold.labels)
    spent = _spent(hold, charge.amounts, route)
    return _close(hold, Status.EXPIRED, charge, spent)


def supersede(hold: Hold, charge: Charge, route: Route) -> Posting:
    """Put the reported charge in the place of an estimated one."""
    units = dict.fromkeys([*hold.charged, *charge.amounts])
    difference = {
        unit: charge.amounts.get(unit, 0) - hold.charged.get(unit, 0) for unit in units
    }
    settled = {unit: -gap for unit, gap in beyond(hold, hold.charged).items()}
    if hold.basis is not Basis.ESTIMATED:
        settled = {}
    return Posting(
        f"{hold.id}:supersede",
        "supersede",
        hold.account,
        _spent(hold, difference, route),
        hold=CloseHold(
            hold.id, Status.SETTLED, charge.basis, charge.amounts, SUPERSEDABLE
        ),
        note=Note(
            difference, settled, charge.basis, charge.labels, reason=str(hold.basis)
        ),
    )


def opened(posting: Posting) -> Hold:
    """The hold that a reserve has just opened; the store alone knows the hours."""
    asked = posting.hold
    assert isinstance(asked, OpenHold)  # noqa: S101  # only reserves are passed
    return Hold(
        asked.id,
        posting.account,
        asked.amounts,
        asked.worst,
        posting.deltas,
        asked.started,
        labels=asked.labels,
    )


def closed(hold: Hold, charge: Charge | None) -> Hold:
    """The hold after it was settled, or released when there is no charge."""
    if charge is None:
        return hold._replace(status=Status.RELEASED)
    return Hold(
        *hold[:8], Status.SETTLED, charge.basis, charge.amounts, charge.labels
    )


def unconfirmed(hold: Hold, charge: Charge) -> Vector:
    """What an estimated charge may be short of."""
    if charge.basis is not Basis.ESTIMATED:
        return NOTHING
    return beyond(hold, charge.amounts)


def beyond(hold: Hold, charged: Vector) -> dict[str, int]:
    """What the hold's call could have cost above what is charged for it."""
    most = dict(hold.amounts) | dict(hold.worst)
    gaps = {unit: value - charged.get(unit, 0) for unit, value in most.items()}
    return {unit: gap for unit, gap in gaps.items() if gap > 0}


def _close(
    hold: Hold, status: Status, charge: Charge, deltas: tuple[Delta, ...]
) -> Posting:
    kind = _KINDS[status]
    return Posting(
        f"{hold.id}:{kind}",
        kind,
        hold.account,
        deltas,
        (),
        CloseHold(hold.id, status, charge.basis, charge.amounts, FRESH),
        Note(
            charge.amounts, unconfirmed(hold, charge), charge.basis, charge.labels
        ),
    )


def _spent(hold: Hold, amounts: Vector, route: Route) -> tuple[Delta, ...]:
    """In the counters that were held, so in the windows the hold was opened in."""
    lines = {delta.counters[0].unit: delta for delta in hold.deltas}
    spent = []
    for unit, value in amounts.items():
        line = lines.get(unit)
        keys, spill = (line.counters, line.spill) if line else route.line(unit)
        spent.append(Delta(keys, 0, 0, value, 0, guarded=False, spill=spill))
    return tuple(spent)


def transfer(payer: Route, payee: Route, unit: str, value: int) -> tuple[Delta, ...]:
    """
    Move a limit from one account to another; no money is made or lost.

    Out of a slice the money goes up to the first common ancestor, into a slice
    it comes down from there. A cap that is no slice moves as a cap only.
    """
    top = common_ancestor(payer.account, payee.account) or ""
    moves: dict[CounterKey, list[int]] = {}
    _along(payer, unit, -value, top, moves)
    _along(payee, unit, value, top, moves)
    return _deltas(moves)


def _along(
    route: Route, unit: str, value: int, top: str, moves: dict[CounterKey, list[int]]
) -> None:
    """Grant *value* to the account, and lend it to each slice from there to *top*."""
    if route.account == top:
        return
    _move(moves, CounterKey(route.account, unit), granted=value)
    if unit not in route.rows[0].slices:
        return
    for spill in route.line(unit)[1]:
        if not spill.slice.account.startswith(top + SEPARATOR):
            return
        if spill.slice.account != route.account:
            _move(moves, spill.slice, granted=value)
        for payer in spill.payers:
            _move(moves, payer, lent=value)


def _move(
    moves: dict[CounterKey, list[int]],
    key: CounterKey,
    *,
    granted: int = 0,
    lent: int = 0,
) -> None:
    change = moves.setdefault(key, [0, 0])
    change[0] += granted
    change[1] += lent


def _deltas(moves: Mapping[CounterKey, Iterable[int]]) -> tuple[Delta, ...]:
    """One delta a counter, guarded where it takes something away."""
    deltas = []
    for key, (granted, lent) in moves.items():
        if granted or lent:
            deltas.append(
                Delta((key,), granted=granted, lent=lent, guarded=lent > granted)
            )
    return tuple(deltas)


def carve(parent: Route, amounts: Vector) -> tuple[Delta, ...]:
    """Take *amounts* out of what the parent's route has left."""
    return tuple(
        Delta(parent.keys(unit), lent=value, guarded=True, spill=())
        for unit, value in amounts.items()
        if value
    )


def give_back(
    route: Route, parent: Route, amounts: Vector
) -> tuple[Delta, ...]:
    """Return *amounts* of a slice's grant to its parent."""
    deltas: list[Delta] = []
    for unit, value in amounts.items():
        deltas.append(
            Delta((CounterKey(route.account, unit),), granted=-value, guarded=True)
        )
        deltas.append(Delta(parent.keys(unit), lent=-value))
    return tuple(deltas)


def top_up(route: Route, parent: Route | None, amounts: Vector) -> tuple[Delta, ...]:
    """Grant more; a slice gets it out of its parent, guarded."""
    deltas: list[Delta] = []
    for unit, value in amounts.items():
        deltas.append(Delta((CounterKey(route.account, unit),), granted=value))
        if parent is not None and unit in route.rows[0].slices:
            deltas.append(Delta(parent.keys(unit), lent=value, guarded=True))
    return tuple(deltas)
