"""What accounts have spent, when: read from the journal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from langchain_budget.core.accounts import parent_of
from langchain_budget.core.charges import CHARGES, charges
from langchain_budget.core.policies.forecast import Spend
from langchain_budget.core.postings import Entry
from langchain_budget.inspections import read_journal
from langchain_budget.reports.doubts import Span
from langchain_budget.stores._drive import Talk


class Spending:
    """
    The charges of some accounts, each with all below it, in one unit and span.

    Args:
        paths: The accounts.
        unit: What was spent.
        span: From when, and until before when, in seconds since 1970.
    """

    def __init__(self, paths: Iterable[str], unit: str, span: Span) -> None:
        self.spends: dict[str, list[Spend]] = {path: [] for path in paths}
        self._unit = unit
        self._span = span

    def add(self, entry: Entry) -> None:
        """Add one entry, if it is such a charge."""
        inside = self._span.since <= entry.at < self._span.until
        if not inside or entry.kind not in CHARGES:
            return
        for part in charges(entry.kind, entry.account, entry.note):
            value = part.amounts.get(self._unit, 0)
            owner = self._owner(part.account) if value else None
            if owner is not None:
                self.spends[owner].append(Spend(entry.at, value))

    def _owner(self, path: str | None) -> str | None:
        """Which of the accounts a charge belongs to, the innermost of them."""
        while path is not None and path not in self.spends:
            path = parent_of(path)
        return path


def spending_of(spending: Spending) -> Talk[dict[str, list[Spend]]]:
    """Read the whole journal for it."""
    yield from read_journal(spending.add)
    return spending.spends


class Periods(NamedTuple):
    """Equal periods of time; of no length, each charge is a period of its own."""

    seconds: float

    def usage(self, spends: Iterable[Spend]) -> tuple[int, ...]:
        """What was spent in each period in which something was, oldest first."""
        if not self.seconds:
            return tuple(max(each.amount, 0) for each in spends)
        sums: dict[int, int] = {}
        for at, amount in spends:
            period = int(at // self.seconds)
            sums[period] = sums.get(period, 0) + amount
        return tuple(max(sums[period], 0) for period in sorted(sums))
