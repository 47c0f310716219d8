"""Errors of policies: what was asked for cannot be decided."""

from __future__ import annotations

from langchain_budget.core.faults import BudgetError


class InvalidPolicy(BudgetError, ValueError):
    """A rule that cannot be followed, or nobody to follow it for."""


class InvalidPriority(InvalidPolicy):
    """A priority that is no whole number from 1 to 10."""

    def __init__(self, priority: object) -> None:
        super().__init__(priority)
        self.priority = priority

    def __str__(self) -> str:
        return (
            f"priority {self.priority!r}: give a whole number from 1 to 10, "
            f"where 10 is the most important"
        )


class OverAllocated(InvalidPolicy):
    """More is given out than there is."""

    def __init__(self, asked: str, total: str) -> None:
        super().__init__(asked, total)
        self.asked, self.total = asked, total

    def __str__(self) -> str:
        return (
            f"{self.asked} is given out, but there is only {self.total}: "
            f"lower some of it, or raise what there is"
        )
