"""What is booked, beside what a provider's invoice says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, isfinite, nextafter
from typing import Any

from langchain_budget.core.accounts import SEPARATOR
from langchain_budget.core.amounts import Amount
from langchain_budget.core.charges import CHARGES, charges
from langchain_budget.core.postings import Entry, Part
from langchain_budget.reports.doubts import Doubt, Doubts, Span, span_of
from langchain_budget.reports.invoices import EVERY_MODEL, Invoice, Key
from langchain_budget.reports.render import html_table, text_table
from langchain_budget.reports.report import plain

_HEADS = ("model", "unit", "invoiced", "booked", "difference", "unconfirmed")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciledLine:
    """
    One model and unit.

    Attributes:
        model: `"*"` for all models together, empty for calls that name none.
        invoiced: What the invoice says; `None` when it does not name this model.
        booked: What the journal says for the same span.
        unconfirmed: By how much the estimates in it may be too low.
    """

    model: str
    unit: str
    invoiced: Amount | None
    booked: Amount
    unconfirmed: Amount

    @property
    def difference(self) -> Amount | None:
        """What is booked too little or, below zero, too much."""
        return None if self.invoiced is None else self.invoiced - self.booked

    def cells(self) -> tuple[str, ...]:
        """One row of a table."""
        amounts = (self.invoiced, self.booked, self.difference, self.unconfirmed)
        shown = ["-" if each is None else str(each) for each in amounts]
        models = {EVERY_MODEL: "all models", "": "no model"}
        return (models.get(self.model, self.model), self.unit, *shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """
    An invoice beside the books of an account and all below it.

    Attributes:
        applied: Whether the differences were posted; the lines are those of before.
    """

    account: str
    span: Span
    lines: tuple[ReconciledLine, ...]
    applied: bool = False

    @property
    def agrees(self) -> bool:
        """Whether the invoice says what the books say."""
        return not any(line.difference for line in self.lines)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; dollars in whole nano-dollars."""
        since, until = (each if isfinite(each) else None for each in self.span)
        return {
            "account": self.account,
            "since": since,
            "until": until,
            "agrees": self.agrees,
            "applied": self.applied,
            "lines": [_line_dict(line) for line in self.lines],
        }

    def __str__(self) -> str:
        return text_table(_HEADS, [line.cells() for line in self.lines])

    def _repr_html_(self) -> str:
        title = f"Invoice and books of {self.account}"
        return html_table(title, _HEADS, [line.cells() for line in self.lines])


def _line_dict(line: ReconciledLine) -> dict[str, Any]:
    names = ("invoiced", "booked", "difference", "unconfirmed")
    amounts: dict[str, Amount | None] = {name: getattr(line, name) for name in names}
    return {"model": line.model, "unit": line.unit, **plain(amounts)}


class Bookings:
    """
    What was charged to an account and all below it in a span, by model and unit.

    A corrected charge counts for the time of the call. What an earlier invoice of
    the same span has added counts for that span, not for the day it was posted.
    """

    def __init__(self, path: str, span: Span) -> None:
        self.path = path
        self.span = span
        self.rounds: dict[str, int] = {}
        """How often a line was corrected before, by its name."""
        self._sums: dict[tuple[str, str, str], int] = {}
        self._doubts = Doubts()
        self._seen = Span(inf, -inf)
        self._first: dict[str, float] = {}

    def add(self, entry: Entry) -> None:
        """Add one entry, if it is a charge of that account in that span."""
        self._doubts.add(entry)
        if entry.kind not in CHARGES:
            return
        since, until = self._seen
        self._seen = Span(min(since, entry.at), max(until, nextafter(entry.at, inf)))
        labels = entry.note.labels
        if "line" in labels:
            self.rounds[labels["line"]] = self.rounds.get(labels["line"], 0) + 1
        if self._is_inside(entry) and self._is_mine(entry.account):
            for part in charges(entry.kind, entry.account, entry.note):
                self._book(part)

    def _book(self, part: Part) -> None:
        for unit, value in part.amounts.items():
            key = part.account, part.labels.get("model", ""), unit
            self._sums[key] = self._sums.get(key, 0) + value

    @property
    def covered(self) -> Span:
        """The span as far as there were charges: an open end is the last of them."""
        since, until = self._seen
        return Span(max(since, self.span.since), min(until, self.span.until))

    def of(self, model: str, unit: str) -> list[tuple[str, int]]:
        """What each account was charged for a model, or for all; the largest first."""
        sums: dict[str, int] = {}
        for (account, used, counted), value in self._sums.items():
            if counted == unit and model in (EVERY_MODEL, used):
                sums[account] = sums.get(account, 0) + value
        return sorted(sums.items(), key=lambda item: (-item[1], item[0]))

    def models(self, units: Iterable[str]) -> set[Key]:
        """The models that were charged in any of *units*."""
        wanted = set(units)
        return {(model, unit) for _, model, unit in self._sums if unit in wanted}

    def doubts(self) -> list[Doubt]:
        """The charges of the span that may be too low."""
        return [
            each
            for each in self._doubts.left.values()
            if each.at in self.span and self._is_mine(each.line.account)
        ]

    def unconfirmed(self, model: str, unit: str) -> int:
        """By how much the charges for a model, or for all, may be too low."""
        return sum(
            each.short.get(unit, 0)
            for each in self.doubts()
            if model in (EVERY_MODEL, each.line.model)
        )

    def _is_mine(self, account: str) -> bool:
        return (account + SEPARATOR).startswith(self.path + SEPARATOR)

    def _is_inside(self, entry: Entry) -> bool:
        span = span_of(entry.note.labels)
        if span is not None:
            return self.span.since <= span.since and span.until <= self.span.until
        at = entry.at
        if entry.kind == "supersede":
            at = self._first.pop(entry.hold, at)
        elif entry.hold and not entry.note.basis.is_final:
            self._first[entry.hold] = at
        return at in self.span


def compared(path: str, invoice: Invoice, bookings: Bookings) -> Reconciliation:
    """An invoice beside what was booked, models that it does not name as well."""
    keys = set(invoice.amounts)
    if not any(model == EVERY_MODEL for model, _ in keys):
        keys |= bookings.models(unit for _, unit in keys)
    lines = tuple(_line(key, invoice, bookings) for key in sorted(keys))
    return Reconciliation(account=path, span=invoice.span, lines=lines)


def _line(key: Key, invoice: Invoice, bookings: Bookings) -> ReconciledLine:
    model, unit = key
    invoiced = invoice.amounts.get(key)
    booked = sum(value for _, value in bookings.of(model, unit))
    return ReconciledLine(
        model=model,
        unit=unit,
        invoiced=None if invoiced is None else Amount(unit, invoiced),
        booked=Amount(unit, booked),
        unconfirmed=Amount(unit, bookings.unconfirmed(model, unit)),
    )
