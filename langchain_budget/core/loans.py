"""What a slice borrows for a hold, and how it goes back."""

from __future__ import annotations

from langchain_budget.core.amounts import Vector
from langchain_budget.core.postings import NOTHING, CounterKey, Delta, Hold, Posting


def returned(hold: Hold, charged: Vector) -> tuple[Delta, ...]:
    """What was borrowed for a hold, as far as the charge has not used it."""
    deltas: tuple[Delta, ...] = ()
    for payers, _, _, _, lent, _, _ in hold[4]:
        if lent:
            unit = payers[0][1]
            unused = min(lent, hold[2].get(unit, 0) - charged.get(unit, 0))
            if unused > 0:
                own = (CounterKey(hold[1], unit),)
                deltas += Delta(payers, lent=-unused), Delta(own, granted=-unused)
    return deltas


def repaid(hold: Hold) -> Posting:
    """All that was borrowed for a hold goes back, after it was released."""
    deltas = tuple(
        each._replace(guarded=each.granted < 0) for each in returned(hold, NOTHING)
    )
    return Posting(f"{hold.id}:return", "return", hold.account, deltas)
