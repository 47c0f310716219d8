"""What was charged while the shared books did not answer, by what it is booked in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, NamedTuple

from langchain_budget.core.accounts import Row, Spec
from langchain_budget.core.amounts import Vector
from langchain_budget.core.charges import charges
from langchain_budget.core.postings import (
    NO_LABELS,
    CloseHold,
    Note,
    Part,
    Posting,
    Receipt,
    Refusal,
)
from langchain_budget.core.routes import Line, Route
from langchain_budget.core.windows import has_left
from langchain_budget.forks import new_lock
from langchain_budget.leases.purse import Purse, PurseTables
from langchain_budget.ledger import Ledger
from langchain_budget.outages.policy import OnOutage
from langchain_budget.reports.statement import gather
from langchain_budget.reports.tally import Tally

Labels = tuple[tuple[str, str], ...]


class Admitted(NamedTuple):
    """All that decides what a charge is counted in."""

    account: str
    labels: Labels
    """Those that `limit_each` was said of."""
    at: int
    """In which second it was admitted, by the clock of this process."""


class Taken(NamedTuple):
    """What is to be booked on one account: for reports, and for the counters."""

    parts: list[Part]
    sums: dict[Admitted, dict[str, int]]


class Takings(Tally):
    """A tally that knows as well when, and for whom, its charges were admitted."""

    def __init__(self) -> None:
        super().__init__()
        self.labels: Labels = ()
        self.at = 0
        """Of the call that is being charged."""
        self._sums: dict[Admitted, dict[str, int]] = {}
        self._whole = new_lock()

    def charge(self, kind: str, account: str, note: Note) -> None:
        """Something was charged."""
        with self._whole:
            super().charge(kind, account, note)
            for part in charges(kind, account, note):
                who = Admitted(part.account, self.labels, self.at)
                gather(self._sums.setdefault(who, {}), part.amounts)

    def take_all(self) -> dict[str, Taken]:
        """All that is to be booked, by account, unless it is put back."""
        taken: dict[str, Taken] = {}
        with self._whole:
            for part in self.take():
                taken.setdefault(part.account, Taken([], {})).parts.append(part)
            for who, amounts in self._sums.items():
                taken.setdefault(who.account, Taken([], {})).sums[who] = amounts
            self._sums = {}
        return taken

    def put_all_back(self, taken: Mapping[str, Taken]) -> None:
        """These were not booked after all."""
        with self._whole:
            for parts, sums in taken.values():
                self.put_back(tuple(parts))
                for who, amounts in sums.items():
                    gather(self._sums.setdefault(who, {}), amounts)


class _Tables(PurseTables):
    """Tables that know, of what they charge, when and for whom it was admitted."""

    def __init__(self) -> None:
        super().__init__()
        self.tally = self.takings = Takings()
        self.shared: Ledger | None = None

    def post(self, posting: Posting, now: float) -> Receipt | Refusal:
        if type(posting.hold) is CloseHold:
            hold = self.find(posting.hold.id)
            self.takings.at = int(hold.opened_at if hold else now)
            self.takings.labels = self._divided(hold.labels if hold else NO_LABELS)
        return super().post(posting, now)

    def _divided(self, labels: Mapping[str, str]) -> Labels:
        """The labels by which the shared books limit each."""
        rules = self.shared.each if self.shared else ()
        names = sorted({name for each in rules for name in each.labels})
        return tuple((name, labels[name]) for name in names if name in labels)


class Trusting(Purse):
    """A purse that takes it on trust that an account exists."""

    tables: ClassVar[type[_Tables]] = _Tables
    _tables: _Tables

    def __init__(self, shared: Ledger, root: str, policy: OnOutage) -> None:
        super().__init__(root, policy.sizes, policy.clock)
        self._tables.shared = shared

    @property
    def takings(self) -> Takings:
        """What was charged here and is not yet in the shared books."""
        return self._tables.takings

    def rows(self, paths: Iterable[str]) -> Mapping[str, Row]:
        """The accounts at *paths*; all of them exist."""
        asked = tuple(paths)
        known = super().rows(asked)
        missing = [Row(path, 1, Spec()) for path in asked if path not in known]
        if missing:
            self.write(*missing)
        return super().rows(asked)


def lines(
    route: Route, amounts: Vector, times: tuple[float, float]
) -> Iterator[tuple[Line, int]]:
    """
    What a charge is counted in that was admitted at one time, and is booked later.

    As for one that is settled late: the windows of then, and in rolling windows
    nothing that has left them by now.
    """
    at, now = times
    for unit, value in amounts.items():
        held = route.held({unit: value}, at)
        if not held:
            yield route.line(unit), value
        for delta in held:
            keys = tuple(k for k in delta.counters if not has_left(k.window, at, now))
            if keys:
                yield (keys, delta.spill), value
