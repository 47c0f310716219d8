"""The state of the store in memory, and how a posting changes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Generic, TypeVar

from langchain_budget.core.accounts import Row
from langchain_budget.core.amounts import LARGEST
from langchain_budget.core.judge import judge
from langchain_budget.core.postings import (
    Balance,
    Change,
    CloseHold,
    CounterKey,
    Delta,
    Effect,
    Hold,
    Kind,
    OpenHold,
    Posting,
    Receipt,
    Refusal,
    Spill,
)
from langchain_budget.core.rules import FRESH
from langchain_budget.stores import _journal as journal
from langchain_budget.stores._journal import Chain, Flat, Line, Moved

RETAINED: Final = 100_000
"""How many closed holds and other postings are kept, at least, for repeated ids."""

_Kept = TypeVar("_Kept")


class Counter:
    """A balance that changes; it never leaves the store."""

    __slots__ = ("granted", "held", "key", "lent", "spent")

    def __init__(self, key: CounterKey, granted: int | None) -> None:
        self.key = key
        self.granted = granted
        self.held = 0
        self.spent = 0
        self.lent = 0

    @property
    def available(self) -> int | None:
        """What may still be held; `None` is unlimited."""
        if self.granted is None:
            return None
        return self.granted - self.held - self.spent - self.lent

    def use(self, granted: int, spent: int, lent: int, changes: list[Change]) -> None:
        """Change what edges hang on; note a limit's use before and after."""
        before, used = self.granted, self.spent + self.lent
        self.spent += spent
        self.lent += lent
        if granted:
            self.granted = (before or 0) + granted
        if self.granted is not None:
            was = LARGEST if before is None else before
            now = used + spent + lent
            changes.append((self.key, was, used, self.granted, now))

    def balance(self) -> Balance:
        """What this counter says now."""
        return Balance(self.granted, self.held, self.spent, self.lent)


class Counters(dict[CounterKey, Counter]):
    """Each counter, made from its account's ceiling when it is first touched."""

    def __init__(self, rows: dict[str, Row]) -> None:
        super().__init__()
        self._rows = rows
        self._units: dict[str, list[str]] = {}

    def __missing__(self, key: CounterKey) -> Counter:
        row = self._rows.get(key.account)
        counter = self[key] = Counter(key, row.ceiling(key.unit) if row else None)
        self._units.setdefault(key.account, []).append(key.unit)
        return counter

    def of(self, account: str) -> list[Counter]:
        """Every counter of an account, those of untouched limits included."""
        row = self._rows.get(account)
        limited = [unit for unit, _ in row.ceilings] if row else []
        units = dict.fromkeys([*limited, *self._units.get(account, ())])
        return [self[CounterKey(account, unit)] for unit in units]


class Recent(Generic[_Kept]):
    """
    The newest of many things by id: at least so many, at most twice that.

    Half are dropped at a time. Dropping the oldest one from the front of a dict
    looks past all those that were dropped before it.
    """

    def __init__(self, retained: int) -> None:
        self._retained = retained
        self._new: dict[str, _Kept] = {}
        self._old: dict[str, _Kept] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._new or key in self._old

    def __getitem__(self, key: str) -> _Kept:
        return self._new[key] if key in self._new else self._old[key]

    def __setitem__(self, key: str, value: _Kept) -> None:
        self._new[key] = value
        if len(self._new) >= self._retained:
            self._old, self._new = self._new, {}


class Tables:
    """Accounts, counters, holds and journal; the store's lock is around them."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.mortal: dict[str, Row] = {}
        self.counters = Counters(self.rows)
        self.open: dict[str, Line] = {}
        self.lines: list[Line] = []
        self.chains: list[Chain] = []
        """By number; `_members` has the counters of each."""
        self._members: list[tuple[Counter, ...]] = []
        self._numbers: dict[Chain, int] = {}
        self._closed: Recent[Line] = Recent(RETAINED)
        self._posted: Recent[tuple[Posting, Receipt]] = Recent(RETAINED)
        self._soonest = float("inf")

    def post(self, posting: Posting, now: float) -> Receipt | Refusal:
        """Judge, then apply; a posting that comes again is answered again."""
        asked = posting.hold
        if type(asked) is OpenHold:
            return self._open(posting, asked, now)
        if type(asked) is CloseHold:
            return self._close(posting, asked, now)
        return self._other(posting, now)

    def find(self, hold_id: str) -> Hold | None:
        """The hold as it is now, `None` when it is not kept."""
        opened = self.open.get(hold_id)
        if opened is not None:
            return journal.hold_of(self.chains, opened)
        if hold_id not in self._closed:
            return None
        closed = self._closed[hold_id]
        return journal.hold_of(self.chains, journal.opened_by(closed), closed)

    def overdue(self, now: float) -> tuple[Hold, ...]:
        """Open holds past their time to live; costs nothing before the first is."""
        if now < self._soonest:
            return ()
        opened = self.open.values()
        deadlines = map(journal.expires_at, opened)
        self._soonest = min(deadlines, default=float("inf"))
        return tuple(
            journal.hold_of(self.chains, each)
            for each in opened
            if journal.expires_at(each) <= now
        )

    def _open(
        self, posting: Posting, asked: OpenHold, now: float
    ) -> Receipt | Refusal:
        if asked.id in self.open or asked.id in self._closed:
            found = self.find(asked.id)
            same = found is not None and found.deltas == posting.deltas
            return Receipt(0, (), found) if same else _conflict(posting)
        refusal = judge(posting, self.rows, self.counters.__getitem__)
        if refusal is not None:
            return refusal
        changes: list[Change] = []
        moved = self._move(posting, changes)
        line = journal.opening(posting, now, moved)
        self.open[asked.id] = line
        self._soonest = min(self._soonest, journal.expires_at(line))
        return self._write(line, changes)

    def _close(
        self, posting: Posting, asked: CloseHold, now: float
    ) -> Receipt | Refusal:
        opened = self.open.get(asked.id)
        if opened is None or asked.before is not FRESH:
            wrong = self._wrong_hold(asked, posting)
            if wrong is not None:
                return wrong
        refusal = judge(posting, self.rows, self.counters.__getitem__)
        if refusal is not None:
            return refusal
        releases = opened is not None
        if opened is not None:
            self._release(opened)
        else:
            opened = journal.opened_by(self._closed[asked.id])
        changes: list[Change] = []
        moved = self._move(posting, changes)
        line = journal.closing(posting, now, moved, opened, releases=releases)
        self._closed[asked.id] = line
        return self._write(line, changes)

    def _wrong_hold(self, asked: CloseHold, posting: Posting) -> Refusal | None:
        hold = self.find(asked.id)
        if hold is None:
            return Refusal(Kind.UNKNOWN, posting.account, detail=asked.id)
        if (hold.status, hold.basis) not in asked.before:
            return Refusal(Kind.NOT_OPEN, posting.account, hold=hold)
        return None

    def _other(self, posting: Posting, now: float) -> Receipt | Refusal:
        """Post what has no hold."""
        if posting.id in self._posted:
            known, receipt = self._posted[posting.id]
            return receipt if _same(known, posting) else _conflict(posting)
        refusal = judge(posting, self.rows, self.counters.__getitem__)
        if refusal is not None:
            return refusal
        changes: list[Change] = []
        line = journal.other(posting, now, self._move(posting, changes))
        receipt = self._write(line, changes)
        self._posted[posting.id] = posting, receipt
        return receipt

    def _write(self, line: Line, changes: list[Change]) -> Receipt:
        self.lines.append(line)
        return Receipt(len(self.lines), tuple(changes))

    def _put(self, row: Row) -> None:
        self.rows[row.path] = row
        if row.expires_at is not None and not row.closed:
            self.mortal[row.path] = row
        else:
            self.mortal.pop(row.path, None)

    def _release(self, opened: Line) -> None:
        """Give back what a hold has set aside."""
        for at in range(journal.DELTAS, len(opened), journal.WIDTH):
            number, _, held = opened[at : at + 3]
            for counter in self._members[number]:
                counter.held -= held
        del self.open[opened[7]]

    def _move(self, posting: Posting, changes: list[Change]) -> Moved:
        """Change counters and accounts; note each limit's use before and after."""
        flat: Flat = ()
        spilled: list[Effect] = []
        for keys, granted, held, spent, lent, guarded, spills in posting.deltas:
            number = self._number((keys, spills))
            for counter in self._members[number]:
                counter.held += held
                if spent or lent or granted:
                    counter.use(granted, spent, lent, changes)
            flat += (number, granted, held, spent, lent, guarded)
            for spill in spills:
                spilled += self._spill(spill, changes)
        for row in posting.rows:
            self._put(row)
        return flat, tuple(spilled)

    def _number(self, chain: Chain) -> int:
        """What stands for a chain in the journal."""
        number = self._numbers.get(chain)
        if number is None:
            number = self._numbers[chain] = len(self.chains)
            self.chains.append(chain)
            self._members.append(tuple(self.counters[key] for key in chain[0]))
        return number

    def _spill(self, spill: Spill, changes: list[Change]) -> list[Effect]:
        """What a slice has overrun is granted to it and lent by its payers."""
        over = -(self.counters[spill.slice].available or 0)
        if over <= 0:
            return []
        effects = [Effect(spill.slice, granted=over)]
        effects += [Effect(payer, lent=over) for payer in spill.payers]
        for key, granted, _, spent, lent in effects:
            self.counters[key].use(granted, spent, lent, changes)
        return effects


def _same(known: Posting, again: Posting) -> bool:
    """Whether the same thing is asked; versions may have moved on since."""
    return (known.kind, known.account, known.deltas, known.note) == (
        again.kind,
        again.account,
        again.deltas,
        again.note,
    )


def _conflict(posting: Posting) -> Refusal:
    return Refusal(Kind.CONFLICT, posting.account, detail=posting.id)
