"""The talk that compares an invoice with the books, and posts what it says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from langchain_budget.core import corrections
from langchain_budget.core.amounts import Amount
from langchain_budget.core.corrections import Correction
from langchain_budget.core.events import Reconciled
from langchain_budget.corrections import adjust
from langchain_budget.inspections import read_journal
from langchain_budget.ledger import Ledger
from langchain_budget.reports.invoices import EVERY_MODEL, Invoice
from langchain_budget.reports.reconciliation import (
    Bookings,
    ReconciledLine,
    Reconciliation,
    compared,
)
from langchain_budget.reports.statement import LineKey
from langchain_budget.stores._drive import Talk


class Claim(NamedTuple):
    """An invoice, and whether to post what it says otherwise."""

    invoice: Invoice
    reason: str
    apply: bool


class Posted(NamedTuple):
    """A correction that an invoice asks for, and where."""

    account: str
    correction: Correction


def reconcile(ledger: Ledger, path: str, claim: Claim) -> Talk[Reconciliation]:
    """Compare an invoice with what is booked; post the differences if asked to."""
    yield from ledger.sweep()
    yield from ledger.route(path)
    bookings = Bookings(path, claim.invoice.span)
    yield from read_journal(bookings.add)
    found = compared(path, claim.invoice, bookings)
    if not claim.apply:
        return found
    for line in found.lines:
        for account, correction in _differences(found, line, bookings, claim.reason):
            yield from adjust(ledger, account, correction)
        for account, correction in _confirmed(line, bookings, claim.reason):
            yield from _confirm(ledger, account, correction)
    return replace(found, applied=True)


def _confirm(ledger: Ledger, account: str, correction: Correction) -> Talk[None]:
    amount, reason, _, labels = correction
    event = Reconciled(
        account=account,
        confirmed={amount.unit: amount.value},
        reason=reason,
        labels=labels,
    )
    yield from ledger.try_post(corrections.confirm(account, correction), event)


def _differences(
    found: Reconciliation, line: ReconciledLine, bookings: Bookings, reason: str
) -> Iterator[Posted]:
    """
    What is to be booked for a line of the invoice.

    More is charged to the account that was compared, less is taken back from those
    that were charged: the largest first.
    """
    wanted = line.difference.value if line.difference else 0
    shares = [(found.account, wanted)] if wanted > 0 else []
    if wanted < 0:
        shares = list(_taken_back(-wanted, bookings.of(line.model, line.unit)))
    for account, value in shares:
        key = LineKey(account, "", "", line.model)
        yield _posted(key, Amount(line.unit, value), bookings, reason)


def _taken_back(
    wanted: int, charged: Iterable[tuple[str, int]]
) -> Iterator[tuple[str, int]]:
    for account, value in charged:
        taken = min(wanted, value)
        if taken > 0:
            wanted -= taken
            yield account, -taken


def _confirmed(
    line: ReconciledLine, bookings: Bookings, reason: str
) -> Iterator[Posted]:
    """What is no longer in doubt, by lines of the report."""
    sums: dict[LineKey, int] = {}
    for doubt in bookings.doubts() if line.invoiced is not None else ():
        if line.model in (EVERY_MODEL, doubt.line.model):
            known = sums.get(doubt.line, 0)
            sums[doubt.line] = known + doubt.short.get(line.unit, 0)
    for key, value in sums.items():
        if value:
            yield _posted(key, Amount(line.unit, value), bookings, reason)


def _posted(key: LineKey, amount: Amount, bookings: Bookings, reason: str) -> Posted:
    """
    A correction that is applied once, however often the invoice is.

    Its id says which line it is about, and the how many-th correction of that; two
    who reconcile at the same time make the same.
    """
    told = "\n".join((*key, amount.unit, *bookings.span.labels().values()))
    line = hashlib.sha256(told.encode()).hexdigest()[:32]
    model = "" if key.model == EVERY_MODEL else key.model
    labels = {"agent": key.agent, "node": key.node, "model": model}
    labels |= bookings.covered.labels()
    posting_id = f"reconcile:{line}:{bookings.rounds.get(line, 0)}"
    return Posted(
        key.account, Correction(amount, reason, posting_id, {**labels, "line": line})
    )
