"""Talks that change the tree: open, close, freeze and thaw accounts."""

from __future__ import annotations

from langchain_budget.core import moves
from langchain_budget.core.accounts import Row, Spec, carved_amounts, parent_of
from langchain_budget.core.events import AccountFrozen, AccountThawed, Opened
from langchain_budget.core.postings import Kind, Note, Posting, Receipt, Refusal
from langchain_budget.core.routes import Route
from langchain_budget.core.traits import traits_of
from langchain_budget.core.written import writable
from langchain_budget.errors import AccountClosed, InvalidAmount, LimitConflict
from langchain_budget.ledger import Ledger
from langchain_budget.stores._drive import Ask, Talk
from langchain_budget.views import left_of


def open_account(
    ledger: Ledger, path: str, spec: Spec, ttl: float | None = None
) -> Talk[Row]:
    """Create the account, or attach to one opened with the same specification."""
    while True:
        found: Row | None = (yield Ask("rows", ((path,),))).get(path)
        if found is not None:
            return _attach(found, spec)
        posting = yield from _opening(ledger, path, spec, ttl)
        answer = yield from ledger.try_post(posting, Opened(account=path))
        if isinstance(answer, Receipt):
            return posting.rows[0]
        # Somebody else opened it, or an account above has changed: look again.


def _attach(found: Row, spec: Spec) -> Row:
    if found.closed:
        raise AccountClosed(Refusal(Kind.CLOSED, found.path))
    if found.spec != spec:
        raise LimitConflict(found.path, found.spec, spec)
    return found


def _opening(ledger: Ledger, path: str, spec: Spec, ttl: float | None) -> Talk[Posting]:
    above = parent_of(path)
    parent = (yield from ledger.route(above)) if above else None
    carved = (yield from _carved(ledger, parent, spec)) if parent else {}
    ceilings = tuple(sorted((dict(spec.limits) | carved).items()))
    return Posting(
        ledger.new_id(),
        "open",
        path,
        moves.carve(parent, carved) if parent else (),
        parent.admit if parent else (),
        seen=((path, 0),),
        rows=(
            Row(path, 1, spec, ceilings, frozenset(carved))._replace(
                observed=not traits_of(spec).enforced
            ),
        ),
        ttl_seconds=ttl,
    )


def _carved(ledger: Ledger, parent: Route, spec: Spec) -> Talk[dict[str, int]]:
    """What the new account takes out of its parent, by unit."""
    units = sorted({unit for row in parent.rows for unit in row.lifelong})
    left = (yield from left_of(ledger, parent.account, units)) if spec.share else {}
    if spec.share and not left:
        msg = (
            f"account {parent.account!r} has no limit to share: give the child a "
            f"limit, or carve an amount"
        )
        raise InvalidAmount(msg)
    carved = carved_amounts(spec, left)
    both = carved.keys() & dict(spec.limits).keys()
    if both:
        msg = f"{', '.join(sorted(both))}: either limit a unit or carve it, not both"
        raise InvalidAmount(msg)
    return carved


def close_account(ledger: Ledger, path: str) -> Talk[None]:
    """
    Close the account and all below it, children first.

    What was closed, but was cut off before it returned its rest, returns it now.
    """
    rows: tuple[Row, ...] = yield Ask("below", (path,))
    for row in reversed(rows):
        if row.closed and row.slices:
            yield from ledger.drain_all((yield from ledger.route(row.path)))
    while True:
        still_open = [row for row in rows if not row.closed]
        if not still_open:
            return
        for row in reversed(still_open):
            yield from ledger.retire(row)
        rows = yield Ask("below", (path,))


def freeze(ledger: Ledger, path: str, reason: str) -> Talk[None]:
    """Refuse new holds on the account and all below it, whatever the reason is."""
    why = writable(str(reason or "no reason given"))
    yield from _mark(ledger, path, why, AccountFrozen(account=path, reason=why))


def thaw(ledger: Ledger, path: str, reason: str) -> Talk[None]:
    """Admit holds again."""
    yield from _mark(ledger, path, "", AccountThawed(account=path, reason=reason))


def _mark(
    ledger: Ledger, path: str, frozen: str, event: AccountFrozen | AccountThawed
) -> Talk[None]:
    """Freeze or thaw an account that is not so already."""
    while True:
        ledger.forget()
        row = (yield from ledger.route(path)).rows[0]
        if bool(row.frozen) == bool(frozen):
            return
        posting = Posting(
            ledger.new_id(),
            "freeze" if frozen else "thaw",
            path,
            note=Note(reason=event.reason),
            seen=((path, row.version),),
            rows=(row._replace(version=row.version + 1, frozen=frozen),),
        )
        answer = yield from ledger.try_post(posting, event)
        if isinstance(answer, Receipt):
            return
