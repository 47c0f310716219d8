"""What each operation on a hold or a balance means, as a posting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from langchain_budget.core.amounts import USD, Vector
from langchain_budget.core.loans import returned
from langchain_budget.core.postings import (
    NO_LABELS,
    NO_NOTE,
    NOTHING,
    Basis,
    CloseHold,
    Delta,
    Hold,
    KeepHold,
    Kind,
    Note,
    OpenHold,
    Part,
    Posting,
    Refusal,
    Status,
    new,
)
from langchain_budget.core.rolling import counted
from langchain_budget.core.routes import Line, Route

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

OVERLOOKED: Final = frozenset(
    {Kind.EXHAUSTED, Kind.CONTENDED, Kind.FROZEN, Kind.UNPRICED}
)
"""Refusals of an account that only observes, which stop nothing."""

MAY_FREE: Final = frozenset({Kind.EXHAUSTED, Kind.CONTENDED})
"""Refusals that an expired hold or a loan may mend."""

MOVED_ON: Final = frozenset({Kind.STALE, Kind.OUTSIDE})
"""Refusals of what was reckoned for accounts, or a time, that have changed."""

_SETTLED: Final = Status.SETTLED
_RELEASED: Final = Status.RELEASED
_OPEN: Final = Status.OPEN
_ESTIMATED: Final = Basis.ESTIMATED
_NONE: Final = Basis.NONE
"""Looked up once: a member of an enumeration takes as long as a call."""


Versions = tuple[tuple[str, int], ...]


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
    wait_seconds: float = 0.0
    """How long to wait for holds of others that may yet free enough."""


class Charge(NamedTuple):
    """What a hold is settled at."""

    amounts: Vector
    basis: Basis = Basis.REPORTED
    labels: Mapping[str, str] = NO_LABELS
    whole: bool = False
    """Whether an estimate covers all that came out, so that nothing is in doubt."""
    parts: tuple[Part, ...] = ()
    """Who used how much of it, where several did."""


NOT_USED: Final = Charge(NOTHING, Basis.NONE)
"""What a hold is closed at when nothing was used."""


def reserve(
    route: Route,
    hold_id: str,
    order: Order,
    borrowed: Vector = NOTHING,
    now: float = 0.0,
) -> Posting:
    """
    Set the money aside on every account of the route, or on none.

    What is *borrowed* is carved out of the parent in the same posting. Limits with
    a window are those of *now*; a store that knows better refuses.
    """
    amounts, worst, ttl_seconds, started, labels, unpriced, _ = order
    if borrowed:
        deltas = route.borrowed(amounts, borrowed, now)
    else:
        deltas = route.held(amounts, now)
    during = route.during(amounts, now) if route.timed else None
    asked = new(OpenHold, (hold_id, ttl_seconds, started, amounts, worst, labels))
    keys = route.keys(USD) if unpriced else ()
    admit, account = route.admit, route.account
    return new(
        Posting,
        (
            *(hold_id, "reserve", account, deltas, admit, asked),
            *(NO_NOTE, (), keys, (), None, during),
        ),
    )


def overlooks(route: Route, refusal: Refusal) -> bool:
    """Whether it stops nothing, for whoever says so only observes."""
    return refusal.account in route.observed and refusal.kind in OVERLOOKED


def watch(posting: Posting, route: Route) -> Posting:
    """
    The same reserve where accounts that only observe have no say.

    Closed ones still have: nothing is booked on an account that has ended.
    """
    quiet = [row for row in route.rows if row.path in route.observed and row.frozen]
    frozen = {row.path for row in quiet if not row.closed}
    return posting._replace(
        deltas=route.watched(posting.deltas),
        admit=tuple(each for each in route.admit if each[0] not in frozen),
        seen=tuple(each for each in route.admit if each[0] in frozen),
        unpriced=tuple(
            key for key in posting.unpriced if key.account not in route.observed
        ),
    )


def shortfall(route: Route, refusal: Refusal) -> int:
    """What the account lacks, if it is a slice that may borrow; otherwise nothing."""
    row = route.rows[0]
    own = refusal.account == row.path and refusal.unit in row.slices
    if not (own and row.spec.borrows and refusal.kind in MAY_FREE):
        return 0
    return refusal.wanted - (refusal.balance.available or 0)


def settle(hold: Hold, charge: Charge, route: Route, now: float = 0.0) -> Posting:
    """Book what was used, but for windows that it has left by *now*; free the rest."""
    spent = _spent(hold, charge.amounts, route, now)
    return _close(hold, "settle", _SETTLED, charge, spent, route.closing)


def release(hold: Hold, route: Route) -> Posting:
    """
    Give back all of a hold: nothing was used.

    A store that has not seen the hold will not open it later: the reserve may have
    been cut off on its way there.
    """
    return _close(hold, "release", _RELEASED, NOT_USED, (), route.closing)


def keep(hold: Hold, ttl_seconds: float) -> Posting:
    """Let an open hold live on: the call that it pays for is still running."""
    asked = KeepHold(hold.id, ttl_seconds)
    return Posting(f"{hold.id}:keep", "keep", hold.account, hold=asked)


def expire(hold: Hold, route: Route, now: float = 0.0) -> Posting:
    """Close a hold past its time: charged as estimated if the call had started."""
    if not hold.started:
        return _close(hold, "expire", Status.EXPIRED, NOT_USED, (), route.closing)
    charge = Charge(hold.amounts, Basis.ESTIMATED, hold.labels)
    spent = _spent(hold, charge.amounts, route, now)
    return _close(hold, "expire", Status.EXPIRED, charge, spent, route.closing)


def replaces(charge: Charge, hold: Hold) -> bool:
    """
    Whether *charge* takes the place of what a closed hold was charged.

    What the provider reports replaces a guess; a guess, where nothing was charged.
    """
    state = (hold.status, hold.basis)
    if charge.basis.is_final:
        return state in SUPERSEDABLE
    return charge.basis is _ESTIMATED and state == (Status.EXPIRED, _NONE)


def supersede(hold: Hold, charge: Charge, route: Route, now: float = 0.0) -> Posting:
    """
    Put *charge* in the place of what a closed hold was charged.

    What has left a rolling window by *now* is not given back to it once more.
    """
    units = dict.fromkeys([*hold.charged, *charge.amounts])
    difference = {
        unit: charge.amounts.get(unit, 0) - hold.charged.get(unit, 0) for unit in units
    }
    doubt = dict(unconfirmed(hold, charge))
    if hold.basis is _ESTIMATED:
        doubt = {unit: -gap for unit, gap in beyond(hold, hold.charged).items()}
    before = SUPERSEDABLE & {(hold.status, hold.basis)}
    return Posting(
        f"{hold.id}:supersede",
        "supersede",
        hold.account,
        tuple(
            counted(delta, hold, now) if delta.spent < 0 else delta
            for delta in _spent(hold, difference, route)
        ),
        hold=CloseHold(hold.id, _SETTLED, charge.basis, charge.amounts, before),
        note=Note(difference, doubt, charge.basis, charge.labels, str(hold.basis)),
        seen=route.closing,
    )


def opened(posting: Posting) -> Hold:
    """The hold that a reserve has just opened; the store alone knows the hours."""
    _, _, account, deltas, _, asked, *_, during = posting
    assert type(asked) is OpenHold  # noqa: S101  # only reserves are passed
    hold_id, _, started, amounts, worst, labels = asked
    fields = (hold_id, account, amounts, worst, deltas, started)
    at = during[0] if during else 0.0
    return new(Hold, (*fields, at, 0.0, _OPEN, _NONE, NOTHING, labels))


def closed(hold: Hold, charge: Charge | None) -> Hold:
    """The hold after it was settled, or released when there is no charge."""
    if charge is None:
        return hold._replace(status=Status.RELEASED)
    amounts, basis, labels, _, _ = charge
    # One slice and one sum: unpacking would go through a list.
    return new(Hold, hold[:8] + (_SETTLED, basis, amounts, labels))  # noqa: RUF005


def unconfirmed(hold: Hold, charge: Charge) -> Vector:
    """What an estimated charge may be short of."""
    if charge.basis is not _ESTIMATED or charge.whole:
        return NOTHING
    return beyond(hold, charge.amounts)


def beyond(hold: Hold, charged: Vector) -> dict[str, int]:
    """What the hold's call could have cost above what is charged for it."""
    most = dict(hold.amounts) | dict(hold.worst)
    gaps = {unit: value - charged.get(unit, 0) for unit, value in most.items()}
    return {unit: gap for unit, gap in gaps.items() if gap > 0}


def _close(  # noqa: PLR0913, PLR0917  # each of them differs from one end to another
    hold: Hold,
    kind: str,
    status: Status,
    charge: Charge,
    deltas: tuple[Delta, ...],
    seen: Versions,
) -> Posting:
    amounts, basis, labels, _, parts = charge
    short = unconfirmed(hold, charge) if basis is _ESTIMATED else NOTHING
    unseen = status is _RELEASED
    asked = new(CloseHold, (hold[0], status, basis, amounts, FRESH, hold[4], unseen))
    note = new(Note, (amounts, short, basis, labels, "", parts))
    posting_id, account = f"{hold[0]}:{kind}", hold[1]
    deltas += () if unseen else returned(hold, amounts)  # perhaps nothing was lent
    rest = (note, seen, (), (), None, None)
    return new(Posting, (posting_id, kind, account, deltas, (), asked, *rest))


def _spent(
    hold: Hold, amounts: Vector, route: Route, now: float = 0.0
) -> tuple[Delta, ...]:
    """In the counters that were held, so in the windows the hold was opened in."""
    lines: dict[str, Line] = {}
    for keys, _, _, _, lent, _, spill in hold[4]:
        if lent:
            continue  # what was borrowed for the hold is the parent's
        unit = keys[0][1]
        known = lines.get(unit)
        lines[unit] = (known[0] + keys, known[1] + spill) if known else (keys, spill)
    spent = []
    for unit, value in amounts.items():
        keys, spill = lines.get(unit) or route.line(unit)
        spent.append(new(Delta, (keys, 0, 0, value, 0, False, spill)))
    return tuple([counted(each, hold, now) for each in spent] if now else spent)
