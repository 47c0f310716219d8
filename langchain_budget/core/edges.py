"""What a receipt says has begun: exhausted, revived, a threshold crossed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from langchain_budget.core.accounts import MARK_SCALE
from langchain_budget.core.events import (
    AccountFrozen,
    AccountThawed,
    Event,
    ThresholdCrossed,
)
from langchain_budget.core.postings import Change, CounterKey, Posting, Receipt


def edges(
    changes: tuple[Change, ...], marks: Mapping[str, tuple[int, ...]], seq: int
) -> list[Event]:
    """Exhausted, revived, and thresholds crossed: one event for each edge."""
    found: list[Event] = []
    for change in netted(changes):
        found += _crossed(change, marks.get(change[0].account, ()), seq)
        found += _exhausted(change, seq)
    return found


def unlent(posting: Posting, receipt: Receipt) -> Receipt:
    """
    What is told of a posting: what it only lent to an account below is not used.

    A change has what is spent and lent in one sum, since both bind; but who carves all
    out for others has spent nothing, and no threshold is crossed by it. Nor is it by
    whoever moves away with all that is left, or begins with what was used before.
    """
    lent = {key for each in posting.deltas if each.lent for key in each.counters}
    gone = {row.path for row in posting.rows if row.closed or row.version == 1}
    if not (lent or gone):
        return receipt
    kept = tuple(
        each
        for each in receipt.changes
        if each[0] not in lent and each[0].account not in gone
    )
    return receipt._replace(changes=kept)


def netted(changes: tuple[Change, ...]) -> Iterable[Change]:
    """One change of each counter: a slice that is overrun is granted more at once."""
    nets: dict[CounterKey, Change] = {}
    for change in changes:
        key, _, _, granted, used = change
        _, granted_before, used_before, _, _ = nets.get(key, change)
        nets[key] = (key, granted_before, used_before, granted, used)
    return nets.values()


def _exhausted(change: Change, seq: int) -> list[Event]:
    (account, unit, _), granted_before, used_before, granted, used = change
    before, after = granted_before - used_before, granted - used
    if before > 0 >= after:
        return [AccountFrozen(account=account, seq=seq, reason="exhausted", unit=unit)]
    if before <= 0 < after:
        return [AccountThawed(account=account, seq=seq, reason="credit", unit=unit)]
    return []


def _crossed(change: Change, marks: tuple[int, ...], seq: int) -> list[Event]:
    (account, unit, _), granted_before, used_before, granted, used = change
    before, after = _share(used_before, granted_before), _share(used, granted)
    return [
        ThresholdCrossed(
            account=account, seq=seq, unit=unit, mark=mark, used=used, granted=granted
        )
        for mark in marks
        if before < mark <= after
    ]


def _share(used: int, granted: int) -> int:
    """Use of a limit in millionths; a limit of nothing is always used up."""
    return used * MARK_SCALE // granted if granted > 0 else MARK_SCALE
