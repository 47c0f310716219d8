"""What a worker asks the shared books for, and how far it gives in."""

from __future__ import annotations

from typing import NamedTuple

from langchain_budget.core.amounts import LARGEST, Vector
from langchain_budget.core.leases import Move
from langchain_budget.core.postings import Part, Posting, Refusal


class Sent(NamedTuple):
    """A posting whose answer is awaited, or was lost."""

    posting: Posting
    parts: tuple[Part, ...]
    """What it reports."""
    at: float
    """When it was first sent by the worker's clock, so before its time began."""
    consents: bool


class Stance:
    """What is asked for at a time, and how far the shared books made it give in."""

    def __init__(self, sizes: Vector, wanted: Vector, posting: Posting | None) -> None:
        self.wanted = wanted
        self.posting = posting
        """What waits for the money."""
        self.free = {unit: max(sizes[unit], wanted.get(unit, 0)) for unit in sizes}
        """What the lease is to have free in the end."""
        self.scarce: set[str] = set()
        """Units of which the parent cannot spare a whole lease."""
        self.refusal: Refusal | None = None
        self.consents = True
        self.overlooked: frozenset[str] = frozenset()
        self.swept = False

    def refused(self, refusal: Refusal, *units: str) -> None:
        """Take nothing, and return all that is free of *units*."""
        self.refusal = refusal
        self.free = dict.fromkeys(self.free, LARGEST) | dict.fromkeys(units, 0)
        self.scarce = set(self.free)

    def end(self, why: Refusal) -> None:
        """Return everything that is free, whatever is said above."""
        self.consents = False
        self.refused(why, *self.free)

    def move(self, unit: str, mine: int) -> Move:
        """What must change hands when the lease has *mine* free."""
        target = self.free[unit]
        if target in (0, LARGEST):
            # An overrun is paid by the spill of what was spent.
            return Move(min(target - mine, 0))
        return Move(target - mine, 0 if unit in self.scarce else target)
