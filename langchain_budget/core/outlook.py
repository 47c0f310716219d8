"""What a reserve would come to, worked out without one."""

from __future__ import annotations

from typing import Final, NamedTuple

from langchain_budget.core import rules
from langchain_budget.core.judge import ReadBalance, judge
from langchain_budget.core.postings import Posting, Refusal
from langchain_budget.core.routes import Route
from langchain_budget.core.rules import Order

MOST_LOANS: Final = 8
"""How often a slice tries to borrow what it lacks."""


class Outlook(NamedTuple):
    """
    The accounts that a reserve would touch, as they are now.

    Attributes:
        route: All of them.
        own: The way up from the account that pays.
        now: The time that limits with a window are judged by.
        balance: Reads a counter.
    """

    route: Route
    own: Route
    now: float
    balance: ReadBalance

    def refusal(self, order: Order, *, overlooked: bool) -> Refusal | None:
        """
        What would be said to *order*, `None` if it would be admitted.

        A slice borrows as it would then. Accounts that only observe have a say here
        unless that is *overlooked*.
        """
        borrowed: dict[str, int] = {}
        for _ in range(MOST_LOANS):
            posting = rules.reserve(self.route, "", order, borrowed, self.now)
            refusal = self._judged(posting)
            short = rules.shortfall(self.own, refusal) if refusal else 0
            if refusal is None or not short:
                break
            borrowed[refusal.unit] = borrowed.get(refusal.unit, 0) + short
        if overlooked and refusal and rules.overlooks(self.route, refusal):
            return self._judged(rules.watch(posting, self.route))
        return refusal

    def _judged(self, posting: Posting) -> Refusal | None:
        return judge(posting, {row.path: row for row in self.route.rows}, self.balance)
