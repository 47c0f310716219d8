"""Talks that change what accounts are granted: top up, transfer, set a limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from langchain_budget.core import moves
from langchain_budget.core.accounts import Row, common_ancestor
from langchain_budget.core.amounts import Amount, Limit, countable, show
from langchain_budget.core.events import Event, ToppedUp, Transferred
from langchain_budget.core.postings import (
    Balance,
    CounterKey,
    Delta,
    Note,
    Posting,
    Receipt,
)
from langchain_budget.core.routes import Route
from langchain_budget.core.traits import traits_of
from langchain_budget.errors import BudgetExceeded, InvalidAmount, InvalidTransfer
from langchain_budget.ledger import Ledger
from langchain_budget.stores._drive import Ask, Talk

Versions = tuple[tuple[str, int], ...]


class Draft(NamedTuple):
    """A posting, and what listeners are told when it was applied."""

    posting: Posting
    events: tuple[Event, ...] = ()


def top_up(
    ledger: Ledger, path: str, amount: Amount, reason: str, key: str
) -> Talk[None]:
    """Grant an account more of a unit that it is limited in."""
    posting_id = key or ledger.new_id()

    def draft() -> Talk[Draft]:
        route = yield from ledger.route(path)
        _check_move(route, amount)
        parent = yield from _payer_of(ledger, route, amount.unit)
        amounts = {amount.unit: amount.value}
        admit, seen = _payee(route)
        posting = Posting(
            posting_id,
            "top_up",
            path,
            moves.top_up(route, parent, amounts),
            admit + (parent.admit if parent else ()),
            note=Note(amounts, reason=reason),
            seen=seen,
        )
        return Draft(posting, (ToppedUp(account=path, amounts=amounts, reason=reason),))

    yield from _post(ledger, draft)


def grant(
    ledger: Ledger, counter: CounterKey, amount: Amount, reason: str, key: str
) -> Talk[None]:
    """Grant more of one limit; of a window's, for as long as that window lasts."""
    path = counter.account
    if not counter.window:
        return (yield from top_up(ledger, path, amount, reason, key))
    amounts = {countable(amount).unit: amount.value}

    def draft() -> Talk[Draft]:
        route = yield from ledger.route(path)
        posting = Posting(
            key,
            "top_up",
            path,
            (Delta((counter,), granted=amount.value),),
            note=Note(amounts, reason=reason),
            seen=route.admit[:1],
        )
        return Draft(posting, (ToppedUp(account=path, amounts=amounts, reason=reason),))

    return (yield from _post(ledger, draft))


def transfer(
    ledger: Ledger, paths: tuple[str, str], amount: Amount, reason: str, key: str
) -> Talk[None]:
    """Move budget from the first account to the second."""
    posting_id = key or ledger.new_id()

    def draft() -> Talk[Draft]:
        payer = yield from ledger.route(paths[0])
        payee = yield from ledger.route(paths[1])
        _check_pair(payer, payee, amount)
        admit, seen = _payee(payee)
        posting = Posting(
            posting_id,
            "transfer",
            payer.account,
            moves.transfer(payer, payee, amount.unit, amount.value),
            payer.admit + admit,
            note=Note(
                {amount.unit: amount.value}, labels={"payee": paths[1]}, reason=reason
            ),
            seen=seen,
        )
        event = Transferred(
            account=paths[0], payee=paths[1], amount=amount, reason=reason
        )
        return Draft(posting, (event,))

    yield from _post(ledger, draft)


def _payee(route: Route) -> tuple[Versions, Versions]:
    """What must hold of a receiver: it may be frozen, but a closed one is refused."""
    version = route.admit[:1]
    return (version, ()) if route.rows[0].closed else ((), version)


def _payer_of(ledger: Ledger, route: Route, unit: str) -> Talk[Route | None]:
    """Whom a slice gets more of *unit* from; `None` for a cap."""
    if unit not in route.rows[0].slices:
        return None
    return (yield from ledger.route(route.rows[1].path))


def _post(ledger: Ledger, draft: Callable[[], Talk[Draft]]) -> Talk[None]:
    """
    Post what *draft* makes; when an account has changed meanwhile, make it anew.

    What is kept ready for outages is given back, once, where that may mend a refusal.
    """
    freed = False
    while True:
        posting, events = yield from draft()
        try:
            answer = yield from ledger.try_post(posting, *events)
        except BudgetExceeded as refusal:
            if freed or not (yield from ledger.freed(refusal.account)):
                raise
            freed = True
            continue
        if isinstance(answer, Receipt):
            return


def _check_pair(payer: Route, payee: Route, amount: Amount) -> None:
    top = common_ancestor(payer.account, payee.account)
    if payer.account == payee.account:
        msg = f"account {payer.account!r} cannot transfer to itself: name another one"
        raise InvalidTransfer(msg)
    if top is None:
        msg = f"{payer.account!r} and {payee.account!r} are in different pools"
        raise InvalidTransfer(msg)
    for route in (payer, payee):
        _check_move(route, amount)
        _check_tradeable(route)
    inner = payee if top == payer.account else payer
    outer = top in (payer.account, payee.account)
    if outer and not moves.slices_within(inner, amount.unit, top):
        msg = (
            f"{inner.account!r} draws on {top!r} already: a transfer between them "
            f"moves nothing; use set_limit"
        )
        raise InvalidTransfer(msg)


def _check_tradeable(route: Route) -> None:
    if not traits_of(route.rows[0].spec).tradeable:
        msg = (
            f"account {route.account!r} was opened with tradeable=False, so nothing "
            f"moves from it or to it; use top_up or set_limit"
        )
        raise InvalidTransfer(msg)


def _check_move(route: Route, amount: Amount) -> None:
    if not countable(amount):
        msg = f"{amount!r}: move more than nothing, like usd('0.50')"
        raise InvalidAmount(msg)
    if route.rows[0].ceiling(amount.unit) is None:
        msg = (
            f"account {route.account!r} has no {amount.unit} limit, so there is no "
            f"{show(amount.unit, amount.value)} of it to move; set one with set_limit"
        )
        raise InvalidTransfer(msg)


def set_limit(
    ledger: Ledger, path: str, limit: Amount | Limit, reason: str
) -> Talk[None]:
    """Make *limit* what the account is granted from now on, whatever it spent."""
    if isinstance(limit, Limit):
        return (yield from _set_window(ledger, path, limit, reason))
    amount = countable(limit)

    def draft() -> Talk[Draft]:
        ledger.forget()
        route = yield from ledger.route(path)
        balances = yield Ask("balances", ((path,),))
        own = balances.get(CounterKey(path, amount.unit), Balance())
        parent = yield from _payer_of(ledger, route, amount.unit)
        more = amount.value - (own.granted or 0)
        if parent is not None:
            more = max(more, -max(own.available or 0, 0))
        admit, seen = _payee(route)
        posting = Posting(
            ledger.new_id(),
            "set_limit",
            path,
            moves.regrant(route, parent, amount.unit, own.granted, more),
            admit + (parent.admit if parent and more > 0 else ()),
            note=Note({amount.unit: more}, reason=reason),
            seen=seen,
            rows=(_relimited(route.rows[0], amount.unit, amount.value),),
        )
        return Draft(posting)

    yield from ledger.freed(path)
    while True:
        try:
            return (yield from _post(ledger, draft))
        except BudgetExceeded as refusal:
            # A slice spent what it was to return; a parent's no is for the caller.
            if refusal.account != path:
                raise


def _set_window(ledger: Ledger, path: str, limit: Limit, reason: str) -> Talk[None]:
    """Likewise for the limit of a window, the current one included."""
    unit, value = countable(limit.amount).unit, limit.amount.value

    def draft() -> Talk[Draft]:
        ledger.forget()
        row = (yield from ledger.route(path)).rows[0]
        now = yield Ask("now")
        turn = dict(row.turns).get(limit.window.span, 0)
        instance = limit.window.at(now, turn)
        had = row.ceiling(limit.name)
        key = CounterKey(path, unit, limit.window.counters(now, turn)[0])
        if had is not None:
            # It begins with what it is granted so far, before that is another sum.
            yield Posting(ledger.new_id(), "touch", path, moves.touched(key))
            balances = yield Ask("balances", ((path,),))
            had = balances[key].granted
        deltas = moves.rewindow(key, had, value)
        posting = Posting(
            ledger.new_id(),
            "set_limit",
            path,
            deltas,
            note=Note({unit: value - (had or 0)}, reason=reason),
            seen=((path, row.version),),
            rows=(_relimited(row, limit.name, value),),
            during=(instance.start, instance.end),
        )
        return Draft(posting)

    yield from _post(ledger, draft)


def _relimited(row: Row, name: str, value: int) -> Row:
    """The next version of an account, with another ceiling in its specification."""
    spec = row.spec
    if name in row.slices:
        spec = spec._replace(carved=_with(spec.carved, name, value))
    else:
        spec = spec._replace(limits=_with(spec.limits, name, value))
    ceilings = _with(row.ceilings, name, value)
    return row._replace(version=row.version + 1, spec=spec, ceilings=ceilings)


def _with(
    limits: tuple[tuple[str, int], ...], name: str, value: int
) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((dict(limits) | {name: value}).items()))
