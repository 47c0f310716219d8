"""
Books beside the books, at their plainest.

They hear every posting that reaches the store, how often and how late it may be,
and what the store says to it. From that they know what each hold and each counter
should say, and object to an answer that is wrong. Only what is granted and lent is
taken from the journal; what is held and spent they reckon themselves, up the tree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from langchain_budget.core.accounts import Row, lineage, parent_of
from langchain_budget.core.postings import (
    CloseHold,
    Entry,
    KeepHold,
    Kind,
    OpenHold,
    Posting,
    Receipt,
    Refusal,
)

Key = tuple[str, str]
"""An account and a unit."""

REPLACEABLE = {("settled", "estimated"), ("expired", "estimated"), ("expired", "")}


@dataclass(slots=True)
class Held:
    """A hold as it should be."""

    account: str
    amounts: Mapping[str, int] = field(default_factory=dict)
    started: bool = False
    until: float = 0.0
    status: str = "open"
    basis: str = ""
    charged: Mapping[str, int] = field(default_factory=dict)

    @property
    def state(self) -> tuple[str, str]:
        return self.status, self.basis


class Naive:
    """What the books should say."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.granted: dict[Key, int] = {}
        self.lent: Counter[Key] = Counter()
        self.held: Counter[Key] = Counter()
        self.spent: Counter[Key] = Counter()
        self.holds: dict[str, Held] = {}
        self.open: dict[str, Held] = {}
        self._walks: dict[Key, tuple[Key, ...]] = {}

    def hear(
        self,
        posting: Posting,
        answer: Receipt | Refusal,
        entries: Iterable[Entry],
        now: float,
    ) -> None:
        """Object to *answer* if it is wrong; go along with it otherwise."""
        if isinstance(answer, Refusal):
            self._doubt(posting, answer)
        for entry in entries:
            self._fold(entry)
            self._check_guards(posting)
        asked = posting.hold
        if isinstance(asked, OpenHold):
            self._hear_opening(posting, asked, answer, now)
        elif isinstance(asked, CloseHold) and not is_stale(answer):
            self._hear_closing(posting, asked, answer)
        elif isinstance(asked, KeepHold) and isinstance(answer, Receipt):
            self.holds[asked.id].until = now + asked.ttl_seconds

    def available(self, key: Key) -> int | None:
        if key not in self.granted:
            return None
        return self.granted[key] - self.held[key] - self.spent[key] - self.lent[key]

    def walk(self, path: str, unit: str) -> tuple[Key, ...]:
        """Whom a charge draws on: the account and those above, up to a slice."""
        if (path, unit) not in self._walks:
            above = parent_of(path)
            stops = above is None or unit in self.rows[path].slices
            rest = () if stops or above is None else self.walk(above, unit)
            self._walks[path, unit] = ((path, unit), *rest)
        return self._walks[path, unit]

    def affordable(self, path: str, amounts: Mapping[str, int], now: float) -> bool:
        """Whether a hold should be admitted, once what is overdue is given back."""
        if any(self._shut(each) for each in lineage(path)):
            return False
        overdue = [hold for hold in self.open.values() if hold.until <= now]
        returning = self._held_by(hold for hold in overdue if not hold.started)
        return all(
            self._fits(path, unit, wanted, returning)
            for unit, wanted in amounts.items()
        )

    def total(self, unit: str) -> int:
        """All that was ever charged."""
        return sum(hold.charged.get(unit, 0) for hold in self.holds.values())

    def booked(self, hold_id: str) -> Mapping[str, int]:
        """What is charged for a hold."""
        return self.holds[hold_id].charged

    def _fits(self, path: str, unit: str, wanted: int, returning: Counter[Key]) -> bool:
        above = parent_of(path)
        row = self.rows[path]
        if above and unit in row.slices and row.spec.borrows:
            missing = wanted - self._left((path, unit), returning)
            walk = self.walk(above, unit)
            return missing <= 0 or self._all_have(walk, missing, returning)
        return self._all_have(self.walk(path, unit), wanted, returning)

    def _all_have(
        self, keys: Iterable[Key], wanted: int, returning: Counter[Key]
    ) -> bool:
        return all(
            key not in self.granted or self._left(key, returning) >= wanted
            for key in keys
        )

    def _left(self, key: Key, returning: Counter[Key]) -> int:
        return (self.available(key) or 0) + returning[key]

    def _held_by(self, holds: Iterable[Held]) -> Counter[Key]:
        held: Counter[Key] = Counter()
        for hold in holds:
            for unit, value in hold.amounts.items():
                held.update(dict.fromkeys(self.walk(hold.account, unit), value))
        return held

    def _shut(self, path: str) -> bool:
        row = self.rows[path]
        return row.closed or bool(row.frozen)

    def _hear_opening(
        self, posting: Posting, asked: OpenHold, answer: Receipt | Refusal, now: float
    ) -> None:
        known = self.holds.get(asked.id)
        if known is not None:
            if isinstance(answer, Refusal):
                return  # it was built anew under the same id: a conflict
            assert answer.hold is not None, f"{posting.id} was opened twice"
            assert answer.hold.status == known.status, f"told of {known} {answer.hold}"
            return
        if isinstance(answer, Refusal):
            return
        assert answer.seq, f"{posting.id} is new, but was answered as if it was not"
        shut = [each for each in lineage(posting.account) if self._shut(each)]
        assert not shut, f"{posting.id} was admitted, but {shut} take nothing"
        hold = Held(posting.account, asked.amounts, asked.started)
        hold.until = now + asked.ttl_seconds
        self.holds[asked.id] = self.open[asked.id] = hold
        self.held.update(self._held_by([hold]))
        for unit in asked.amounts:
            self._check_not_overdrawn(self.walk(posting.account, unit), posting)

    def _hear_closing(
        self, posting: Posting, asked: CloseHold, answer: Receipt | Refusal
    ) -> None:
        known = self.holds.get(asked.id)
        if known is None:
            right = Receipt if posting.kind == "release" else Refusal
            assert isinstance(answer, right), f"{posting.id} is unknown: {answer}"
            if posting.kind == "release":
                self.holds[asked.id] = Held(posting.account, status="released")
            return
        replaces = posting.kind == "supersede"
        may = known.state in REPLACEABLE if replaces else known.status == "open"
        right = Receipt if may else Refusal
        assert isinstance(answer, right), f"{posting.id} of {known}: {answer}"
        if may:
            self._close(asked.id, known, posting, asked)

    def _close(
        self, hold_id: str, hold: Held, posting: Posting, asked: CloseHold
    ) -> None:
        if self.open.pop(hold_id, None):
            self.held.subtract(self._held_by([hold]))
        charged: Mapping[str, int] = asked.charged
        if posting.kind == "expire":
            charged = hold.amounts if hold.started else {}
            assert asked.charged == charged, f"{posting.id} of {hold}: {asked}"
        self._spend(hold.account, hold.charged, -1)
        self._spend(hold.account, charged, 1)
        hold.status, hold.basis = str(asked.status), str(asked.basis)
        hold.charged = charged

    def _spend(self, path: str, amounts: Mapping[str, int], sign: int) -> None:
        for unit, value in amounts.items():
            self.spent.update(dict.fromkeys(self.walk(path, unit), sign * value))

    def _fold(self, entry: Entry) -> None:
        for delta in entry.deltas:
            for account, unit, _ in delta.counters:
                self._grant((account, unit), delta.granted, delta.lent)
        for effect in entry.spilled:
            account, unit, _ = effect.key
            self._grant((account, unit), effect.granted, effect.lent)
        for row in entry.rows:
            for unit, ceiling in row.ceilings:
                self.granted.setdefault((row.path, unit), ceiling)
            self.rows[row.path] = row

    def _grant(self, key: Key, granted: int, lent: int) -> None:
        if granted:
            self.granted[key] = self.granted.get(key, 0) + granted
        self.lent[key] += lent

    def _check_guards(self, posting: Posting) -> None:
        for delta in posting.deltas:
            if delta.guarded and delta.held + delta.spent + delta.lent > delta.granted:
                keys = [(account, unit) for account, unit, _ in delta.counters]
                if posting.kind != "reserve" or delta.lent:
                    self._check_not_overdrawn(keys, posting)

    def _check_not_overdrawn(self, keys: Iterable[Key], posting: Posting) -> None:
        short = {key: self.available(key) for key in keys if key in self.granted}
        over = {key: left for key, left in short.items() if (left or 0) < 0}
        assert not over, f"{posting.id} was admitted, and now {over} is left"

    def _doubt(self, posting: Posting, refusal: Refusal) -> None:
        """Object to a refusal without a reason."""
        row = self.rows.get(refusal.account)
        match refusal.kind:
            case Kind.FROZEN:
                reason = row is not None and bool(row.frozen)
            case Kind.CLOSED:
                reason = row is not None and row.closed
            case Kind.STALE:
                asked = {*posting.admit, *posting.seen}
                known = row and (row.path, row.version)
                reason = any(it[0] == refusal.account and it != known for it in asked)
            case Kind.EXHAUSTED | Kind.CONTENDED:
                key = refusal.account, refusal.unit
                left = self.available(key) or 0
                contended = left + self.held[key] >= refusal.wanted
                reason = left < refusal.wanted
                reason &= contended == (refusal.kind is Kind.CONTENDED)
            case Kind.CONFLICT:
                reason = posting.id in self.holds
            case _:
                reason = refusal.kind in (Kind.NOT_OPEN, Kind.UNKNOWN)
        assert reason, f"{posting.kind} {posting.id} was refused for nothing: {refusal}"


def is_stale(answer: Receipt | Refusal) -> bool:
    return isinstance(answer, Refusal) and answer.kind is Kind.STALE
