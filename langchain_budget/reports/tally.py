"""What a worker has charged to books of its own, summed up as it goes."""

from __future__ import annotations

from collections.abc import Iterable

from langchain_budget.core.charges import FAILED, MARKS, charges
from langchain_budget.core.postings import Entry, Note, Part
from langchain_budget.reports.statement import (
    Line,
    LineKey,
    Statement,
    gather,
    is_inside,
    is_unpriced,
    key_of,
)


class _Sums:
    """Charges that may be summed up without losing what reports tell of them."""

    __slots__ = ("amounts", "avoided", "line", "part", "times", "unconfirmed")

    def __init__(self, line: LineKey, part: Part) -> None:
        self.line = line
        self.part = part
        """One of them."""
        self.amounts: dict[str, int] = {}
        self.unconfirmed: dict[str, int] = {}
        self.avoided = 0
        self.times = 0

    def add(self, part: Part) -> None:
        gather(self.amounts, part.amounts)
        if part.unconfirmed:
            gather(self.unconfirmed, part.unconfirmed)
        self.times += part.times
        if "avoided_usd" in part.labels:
            self.avoided += int(part.labels["avoided_usd"] or 0)

    def sum(self) -> Part:
        """All of them as one."""
        account, agent, node, model = self.line
        labels = {"agent": agent, "node": node, "model": model}
        marks = {"avoided_usd": str(self.avoided), "outage": "yes", FAILED: "yes"}
        labels |= {mark: marks[mark] for mark in MARKS if mark in self.part.labels}
        known = {name: each for name, each in labels.items() if each}
        basis, amounts = self.part.basis, self.amounts
        return Part(account, amounts, basis, known, self.unconfirmed, self.times)


class Tally(Statement):
    """A statement that is told of charges, and what of them was not yet reported."""

    def __init__(self) -> None:
        super().__init__()
        self._fresh: dict[tuple[object, ...], _Sums] = {}
        self._again: tuple[Part, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._fresh or self._again)

    def fold(self, entries: Iterable[Entry]) -> None:
        """Nothing: it has heard of each charge when it was made."""

    def charge(self, kind: str, account: str, note: Note) -> None:
        """Something was charged."""
        for part in charges(kind, account, note):
            name = part.labels.get
            alike = (
                *(kind == "adjust", part.account, part.basis, is_unpriced(part)),
                *(name("agent"), name("node"), name("model")),
                *(mark in part.labels for mark in MARKS),
            )
            with self._lock:
                sums = self._fresh.get(alike)
                if sums is None:
                    line = key_of(kind, part.account, part.labels)
                    sums = self._fresh[alike] = _Sums(line, part)
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
        return [(each.line, each.sum()) for each in self._fresh.values()]
