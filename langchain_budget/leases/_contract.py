"""What a worker agrees with the shared books: the talks in which it gets its money."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

from langchain_budget.core.accounts import LEASE, Row, Spec, join, lineage
from langchain_budget.core.amounts import Vector
from langchain_budget.core.events import WouldRefuse
from langchain_budget.core.judge import short
from langchain_budget.core.leases import Renewal, fair, renewed, spoke, sums
from langchain_budget.core.postings import (
    NOTHING,
    Balance,
    CounterKey,
    Kind,
    Posting,
    Receipt,
    Refusal,
)
from langchain_budget.core.routes import Route
from langchain_budget.core.rules import MAY_FREE, OVERLOOKED
from langchain_budget.errors import InvalidLease, StoreError, refused
from langchain_budget.leases._stance import Sent, Stance
from langchain_budget.leases.purse import Purse, Terms
from langchain_budget.ledger import Ledger
from langchain_budget.stores._drive import Ask, Talk
from langchain_budget.tree import open_account
from langchain_budget.views import least

TRIES: Final = 16
"""How often a posting is built anew because something else has changed."""

NEVER: Final = -math.inf

Answer = Receipt | Refusal | None


class Sight(NamedTuple):
    """What the shared books say of the account that is leased, and those above it."""

    rows: Mapping[str, Row]
    left: Mapping[str, int | None]
    """What it could give, by unit; `None` is unlimited."""


class Contract:
    """The lease as the shared books have it; one talk at a time."""

    def __init__(self, shared: Ledger, terms: Terms, purse: Purse) -> None:
        self.shared = shared
        self.terms = terms
        self.good_until = NEVER
        """Until before when calls may be admitted, by the worker's clock."""
        self.due_at = NEVER
        """From when on somebody should be asked first."""
        self.ending = self.over = False
        self.why = Refusal(Kind.CLOSED, purse.path, detail="its lease was given back")
        self._purse = purse
        self._row: Row | None = None
        self._granted = dict.fromkeys(terms.sizes, 0)
        self._spent = dict.fromkeys(terms.sizes, 0)
        """What was reported."""
        self._lost: dict[str, int] = {}
        """What others have booked as spent for a worker that did not speak."""
        self._renew_at = NEVER
        self._sent: Sent | None = None

    @property
    def path(self) -> str:
        """The account that the lease has in the shared books, if it has one yet."""
        return self._row.path if self._row else ""

    def deal(
        self, wanted: Vector, posting: Posting | None = None, *, empty: bool = False
    ) -> Talk[Answer]:
        """
        Report what was spent, and live on with so much free, at the least, or nothing.

        What the worker's own books say to *posting* then is returned, or why the
        shared ones refuse.
        """
        yield from self._recall()
        if self._row is None:
            self._row = yield from self._open()
        sizes = dict.fromkeys(self.terms.sizes, 0) if empty else self.terms.sizes
        stance = Stance(sizes, wanted, posting)
        return (yield from self._agree(self._row, stance))

    def give_back(self) -> Talk[None]:
        """Return what is free; the lease is over when no call is under way."""
        self.ending, self.good_until, self.due_at = True, NEVER, NEVER
        yield from self._recall()
        if self._row is None:
            self.over = True
            return
        stance = Stance(self.terms.sizes, NOTHING, None)
        stance.end(self.why)
        yield from self._agree(self._row, stance)

    def sight(self) -> Talk[Sight]:
        """What the account that is leased has left, and whether it is frozen."""
        paths = lineage(self._purse.path)
        rows: Mapping[str, Row] = yield Ask("rows", (paths,))
        balances = yield Ask("balances", (paths,))
        route = Route([rows[path] for path in paths])
        left = {unit: least(route, unit, balances) for unit in self.terms.sizes}
        return Sight(rows, left)

    def _missing(self, route: Route) -> list[str]:
        names = {name for row in route.rows for name, _ in row.ceilings}
        return sorted(names - self.terms.sizes.keys())

    def _open(self) -> Talk[Row]:
        """Have an account of its own, with nothing in it yet."""
        route = yield from self.shared.route(self._purse.path)
        missing = self._missing(route)
        if missing:
            raise InvalidLease(route.account, missing)
        if not self.terms.alone:
            yield from self._look_below(route.account)
        path = join(route.account, f"lease-{self.shared.new_id()}")
        carved = tuple((unit, 0) for unit in sorted(self.terms.sizes))
        spec = Spec(carved=carved, labels=(LEASE,))
        return (
            yield from open_account(self.shared, path, spec, self.terms.ttl_seconds)
        )

    def _look_below(self, path: str) -> Talk[None]:
        """Know the accounts that calls may be for, unless they are limited."""
        rows: tuple[Row, ...] = yield Ask("below", (path,))
        inside = [row for row in rows[1:] if not (row.closed or row.is_passing)]
        limited = [row.path for row in inside if row.ceilings]
        if limited:
            raise InvalidLease(path, limited)
        if inside:
            self._purse.write(*(Row(row.path, 1, row.spec) for row in inside))

    def _agree(self, row: Row, stance: Stance) -> Talk[Answer]:
        """Ask, and give in to what the shared books say, until they take it."""
        for _ in range(TRIES):
            parent = yield from self.shared.route(self._purse.path)
            missing = self._missing(parent)
            if missing and stance.consents:
                self._end(stance, str(InvalidLease(parent.account, missing)))
            sent = self._draft(row, parent, stance)
            if stance.refusal and not self._matters(sent):
                self._purse.tally.put_back(sent.parts)
                return stance.refusal
            answer = yield from self._send(sent)
            if isinstance(answer, Receipt):
                if parent.draining:
                    yield from self.shared.drain_all(parent)
                then = None if stance.refusal else stance.posting
                return stance.refusal or self._purse.fill(self._granted, then)
            row = yield from self._give_in(answer, row, parent, stance)
        msg = f"{row.path!r}: other accounts change faster than it can be renewed"
        raise StoreError(msg)

    def _draft(self, row: Row, parent: Route, stance: Stance) -> Sent:
        mine = self._mine(stance)
        parts = self._purse.tally.take()
        renewal = Renewal(
            {unit: stance.move(unit, value) for unit, value in mine.items()},
            (*spoke(row, self._lost), *parts),
            self.terms.ttl_seconds,
            stance.consents,
            stance.overlooked,
            closes=self.ending and not self._purse.busy,
        )
        at = self.terms.clock()
        posting = renewed(self.shared.new_id(), row, parent, renewal)
        return Sent(posting, parts, at, stance.consents)

    def _mine(self, stance: Stance) -> dict[str, int]:
        """What the lease has free; more than is asked for is not used any more."""
        pockets = self._purse.leave(stance.free)
        return {
            unit: free + self._granted[unit] - granted
            for unit, (granted, free) in pockets.items()
        }

    def _matters(self, sent: Sent) -> bool:
        return bool(sent.posting.deltas or sent.parts) or sent.at >= self._renew_at

    def _send(self, sent: Sent) -> Talk[Receipt | Refusal]:
        """If no answer comes, what was sent is sent again before anything else."""
        self._sent = sent
        answer: Receipt | Refusal = yield sent.posting
        self._sent = None
        if isinstance(answer, Receipt):
            self._settle(sent, answer)
        else:
            self._purse.tally.put_back(sent.parts)
        return answer

    def _recall(self) -> Talk[None]:
        if self._sent is not None:
            answer = yield from self._send(self._sent)
            if isinstance(answer, Receipt):
                self._purse.fill(self._granted)

    def _settle(self, sent: Sent, receipt: Receipt) -> None:
        self._row = row = sent.posting.rows[0]
        for change in receipt.changes:
            if change[0].account == row.path:
                self._granted[change[0].unit] = change[3]
        amounts, _ = sums(sent.parts)
        for unit in self._spent:
            self._spent[unit] += amounts.get(unit, 0)
        self._lost = {}
        ttl = self.terms.ttl_seconds
        self._renew_at = sent.at + ttl / 2
        stands = sent.consents and not self.ending
        self.good_until = sent.at + ttl if stands else NEVER
        self.due_at = self._renew_at if stands else NEVER
        self.over = row.closed
        self.shared.tell_of(receipt)

    def _give_in(
        self, answer: Refusal, row: Row, parent: Route, stance: Stance
    ) -> Talk[Row]:
        kind = answer.kind
        if kind in (Kind.STALE, Kind.UNKNOWN):
            self.shared.forget()
            return (yield from self._reread(row)) if answer.account == row.path else row
        watched = answer.account in parent.observed and not stance.overlooked
        if watched and kind in OVERLOOKED:
            stance.overlooked = parent.observed
            self._announce(answer)
        elif kind in MAY_FREE:
            yield from self._share(answer, stance)
        elif kind in (Kind.FROZEN, Kind.CLOSED):
            stance.end(answer)
            if kind is Kind.CLOSED:
                self.ending, self.why = True, answer
        else:
            raise refused(answer)
        return row

    def _end(self, stance: Stance, why: str) -> None:
        """Nothing more is admitted: report, and return what is free."""
        self.ending = True
        self.why = Refusal(Kind.CLOSED, self._purse.path, detail=why)
        stance.end(self.why)

    def _share(self, answer: Refusal, stance: Stance) -> Talk[None]:
        """The parent cannot spare as much: have less, or all of it is not enough."""
        unit, wanted = answer.unit, stance.wanted.get(answer.unit, 0)
        mine = self._mine(stance)[unit]
        pot = (answer.balance.available or 0) + mine
        keep = fair(wanted, self.terms.sizes[unit], pot)
        if keep is not None:
            stance.free[unit] = keep
            stance.scarce.add(unit)
            return
        if not stance.swept:
            stance.swept = True
            if (yield from self.shared.sweep()):
                return
        if not wanted:
            stance.free[unit] = 0
            stance.scarce.add(unit)
            return
        seen = answer.balance
        rest = seen._replace(lent=seen.lent - max(mine, 0))
        stance.refused(short(CounterKey(answer.account, unit), wanted, rest), unit)

    def _reread(self, row: Row) -> Talk[Row]:
        """Somebody else has ended the lease, or changed it: take it from there."""
        rows = yield Ask("rows", ((row.path,),))
        balances = yield Ask("balances", ((row.path,),))
        if row.path not in rows:
            raise refused(Refusal(Kind.UNKNOWN, row.path))
        for unit in self._granted:
            seen = balances.get(CounterKey(row.path, unit), Balance())
            self._granted[unit] = seen.granted or 0
            self._lost[unit] = seen.spent - self._spent[unit]
        found: Row = rows[row.path]
        return found

    def _announce(self, refusal: Refusal) -> None:
        path = self._purse.path
        event = WouldRefuse(account=refusal.account, refusal=refusal, wanted_by=path)
        self.shared.listeners.tell([event])
