"""The books of one process, behind one lock: nothing here waits for the world."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Final, TypeVar

from langchain_budget.core.accounts import SEPARATOR, Row
from langchain_budget.core.amounts import LARGEST
from langchain_budget.core.judge import judge
from langchain_budget.core.postings import (
    NOTHING,
    Balance,
    Basis,
    Change,
    CloseHold,
    CounterKey,
    Delta,
    Effect,
    Entry,
    Hold,
    Kind,
    Note,
    OpenHold,
    Posting,
    Receipt,
    Refusal,
    Spill,
    Status,
)
from langchain_budget.core.rules import FRESH
from langchain_budget.stores.base import Store

RETAINED: Final = 100_000
"""How many closed holds and other postings are kept to answer a repeated id."""

Clock = Callable[[], float]
_Kept = TypeVar("_Kept")
_Opened = tuple[OpenHold, Posting, float]
_Written = tuple[Posting, float, tuple[Delta, ...], tuple[Effect, ...]]


class Counter:
    """A balance that changes; it never leaves the store."""

    __slots__ = ("granted", "held", "lent", "spent")

    def __init__(self, granted: int | None) -> None:
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

    def balance(self) -> Balance:
        """What this counter says now."""
        return Balance(self.granted, self.held, self.spent, self.lent)


class MemoryStore(Store):
    """
    Accounts, counters, holds and journal in this process's memory.

    Args:
        clock: Seconds since 1970. Tests pass a clock that stands still.
    """

    blocking: ClassVar[bool] = False

    def __init__(self, clock: Clock = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._books = _Books()

    def post(self, posting: Posting) -> Receipt | Refusal:
        """Apply *posting*, or say why not and change nothing."""
        with self._lock:
            return self._books.post(posting, self._clock())

    def rows(self, paths: Iterable[str]) -> Mapping[str, Row]:
        """The accounts at *paths*; those that do not exist are left out."""
        rows = self._books.rows
        with self._lock:
            return {path: rows[path] for path in paths if path in rows}

    def below(self, path: str) -> tuple[Row, ...]:
        """The account at *path* and all under it, parents first."""
        inside = path + SEPARATOR
        with self._lock:
            rows = self._books.rows.values()
            found = [row for row in rows if (row.path + SEPARATOR).startswith(inside)]
        return tuple(sorted(found, key=lambda row: row.path.split(SEPARATOR)))

    def balances(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        """Every counter of these accounts."""
        with self._lock:
            return self._books.balances(accounts)

    def hold(self, hold_id: str) -> Hold | None:
        """One hold, `None` when it never was or is no longer kept."""
        with self._lock:
            return self._books.find(hold_id)

    def open_holds(self) -> tuple[Hold, ...]:
        """The holds that are open, overdue ones included."""
        with self._lock:
            return tuple(_hold(each) for each in self._books.open.values())

    def overdue(self) -> tuple[Hold, ...]:
        """The open holds past their time to live."""
        now = self._clock()
        with self._lock:
            return self._books.overdue(now)

    def journal(self, after: int = 0) -> tuple[Entry, ...]:
        """The entries whose sequence number is above *after*, in order."""
        with self._lock:
            written = self._books.journal[after:]
        return tuple(_entry(seq, each) for seq, each in enumerate(written, after + 1))

    def lapsed(self) -> tuple[Row, ...]:
        """The accounts that are open past their own time to live."""
        now = self._clock()
        with self._lock:
            return tuple(
                row
                for row in self._books.mortal.values()
                if row.expires_at is not None and row.expires_at <= now
            )

    def now(self) -> float:
        """Seconds since 1970 by the store's own clock."""
        return self._clock()

    async def apost(self, posting: Posting) -> Receipt | Refusal:
        """Awaitable twin of `post`."""
        return self.post(posting)

    async def arows(self, paths: Iterable[str]) -> Mapping[str, Row]:
        """Awaitable twin of `rows`."""
        return self.rows(paths)

    async def abelow(self, path: str) -> tuple[Row, ...]:
        """Awaitable twin of `below`."""
        return self.below(path)

    async def abalances(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        """Awaitable twin of `balances`."""
        return self.balances(accounts)

    async def ahold(self, hold_id: str) -> Hold | None:
        """Awaitable twin of `hold`."""
        return self.hold(hold_id)

    async def aopen_holds(self) -> tuple[Hold, ...]:
        """Awaitable twin of `open_holds`."""
        return self.open_holds()

    async def aoverdue(self) -> tuple[Hold, ...]:
        """Awaitable twin of `overdue`."""
        return self.overdue()

    async def ajournal(self, after: int = 0) -> tuple[Entry, ...]:
        """Awaitable twin of `journal`."""
        return self.journal(after)

    async def alapsed(self) -> tuple[Row, ...]:
        """Awaitable twin of `lapsed`."""
        return self.lapsed()

    async def anow(self) -> float:
        """Awaitable twin of `now`."""
        return self.now()


class _Books:
    """The state and how a posting changes it; the store's lock is around it."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.mortal: dict[str, Row] = {}
        self.counters: dict[CounterKey, Counter] = {}
        self.units: dict[str, dict[str, None]] = {}
        self.open: dict[str, _Opened] = {}
        self.closed: dict[str, tuple[_Opened, CloseHold]] = {}
        self.posted: dict[str, tuple[Posting, Receipt]] = {}
        self.journal: list[_Written] = []
        self.soonest = float("inf")

    def post(self, posting: Posting, now: float) -> Receipt | Refusal:
        """Judge, then apply; a posting that comes again is answered again."""
        answer = self._known(posting)
        if answer is None and (posting.admit or posting.seen or posting.deltas):
            answer = judge(posting, self.rows, self.counter)
        return self._apply(posting, now) if answer is None else answer

    def counter(self, key: CounterKey) -> Counter:
        """The counter, made from its account's ceiling when it is first touched."""
        counter = self.counters.get(key)
        if counter is None:
            row = self.rows.get(key.account)
            counter = Counter(row.ceiling(key.unit) if row else None)
            self.counters[key] = counter
            self.units.setdefault(key.account, {})[key.unit] = None
        return counter

    def balances(self, accounts: Iterable[str]) -> dict[CounterKey, Balance]:
        """Every counter of these accounts, those of untouched limits included."""
        found: dict[CounterKey, Balance] = {}
        for account in accounts:
            row = self.rows.get(account)
            limited = [unit for unit, _ in row.ceilings] if row else []
            for unit in dict.fromkeys([*limited, *self.units.get(account, ())]):
                key = CounterKey(account, unit)
                found[key] = self.counter(key).balance()
        return found

    def find(self, hold_id: str) -> Hold | None:
        """The hold as it is now, `None` when it is not kept."""
        opened = self.open.get(hold_id)
        if opened is not None:
            return _hold(opened)
        closed = self.closed.get(hold_id)
        return None if closed is None else _hold(*closed)

    def overdue(self, now: float) -> tuple[Hold, ...]:
        """Open holds past their time to live; costs nothing before the first is."""
        if now < self.soonest:
            return ()
        opened = self.open.values()
        self.soonest = min((_deadline(each) for each in opened), default=float("inf"))
        return tuple(_hold(each) for each in opened if _deadline(each) <= now)

    def _known(self, posting: Posting) -> Receipt | Refusal | None:
        """The answer to an id that came before, or to a hold in the wrong state."""
        asked = posting.hold
        if asked is None:
            return self._replayed(posting)
        if type(asked) is OpenHold:
            if asked.id not in self.open and asked.id not in self.closed:
                return None
            found = self.find(asked.id)
            same = found is not None and found.deltas == posting.deltas
            return Receipt(0, (), found) if same else _conflict(posting)
        return self._wrong_hold(asked, posting.account)

    def _replayed(self, posting: Posting) -> Receipt | Refusal | None:
        known = self.posted.get(posting.id)
        if known is None:
            return None
        return known[1] if _same(known[0], posting) else _conflict(posting)

    def _wrong_hold(self, asked: CloseHold, account: str) -> Refusal | None:
        if asked.id in self.open and asked.before is FRESH:
            return None
        hold = self.find(asked.id)
        if hold is None:
            return Refusal(Kind.UNKNOWN, account, detail=asked.id)
        if (hold.status, hold.basis) not in asked.before:
            return Refusal(Kind.NOT_OPEN, account, hold=hold)
        return None

    def _apply(self, posting: Posting, now: float) -> Receipt:
        asked = posting.hold
        released: tuple[Delta, ...] = ()
        if type(asked) is OpenHold:
            opened = self.open[asked.id] = (asked, posting, now)
            self.soonest = min(self.soonest, _deadline(opened))
        elif asked is not None:
            released = self._close(asked)
        changes, spilled = self._move(posting.deltas)
        for row in posting.rows:
            self._put(row)
        self.journal.append((posting, now, released, spilled))
        receipt = Receipt(len(self.journal), changes)
        if asked is None:
            _keep(self.posted, posting.id, (posting, receipt))
        return receipt

    def _put(self, row: Row) -> None:
        self.rows[row.path] = row
        if row.expires_at is not None and not row.closed:
            self.mortal[row.path] = row
        else:
            self.mortal.pop(row.path, None)

    def _close(self, asked: CloseHold) -> tuple[Delta, ...]:
        """Close a hold; an open one gives back what it held."""
        opened = self.open.pop(asked.id, None)
        if opened is None:
            _keep(self.closed, asked.id, (self.closed[asked.id][0], asked))
            return ()
        released = opened[1].deltas
        for delta in released:
            for key in delta.counters:
                self.counters[key].held -= delta.held
        _keep(self.closed, asked.id, (opened, asked))
        return released

    def _move(
        self, deltas: tuple[Delta, ...]
    ) -> tuple[tuple[Change, ...], tuple[Effect, ...]]:
        changes: list[Change] = []
        spilled: list[Effect] = []
        for keys, granted, held, spent, lent, _, spills in deltas:
            for key in keys:
                counter = self.counters.get(key) or self.counter(key)
                counter.held += held
                if spent or lent or granted:
                    self._grant(key, counter, (granted, spent, lent), changes)
            for spill in spills:
                self._spill(spill, changes, spilled)
        return tuple(changes), tuple(spilled)

    def _grant(
        self,
        key: CounterKey,
        counter: Counter,
        more: tuple[int, int, int],
        changes: list[Change],
    ) -> None:
        """Change what edges hang on; note a limit's use before and after."""
        before, used = counter.granted, counter.spent + counter.lent
        granted, spent, lent = more
        counter.spent += spent
        counter.lent += lent
        if granted:
            counter.granted = (before or 0) + granted
        if counter.granted is not None:
            unlimited = LARGEST if before is None else before
            after = used + spent + lent
            changes.append((key, unlimited, used, counter.granted, after))

    def _spill(
        self, spill: Spill, changes: list[Change], spilled: list[Effect]
    ) -> None:
        """What a slice has overrun is granted to it and lent by its payers."""
        over = -(self.counter(spill.slice).available or 0)
        if over <= 0:
            return
        effects = [Effect(spill.slice, granted=over)]
        effects += [Effect(payer, lent=over) for payer in spill.payers]
        for effect in effects:
            more = (effect.granted, effect.spent, effect.lent)
            self._grant(effect.key, self.counter(effect.key), more, changes)
        spilled += effects


def _deadline(opened: _Opened) -> float:
    return opened[2] + opened[0].ttl_seconds


def _hold(opened: _Opened, close: CloseHold | None = None) -> Hold:
    """A hold as the world may see it."""
    asked, posting, at = opened
    return Hold(
        asked.id,
        posting.account,
        asked.amounts,
        asked.worst,
        posting.deltas,
        asked.started,
        at,
        at + asked.ttl_seconds,
        Status.OPEN if close is None else close.status,
        Basis.NONE if close is None else close.basis,
        NOTHING if close is None else close.charged,
        asked.labels,
    )


def _entry(seq: int, written: _Written) -> Entry:
    """A line of the journal as the world may see it."""
    posting, at, released, spilled = written
    asked = posting.hold
    note = posting.note
    if type(asked) is OpenHold:
        note = Note(asked.amounts, labels=asked.labels)
    return Entry(
        seq,
        at,
        posting.kind,
        posting.id,
        posting.account,
        asked.id if asked else "",
        note,
        posting.deltas,
        released,
        spilled,
        posting.rows,
    )


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


def _keep(kept: dict[str, _Kept], key: str, value: _Kept) -> None:
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > RETAINED:
        del kept[next(iter(kept))]
