"""The books of one worker: what it has leased, and what it did with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Final, NamedTuple

from langchain_budget.core.accounts import Row, Spec, lineage
from langchain_budget.core.amounts import Vector
from langchain_budget.core.charges import LEASE
from langchain_budget.core.postings import (
    NO_NOTE,
    Change,
    CounterKey,
    Delta,
    Entry,
    Posting,
    Receipt,
    Refusal,
    new,
)
from langchain_budget.core.rules import MAY_FREE
from langchain_budget.forks import alone
from langchain_budget.reports.tally import Tally
from langchain_budget.stores._journal import Line, entry_of
from langchain_budget.stores._tables import Tables
from langchain_budget.stores.memory import MemoryStore

KEPT: Final = 10_000
"""Entries of a worker's own journal that are kept at least; the shared one has all."""


class PurseTables(Tables):
    """Tables that sum up their charges, and whose journal forgets its beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.tally = Tally()
        self.written = 0

    def post(self, posting: Posting, now: float) -> Receipt | Refusal:
        before = self.written
        answer = super().post(posting, now)
        if self.written != before and posting.note is not NO_NOTE:
            self.tally.charge(posting.kind, posting.account, posting.note)
        return answer

    def _write(self, line: Line, changes: list[Change]) -> Receipt:
        self.lines.append(line)
        self.written += 1
        if len(self.lines) >= 2 * KEPT:
            del self.lines[:KEPT]
        return new(Receipt, (self.written, tuple(changes), None))


class Terms(NamedTuple):
    """How much a lease has free when it was just renewed, and how long it lives."""

    sizes: Vector
    ttl_seconds: float
    clock: Callable[[], float]
    """Seconds that only ever rise: when this worker must have renewed."""
    alone: bool = False
    """Whether calls for accounts below the leased one are charged elsewhere."""


class Pocket(NamedTuple):
    """What the root has of one unit."""

    granted: int
    free: int


class Purse(MemoryStore):
    """
    Books in memory whose root has what was leased, and no more.

    The account that is leased has its own path here, and so have those above it,
    without limits: charges and refusals are about the accounts that users know.
    """

    tables: ClassVar[type[PurseTables]] = PurseTables

    def __init__(
        self, path: str, units: Iterable[str], clock: Callable[[], float]
    ) -> None:
        super().__init__(clock)
        self._tables: PurseTables = self.tables()
        self.path = path
        self.keys = {unit: CounterKey(path, unit) for unit in units}
        nothing = tuple((unit, 0) for unit in self.keys)
        above = (Row(each, 1, Spec()) for each in lineage(path)[1:])
        self.write(*above, Row(path, 1, Spec(limits=nothing), nothing))

    @property
    def tally(self) -> Tally:
        """What was charged here, and what of it was not yet reported."""
        return self._tables.tally

    @property
    def busy(self) -> bool:
        """Whether calls are under way that hold money of this purse."""
        return bool(self._tables.open)

    def write(self, *rows: Row) -> None:
        """Have these accounts."""
        posting = Posting(f"open {rows[-1].path}", "open", self.path, rows=rows)
        super().post(posting)

    def left(self) -> dict[str, int]:
        """What is free, by unit."""
        with alone(self._lock):
            return {unit: self._pocket(unit).free for unit in self.keys}

    def leave(self, most: Vector) -> dict[str, Pocket]:
        """Leave at most so much free of each unit; tell what there is then."""
        with alone(self._lock):
            pockets = {unit: self._pocket(unit) for unit in self.keys}
            over = {unit: most[unit] - seen.free for unit, seen in pockets.items()}
            self._grant({unit: value for unit, value in over.items() if value < 0})
            return {unit: self._pocket(unit) for unit in self.keys}

    def fill(
        self, granted: Vector, posting: Posting | None = None
    ) -> Receipt | Refusal | None:
        """Have so much of each unit in all; then post what had waited for it."""
        with alone(self._lock):
            now = {unit: self._pocket(unit).granted for unit in granted}
            self._grant({unit: granted[unit] - now[unit] for unit in granted})
            return self._tables.post(posting, self._clock()) if posting else None

    def journal(self, after: int = 0, limit: int | None = None) -> tuple[Entry, ...]:
        """The entries numbered above *after*, as far as they are kept."""
        tables = self._tables
        with alone(self._lock):
            first = tables.written - len(tables.lines)
            lines = tables.lines[max(after - first, 0) :]
        numbered = enumerate(lines[:limit], max(after, first) + 1)
        return tuple(entry_of(tables.chains, seq, line) for seq, line in numbered)

    def lacks(self, answer: Receipt | Refusal) -> bool:
        """Whether the root has too little, which its parent may mend."""
        return (
            isinstance(answer, Refusal)
            and answer.kind in MAY_FREE
            and answer.account == self.path
            and answer.unit in self.keys
        )

    def wants(self, posting: Posting) -> dict[str, int]:
        """What the root must have free for *posting*."""
        wanted = dict.fromkeys(self.keys, 0)
        for delta in posting.deltas:
            key = delta.counters[0]
            if delta.guarded and self.keys.get(key.unit) in delta.counters:
                more = delta.held + delta.spent + delta.lent - delta.granted
                wanted[key.unit] += more
        return wanted

    def _pocket(self, unit: str) -> Pocket:
        seen = self._tables.counters[self.keys[unit]].balance()
        return Pocket(seen.granted or 0, seen.available or 0)

    def _grant(self, amounts: Mapping[str, int]) -> None:
        deltas = tuple(
            Delta((self.keys[unit],), granted=value)
            for unit, value in amounts.items()
            if value
        )
        if deltas:
            posting_id = f"lease {self._tables.written}"
            posting = Posting(posting_id, LEASE, self.path, deltas)
            self._tables.post(posting, self._clock())
