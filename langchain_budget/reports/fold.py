"""The books, made from nothing but the journal, and what the journal itself breaks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from langchain_budget.core.accounts import Row
from langchain_budget.core.amounts import USD, show
from langchain_budget.core.charges import CHARGES, charges
from langchain_budget.core.postings import (
    Balance,
    Basis,
    CounterKey,
    Delta,
    Effect,
    Entry,
)
from langchain_budget.reports.statement import Statement

ENDS: Final = frozenset({"settle", "expire", "release", "void"})
"""The kinds of entries that close an open hold."""

Sums = dict[CounterKey, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One thing that does not add up.

    Attributes:
        invariant: Which rule is broken: a key of `INVARIANTS`.
        account: Where; empty for what concerns all of the books.
        unit: Of what; empty for a number of times, or of a version.
        expected: What it should be; `None` is unlimited.
        found: What it is.
        words: The same in words.
    """

    invariant: str
    account: str = ""
    unit: str = ""
    expected: int | None = 0
    found: int | None = 0
    words: str = ""

    def __str__(self) -> str:
        return "  ".join(self.cells())

    def cells(self) -> tuple[str, ...]:
        """One row of a table."""
        numbers = show(self.unit, self.expected), show(self.unit, self.found)
        plain = (each.strip() for each in numbers)
        return (self.invariant, self.account, *plain, self.words)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


class Fold:
    """
    Accounts, balances, open holds and charges after the entries that were added.

    What an entry breaks by itself is among the *findings*. Only what is open is kept,
    and the holds whose charge may yet be corrected.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.rows: dict[str, Row] = {}
        self.balances: dict[CounterKey, Balance] = {}
        self.open: dict[str, tuple[Delta, ...]] = {}
        self.findings: list[Finding] = []
        self.statement = Statement()
        self._guessed: set[str] = set()
        self.charged: Sums = {}
        """What each account alone was charged."""
        self.attributed: Sums = {}
        """The same, where leased money counts for the account it was spent on."""

    def add(self, entry: Entry) -> None:
        """Do what *entry* says was done."""
        if entry.seq != self.seq + 1:
            words = f"after entry {self.seq} comes {entry.seq}"
            self._find("I7", entry, (self.seq + 1, entry.seq), words)
        self.seq = entry.seq
        self._admit(entry)
        self._follow(entry)
        for effect in effects(entry):
            seen = self.balance(effect.key)
            self.balances[effect.key] = changed(seen, effect)
        for row in entry.rows:
            self._write(row)
        if entry.kind in CHARGES:
            self._charge(entry)

    def balance(self, key: CounterKey) -> Balance:
        """A counter of a window is granted its account's ceiling when it is touched."""
        found = self.balances.get(key)
        if found is not None:
            return found
        row = self.rows.get(key.account)
        return Balance(row.ceiling(key.limit) if row and key.window else None)

    def may_change(self, hold: str) -> bool:
        """Whether a hold is open, or what it was charged may yet be corrected."""
        return hold in self.open or hold in self._guessed

    def _write(self, row: Row) -> None:
        for unit in row.lifelong:
            key = CounterKey(row.path, unit)
            self.balances.setdefault(key, Balance(row.ceiling(unit)))
        self.rows[row.path] = row

    def _admit(self, entry: Entry) -> None:
        """I1: judge again what was guarded, by the balances of that moment."""
        for delta in entry.deltas:
            wanted = delta.held + delta.spent + delta.lent - delta.granted
            for key in delta.counters if delta.guarded else ():
                left = self.balance(key).available
                if left is not None and left < wanted:
                    words = f"entry {entry.seq} took more than there was"
                    self._find("I1", entry, (left, wanted), words, key)

    def _follow(self, entry: Entry) -> None:
        """I4 and I5: what becomes of a hold."""
        hold, kind = entry.hold, entry.kind
        if kind == "reserve":
            if hold in self.open:
                self._find("I4", entry, (1, 2), f"hold {hold} was opened again")
            self.open[hold] = entry.deltas
        elif kind in ENDS:
            self._end(entry)
        elif kind == "supersede":
            if hold not in self._guessed:
                words = f"hold {hold} was corrected again, or was never a guess"
                self._find("I5", entry, (0, 1), words)
            if entry.note.basis.is_final:
                self._guessed.discard(hold)

    def _end(self, entry: Entry) -> None:
        hold = entry.hold
        held = self.open.pop(hold, None)
        unseen = held is None and entry.kind == "release" and not entry.released
        if held is None and not unseen:
            self._find("I4", entry, (1, 2), f"hold {hold} was closed again")
        elif not unseen and held != entry.released:
            self._find("I4", entry, (1, 0), f"hold {hold} gave back something else")
        may_be = entry.note.basis is Basis.ESTIMATED or entry.kind in ("expire", "void")
        if may_be:
            self._guessed.add(hold)

    def _charge(self, entry: Entry) -> None:
        note = entry.note
        for unit, value in note.amounts.items():
            key = CounterKey(entry.account, unit)
            self.charged[key] = self.charged.get(key, 0) + value
        for part in charges(entry.kind, entry.account, note):
            for unit, value in part.amounts.items():
                key = CounterKey(part.account, unit)
                self.attributed[key] = self.attributed.get(key, 0) + value
        self.statement.fold([entry])
        free = note.amounts.get(USD) == 0 and entry.kind in ("settle", "expire")
        if free and note.basis is Basis.UNKNOWN:
            words = f"entry {entry.seq} has no price, and says that it cost nothing"
            self._find("I10", entry, (None, 0), words, CounterKey(entry.account, USD))

    def _find(
        self,
        invariant: str,
        entry: Entry,
        numbers: tuple[int | None, int | None],
        words: str,
        key: CounterKey | None = None,
    ) -> None:
        account, unit = (key.account, key.unit) if key else (entry.account, "")
        finding = Finding(
            invariant=invariant,
            account=account,
            unit=unit,
            expected=numbers[0],
            found=numbers[1],
            words=words,
        )
        self.findings.append(finding)


def effects(entry: Entry) -> Iterator[Effect]:
    """What an entry did to each counter."""
    for delta in entry.released:
        for key in delta.counters:
            yield Effect(key, held=-delta.held)
    for delta in entry.deltas:
        for key in delta.counters:
            yield Effect(key, *delta[1:5])
    yield from entry.spilled


def changed(seen: Balance, effect: Effect) -> Balance:
    """A balance after an effect; a grant makes a limited one of an unlimited one."""
    _, granted, held, spent, lent = effect
    limit = (seen.granted or 0) + granted if granted else seen.granted
    return Balance(limit, seen.held + held, seen.spent + spent, seen.lent + lent)
