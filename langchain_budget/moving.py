"""The talk that moves an account below another parent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import NamedTuple

from langchain_budget.core import moves
from langchain_budget.core.accounts import (
    SEPARATOR,
    Row,
    common_ancestor,
    is_beside,
    join,
    parent_of,
)
from langchain_budget.core.events import Closed, Moved, Opened
from langchain_budget.core.limits import show_limit, window_in
from langchain_budget.core.postings import (
    Balance,
    CounterKey,
    Delta,
    Kind,
    Note,
    Posting,
    Receipt,
    Refusal,
)
from langchain_budget.core.routes import Route, rolling_in
from langchain_budget.core.windows import Window
from langchain_budget.errors import AccountClosed, BudgetExceeded, InvalidTransfer
from langchain_budget.ledger import Ledger
from langchain_budget.stores._drive import Ask, Talk
from langchain_budget.tree import close_account

Balances = Mapping[CounterKey, Balance]


class Move(NamedTuple):
    """Which account is to go where, by their paths."""

    path: str
    parent: str
    name: str
    """What it is called there; empty is the name that it has."""
    reason: str

    @property
    def to(self) -> str:
        """The path that it is to have."""
        return join(self.parent, self.name or self.path.rpartition(SEPARATOR)[2])


class Ways(NamedTuple):
    """The way up from the account as it is, and from where it goes."""

    old: Route
    parent: Route


def move(ledger: Ledger, asked: Move) -> Talk[str]:
    """
    Open an account anew below another parent and close the old one, in one posting.

    What it has left goes along; what it has spent, and its open holds, stay.
    """
    yield from ledger.sweep()
    yield from ledger.freed(asked.path)
    told = (
        Opened(account=asked.to),
        Closed(account=asked.path),
        Moved(account=asked.path, to=asked.to, reason=asked.reason),
    )
    while True:
        posting = yield from _draft(ledger, asked)
        try:
            answer = yield from ledger.try_post(posting, *told)
        except BudgetExceeded as refusal:
            # Some of what was to move was taken; a new parent's no is for the caller.
            if refusal.account != asked.path:
                raise
            continue
        if isinstance(answer, Receipt):
            # What came back meanwhile, and whoever was opened below, ends as usual.
            yield from close_account(ledger, asked.path)
            return asked.to


def _draft(ledger: Ledger, asked: Move) -> Talk[Posting]:
    old = yield from ledger.route(asked.path)
    ways = Ways(old, (yield from ledger.route(asked.parent)))
    _check_open(ways)
    _check_places(asked, ways)
    _check_alone((yield Ask("below", (asked.path,))))
    _check_free((yield Ask("rows", ((asked.to,),))), asked.to)
    yield from ledger.roll(rolling_in(old.rows[:1]))
    now: float = yield Ask("now")
    balances: Balances = yield Ask("balances", ((asked.path,),))
    return _posting(ledger.new_id(), asked, ways, (balances, now))


def _posting(
    posting_id: str, asked: Move, ways: Ways, seen: tuple[Balances, float]
) -> Posting:
    (old, parent), (balances, now) = ways, seen
    row = old.rows[0]
    left = _left(row, balances)
    ceilings = tuple(sorted((dict(row.ceilings) | left).items()))
    opened = row._replace(path=asked.to, version=1, ceilings=ceilings)
    shut = row._replace(version=row.version + 1, closed=True)
    new = Route((opened, *parent.rows))
    amounts = {unit: value for unit, value in left.items() if value}
    money = (moves.relocated(old, new, *each) for each in amounts.items())
    return Posting(
        posting_id,
        "move",
        asked.path,
        (*chain.from_iterable(money), *_resumed(row, asked.to, balances, now)),
        # Who is frozen only by these would go on elsewhere: that is for `thaw` to say.
        admit=tuple(each for each in old.admit[1:] if each not in parent.admit),
        note=Note(amounts, labels={"to": asked.to}, reason=asked.reason),
        seen=(old.admit[0], (asked.to, 0), *parent.admit),
        rows=(opened, shut),
        during=_during(row, now),
    )


def _left(row: Row, balances: Balances) -> dict[str, int]:
    """What the account may still spend, of each unit that it is limited in for good."""
    keys = (CounterKey(row.path, unit) for unit in row.lifelong)
    return {key.unit: max(balances[key].available or 0, 0) for key in keys}


def _resumed(row: Row, to: str, balances: Balances, now: float) -> Iterator[Delta]:
    """Go on where each window is."""
    for name, unit, window in _windows(row):
        ceiling, turn = row.ceiling(name), dict(row.turns).get(window.span, 0)
        key = CounterKey(row.path, unit, window.counters(now, turn)[0])
        seen = balances.get(key) or Balance(ceiling)
        if window.is_rolling and (seen.held or seen.spent):
            msg = (
                f"{row.path!r} has used some of its {show_limit(name, ceiling)}, which "
                f"leaves that window bit by bit, and only there: wait until it has, or "
                f"close the account and open another one"
            )
            raise InvalidTransfer(msg)
        yield from moves.resumed(key, key._replace(account=to), seen)


def _during(row: Row, now: float) -> tuple[float, float] | None:
    """Since when, and until when, those windows are the right ones."""
    turns = dict(row.turns)
    instances = [
        window.at(now, turns.get(window.span, 0))
        for _, _, window in _windows(row)
        if not window.is_rolling
    ]
    if not instances:
        return None
    return max(each.start for each in instances), min(each.end for each in instances)


def _windows(row: Row) -> Iterator[tuple[str, str, Window]]:
    """The limits that start anew: name, unit and window."""
    for name, _ in row.ceilings:
        window = window_in(name)
        if window is not None:
            yield name, name.partition("@")[0], window


def _check_open(ways: Ways) -> None:
    for row in (ways.old.rows[0], *ways.parent.rows):
        if row.closed:
            raise AccountClosed(Refusal(Kind.CLOSED, row.path))


def _check_places(asked: Move, ways: Ways) -> None:
    path, parent = asked.path, asked.parent
    passing = any(row.is_passing for row in (*ways.old.rows, *ways.parent.rows))
    mistakes = (
        (parent_of(path) is None, "is the root of its pool, which stays where it is"),
        (is_beside(path), "was made by limit_each, which finds it by its path"),
        (common_ancestor(path, parent) is None, f"and {parent!r} are in two pools"),
        (passing, f"or {parent!r} lasts for a step of a graph, or for a lease"),
        (path in (row.path for row in ways.parent.rows), "cannot move below itself"),
        (asked.to == path, "is there already: name another parent, or another name"),
    )
    for is_wrong, why in mistakes:
        if is_wrong:
            msg = f"{path!r} {why}"
            raise InvalidTransfer(msg)


def _check_alone(rows: tuple[Row, ...]) -> None:
    still_open = [row.path for row in rows[1:] if not row.closed]
    if still_open:
        msg = (
            f"{still_open[0]!r} is open below {rows[0].path!r}: move or close its "
            f"children first; a lease ends when its worker gives it back"
        )
        raise InvalidTransfer(msg)


def _check_free(found: Mapping[str, Row], to: str) -> None:
    if to in found:
        state = "closed for good" if found[to].closed else "open"
        msg = (
            f"there is an account {to!r}, which is {state}: give another name, name=..."
        )
        raise InvalidTransfer(msg)
