"""What a worker has charged to books of its own, summed up as it goes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from langchain_budget.core.charges import MARKS, charges
from langchain_budget.core.postings import Basis, Entry, Note, Part
from langchain_budget.reports.statement import (
    Line,
    LineKey,
    Statement,
    gather,
    is_inside,
    is_unpriced,
    key_of,
)


class _Kind(NamedTuple):
    """Charges that may be summed up without losing what reports tell of them."""

    line: LineKey
    basis: Basis
    unpriced: bool
    marks: tuple[str, ...]


class _Sums:
    """Charges of one kind."""

    __slots__ = ("amounts", "avoided", "times", "unconfirmed")

    def __init__(self) -> None:
        self.amounts: dict[str, int] = {}
        self.unconfirmed: dict[str, int] = {}
        self.avoided = 0
        self.times = 0

    def add(self, part: Part) -> None:
        gather(self.amounts, part.amounts)
        if part.unconfirmed:
            gather(self.unconfirmed, part.unconfirmed)
        self.times += part.times
        self.avoided += int(part.labels.get("avoided_usd") or 0)

    def part(self, kind: _Kind) -> Part:
        account, *names = kind.line
        words = zip(("agent", "node", "model"), names, strict=True)
        labels = {word: name for word, name in words if name}
        labels |= dict.fromkeys(kind.marks, str(self.avoided))
        return Part(
            account, self.amounts, kind.basis, labels, self.unconfirmed, self.times
        )


class Tally(Statement):
    """A statement that is told of charges, and what of them was not yet reported."""

    def __init__(self) -> None:
        super().__init__()
        self._fresh: dict[_Kind, _Sums] = {}
        self._again: tuple[Part, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._fresh or self._again)

    def fold(self, entries: Iterable[Entry]) -> None:
        """Nothing: it has heard of each charge when it was made."""

    def charge(self, kind: str, account: str, note: Note) -> None:
        """Something was charged."""
        for part in charges(kind, account, note):
            line = key_of(kind, part.account, part.labels)
            marks = tuple(mark for mark in MARKS if mark in part.labels)
            of = _Kind(line, part.basis, is_unpriced(part), marks)
            with self._lock:
                sums = self._fresh.get(of)
                if sums is None:
                    sums = self._fresh[of] = _Sums()
                sums.add(part)

    def take(self) -> tuple[Part, ...]:
        """All that is to be reported; it counts as reported unless it is put back."""
        with self._lock:
            fresh = self._parts()
            for line, part in fresh:
                self._add(line, part)
            taken = (*self._again, *(part for _, part in fresh))
            self._again, self._fresh = (), {}
        return taken

    def put_back(self, parts: tuple[Part, ...]) -> None:
        """These were not reported after all."""
        with self._lock:
            self._again = (*self._again, *parts)

    def within(self, path: str) -> dict[LineKey, Line]:
        """The lines of an account and of all below it, reported or not."""
        lines = super().within(path)
        with self._lock:
            for key, part in self._parts():
                if is_inside(key.account, path):
                    lines.setdefault(key, Line()).add(part)
        return lines

    def _parts(self) -> list[tuple[LineKey, Part]]:
        return [(kind.line, sums.part(kind)) for kind, sums in self._fresh.items()]
