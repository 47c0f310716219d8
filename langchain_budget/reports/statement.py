"""Who spent what: a fold of the journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from langchain_budget.core.accounts import SEPARATOR
from langchain_budget.core.amounts import CALLS, USD, Vector
from langchain_budget.core.charges import FAILED, charges
from langchain_budget.core.faults import InvalidName
from langchain_budget.core.postings import Basis, Entry, Part
from langchain_budget.forks import alone, new_lock

UNATTRIBUTED: Final = "unattributed"
"""What stands in for an agent or node that nobody named."""

ADJUSTMENT: Final = "adjustment"
"""What stands for the node of what was corrected by hand."""


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
    failed: int = 0
    """Calls that ended in an error, charged or not."""
    outages: int = 0
    """Calls that were admitted while the store did not answer."""
    outage: dict[str, int] = field(default_factory=dict)
    """What these calls used; it is in *amounts* as well."""

    def add(self, part: Part) -> None:
        """Add one charge, or several that were summed up."""
        gather(self.amounts, part.amounts)
        gather(self.unconfirmed, part.unconfirmed)
        if part.basis is Basis.ESTIMATED:
            self.estimated += part.times
        if is_unpriced(part):
            self.unpriced += part.times
        if "avoided_usd" in part.labels:
            self.cached += part.times
            gather(self.avoided, {"usd": int(part.labels["avoided_usd"] or 0)})
        if FAILED in part.labels:
            self.failed += part.times
        if "outage" in part.labels:
            self.outages += part.times
            gather(self.outage, part.amounts)

    def merge(self, other: Line) -> None:
        """Add another line's sums."""
        gather(self.amounts, other.amounts)
        gather(self.unconfirmed, other.unconfirmed)
        gather(self.avoided, other.avoided)
        self.estimated += other.estimated
        self.unpriced += other.unpriced
        self.cached += other.cached
        self.failed += other.failed
        self.outages += other.outages
        gather(self.outage, other.outage)


class Statement:
    """
    Lines by account, agent, node and model, and how far the journal was read.

    Folding goes on where it stopped, so a second report reads new entries only.
    """

    def __init__(self) -> None:
        self.seq = 0
        self._lines: dict[LineKey, Line] = {}
        self._lock = new_lock()

    def fold(self, entries: Iterable[Entry]) -> None:
        """Add the charges among *entries*; those seen before are passed over."""
        with alone(self._lock):
            for entry in entries:
                if entry.seq <= self.seq:
                    continue
                self.seq = entry.seq
                for part in charges(entry.kind, entry.account, entry.note):
                    self._add(key_of(entry.kind, part.account, part.labels), part)

    def _add(self, key: LineKey, part: Part) -> None:
        self._lines.setdefault(key, Line()).add(part)

    def within(self, path: str) -> dict[LineKey, Line]:
        """The lines of an account and of all below it, as they are now; all, for ""."""
        with alone(self._lock):
            return {
                key: total([line])
                for key, line in self._lines.items()
                if is_inside(key.account, path)
            }


def is_inside(account: str, path: str) -> bool:
    """Whether an account is the one at *path* or below it; any is, for ""."""
    return not path or (account + SEPARATOR).startswith(path + SEPARATOR)


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
    groups: dict[tuple[str, ...], Line] = {}
    for key, line in lines.items():
        groups.setdefault(group_of(key, fields), Line()).merge(line)
    return dict(sorted(groups.items()))


def group_of(key: LineKey, fields: Iterable[str]) -> tuple[str, ...]:
    """What a line has in *fields*; raises `InvalidName` for a field that none has."""
    asked = tuple(fields)
    for each in asked:
        if each not in LineKey._fields:
            msg = f"no line has a {each!r}: choose of {', '.join(LineKey._fields)}"
            raise InvalidName(msg)
    return tuple(str(getattr(key, each)) for each in asked)


def is_unpriced(part: Part) -> bool:
    """Whether a model call is charged whose dollars nobody knows."""
    calls = part.amounts.get(CALLS)
    if calls is None:
        return part.basis is Basis.UNKNOWN
    return calls > 0 and USD not in part.amounts


def line_key(entry: Entry) -> LineKey:
    """Which line of a statement an entry belongs to."""
    return key_of(entry.kind, entry.account, entry.note.labels)


def key_of(kind: str, account: str, labels: Mapping[str, str]) -> LineKey:
    """Which line of a statement a charge belongs to."""
    node = ADJUSTMENT if kind == "adjust" else labels.get("node")
    return LineKey(
        account,
        labels.get("agent") or UNATTRIBUTED,
        node or UNATTRIBUTED,
        labels.get("model", ""),
    )
