"""What is unconfirmed: charges that a call may have exceeded, until somebody knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

from langchain_budget.core.accounts import SEPARATOR
from langchain_budget.core.amounts import Amount, Vector, show
from langchain_budget.core.charges import charges
from langchain_budget.core.faults import InvalidAmount
from langchain_budget.core.postings import Entry, Part
from langchain_budget.reports.render import html_table, text_table
from langchain_budget.reports.statement import (
    LineKey,
    gather,
    group_of,
    key_of,
    line_key,
)

_HEADS = ("account", "agent", "model", "hold", "charged", "may have cost more")


class Span(NamedTuple):
    """From a time on, and up to before another one, in seconds since 1970."""

    since: float = -inf
    until: float = inf

    def __contains__(self, at: object) -> bool:
        return isinstance(at, float | int) and self.since <= at < self.until

    def labels(self) -> dict[str, str]:
        """The same as an entry of the journal keeps it."""
        return {"since": repr(self.since), "until": repr(self.until)}

    def checked(self) -> Span:
        """The same; raises `InvalidAmount` when it has no length."""
        if not self.since < self.until:
            msg = f"from {self.since} until {self.until} there is no time: swap them"
            raise InvalidAmount(msg)
        return self


def span_of(labels: Mapping[str, str]) -> Span | None:
    """What an entry's labels say; `None` when it is about no span."""
    if "since" not in labels:
        return None
    return Span(float(labels["since"]), float(labels["until"]))


class Doubt(NamedTuple):
    """One charge that may be too low."""

    hold: str
    """The hold, or the entry that sums up several."""
    line: LineKey
    at: float
    """When it was booked."""
    charged: Vector
    short: Vector
    """How much more it may have cost."""


class Doubts:
    """The doubts that are left after the entries that were added."""

    def __init__(self) -> None:
        self.left: dict[str, Doubt] = {}

    def add(self, entry: Entry) -> None:
        """An estimate raises a doubt; the provider or an invoice removes it."""
        if entry.kind == "supersede":
            self.left.pop(entry.hold, None)
        elif entry.kind == "reconcile":
            self._confirm(entry)
        else:
            for number, part in enumerate(
                charges(entry.kind, entry.account, entry.note)
            ):
                self._doubt(entry, number, part)

    def _doubt(self, entry: Entry, number: int, part: Part) -> None:
        """Note what a charge may be short of, or what is taken back of it."""
        line = key_of(entry.kind, part.account, part.labels)
        short = {unit: more for unit, more in part.unconfirmed.items() if more > 0}
        if short:
            name = entry.hold or f"{entry.posting}:{number}"
            self.left[name] = Doubt(name, line, entry.at, part.amounts, short)
        for unit, value in part.unconfirmed.items():
            if value < 0:
                self._take_back(line, unit, -value)

    def _take_back(self, line: LineKey, unit: str, value: int) -> None:
        for name, doubt in reversed(list(self.left.items())):
            taken = min(value, doubt.short.get(unit, 0)) if doubt.line == line else 0
            if taken:
                value -= taken
                self._lessen(name, unit, taken)

    def _lessen(self, name: str, unit: str, by: int) -> None:
        doubt = self.left[name]
        short = {key: value - by * (key == unit) for key, value in doubt.short.items()}
        left = {key: value for key, value in short.items() if value > 0}
        self.left[name] = doubt._replace(short=left)
        if not left:
            del self.left[name]

    def _confirm(self, entry: Entry) -> None:
        """Remove what an invoice has confirmed of one line in its span."""
        span, line = span_of(entry.note.labels) or Span(), line_key(entry)
        for hold, doubt in list(self.left.items()):
            if doubt.line == line and doubt.at in span:
                for unit in entry.note.unconfirmed.keys() & doubt.short.keys():
                    self._lessen(hold, unit, doubt.short[unit])


@dataclass(frozen=True, slots=True, kw_only=True)
class Unconfirmed:
    """
    The charges of an account and all below it that may be too low, oldest first.

    They are estimates: the provider never said what these calls cost.
    """

    account: str
    doubts: tuple[Doubt, ...]

    @property
    def total(self) -> tuple[Amount, ...]:
        """The most that all of them may have cost beyond what is booked."""
        return tuple(Amount(*each) for each in totals(self.doubts).items())

    def by(self, *fields: str) -> dict[tuple[str, ...], dict[str, int]]:
        """Sums by any of `account`, `agent`, `node`, `model`."""
        groups: dict[tuple[str, ...], list[Doubt]] = {}
        for doubt in self.doubts:
            groups.setdefault(group_of(doubt.line, fields), []).append(doubt)
        return {label: totals(doubts) for label, doubts in sorted(groups.items())}

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; dollars in whole nano-dollars."""
        return {
            "account": self.account,
            "total": totals(self.doubts),
            "holds": [
                {
                    "hold": each.hold,
                    **each.line._asdict(),
                    "at": each.at,
                    "charged": dict(each.charged),
                    "unconfirmed": dict(each.short),
                }
                for each in self.doubts
            ],
        }

    def __str__(self) -> str:
        if not self.doubts:
            return f"Nothing is unconfirmed in {self.account}."
        return text_table(_HEADS, self._rows())

    def _repr_html_(self) -> str:
        return html_table(f"Unconfirmed in {self.account}", _HEADS, self._rows())

    def _rows(self) -> list[tuple[str, ...]]:
        rows = [_cells(each) for each in self.doubts]
        whole = _listed(totals(self.doubts))
        return [*rows, ("total", "", "", "", "", whole)]


def unconfirmed_of(path: str, doubts: Iterable[Doubt]) -> Unconfirmed:
    """Those of *doubts* that are in an account or below it."""
    inside = path + SEPARATOR
    mine = (
        each for each in doubts if (each.line.account + SEPARATOR).startswith(inside)
    )
    return Unconfirmed(account=path, doubts=tuple(sorted(mine, key=lambda it: it.at)))


def totals(doubts: Iterable[Doubt]) -> dict[str, int]:
    """By how much all of *doubts* may be short, by unit."""
    sums: dict[str, int] = {}
    for doubt in doubts:
        gather(sums, doubt.short)
    return sums


def _cells(doubt: Doubt) -> tuple[str, ...]:
    account, agent, _, model = doubt.line
    said = _listed({unit: doubt.charged.get(unit, 0) for unit in doubt.short})
    return (account, agent, model, doubt.hold, said, _listed(doubt.short))


def _listed(amounts: Vector) -> str:
    return ", ".join(show(*each) for each in amounts.items())
