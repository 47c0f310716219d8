"""
Whether books add up: what a store tells, against a fold of its journal.

The names of what must hold are those of docs/operations.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from langchain_budget.core.accounts import Row
from langchain_budget.core.postings import Balance, CounterKey, Entry, Hold
from langchain_budget.reports.fold import Finding, Fold
from langchain_budget.reports.render import html_table, text_table
from langchain_budget.reports.sums import inconsistencies

INVARIANTS: Final[Mapping[str, str]] = {
    "I1": "no admission overdraws a hard limit",
    "I2": "an account's total is its own and its children's",
    "I3": "what is lent is what slices were granted",
    "I4": "a hold leaves open at most once",
    "I5": "a charge is corrected by its provider at most once",
    "I6": "no hold outlives its time to live unnoticed",
    "I7": "balances, accounts and holds are the fold of the journal",
    "I8": "the lines of a report come to its total",
    "I10": "unknown usage is never stored as nothing",
    "I14": "what is held is what open holds hold",
}
"""What is checked; the numbers are those of the design."""

_HEADS = ("rule", "account", "expected", "found", "what is wrong")


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """
    What `verify` found.

    Attributes:
        seq: The number of the last entry that was read.
        accounts: How many accounts there are.
        counters: How many balances were compared.
        holds: How many holds are open.
        findings: What does not add up; none is the good news.
    """

    seq: int
    accounts: int
    counters: int
    holds: int
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything adds up."""
        return not self.findings

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        counts = {name: getattr(self, name) for name in type(self).__slots__[:-1]}
        found = [each.as_dict() for each in self.findings]
        return {"ok": self.ok, **counts, "findings": found}

    def __str__(self) -> str:
        if self.ok:
            return self._summary()
        table = text_table(_HEADS, [each.cells() for each in self.findings])
        return f"{self._summary()}\n\n{table}"

    def _repr_html_(self) -> str:
        rows = [each.cells() for each in self.findings]
        return html_table(self._summary(), _HEADS, rows)

    def _summary(self) -> str:
        said = "The books add up" if self.ok else "The books do NOT add up"
        return (
            f"{said}: {self.seq:,} entries, {self.accounts:,} accounts, "
            f"{self.counters:,} balances, {self.holds:,} open holds, "
            f"{len(self.findings):,} findings."
        )


class Seen(NamedTuple):
    """What a store tells beside its journal."""

    rows: Iterable[Row]
    balances: Mapping[CounterKey, Balance]
    holds: Iterable[Hold]
    now: float = 0.0
    """When everything overdue had been closed, by the store's clock."""


def audit(entries: Iterable[Entry], seen: Seen, later: Iterable[Entry] = ()) -> Audit:
    """
    Compare a journal with what its store tells.

    Args:
        entries: The journal from its beginning, up to before *seen* was read.
        seen: What was read after that.
        later: What others have posted while it was read.
    """
    fold = Fold()
    for entry in entries:
        fold.add(entry)
    return concluded(fold, seen, later)


def concluded(fold: Fold, seen: Seen, later: Iterable[Entry] = ()) -> Audit:
    """
    What there is to say about books whose journal was folded.

    While *seen* was read, others may have posted what is *later*: each balance, hold
    and account must be as the journal has it at some moment of that time.
    """
    found = _facts(seen.rows, seen.balances, {e.id: e.deltas for e in seen.holds})
    wrong = _differences(fold, found)
    for entry in later:
        fold.add(entry)
        wrong -= {fact for fact in wrong if _fact(fold, fact) == found.get(fact)}
    broken = [
        *fold.findings,
        *_told_otherwise(fold, found, wrong),
        *_overdue(seen),
        *inconsistencies(fold),
    ]
    return Audit(
        seq=fold.seq,
        accounts=len(fold.rows),
        counters=len(fold.balances),
        holds=len(fold.open),
        findings=tuple(broken),
    )


Fact = tuple[str, Any]
"""A balance, an account or a hold by its kind and its name."""


def _facts(
    rows: Iterable[Row],
    balances: Mapping[CounterKey, Balance],
    holds: Mapping[str, Any],
) -> dict[Fact, Any]:
    """What can be compared; an untouched counter is as good as none."""
    blank = Balance()
    facts: dict[Fact, Any] = {
        ("balance", key): seen for key, seen in balances.items() if seen != blank
    }
    # When an account lapses is reckoned by the store, and may be kept rounded.
    facts |= {("account", row.path): row._replace(expires_at=None) for row in rows}
    return facts | {("hold", hold): deltas for hold, deltas in holds.items()}


def _differences(fold: Fold, found: Mapping[Fact, Any]) -> set[Fact]:
    told = _facts(fold.rows.values(), fold.balances, fold.open)
    return {
        fact for fact in told.keys() | found.keys() if told.get(fact) != found.get(fact)
    }


def _fact(fold: Fold, fact: Fact) -> object:
    """The same for a single fact, as the fold has it now."""
    kind, name = fact
    if kind == "hold":
        return fold.open.get(name)
    if kind == "account":
        row = fold.rows.get(name)
        return row and row._replace(expires_at=None)
    balance = fold.balances.get(name, Balance())
    return None if balance == Balance() else balance


def _told_otherwise(
    fold: Fold, found: Mapping[Fact, Any], wrong: Iterable[Fact]
) -> Iterator[Finding]:
    for fact in sorted(wrong):
        kind, name = fact
        if kind == "balance":
            told = fold.balances.get(name, Balance())
            yield from _balances_differ(name, told, found.get(fact) or Balance())
        elif kind == "account":
            yield _account_differs(name, fold.rows.get(name), found.get(fact))
        else:
            yield _hold_differs(name, fact in found)


def _balances_differ(
    key: CounterKey, told: Balance, seen: Balance
) -> Iterator[Finding]:
    for field, expected, found in zip(Balance._fields, told, seen, strict=True):
        if expected != found:
            where = f" in {key.window}" if key.window else ""
            words = f"{field} is not what the journal says{where}"
            yield Finding(
                invariant="I7",
                account=key.account,
                unit=key.unit,
                expected=expected,
                found=found,
                words=words,
            )


def _account_differs(path: str, told: Row | None, seen: Row | None) -> Finding:
    if told is None or seen is None:
        words = "the store has an account that the journal has not"
        if seen is None:
            words = "the journal has an account that the store has not"
    else:
        fields = [name for name in Row._fields if _field(told, seen, name)]
        words = f"the journal says otherwise about: {', '.join(fields)}"
    versions = (each.version if each else 0 for each in (told, seen))
    expected, found = versions
    return Finding(
        invariant="I7", account=path, expected=expected, found=found, words=words
    )


def _field(told: Row, seen: Row, name: str) -> bool:
    return name != "expires_at" and getattr(told, name) != getattr(seen, name)


def _hold_differs(hold: str, listed: bool) -> Finding:  # noqa: FBT001  # one of two
    words = f"hold {hold} is open in the journal only, or holds something else"
    if listed:
        words = f"hold {hold} is open in the store only, or holds something else"
    counts = (int(not listed), int(listed))
    return Finding(
        invariant="I14", account="", expected=counts[0], found=counts[1], words=words
    )


def _overdue(seen: Seen) -> Iterator[Finding]:
    for hold in seen.holds:
        if hold.expires_at <= seen.now:
            late = seen.now - hold.expires_at
            words = f"hold {hold.id} is overdue by {late:g} seconds"
            yield Finding(invariant="I6", account=hold.account, found=1, words=words)
