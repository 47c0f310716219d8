"""What it means to carve out, return, top up, transfer and set a limit, as deltas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from langchain_budget.core.accounts import SEPARATOR, common_ancestor
from langchain_budget.core.amounts import Vector
from langchain_budget.core.postings import Balance, CounterKey, Delta, Spill
from langchain_budget.core.routes import Route

Moves = dict[CounterKey, list[int]]
"""What each counter is granted, and what it lends."""


def carve(parent: Route, amounts: Vector) -> tuple[Delta, ...]:
    """Take *amounts* out of what the parent's route has left."""
    return tuple(
        Delta(parent.keys(unit), lent=value, guarded=True)
        for unit, value in amounts.items()
        if value
    )


def give_back(route: Route, parent: Route, amounts: Vector) -> tuple[Delta, ...]:
    """Return *amounts* of a slice's grant to its parent."""
    deltas: list[Delta] = []
    for unit, value in amounts.items():
        deltas.append(Delta((route.keys(unit)[0],), granted=-value, guarded=True))
        deltas.append(Delta(parent.keys(unit), lent=-value))
    return tuple(deltas)


def top_up(route: Route, parent: Route | None, amounts: Vector) -> tuple[Delta, ...]:
    """Grant more; a slice gets it out of its *parent*."""
    deltas: list[Delta] = []
    for unit, value in amounts.items():
        deltas.append(Delta((route.keys(unit)[0],), granted=value))
        if parent is not None:
            deltas.append(Delta(parent.keys(unit), lent=value, guarded=True))
    return tuple(deltas)


def regrant(
    route: Route, parent: Route | None, unit: str, granted: int | None, more: int
) -> tuple[Delta, ...]:
    """Change a cap by *more*; a slice trades the difference with its *parent*."""
    own = route.keys(unit)[:1]
    if parent is not None:
        return (
            Delta(own, granted=more, guarded=more < 0),
            Delta(parent.keys(unit), lent=more, guarded=more > 0),
        )
    if granted is None and not more:
        # Only a grant makes an unlimited counter a limited one, here of nothing.
        return Delta(own, granted=1), Delta(own, granted=-1)
    return (Delta(own, granted=more),)


def rewindow(key: CounterKey, had: int | None, value: int) -> tuple[Delta, ...]:
    """Change the limit of a window that was *had*; a new one needs no change."""
    return (Delta((key,), granted=value - had),) if had is not None else ()


def touched(key: CounterKey) -> tuple[Delta, ...]:
    """Nothing but that a counter begins, with what it is granted at first."""
    return Delta((key,), granted=1), Delta((key,), granted=-1)


def shifted(
    parent: Route, children: Iterable[tuple[Route, int]], unit: str
) -> tuple[Delta, ...]:
    """Grant each child so much more or less; slices trade it with their *parent*."""
    deltas, lent = [], 0
    for route, more in children:
        if more:
            own = route.keys(unit)[:1]
            deltas.append(Delta(own, granted=more, guarded=more < 0))
            lent += more if unit in route.rows[0].slices else 0
    if lent:
        deltas.append(Delta(parent.keys(unit), lent=lent, guarded=lent > 0))
    return tuple(deltas)


def transfer(payer: Route, payee: Route, unit: str, value: int) -> tuple[Delta, ...]:
    """
    Move a limit from one account to another; no money is made or lost.

    Out of each slice on the way the money goes up to the first common ancestor,
    and from there down into each slice. A cap that is no slice moves as a cap only.
    """
    top = common_ancestor(payer.account, payee.account) or ""
    moves: Moves = {}
    _along(payer, unit, -value, top, moves)
    _along(payee, unit, value, top, moves)
    return _deltas(moves)


def relocated(old: Route, new: Route, unit: str, value: int) -> tuple[Delta, ...]:
    """
    Take *value* to where an account moves: the money of a slice, or just the cap.

    Counters change before accounts are written, so that the new one begins with it.
    """
    if unit in old.rows[0].slices:
        return transfer(old, new, unit, value)
    return (
        Delta(old.keys(unit)[:1], granted=-value, guarded=True),
        Delta(new.keys(unit)[:1], granted=value),
    )


def resumed(old: CounterKey, new: CounterKey, seen: Balance) -> tuple[Delta, ...]:
    """
    Go on in a window elsewhere: what was used of it, or is held, is used there as well.

    The old counter keeps nothing, guarded: so nobody has used more of it meanwhile.
    """
    left = max(seen.available or 0, 0)
    return (
        *([Delta((old,), granted=-left, guarded=True)] if left else []),
        *touched(new),
        Delta((new,), granted=seen.granted or 0, spent=seen.held + seen.spent),
    )


def slices_within(route: Route, unit: str, top: str) -> tuple[Spill, ...]:
    """The slices of a route below *top*, and who pays for each."""
    inside = top + SEPARATOR
    spills = route.line(unit)[1]
    return tuple(each for each in spills if each.slice.account.startswith(inside))


def _along(route: Route, unit: str, value: int, top: str, moves: Moves) -> None:
    """Grant *value* to the account, and lend it to each slice from there to *top*."""
    if route.account == top:
        return
    own = route.keys(unit)[0]
    _add(moves, own, granted=value)
    for spill in slices_within(route, unit, top):
        if spill.slice != own:
            _add(moves, spill.slice, granted=value)
        for payer in spill.payers:
            _add(moves, payer, lent=value)


def _add(moves: Moves, key: CounterKey, *, granted: int = 0, lent: int = 0) -> None:
    change = moves.setdefault(key, [0, 0])
    change[0] += granted
    change[1] += lent


def _deltas(moves: Mapping[CounterKey, list[int]]) -> tuple[Delta, ...]:
    """One delta a counter, guarded where it takes something away."""
    return tuple(
        Delta((key,), granted=granted, lent=lent, guarded=lent > granted)
        for key, (granted, lent) in moves.items()
        if granted or lent
    )
