"""Who spent what: a fold of the journal."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from langchain_budget.core.accounts import SEPARATOR
from langchain_budget.core.amounts import CALLS, USD, Vector
from langchain_budget.core.faults import InvalidName
from langchain_budget.core.postings import Basis, Entry, Note

UNATTRIBUTED: Final = "unattributed"
"""What stands in for an agent or node that nobody named."""

CHARGES: Final = frozenset({"settle", "expire", "supersede"})


class LineKey(NamedTuple):
    """What a line of a statement is about."""

    account: str
    agent: str
    node: str
    model: str


@dataclass(slots=True)
class Line:
    """Sums over the calls of one line, in whole numbers by unit."""

    amounts: dict[str, int] = field(default_factory=dict)
    unconfirmed: dict[str, int] = field(default_factory=dict)
    avoided: dict[str, int] = field(default_factory=dict)
    estimated: int = 0
    """Calls whose charge is an estimate."""
    unpriced: int = 0
    """Calls that have no price: their dollars are not in *amounts*."""
    cached: int = 0
    """Answers that came out of a cache and cost nothing."""

    def add(self, entry: Entry) -> None:
        """Add one charge."""
        note = entry.note
        gather(self.amounts, note.amounts)
        gather(self.unconfirmed, note.unconfirmed)
        self.estimated += note.basis is Basis.ESTIMATED
        self.estimated -= note.reason == Basis.ESTIMATED
        self.unpriced += _is_unpriced(note)
        if "avoided_usd" in note.labels:
            self.cached += 1
            gather(self.avoided, {"usd": int(note.labels["avoided_usd"] or 0)})

    def merge(self, other: Line) -> None:
        """Add another line's sums."""
        gather(self.amounts, other.amounts)
        gather(self.unconfirmed, other.unconfirmed)
        gather(self.avoided, other.avoided)
        self.estimated += other.estimated
        self.unpriced += other.unpriced
        self.cached += other.cached


class Statement:
    """
    Lines by account, agent, node and model, and how far the journal was read.

    Folding goes on where it stopped, so a second report reads new entries only.
    """

    def __init__(self) -> None:
        self.seq = 0
        self._lines: dict[LineKey, Line] = {}
        self._lock = threading.Lock()

    def fold(self, entries: Iterable[Entry]) -> None:
        """Add the charges among *entries*; those seen before are passed over."""
        with self._lock:
            for entry in entries:
                if entry.seq <= self.seq:
                    continue
                self.seq = entry.seq
                if entry.kind in CHARGES and entry.note.basis:
                    self._lines.setdefault(_key(entry), Line()).add(entry)

    def within(self, path: str) -> dict[LineKey, Line]:
        """The lines of an account and of all below it, as they are now."""
        inside = path + SEPARATOR
        with self._lock:
            return {
                key: total([line])
                for key, line in self._lines.items()
                if (key.account + SEPARATOR).startswith(inside)
            }


def total(lines: Iterable[Line]) -> Line:
    """The sum of several lines."""
    whole = Line()
    for line in lines:
        whole.merge(line)
    return whole


def gather(sums: dict[str, int], amounts: Vector) -> None:
    """Add *amounts* to *sums*, unit by unit."""
    for unit, value in amounts.items():
        sums[unit] = sums.get(unit, 0) + value


def by(lines: Mapping[LineKey, Line], *fields: str) -> dict[tuple[str, ...], Line]:
    """Sums of lines that are alike in *fields*, such as `"agent"` and `"node"`."""
    for each in fields:
        if each not in LineKey._fields:
            msg = f"no line has a {each!r}: choose of {', '.join(LineKey._fields)}"
            raise InvalidName(msg)
    groups: dict[tuple[str, ...], Line] = {}
    for key, line in lines.items():
        label = tuple(str(getattr(key, each)) for each in fields)
        groups.setdefault(label, Line()).merge(line)
    return dict(sorted(groups.items()))


def _is_unpriced(note: Note) -> bool:
    """Whether a model call is charged whose dollars nobody knows."""
    calls = note.amounts.get(CALLS)
    if calls is None:
        return note.basis is Basis.UNKNOWN
    return calls > 0 and USD not in note.amounts


def _key(entry: Entry) -> LineKey:
    labels = entry.note.labels
    return LineKey(
        entry.account,
        labels.get("agent") or UNATTRIBUTED,
        labels.get("node") or UNATTRIBUTED,
        labels.get("model", ""),
    )
