"""
A posting as a store outside of this process gets it: worked out, one line a counter.

Such a store only adds, compares and keeps texts. Which counters a posting changes
by how much, in which order they are judged, and what is kept of it is settled here,
so that it is the same for each.
"""

from __future__ import annotations

from operator import add
from typing import NamedTuple, TypeVar

from langchain_budget.core.amounts import LARGEST
from langchain_budget.core.postings import (
    Balance,
    Change,
    CloseHold,
    CounterKey,
    Hold,
    KeepHold,
    Kind,
    Posting,
    Refusal,
    Status,
    new,
)
from langchain_budget.core.rules import FRESH

_Key = TypeVar("_Key")


class Net(NamedTuple):
    """All that a posting does to one counter."""

    key: CounterKey
    granted: int = 0
    held: int = 0
    spent: int = 0
    lent: int = 0
    grants: int = 0
    """Above zero if it gets a limit, even one of nothing."""
    shown: int = 0
    """Above zero if the receipt tells of it, if it has a limit."""


class Guard(NamedTuple):
    """Refuse when the counter of *net* has less than *wanted* available."""

    net: int
    wanted: int


class Pour(NamedTuple):
    """When *slice* has less than nothing left, it is granted that, lent by *payers*."""

    slice: CounterKey
    payers: tuple[CounterKey, ...]


class Work(NamedTuple):
    """What a posting comes to."""

    nets: tuple[Net, ...]
    """In the order in which the posting first names their counters."""
    guards: tuple[Guard, ...]
    """In the order in which they are judged."""
    pours: tuple[Pour, ...]
    """In the order in which they are done, after all nets."""


def work_of(posting: Posting) -> Work:
    """Add up what the deltas do, and what the hold that they close gives back."""
    chains: dict[tuple[CounterKey, ...], tuple[int, ...]] = {}
    guards: list[tuple[CounterKey, int]] = []
    pours: list[Pour] = []
    for keys, granted, held, spent, lent, guarded, spills in posting.deltas:
        shown = 1 if granted or spent or lent else 0
        change = (granted, held, spent, lent, 1 if granted else 0, shown)
        _add(chains, keys, change)
        if guarded:
            wanted = held + spent + lent - granted
            guards += [(key, wanted) for key in keys]
        else:
            pours += [Pour(*spill) for spill in spills]
    if type(posting.hold) is CloseHold:
        for delta in posting.hold.held:
            _add(chains, delta[0], (0, -delta[2], 0, 0, 0, 0))
    nets = _nets(chains)
    if not guards:
        return new(Work, (nets, (), tuple(pours)))
    places = {net[0]: at for at, net in enumerate(nets)}
    judged = tuple([new(Guard, (places[key], wanted)) for key, wanted in guards])
    return new(Work, (nets, judged, tuple(pours)))


def _nets(chains: dict[tuple[CounterKey, ...], tuple[int, ...]]) -> tuple[Net, ...]:
    """One line for each counter; mostly no two chains have one in common."""
    nets = [new(Net, (key, *change)) for keys, change in chains.items() for key in keys]
    sums: dict[CounterKey, tuple[int, ...]] = {}
    for net in nets:
        _add(sums, net[0], net[1:])
    if len(sums) == len(nets):
        return tuple(nets)
    return tuple([new(Net, (key, *change)) for key, change in sums.items()])


def _add(sums: dict[_Key, tuple[int, ...]], key: _Key, change: tuple[int, ...]) -> None:
    known = sums.get(key)
    sums[key] = change if known is None else tuple(map(add, known, change))


def close_refused(
    posting: Posting, asked: CloseHold | KeepHold, hold: Hold | None
) -> Refusal | None:
    """What is against closing or keeping *hold*, as the store has it."""
    if hold is None:
        if type(asked) is CloseHold and asked.unseen:
            return None
        return Refusal(Kind.UNKNOWN, posting.account, detail=asked.id)
    before = asked.before if type(asked) is CloseHold else FRESH
    if (hold.status, hold.basis) in before:
        return None
    return Refusal(Kind.NOT_OPEN, posting.account, detail=asked.id, hold=hold)


def same_hold(hold: Hold, known: str, asked: str) -> bool:
    """Whether a hold that comes again is the one that is known, by their texts."""
    return known in (asked, "") and (known != "" or hold.status is Status.RELEASED)


def change_of(net: Net, before: Balance) -> Change | None:
    """What a receipt says of a counter; nothing, if it has no limit."""
    key, granted, _, spent, lent, grants, shown = net
    limit = (before[0] or 0) + granted if grants else before[0]
    if limit is None or not shown:
        return None
    used = before[2] + before[3]
    first = LARGEST if before[0] is None else before[0]
    return (key, first, used, limit, used + spent + lent)
