"""The talks that divide what an account has anew among those right below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from langchain_budget.core import moves
from langchain_budget.core.accounts import Row, parent_of
from langchain_budget.core.amounts import show
from langchain_budget.core.events import BudgetChanged
from langchain_budget.core.policies.allocation import Claim
from langchain_budget.core.postings import (
    Balance,
    CounterKey,
    Note,
    Posting,
    Receipt,
)
from langchain_budget.core.routes import Route
from langchain_budget.core.traits import priority_of
from langchain_budget.errors import (
    BudgetExceeded,
    InvalidPolicy,
    OverAllocated,
    UnknownAccount,
)
from langchain_budget.ledger import Ledger
from langchain_budget.reports.doubts import Span
from langchain_budget.spending import Periods, Spending, spending_of
from langchain_budget.stores._drive import Ask, Talk

Policy = Callable[[Sequence[Claim], int], Mapping[str, int]]
"""Divides a total among claims; whole units by name. See `core.policies`."""

Decide = Callable[[Sequence[Claim]], Mapping[str, int]]
"""What each is to have left from now on, by name; who is left out is left alone."""

TRIES: Final = 8
"""How often it is decided anew because somebody has spent meanwhile."""


class Desk(NamedTuple):
    """What is divided, and what is known for it."""

    path: str
    unit: str
    apart: frozenset[str]
    """Accounts that take no part, such as the reserve."""
    periods: Periods


class Change(NamedTuple):
    """What an account had left, and what it was given."""

    before: int
    after: int


def divide(ledger: Ledger, desk: Desk, decide: Decide, reason: str) -> Talk[Divided]:
    """Have it decided, and change all of it at once or nothing."""
    yield from ledger.freed(desk.path)
    for _ in range(TRIES):
        ledger.forget(named=False)
        members = yield from members_of(ledger, desk)
        claims = yield from claims_of(desk, members)
        parts = answered(decide(claims), claims)
        try:
            changed = yield from _posted(ledger, desk, members, parts, reason)
        except BudgetExceeded as refusal:
            if parent_of(refusal.account) != desk.path:
                raise  # it is the account itself that has not that much
            continue  # a member has spent what was to be taken from it
        if changed is not None:
            return changed
    msg = f"{desk.path!r} was busy: its accounts changed {TRIES} times; try again"
    raise InvalidPolicy(msg)


class Divided(NamedTuple):
    """What was changed, by name, and what listeners were told of it."""

    changes: dict[str, Change]
    events: list[BudgetChanged]


class Member(NamedTuple):
    """One account that takes part, and how it stands."""

    route: Route
    balance: Balance

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.route.account.rpartition("/")[2]


def members_of(ledger: Ledger, desk: Desk) -> Talk[list[Member]]:
    """The open accounts right below that are limited in the unit."""
    rows: tuple[Row, ...] = yield Ask("below", (desk.path,))
    if not rows:
        raise UnknownAccount(desk.path)
    paths = [row.path for row in rows if _takes_part(row, desk)]
    balances = yield Ask("balances", (tuple(paths),))
    members = []
    for path in paths:
        route = yield from ledger.route(path)
        members.append(Member(route, balances[CounterKey(path, desk.unit)]))
    return members


def _takes_part(row: Row, desk: Desk) -> bool:
    right_below = parent_of(row.path) == desk.path and row.path not in desk.apart
    limited = desk.unit in row.lifelong
    return right_below and limited and not row.closed and not row.is_passing


def claims_of(desk: Desk, members: Sequence[Member]) -> Talk[list[Claim]]:
    """What each member is, has, and has used."""
    paths = [member.route.account for member in members]
    spending = Spending(paths, desk.unit, Span(float("-inf"), float("inf")))
    spends = yield from spending_of(spending)
    return [
        Claim(
            member.name,
            priority_of(member.route.rows),
            member.balance.available or 0,
            desk.periods.usage(spends[member.route.account]),
        )
        for member in members
    ]


def _posted(
    ledger: Ledger,
    desk: Desk,
    members: Sequence[Member],
    parts: Mapping[str, int],
    reason: str,
) -> Talk[Divided | None]:
    """One posting for all; nothing when accounts have changed meanwhile."""
    parent = yield from ledger.route(desk.path)
    changes = {
        member.name: Change(member.balance.available or 0, parts[member.name])
        for member in members
        if member.name in parts
    }
    more = [
        (member.route, changes[member.name].after - changes[member.name].before)
        for member in members
        if member.name in changes
    ]
    posting = Posting(
        ledger.new_id(),
        "allocate",
        desk.path,
        moves.shifted(parent, more, desk.unit),
        note=Note(reason=reason),
        seen=parent.admit[:1] + tuple(route.admit[0] for route, _ in more),
    )
    events = [
        _event(member, desk.unit, changes[member.name], reason)
        for member in members
        if member.name in changes
    ]
    answer = yield from ledger.try_post(posting, *events)
    return Divided(changes, events) if isinstance(answer, Receipt) else None


def answered(answer: object, claims: Sequence[Claim]) -> dict[str, int]:
    """
    What a policy answers, if books can be kept by it.

    Raises:
        InvalidPolicy: It does not give whole units, zero or more, to those who claim.
    """
    if not isinstance(answer, Mapping):
        msg = (
            f"the policy answers {answer!r}: have it return what each gets, by name, "
            f"in whole units"
        )
        raise InvalidPolicy(msg)
    names = {claim.name for claim in claims}
    unknown = sorted(str(name) for name in answer if name not in names)
    if unknown:
        msg = f"{', '.join(unknown)}: not among {', '.join(sorted(names))}"
        raise InvalidPolicy(msg)
    for name, part in answer.items():
        if type(part) is not int or part < 0:
            msg = f"{name!r} is given {part!r}: give a whole number, zero or more"
            raise InvalidPolicy(msg)
    return dict(answer)


def at_most(policy: Policy, total: int, unit: str) -> Decide:
    """Have *policy* give out no more than *total*; it may leave a rest, not all."""

    def decide(claims: Sequence[Claim]) -> dict[str, int]:
        parts = answered(policy(claims, total), claims)
        given = sum(parts.values())
        if given > total:
            raise OverAllocated(show(unit, given), show(unit, total))
        if total and not parts:
            msg = f"the policy gives nobody anything of {show(unit, total)}"
            raise InvalidPolicy(msg)
        return parts

    return decide


def anew(policy: Policy, path: str, unit: str) -> Decide:
    """Have *policy* divide what all below *path* have left: no more, and no less."""

    def decide(claims: Sequence[Claim]) -> dict[str, int]:
        left = {claim.name: claim.remaining for claim in claims}
        total = sum(left.values())
        if total < 0:
            msg = (
                f"the accounts below {path!r} are overdrawn by {show(unit, -total)} "
                f"together: top one of them up first"
            )
            raise InvalidPolicy(msg)
        parts = answered(policy(claims, total), claims)
        had, given = sum(left[name] for name in parts), sum(parts.values())
        if given != had:
            msg = (
                f"the policy makes {show(unit, given)} of the {show(unit, had)} that "
                f"{', '.join(parts)} had left: to rebalance keeps the sum; use allocate"
            )
            raise InvalidPolicy(msg)
        return parts

    return decide


def _event(member: Member, unit: str, change: Change, reason: str) -> BudgetChanged:
    return BudgetChanged(
        account=member.route.account,
        unit=unit,
        before=change.before,
        after=change.after,
        priority=priority_of(member.route.rows),
        reason=reason,
    )
