"""Which entries of the journal say what was spent, and by whom."""

from __future__ import annotations

from typing import Final

from langchain_budget.core.postings import Basis, Note, Part

LEASE: Final = "lease"
"""The kind of what a worker posts that has leased money: what it spent, and more."""
LAPSE: Final = "lapse"
"""The kind of what is posted for a worker that did not renew its lease in time."""
OUTAGE: Final = "outage"
"""The kind of what was admitted while the store could not be reached."""
CARRIED: Final = "carried"
"""The kind of what stands for calls that are over, in a journal that was condensed."""

FAILED: Final = "failed_with"
"""The label of a call that ended in an error: its type."""

MARKS: Final = ("avoided_usd", "outage", FAILED)
"""Labels that tell of a charge, not of who was charged: from a cache, in an outage."""

CHARGES: Final = frozenset(
    {
        "settle",
        "expire",
        "supersede",
        "adjust",
        "reconcile",
        LEASE,
        LAPSE,
        OUTAGE,
        CARRIED,
    }
)
"""The kinds of entries that say what was spent, or how well that is known."""


def charges(kind: str, account: str, note: Note) -> tuple[Part, ...]:
    """
    Who used how much, by an entry of that kind and account.

    A charge that takes the place of an estimate is one estimate less.
    """
    amounts, unconfirmed, basis, labels, reason, parts = note
    if kind not in CHARGES or parts or not basis:
        return parts
    part = Part(account, amounts, basis, labels, unconfirmed)
    if kind != "supersede" or reason != Basis.ESTIMATED:
        return (part,)
    known = {name: each for name, each in labels.items() if name not in MARKS}
    return (part, Part(account, {}, Basis.ESTIMATED, known, times=-1))
