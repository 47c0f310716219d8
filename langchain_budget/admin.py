"""What operators do: look at books that are shared, and correct them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from math import inf

from langchain_budget import corrections, inspections, journal_export
from langchain_budget.core.amounts import Amount
from langchain_budget.core.corrections import Correction
from langchain_budget.core.postings import Entry
from langchain_budget.core.written import check_reason, checked
from langchain_budget.errors import InvalidInvoice
from langchain_budget.inspections import entries_of, holds_of
from langchain_budget.journal_export import File, Job, Progress, writing
from langchain_budget.ledger import Ledger
from langchain_budget.reconciling import Claim, reconcile
from langchain_budget.reports.audit import Audit
from langchain_budget.reports.doubts import Span, Unconfirmed
from langchain_budget.reports.explanation import HoldInfo
from langchain_budget.reports.invoices import (
    Charges,
    invoice_of,
    invoice_text,
    read_invoice,
)
from langchain_budget.reports.reconciliation import Reconciliation
from langchain_budget.stores._away import in_thread
from langchain_budget.stores._drive import Talk

InvoiceSource = Charges | str | os.PathLike[str]


class Admin:
    """
    Operators' tools for an account and all below it; get it from `account.admin`.

    Everything that changes the books is an entry of the journal with its reason.

    >>> from langchain_budget import BudgetPool, usd
    >>> pool = BudgetPool("acme", usd(1))
    >>> pool.admin.adjust(usd("0.25"), reason="a call made by hand")
    >>> print(pool.balance().spent, pool.admin.verify().ok)
    $0.25 True
    """

    def __init__(self, ledger: Ledger, path: str) -> None:
        self._ledger = ledger
        self._path = path

    def __repr__(self) -> str:
        return f"<Admin of {self._path!r}>"

    def verify(self) -> Audit:
        """
        Whether all of the books add up, while others may go on posting.

        Balances, holds and accounts must be what the journal says, and the journal
        must make sense by itself; `docs/operations.md` lists the rules.
        """
        return self._ledger.run(inspections.verify(self._ledger))

    async def averify(self) -> Audit:
        """Awaitable twin of `verify`."""
        return await self._ledger.arun(inspections.verify(self._ledger))

    def holds(self) -> tuple[HoldInfo, ...]:
        """The open holds, here and below, oldest first."""
        return self._ledger.run(holds_of(self._ledger, self._path))

    async def aholds(self) -> tuple[HoldInfo, ...]:
        """Awaitable twin of `holds`."""
        return await self._ledger.arun(holds_of(self._ledger, self._path))

    def void(self, hold_id: str, *, reason: str) -> None:
        """
        Close an open hold and give back all of it.

        Its call may still run: what the provider then reports is booked all the same.

        Raises:
            HoldNotOpen: There is no such hold here or below, or it was closed.
        """
        talk = corrections.void(self._ledger, self._path, hold_id, check_reason(reason))
        self._ledger.run(talk)

    async def avoid(self, hold_id: str, *, reason: str) -> None:
        """Awaitable twin of `void`."""
        talk = corrections.void(self._ledger, self._path, hold_id, check_reason(reason))
        await self._ledger.arun(talk)

    def adjust(
        self,
        amount: Amount,
        *,
        reason: str,
        key: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """
        Book *amount* more as spent or, below zero, less: `-usd("0.25")`.

        Limits do not refuse it: it was spent. Reports have it on a line of its own.

        Args:
            amount: The difference, in any unit.
            reason: For the journal.
            key: Makes it happen once, however often it is called with this key.
            labels: `agent` and `model`, for reports.

        Raises:
            InvalidAmount: It is nothing, or less would be spent than nothing.
            IdConflict: The key was used before for something else.
            InvalidName: The key cannot be kept, or the reason is no text.
        """
        self._ledger.run(self._adjust(amount, (reason, key), labels))

    async def aadjust(
        self,
        amount: Amount,
        *,
        reason: str,
        key: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Awaitable twin of `adjust`."""
        await self._ledger.arun(self._adjust(amount, (reason, key), labels))

    def unconfirmed(self) -> Unconfirmed:
        """The charges, here and below, that are estimates and may be too low."""
        return self._ledger.run(inspections.unconfirmed(self._ledger, self._path))

    async def aunconfirmed(self) -> Unconfirmed:
        """Awaitable twin of `unconfirmed`."""
        talk = inspections.unconfirmed(self._ledger, self._path)
        return await self._ledger.arun(talk)

    def reconcile(
        self,
        invoice: InvoiceSource,
        *,
        reason: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        apply: bool = False,
    ) -> Reconciliation:
        """
        Compare a provider's invoice with what is booked, here and below.

        Args:
            invoice: What it says: an amount or several for all models together,
                such amounts by model, or a file. That is CSV with a first line of
                names, or a JSON list of objects, with an `amount` and, if known, a
                `model`, a `unit` (`usd` if there is none) and a `date`.
            reason: For the journal, such as the number of the invoice.
            since: Where the invoice begins; a date without a time zone is UTC.
            until: Up to before when.
            apply: Post the differences, each once however often this is called,
                and take what is now known out of what is unconfirmed.

        Raises:
            InvalidInvoice: It cannot be read; the message names the row.
        """
        claim = _claim(invoice, Span(_at(since, -inf), _at(until, inf)), reason, apply)
        return self._ledger.run(reconcile(self._ledger, self._path, claim))

    async def areconcile(
        self,
        invoice: InvoiceSource,
        *,
        reason: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        apply: bool = False,
    ) -> Reconciliation:
        """Awaitable twin of `reconcile`."""
        span = Span(_at(since, -inf), _at(until, inf))
        claim = await in_thread(_claim, invoice, span, reason, apply)
        return await self._ledger.arun(reconcile(self._ledger, self._path, claim))

    def observe(self, *, on: bool, reason: str = "") -> None:
        """Only watch, here and below: book everything and stop nothing; or enforce."""
        talk = corrections.observe(self._ledger, self._path, on, check_reason(reason))
        self._ledger.run(talk)

    async def aobserve(self, *, on: bool, reason: str = "") -> None:
        """Awaitable twin of `observe`."""
        talk = corrections.observe(self._ledger, self._path, on, check_reason(reason))
        await self._ledger.arun(talk)

    def export(
        self,
        file: File,
        *,
        format: str = "jsonl",  # noqa: A002  # what it is called everywhere
        progress: Progress | None = None,
    ) -> int:
        """
        Write the journal to a file; how many entries were read, or of fewer written.

        Args:
            file: A path, or an open file. A file at the path is replaced when all is
                written; a pipe or device is written to.
            format: `"jsonl"` is all of the books, to `BudgetPool.restore` them;
                `"condensed"` likewise, with calls that are over summed up by day;
                `"csv"` is for spreadsheets, one row for each entry and unit.
            progress: Called with the number of entries now and then.
        """
        with writing(file) as out:
            job = Job(self._path, out, progress)
            return self._ledger.run(journal_export.export(self._ledger, job, format))

    async def aexport(
        self,
        file: File,
        *,
        format: str = "jsonl",  # noqa: A002
        progress: Progress | None = None,
    ) -> int:
        """Awaitable twin of `export`; it writes in a thread."""
        export = partial(self.export, file, format=format, progress=progress)
        return await in_thread(export)

    def journal(self, *, after: int = 0, last: int | None = None) -> tuple[Entry, ...]:
        """The entries about this account and those below, oldest first.

        Args:
            after: Leave out those up to this number.
            last: How many at most, the latest ones; all, if `None`.
        """
        talk = entries_of(self._ledger, self._path, after, last)
        return self._ledger.run(talk)

    async def ajournal(
        self, *, after: int = 0, last: int | None = None
    ) -> tuple[Entry, ...]:
        """Awaitable twin of `journal`."""
        talk = entries_of(self._ledger, self._path, after, last)
        return await self._ledger.arun(talk)

    def _adjust(
        self, amount: Amount, why: tuple[str, str], labels: Mapping[str, str] | None
    ) -> Talk[None]:
        reason, key = checked(*why)
        correction = Correction(
            amount, reason, key or self._ledger.new_id(), dict(labels or {})
        )
        return corrections.adjust(self._ledger, self._path, correction)


def _claim(invoice: InvoiceSource, span: Span, reason: str, apply: bool) -> Claim:  # noqa: FBT001  # passed on
    if isinstance(invoice, str | os.PathLike):
        read = read_invoice(invoice_text(invoice), span)
    else:
        read = invoice_of(invoice, span)
    return Claim(read, check_reason(reason), apply)


def _at(moment: object, otherwise: float) -> float:
    if moment is None:
        return otherwise
    if not isinstance(moment, datetime):
        msg = f"{moment!r} is no time: give a datetime, like datetime(2026, 11, 1)"
        raise InvalidInvoice(msg)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.timestamp()
