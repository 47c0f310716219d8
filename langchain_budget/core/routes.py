"""Which counters a charge to an account touches, and who pays for an overrun."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from langchain_budget.core.accounts import Row
from langchain_budget.core.amounts import Vector
from langchain_budget.core.limits import window_in
from langchain_budget.core.postings import CounterKey, Delta, Spill, new
from langchain_budget.core.windows import FOR_EVER, Window

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
        "_timed",
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
        self._limited = _limited(rows)
        self._lines: dict[str, Line] = {}
        self._timed = _timed(rows)

    def line(self, unit: str) -> Line:
        """The counters of *unit* that a charge touches, and how it spills over."""
        line = self._lines.get(unit)
        if line is None:
            line = self._lines[unit] = _line(self.rows, unit)
        return line

    @property
    def timed(self) -> bool:
        """Whether what a charge touches depends on the time."""
        return bool(self._timed)

    def during(self, amounts: Vector, now: float) -> tuple[float, float]:
        """From when, and until before when, `held` at *now* is right."""
        instances = [
            window.at(now, turn)
            for unit in amounts
            for _, window, turn in self._timed.get(unit, ())
        ]
        return (
            max((each.start for each in instances), default=FOR_EVER[0]),
            min((each.end for each in instances), default=FOR_EVER[1]),
        )

    def windows(self, unit: str, now: float) -> tuple[CounterKey, ...]:
        """The counters of the windows that *now* is in, innermost first."""
        return tuple(
            CounterKey(path, unit, name)
            for path, window, turn in self._timed.get(unit, ())
            for name in window.counters(now, turn)
        )

    def rolling(self) -> tuple[tuple[str, str, Window], ...]:
        """The limits in rolling windows: account, unit, window."""
        return rolling_in(self.rows) if self._timed else ()

    def keys(self, unit: str) -> tuple[CounterKey, ...]:
        """The counters of *unit* that a charge touches, innermost first."""
        return self.line(unit)[0]

    def held(self, amounts: Vector, now: float = 0.0) -> tuple[Delta, ...]:
        """
        Guarded deltas that set *amounts* aside, and know where an overrun goes.

        Where limits have windows, those that *now* is in are held from as well.

        A unit that nothing on the route limits is not held, only spent: there is
        nothing to guard. A first limit on it makes a new version of its account.
        """
        deltas: list[Delta] = []
        for unit, value in amounts.items():
            if unit in self._limited:
                self._hold(deltas, unit, value, now)
        return tuple(deltas)

    def _hold(self, deltas: list[Delta], unit: str, value: int, now: float) -> None:
        keys, spill = self._lines.get(unit) or self.line(unit)
        deltas.append(new(Delta, (keys, 0, value, 0, 0, True, spill)))
        if unit in self._timed:
            keys = self.windows(unit, now)
            deltas.append(new(Delta, (keys, 0, value, 0, 0, True, ())))

    def watched(self, held: Iterable[Delta]) -> tuple[Delta, ...]:
        """The same where the accounts that only observe are not guarded."""
        deltas = []
        for delta in held:
            watched = tuple(key for key in delta[0] if key.account in self.observed)
            guarded = tuple(key for key in delta[0] if key.account not in self.observed)
            if guarded:
                spill = () if watched else delta.spill
                deltas.append(delta._replace(counters=guarded, spill=spill))
            if watched:
                deltas.append(delta._replace(counters=watched, guarded=False))
        return tuple(deltas)

    def borrowed(
        self, amounts: Vector, loans: Vector, now: float = 0.0
    ) -> tuple[Delta, ...]:
        """The same where the parent lends *loans* first; those deltas hold nothing."""
        lent = [
            Delta(self.line(unit)[1][0].payers, lent=value, guarded=True)
            for unit, value in loans.items()
        ]
        slices = {
            CounterKey(self.account, unit): value for unit, value in loans.items()
        }
        held = [
            delta._replace(granted=slices.get(delta.counters[0], 0))
            for delta in self.held(amounts, now)
        ]
        return (*lent, *held)


class JointRoute(Route):
    """
    The way up from an account, and beside it those from others in trees of their own.

    A charge touches all of them: the limits of an agent, and those of the user that
    it works for. Nothing spills over from one into another.
    """

    __slots__ = ("_routes",)

    def __init__(self, own: Route, beside: Sequence[Route]) -> None:
        super().__init__(own.rows)
        self._routes = (own, *beside)
        self.rows = tuple(row for each in self._routes for row in each.rows)
        self.admit = tuple(pair for each in self._routes for pair in each.admit)
        self.observed = frozenset().union(*(each.observed for each in self._routes))
        if own.rows[-1].observed:  # a pool that only watches stops nobody at all
            self.observed = frozenset(row.path for row in self.rows)
        self._limited = _limited(self.rows)

    def line(self, unit: str) -> Line:
        """The counters of *unit* that a charge of the first alone touches."""
        return self._routes[0].line(unit)

    @property
    def timed(self) -> bool:
        """Whether what a charge touches depends on the time."""
        return any(each.timed for each in self._routes)

    def during(self, amounts: Vector, now: float) -> tuple[float, float]:
        """From when, and until before when, `held` at *now* is right."""
        spans = [each.during(amounts, now) for each in self._routes]
        return max(start for start, _ in spans), min(end for _, end in spans)

    def windows(self, unit: str, now: float) -> tuple[CounterKey, ...]:
        """The counters of the windows that *now* is in, innermost first."""
        return tuple(key for each in self._routes for key in each.windows(unit, now))

    def rolling(self) -> tuple[tuple[str, str, Window], ...]:
        """The limits in rolling windows: account, unit, window."""
        return tuple(found for each in self._routes for found in each.rolling())

    def keys(self, unit: str) -> tuple[CounterKey, ...]:
        """The counters of *unit* that a charge touches, innermost first."""
        return tuple(key for each in self._routes for key in each.keys(unit))

    def _hold(self, deltas: list[Delta], unit: str, value: int, now: float) -> None:
        for each in self._routes:
            each._hold(deltas, unit, value, now)  # noqa: SLF001  # one of its own kind


def rolling_in(rows: Iterable[Row]) -> tuple[tuple[str, str, Window], ...]:
    """The limits of accounts in rolling windows: account, unit, window."""
    return tuple(
        (row.path, name.partition("@")[0], window)
        for row in rows
        for name, _ in row.ceilings
        if (window := window_in(name)) is not None and window.is_rolling
    )


def _limited(rows: Sequence[Row]) -> frozenset[str]:
    """The units that some limit is in."""
    return frozenset(name.partition("@")[0] for row in rows for name, _ in row.ceilings)


def _timed(
    rows: Sequence[Row],
) -> dict[str, tuple[tuple[str, Window, int], ...]]:
    """The limits with a window by unit: account, window, how many it has ended."""
    found: dict[str, tuple[tuple[str, Window, int], ...]] = {}
    for row in rows:
        for name, _ in row.ceilings:
            unit, _, _ = name.partition("@")
            window = window_in(name)
            if window is not None:
                turn = dict(row.turns).get(window.span, 0)
                found[unit] = (*found.get(unit, ()), (row.path, window, turn))
    return found


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
