"""Talks that change the tree: open, close, top up, transfer, freeze, set limits."""

from __future__ import annotations

from langchain_budget.core import rules
from langchain_budget.core.accounts import (
    Row,
    Spec,
    carved_amounts,
    common_ancestor,
    parent_of,
)
from langchain_budget.core.amounts import Amount, show
from langchain_budget.core.events import (
    AccountFrozen,
    AccountThawed,
    Opened,
    ToppedUp,
    Transferred,
)
from langchain_budget.core.postings import (
    Balance,
    CounterKey,
    Delta,
    Kind,
    Note,
    Posting,
    Refusal,
)
from langchain_budget.core.routes import Route
from langchain_budget.errors import (
    AccountClosed,
    InvalidAmount,
    InvalidTransfer,
    LimitConflict,
)
from langchain_budget.ledger import Ledger
from langchain_budget.stores._drive import Ask, Talk
from langchain_budget.views import left_of


def open_account(
    ledger: Ledger, path: str, spec: Spec, ttl: float | None = None
) -> Talk[Row]:
    """Create the account, or attach to one opened with the same specification."""
    found: Row | None = (yield Ask("rows", ((path,),))).get(path)
    if found is not None:
        return _attach(found, spec)
    above = parent_of(path)
    parent = (yield from ledger.route(above)) if above else None
    carved = yield from _carved(ledger, parent, spec)
    expires_at = None if ttl is None else (yield Ask("now")) + ttl
    row = Row(
        path,
        1,
        spec,
        tuple(sorted((dict(spec.limits) | carved).items())),
        frozenset(carved),
        expires_at=expires_at,
    )
    posting = Posting(
        ledger.new_id(),
        "open",
        path,
        rules.carve(parent, carved) if parent else (),
        parent.admit if parent else (),
        seen=((path, 0),),
        rows=(row,),
    )
    answer = yield from ledger.try_post(posting, Opened(account=path))
    if isinstance(answer, Refusal):
        # Somebody else opened it, or an account above changed: look again.
        return (yield from open_account(ledger, path, spec, ttl))
    return row


def _attach(found: Row, spec: Spec) -> Row:
    if found.closed:
        raise AccountClosed(Refusal(Kind.CLOSED, found.path))
    if found.spec != spec:
        raise LimitConflict(found.path, found.spec, spec)
    return found


def _carved(
    ledger: Ledger, parent: Route | None, spec: Spec
) -> Talk[dict[str, int]]:
    """What the new account takes out of its parent, by unit."""
    if not (spec.share or spec.carved):
        return {}
    if parent is None:
        msg = "a pool has no parent to carve from: give it limits"
        raise InvalidAmount(msg)
    units = {unit for row in parent.rows for unit, _ in row.ceilings}
    left = yield from left_of(ledger, parent.account, units)
    carved = carved_amounts(spec, left)
    if not carved:
        msg = (
            f"account {parent.account!r} has nothing limited and left to share: "
            f"give the child a limit, or carve an amount"
        )
        raise InvalidAmount(msg)
    _check_units(spec, carved)
    return carved


def _check_units(spec: Spec, carved: dict[str, int]) -> None:
    both = carved.keys() & dict(spec.limits).keys()
    if both:
        msg = f"{sorted(both)}: either limit a unit or carve it out, not both"
        raise InvalidAmount(msg)


def close_account(ledger: Ledger, path: str) -> Talk[None]:
    """Close the account and all below it, children first."""
    rows: tuple[Row, ...] = yield Ask("below", (path,))
    for row in reversed(rows):
        if not row.closed:
            yield from ledger.retire(row)


def top_up(
    ledger: Ledger, path: str, amount: Amount, reason: str, key: str
) -> Talk[None]:
    """Grant an account more of a unit that it is limited in."""
    route = yield from ledger.route(path)
    _check_move(route, amount)
    parent = None
    if amount.unit in route.rows[0].slices:
        parent = yield from ledger.route(route.rows[1].path)
    amounts = {amount.unit: amount.value}
    posting = Posting(
        key or ledger.new_id(),
        "top_up",
        path,
        rules.top_up(route, parent, amounts),
        note=Note(amounts, reason=reason),
    )
    event = ToppedUp(account=path, amounts=amounts, reason=reason)
    yield from ledger.post(posting, event)


def transfer(
    ledger: Ledger, paths: tuple[str, str], amount: Amount, reason: str, key: str
) -> Talk[None]:
    """Move budget from the first account to the second."""
    payer = yield from ledger.route(paths[0])
    payee = yield from ledger.route(paths[1])
    _check_pair(payer, payee, amount)
    posting = Posting(
        key or ledger.new_id(),
        "transfer",
        payer.account,
        rules.transfer(payer, payee, amount.unit, amount.value),
        payer.admit,
        note=Note(
            {amount.unit: amount.value}, reason=reason, labels={"payee": payee.account}
        ),
    )
    event = Transferred(
        account=payer.account, payee=payee.account, amount=amount, reason=reason
    )
    yield from ledger.post(posting, event)


def _check_pair(payer: Route, payee: Route, amount: Amount) -> None:
    top = common_ancestor(payer.account, payee.account)
    if payer.account == payee.account:
        msg = f"account {payer.account!r} cannot transfer to itself"
        raise InvalidTransfer(msg)
    if top is None:
        msg = f"{payer.account!r} and {payee.account!r} are in different pools"
        raise InvalidTransfer(msg)
    for route in (payer, payee):
        _check_move(route, amount)
    inner = payee if top == payer.account else payer
    if top in (payer.account, payee.account) and (
        amount.unit not in inner.rows[0].slices
    ):
        msg = (
            f"{inner.account!r} draws on {top!r} already: a transfer between them "
            f"moves nothing; use set_limit"
        )
        raise InvalidTransfer(msg)


def _check_move(route: Route, amount: Amount) -> None:
    if not isinstance(amount, Amount) or amount.value <= 0:
        msg = f"{amount!r}: move more than nothing, like usd('0.50')"
        raise InvalidAmount(msg)
    if route.rows[0].ceiling(amount.unit) is None:
        msg = (
            f"account {route.account!r} has no {amount.unit} limit, so there is no "
            f"{show(amount.unit, amount.value)} of it to move; set one with set_limit"
        )
        raise InvalidTransfer(msg)


def freeze(ledger: Ledger, path: str, reason: str) -> Talk[None]:
    """Refuse new holds on the account and all below it."""
    event = AccountFrozen(account=path, reason=reason)
    yield from _mark(ledger, path, reason, event)


def thaw(ledger: Ledger, path: str, reason: str) -> Talk[None]:
    """Admit holds again."""
    event = AccountThawed(account=path, reason=reason)
    yield from _mark(ledger, path, "", event)


def _mark(
    ledger: Ledger, path: str, frozen: str, event: AccountFrozen | AccountThawed
) -> Talk[None]:
    ledger.forget()
    row = (yield from ledger.route(path)).rows[0]
    if row.frozen == frozen:
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
    if isinstance(answer, Refusal):
        yield from _mark(ledger, path, frozen, event)


def set_limit(ledger: Ledger, path: str, amount: Amount, reason: str) -> Talk[None]:
    """Make *amount* what the account is granted from now on, whatever it spent."""
    ledger.forget()
    route = yield from ledger.route(path)
    row = route.rows[0]
    balances = yield Ask("balances", ((path,),))
    key = CounterKey(path, amount.unit)
    more = amount.value - (balances.get(key, Balance()).granted or 0)
    posting = Posting(
        ledger.new_id(),
        "set_limit",
        path,
        (yield from _regrant(ledger, route, amount.unit, more)),
        note=Note({amount.unit: more}, reason=reason),
        seen=((path, row.version),),
        rows=(_relimited(row, amount),),
    )
    answer = yield from ledger.try_post(posting)
    if isinstance(answer, Refusal):
        yield from set_limit(ledger, path, amount, reason)


def _regrant(
    ledger: Ledger, route: Route, unit: str, more: int
) -> Talk[tuple[Delta, ...]]:
    """A cap is simply changed; a slice takes the difference from its parent."""
    own = CounterKey(route.account, unit)
    if unit not in route.rows[0].slices:
        return (Delta((own,), granted=more),)
    parent = yield from ledger.route(route.rows[1].path)
    return (
        Delta((own,), granted=more, guarded=more < 0),
        Delta(parent.keys(unit), lent=more, guarded=more > 0),
    )


def _relimited(row: Row, amount: Amount) -> Row:
    """The next version of an account, with another ceiling in its specification."""
    own = (amount.unit, amount.value)
    field = "carved" if amount.unit in row.slices else "limits"
    asked = dict(getattr(row.spec, field)) | dict([own])
    return row._replace(
        version=row.version + 1,
        spec=row.spec._replace(**{field: tuple(sorted(asked.items()))}),
        ceilings=tuple(sorted((dict(row.ceilings) | dict([own])).items())),
    )
