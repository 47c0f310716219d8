"""Which counters a charge to an account touches, and who pays for an overrun."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from langchain_budget.core.accounts import Row
from langchain_budget.core.amounts import Vector
from langchain_budget.core.postings import CounterKey, Delta, Spill, new

Line = tuple[tuple[CounterKey, ...], tuple[Spill, ...]]


class Route:
    """
    The way from an account up to its root, worked out once and kept.

    A unit that was carved out of the parent stops at the slice: the parent counts
    it as lent. Frozen flags bind all the way up.
    """

    __slots__ = (
        "_limited",
        "_lines",
        "account",
        "admit",
        "closing",
        "draining",
        "observed",
        "rows",
    )

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = tuple(rows)
        self.account = rows[0].path
        self.admit = tuple((row.path, row.version) for row in rows)
        self.draining = tuple(row for row in rows if row.closed and row.slices)
        slices = any(row.slices for row in rows)
        self.closing = self.admit if slices else ()
        """What a hold is closed under: slices that were closed want their rest back."""
        self.observed = _observed(rows)
        self._limited = frozenset(unit for row in rows for unit, _ in row.ceilings)
        self._lines: dict[str, Line] = {}

    def line(self, unit: str) -> Line:
        """The counters of *unit* that a charge touches, and how it spills over."""
        line = self._lines.get(unit)
        if line is None:
            line = self._lines[unit] = _line(self.rows, unit)
        return line

    def keys(self, unit: str) -> tuple[CounterKey, ...]:
        """The counters of *unit* that a charge touches, innermost first."""
        return self.line(unit)[0]

    def held(self, amounts: Vector) -> tuple[Delta, ...]:
        """
        Guarded deltas that set *amounts* aside, and know where an overrun goes.

        A unit that nothing on the route limits is not held, only spent: there is
        nothing to guard. A first limit on it makes a new version of its account.
        """
        deltas = []
        for unit, value in amounts.items():
            if unit not in self._limited:
                continue
            keys, spill = self._lines.get(unit) or self.line(unit)
            deltas.append(new(Delta, (keys, 0, value, 0, 0, True, spill)))
        return tuple(deltas)

    def watched(self, amounts: Vector) -> tuple[Delta, ...]:
        """The same where the accounts that only observe are not guarded."""
        deltas = []
        for delta in self.held(amounts):
            watched = tuple(key for key in delta[0] if key.account in self.observed)
            guarded = tuple(key for key in delta[0] if key.account not in self.observed)
            if guarded:
                deltas.append(delta._replace(counters=guarded, spill=()))
            if watched:
                deltas.append(delta._replace(counters=watched, guarded=False))
        return tuple(deltas)

    def borrowed(self, amounts: Vector, loans: Vector) -> tuple[Delta, ...]:
        """The same where the parent lends *loans* first; those deltas hold nothing."""
        lent = [
            Delta(self.line(unit)[1][0].payers, lent=value, guarded=True)
            for unit, value in loans.items()
        ]
        held = [
            delta._replace(granted=loans.get(delta.counters[0].unit, 0))
            for delta in self.held(amounts)
        ]
        return (*lent, *held)


def _observed(rows: Sequence[Row]) -> frozenset[str]:
    """The accounts that only watch: an observed one, and all below it."""
    highest = max((at for at, row in enumerate(rows) if row.observed), default=-1)
    return frozenset(row.path for row in rows[: highest + 1])


def _line(rows: Sequence[Row], unit: str) -> Line:
    walks = tuple(_walks(rows, unit))
    spills = tuple(
        Spill(slice=walk[-1], payers=above) for walk, above in pairwise(walks)
    )
    return walks[0], spills


def _walks(rows: Sequence[Row], unit: str) -> list[tuple[CounterKey, ...]]:
    """The chain cut behind each slice; the last piece ends at the root."""
    walks: list[tuple[CounterKey, ...]] = []
    walk: list[CounterKey] = []
    for row in rows:
        walk.append(CounterKey(row.path, unit))
        if unit in row.slices:
            walks.append(tuple(walk))
            walk = []
    return [*walks, tuple(walk)] if walk else walks
