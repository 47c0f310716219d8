"""The state of the store in memory, and how a posting changes it."""

from __future__ import annotations

from collections import deque
from typing import Any, Final, TypeVar

from langchain_budget.core.accounts import Row
from langchain_budget.core.judge import judge, refuse_deltas, refuse_time
from langchain_budget.core.postings import (
    Change,
    CloseHold,
    CounterKey,
    Effect,
    Hold,
    KeepHold,
    Kind,
    OpenHold,
    Posting,
    Receipt,
    Refusal,
    Spill,
    Status,
    new,
)
from langchain_budget.core.rules import FRESH
from langchain_budget.stores import _journal as journal
from langchain_budget.stores._counters import Counter, Counters, change
from langchain_budget.stores._journal import Chain, Flat, Line, Moved
from langchain_budget.stores._wire import close_refused

RETAINED: Final = 100_000
"""How many closed holds and other postings are kept to answer a repeated id."""

_Kept = TypeVar("_Kept")


class Recent(dict[str, _Kept]):
    """The newest of many things by id."""

    def __init__(self) -> None:
        super().__init__()
        self._order: deque[str] = deque()

    def keep(self, key: str, value: _Kept) -> None:
        """Keep one more, or another for the same id; drop the oldest of too many."""
        # A dict finds its first key by walking past all that were dropped before it,
        # so the order is kept apart.
        if key not in self:
            self._order.append(key)
        self[key] = value
        if len(self) > RETAINED:
            del self[self._order.popleft()]


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
        self._counter = self.counters.__getitem__
        self._members: list[tuple[Counter, ...]] = []
        self._numbers: dict[Chain, int] = {}
        self._closed: Recent[Line] = Recent()
        self._posted: Recent[tuple[Posting, Receipt]] = Recent()
        self._passed: set[tuple[tuple[str, int], ...]] = set()
        """What was asked of accounts, and held, since one of them last changed."""
        self._soonest = float("inf")

    def post(self, posting: Posting, now: float) -> Receipt | Refusal:
        """Judge, then apply; a posting that comes again is answered again."""
        asked = posting.hold
        if type(asked) is OpenHold:
            return self._open(posting, asked, now)
        if type(asked) is CloseHold:
            return self._close(posting, asked, now)
        if type(asked) is KeepHold:
            return self._keep(posting, asked, now)
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

    def _open(self, posting: Posting, asked: OpenHold, now: float) -> Receipt | Refusal:
        hold_id = asked.id
        if hold_id in self.open or hold_id in self._closed:
            return self._reopen(posting, hold_id)
        refusal = self._refuse(posting, now)
        if refusal is not None:
            return refusal
        changes: list[Change] = []
        line = journal.opening(posting, now, self._move(posting, changes))
        self.open[hold_id] = line
        deadline = journal.expires_at(line)
        if deadline < self._soonest:  # noqa: PLR1730  # `min` takes four times as long
            self._soonest = deadline
        return self._write(line, changes)

    def _reopen(self, posting: Posting, hold_id: str) -> Receipt | Refusal:
        found = self.find(hold_id)
        same = found is not None and (_asks(posting, found) or _never_opened(found))
        return Receipt(0, (), found) if same else _conflict(posting)

    def _refuse(self, posting: Posting, now: float) -> Refusal | None:
        """What the core says; accounts that passed do so again until one changes."""
        _, _, _, deltas, admit, _, _, seen, unpriced, _, _, during = posting
        if admit in self._passed and not (seen or unpriced or during):
            return refuse_deltas(deltas, self._counter)
        refusal = refuse_time(posting, now)
        refusal = refusal or judge(posting, self.rows, self._counter)
        if refusal is None:
            self._passed.add(admit)
        return refusal

    def _close(
        self, posting: Posting, asked: CloseHold, now: float
    ) -> Receipt | Refusal:
        hold_id = asked.id
        opened = self.open.get(hold_id)
        if opened is None or asked.before is not FRESH:
            wrong = close_refused(posting, asked, self.find(hold_id))
            if wrong is not None:
                return wrong
        refusal = self._refuse(posting, now)
        if refusal is not None:
            return refusal
        releases = opened is not None
        if opened is None:
            opened = self._opened_before(posting, hold_id, now)
        else:
            self._release(opened)
        changes: list[Change] = []
        moved = self._move(posting, changes)
        line = journal.closing(posting, now, moved, opened, releases=releases)
        self._closed.keep(hold_id, line)
        return self._write(line, changes)

    def _opened_before(self, posting: Posting, hold_id: str, now: float) -> Line:
        if hold_id in self._closed:
            return journal.opened_by(self._closed[hold_id])
        return journal.never_opened(posting, now)

    def _keep(self, posting: Posting, asked: KeepHold, now: float) -> Receipt | Refusal:
        """Move the deadline of an open hold; nothing else changes."""
        wrong = close_refused(posting, asked, self.find(asked.id))
        if wrong is not None:
            return wrong
        deadline = now + asked.ttl_seconds
        self.open[asked.id] = journal.kept(self.open[asked.id], deadline)
        self._soonest = min(self._soonest, deadline)
        return Receipt(0)

    def _other(self, posting: Posting, now: float) -> Receipt | Refusal:
        """Post what has no hold."""
        if posting.id in self._posted:
            known, receipt = self._posted[posting.id]
            return receipt if _same(known, posting) else _conflict(posting)
        refusal = self._refuse(posting, now)
        if refusal is not None:
            return refusal
        changes: list[Change] = []
        rows = tuple(dated(row, posting, now) for row in posting.rows)
        # Counters are made with the ceilings of before: the deltas say what changes.
        line = journal.other(posting, now, self._move(posting, changes), rows)
        for row in rows:
            self._put(row)
        receipt = self._write(line, changes)
        self._posted.keep(posting.id, (posting, receipt))
        return receipt

    def _write(self, line: Line, changes: list[Change]) -> Receipt:
        self.lines.append(line)
        return new(Receipt, (len(self.lines), tuple(changes), None))

    def _put(self, row: Row) -> None:
        self.rows[row.path] = row
        self._passed.clear()
        for unit in row.lifelong:
            self.counters.touch(CounterKey(row.path, unit))
        if row.expires_at is not None and not row.closed:
            self.mortal[row.path] = row
        else:
            self.mortal.pop(row.path, None)

    def _release(self, opened: Line) -> None:
        """Give back what a hold has set aside."""
        for at in range(journal.DELTAS, len(opened), journal.WIDTH):
            held = opened[at + 2]
            for counter in self._members[opened[at]]:
                counter.held -= held
        del self.open[opened[7]]

    def _move(self, posting: Posting, changes: list[Change]) -> Moved:
        """Change the counters, and note each limit's use before and after."""
        flat: Flat = ()
        spilled: list[Effect] = []
        for delta in posting.deltas:
            keys, granted, held, spent, lent, guarded, spills = delta
            number = self._numbers.get((keys, spills))
            if number is None:
                number = self._number((keys, spills))
            if spent or granted or lent:
                change(self._members[number], delta, changes)
            else:
                for counter in self._members[number]:
                    counter.held += held
            flat += (number, granted, held, spent, lent, guarded)
            for spill in spills:
                spilled += self._spill(spill, changes)
        return flat, tuple(spilled)

    def _number(self, chain: Chain) -> int:
        """What stands for a chain in the journal."""
        number = self._numbers[chain] = len(self.chains)
        self.chains.append(chain)
        self._members.append(tuple(map(self.counters.touch, chain[0])))
        return number

    def _spill(self, spill: Spill, changes: list[Change]) -> list[Effect]:
        """What a slice has overrun is granted to it and lent by its payers."""
        over = -(self.counters[spill.slice].available or 0)
        if over <= 0:
            return []
        effects = [Effect(spill.slice, granted=over)]
        effects += [Effect(payer, lent=over) for payer in spill.payers]
        for effect in effects:
            change((self.counters.touch(effect.key),), effect, changes)
        return effects


def dated(row: Row, posting: Posting, now: float) -> Row:
    """The account as it is kept: how long it lives is reckoned by the store's clock."""
    if posting.ttl_seconds is None:
        return row
    return row._replace(expires_at=now + posting.ttl_seconds)


def _asks(posting: Posting, hold: Hold) -> bool:
    """Whether the posting asks for that very hold."""
    asked: Any = posting.hold
    _, _, started, amounts, worst, labels = asked
    fields = (posting.account, amounts, worst, posting.deltas, started, labels)
    return fields == (*hold[1:6], hold.labels)


def _never_opened(hold: Hold) -> bool:
    """Whether the hold was given up before the store had seen it."""
    return hold.status is Status.RELEASED and not (hold.deltas or hold.amounts)


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
