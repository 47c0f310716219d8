"""
A shorter journal of the same books: calls that are over, summed up by day.

What was charged for good is one entry for each account and day. All else stays as it
is: what operators did, with its ids, and holds that are open or may yet be corrected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from langchain_budget.core.accounts import Row
from langchain_budget.core.amounts import USD
from langchain_budget.core.charges import CARRIED, CHARGES, FAILED
from langchain_budget.core.leases import sums
from langchain_budget.core.moves import touched
from langchain_budget.core.postings import (
    NO_LABELS,
    NOTHING,
    Balance,
    Basis,
    CounterKey,
    Delta,
    Entry,
    Note,
    Part,
)
from langchain_budget.reports.fold import Fold
from langchain_budget.reports.statement import (
    UNATTRIBUTED,
    Line,
    LineKey,
    Statement,
    gather,
)

DAY_SECONDS: Final = 86_400
ACCOUNTS: Final = 100
"""How many accounts an entry corrects that corrects balances."""

_REASON: Final = "carried forward from calls that are over"
_NOTE: Final = Note(reason=_REASON)


class Day:
    """What was charged to each account on one day."""

    def __init__(self) -> None:
        self._charged: dict[str, dict[str, int]] = {}
        self._statement = Statement()

    def add(self, entry: Entry) -> None:
        """Add one charge."""
        gather(self._charged.setdefault(entry.account, {}), entry.note.amounts)
        self._statement.fold([entry])

    def notes(self) -> Iterator[tuple[str, Note]]:
        """For each account what it was charged, and who used it."""
        parts: dict[str, list[Part]] = {}
        for key, line in self._statement.within("").items():
            parts.setdefault(key.account, []).extend(parts_of(key, line))
        for account in dict.fromkeys([*self._charged, *parts]):
            used = tuple(parts.get(account, ()))
            amounts = self._charged.get(account, {})
            basis = Basis.REPORTED if used else Basis.NONE
            if used or amounts:
                yield (
                    account,
                    Note(amounts, sums(used)[1], basis, NO_LABELS, _REASON, used),
                )


class Condensed:
    """
    Makes the shorter journal, entry by entry.

    Args:
        whole: The journal that is to be shortened, folded to its end.
        new_id: Makes the ids of entries that were not there before.
    """

    def __init__(self, whole: Fold, new_id: Callable[[], str]) -> None:
        self._whole = whole
        self._new_id = new_id
        self._kept = Fold()
        self._day = Day()
        self._at = 0.0

    @property
    def seq(self) -> int:
        """How many entries there are so far."""
        return self._kept.seq

    def add(self, entry: Entry) -> Iterator[Entry]:
        """What stands for the next entry, if anything; days first that have ended."""
        if entry.at // DAY_SECONDS > self._at // DAY_SECONDS:
            yield from self._summed()
        self._at = entry.at
        if not self._is_over(entry):
            yield self._next(self._poured(entry))
        elif entry.kind in CHARGES:
            self._day.add(entry)

    def rest(self) -> Iterator[Entry]:
        """After the last entry: what those that were left out come to."""
        yield from self._summed()
        yield from self._corrected()

    def _is_over(self, entry: Entry) -> bool:
        """Whether nobody will name it again."""
        if entry.hold:
            return not self._whole.may_change(entry.hold)
        row = self._whole.rows.get(entry.account)
        return entry.kind == CARRIED or (row is not None and row.is_passing)

    def _poured(self, entry: Entry) -> Entry:
        """
        The same, so that it comes to the same wherever it stands.

        What spilled is said. It was judged, and what it relied on may come later.
        """
        deltas = tuple(
            each if self._passes(each) else each._replace(guarded=False, spill=())
            for each in entry.deltas
        )
        spilled = tuple(
            Delta((key,), granted, held, spent, lent)
            for key, granted, held, spent, lent in entry.spilled
        )
        released = entry.released and self._kept.open.get(entry.hold, entry.released)
        return entry._replace(deltas=deltas + spilled, spilled=(), released=released)

    def _passes(self, delta: Delta) -> bool:
        """Whether a guarded delta is affordable among what is kept."""
        left = [self._kept.balance(key).available for key in delta.counters]
        wanted = delta.held + delta.spent + delta.lent - delta.granted
        return delta.guarded and all(each is None or each >= wanted for each in left)

    def _summed(self) -> Iterator[Entry]:
        """What was charged since the last time."""
        day, self._day = self._day, Day()
        for account, note in day.notes():
            yield self._entry(account, note=note)

    def _corrected(self) -> Iterator[Entry]:
        """Balances and accounts, where those that are kept do not come to them."""
        changes: dict[str, tuple[Delta, ...]] = {}
        for key, after in self._whole.balances.items():
            known = key in self._kept.balances
            deltas = _difference(key, self._kept.balance(key), after, known=known)
            changes[key.account] = changes.get(key.account, ()) + deltas
        rows = {path: row for path, row in self._whole.rows.items() if self._lacks(row)}
        paths = sorted({path for path in changes if changes[path]} | rows.keys())
        for first in range(0, len(paths), ACCOUNTS):
            batch = paths[first : first + ACCOUNTS]
            yield self._entry(
                batch[0],
                deltas=tuple(each for path in batch for each in changes.get(path, ())),
                rows=tuple(rows[path] for path in batch if path in rows),
            )

    def _lacks(self, row: Row) -> bool:
        return self._kept.rows.get(row.path) != row

    def _entry(
        self,
        account: str,
        *,
        note: Note = _NOTE,
        deltas: tuple[Delta, ...] = (),
        rows: tuple[Row, ...] = (),
    ) -> Entry:
        posting = self._new_id()
        return self._next(
            Entry(0, self._at, CARRIED, posting, account, "", note, deltas, rows=rows)
        )

    def _next(self, entry: Entry) -> Entry:
        numbered = entry._replace(seq=self._kept.seq + 1)
        self._kept.add(numbered)
        return numbered


def parts_of(key: LineKey, line: Line) -> Iterator[Part]:
    """Parts that come to the same line of a report."""
    node = "" if key.node == UNATTRIBUTED else key.node
    agent = "" if key.agent == UNATTRIBUTED else key.agent
    named = (("agent", agent), ("node", node), ("model", key.model))
    labels = {name: value for name, value in named if value}

    def part(basis: Basis, times: int, **marks: str) -> Part:
        return Part(key.account, NOTHING, basis, labels | marks, times=times)

    usual = {
        unit: value - line.outage.get(unit, 0) for unit, value in line.amounts.items()
    }
    sums = Part(key.account, usual, Basis.REPORTED, labels, line.unconfirmed, times=0)
    outage = sums._replace(
        amounts=line.outage, labels=labels | {"outage": ""}, unconfirmed=NOTHING
    )
    avoided = str(line.avoided.get(USD, 0))
    every = (
        (sums, line.amounts or line.unconfirmed),
        (outage, line.outage),
        (part(Basis.REPORTED, line.outages, outage=""), line.outages),
        (part(Basis.ESTIMATED, line.estimated), line.estimated),
        (part(Basis.UNKNOWN, line.unpriced), line.unpriced),
        (part(Basis.NONE, line.cached, avoided_usd=avoided), line.cached),
        (part(Basis.NONE, line.failed, **{FAILED: ""}), line.failed),
    )
    return (each for each, counts in every if counts)


def _difference(
    key: CounterKey, before: Balance, after: Balance, *, known: bool
) -> tuple[Delta, ...]:
    """What makes one balance of another; a new one that is limited begins at least."""
    limit = after.granted or 0
    granted = limit - (before.granted or 0)
    delta = Delta(
        (key,),
        granted,
        after.held - before.held,
        after.spent - before.spent,
        after.lent - before.lent,
    )
    limited = known and before.granted is not None
    begins = () if limited or granted or after.granted is None else touched(key)
    return (*begins, delta) if any(delta[1:5]) else begins
