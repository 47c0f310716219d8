"""What operators correct by hand, as postings: voids, adjustments, confirmations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from langchain_budget.core.amounts import Amount
from langchain_budget.core.loans import returned
from langchain_budget.core.postings import (
    NO_LABELS,
    NOTHING,
    Basis,
    CloseHold,
    Delta,
    Hold,
    Note,
    Posting,
    Status,
)
from langchain_budget.core.routes import Route
from langchain_budget.core.rules import FRESH


class Correction(NamedTuple):
    """How much is booked too little or, below zero, too much; and why."""

    amount: Amount
    reason: str
    key: str
    """The id of the posting: it is applied once."""
    labels: Mapping[str, str] = NO_LABELS


def void(hold: Hold, reason: str, route: Route) -> Posting:
    """
    Close an open hold by hand and give back all of it.

    It counts as expired with nothing charged, so that a charge which is reported
    later is still booked.
    """
    asked = CloseHold(
        hold.id, Status.EXPIRED, Basis.NONE, NOTHING, FRESH, held=hold.deltas
    )
    note = Note(labels=hold.labels, reason=reason)
    posting_id = f"{hold.id}:void"
    loans = returned(hold, NOTHING)
    return Posting(
        posting_id,
        "void",
        hold.account,
        loans,
        hold=asked,
        note=note,
        seen=route.closing,
    )


def adjust(route: Route, correction: Correction) -> Posting:
    """
    Book more or less as spent on every account of the route.

    It is never refused for lack of money: what it says was spent already. In a
    slice an overrun spills, as that of a call does.
    """
    amount, reason, key, labels = correction
    keys, spill = route.line(amount.unit)
    delta = Delta(keys, spent=amount.value, spill=spill if amount.value > 0 else ())
    note = Note({amount.unit: amount.value}, {}, Basis.REPORTED, labels, reason)
    return Posting(key, "adjust", route.account, (delta,), note=note)


def lower(posting: Posting, route: Route) -> Posting:
    """
    The same, by one at a time: each makes a new version of its account.

    So nobody else lowers what is spent between looking and posting.
    """
    row = route.rows[0]
    renewed = row._replace(version=row.version + 1)
    return posting._replace(seen=route.admit[:1], rows=(renewed,))


def done_before(posting: Posting) -> Posting:
    """The same for a store that took it before; any other one refuses it as stale."""
    return posting._replace(seen=((posting.account, -1),), rows=())


def confirm(account: str, correction: Correction) -> Posting:
    """Take an amount out of what is unconfirmed; nothing is booked."""
    amount, reason, key, labels = correction
    note = Note({}, {amount.unit: -amount.value}, Basis.REPORTED, labels, reason)
    return Posting(key, "reconcile", account, note=note)
