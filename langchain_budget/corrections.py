"""Talks that correct books by hand: void, adjust, observe."""

from __future__ import annotations

from langchain_budget.core import corrections
from langchain_budget.core.amounts import Amount
from langchain_budget.core.corrections import Correction
from langchain_budget.core.edges import unlent
from langchain_budget.core.events import (
    Adjusted,
    HoldVoided,
    ObserveOnly,
)
from langchain_budget.core.postings import (
    Balance,
    CounterKey,
    Hold,
    Kind,
    Note,
    Posting,
    Receipt,
    Refusal,
)
from langchain_budget.errors import HoldNotOpen, InexactAmount, InvalidAmount, refused
from langchain_budget.inspections import is_within
from langchain_budget.ledger import Ledger
from langchain_budget.stores._drive import Ask, Talk


def void(ledger: Ledger, path: str, hold_id: str, reason: str) -> Talk[Hold]:
    """
    Close an open hold of the account or below, and give back all of it.

    Raises:
        HoldNotOpen: There is none of that id, or it was closed before.
    """
    hold: Hold | None = yield Ask("hold", (hold_id,))
    if hold is None or not is_within(hold.account, path):
        raise HoldNotOpen(hold_id, f"unknown in {path}")
    found = hold
    route, answer = yield from ledger.close_hold(
        found, lambda route: corrections.void(found, reason, route)
    )
    if isinstance(answer, Refusal):
        raise HoldNotOpen(hold_id, str((answer.hold or found).status))
    yield from ledger.drain_all(route)
    event = HoldVoided(
        account=found.account,
        seq=answer.seq,
        hold=hold_id,
        amounts=found.amounts,
        reason=reason,
        labels=found.labels,
    )
    told = unlent(corrections.void(found, reason, route), answer)
    ledger.tell_of(told, event)
    return found


def adjust(ledger: Ledger, path: str, correction: Correction) -> Talk[None]:
    """
    Book more or less as spent.

    Raises:
        InvalidAmount: It is nothing, or more is taken back than was spent.
        IdConflict: The key was used before for something else.
    """
    _check(correction.amount)
    while True:
        ledger.forget(named=False)
        route = yield from ledger.route(path)
        posting = corrections.adjust(route, correction)
        if correction.amount.value < 0:
            spent = yield from _spent(route.keys(correction.amount.unit)[0])
            if spent + correction.amount.value < 0:
                return (yield from _unless_done(posting, correction))
            posting = corrections.lower(posting, route)
        event = Adjusted(
            account=path,
            amount=correction.amount,
            reason=correction.reason,
            labels=correction.labels,
        )
        answer = yield from ledger.try_post(posting, event)
        if isinstance(answer, Receipt):
            return (yield from ledger.drain_all(route))


def _check(amount: object) -> None:
    if not isinstance(amount, Amount):
        msg = f"{amount!r} is no Amount: write usd('0.50')"
        raise InexactAmount(msg)
    if not amount:
        msg = f"{amount!r}: adjust by more than nothing, or by less"
        raise InvalidAmount(msg)


def _spent(key: CounterKey) -> Talk[int]:
    balances = yield Ask("balances", ((key.account,),))
    seen: Balance = balances.get(key, Balance())
    return seen.spent


def _unless_done(posting: Posting, correction: Correction) -> Talk[None]:
    """More would be taken back than was spent: it was done before, or is wrong."""
    answer: Receipt | Refusal = yield corrections.done_before(posting)
    if isinstance(answer, Receipt):
        return
    if answer.kind is Kind.CONFLICT:
        raise refused(answer)
    less = -correction.amount
    msg = f"account {posting.account!r} has not spent {less}: take back less"
    raise InvalidAmount(msg)


def observe(ledger: Ledger, path: str, on: bool, reason: str) -> Talk[None]:  # noqa: FBT001  # one of two states
    """Make an account and all below it watch only, or enforce again."""
    while True:
        ledger.forget()
        row = (yield from ledger.route(path)).rows[0]
        if row.observed == on:
            return
        posting = Posting(
            ledger.new_id(),
            "observe" if on else "enforce",
            path,
            note=Note(reason=reason),
            seen=((path, row.version),),
            rows=(row._replace(version=row.version + 1, observed=on),),
        )
        event = ObserveOnly(account=path, on=on, reason=reason)
        answer = yield from ledger.try_post(posting, event)
        if isinstance(answer, Receipt):
            return
