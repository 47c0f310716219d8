"""The talks that close what is due: overdue holds, lapsed accounts, empty slices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from langchain_budget.books import Books
from langchain_budget.core import leases, moves, rolling, rules
from langchain_budget.core.accounts import Row, parent_of
from langchain_budget.core.edges import unlent
from langchain_budget.core.events import Closed, HoldExpired, LeaseLapsed
from langchain_budget.core.postings import Hold, Kind, Posting, Receipt, Refusal
from langchain_budget.core.routes import Route
from langchain_budget.pricing.prices import PriceBook
from langchain_budget.stores._drive import Ask, Talk
from langchain_budget.stores.base import Store

TRIES: Final = 3
"""How often a window is rolled on, if the store takes longer than one of its parts."""


class Upkeep(Books):
    """Books in which time passes, and accounts come to an end."""

    def __init__(
        self, store: Store, new_id: Callable[[], str], prices: PriceBook
    ) -> None:
        super().__init__(store, new_id, prices)
        self._rolled: dict[rolling.Limit, int] = {}
        """Up to which part each rolling window has, as far as is known here."""

    def sweep(self) -> Talk[int]:
        """Close holds and accounts past their time to live; how many there were."""
        overdue: tuple[Hold, ...] = yield Ask("overdue")
        for hold in overdue:
            yield from self._expire(hold)
        lapsed: tuple[Row, ...] = yield Ask("lapsed")
        for row in lapsed:
            yield from self.retire(row)
        return len(overdue) + len(lapsed)

    def moment(self, route: Route) -> Talk[float]:
        """The time that limits with a window are judged by; they have rolled to it."""
        limits = route.rolling()
        if limits:
            yield from self.roll(limits)
        return (yield from self.now())

    def roll(self, limits: Iterable[rolling.Limit]) -> Talk[None]:
        """Let what has left them leave the rolling windows, once in each part."""
        for limit in limits:
            for _ in range(TRIES):
                now = yield from self.now()
                if self._rolled.get(limit) == limit[2].part(now):
                    break
                yield from self._roll(limit, now)

    def _roll(self, limit: rolling.Limit, now: float) -> Talk[None]:
        balances = yield Ask("balances", ((limit[0],),))
        posting = rolling.rolled(limit, balances, now)
        answer = (yield posting) if posting else None
        if isinstance(answer, Refusal) and answer.kind is Kind.OUTSIDE:
            return self.hours.set(float(answer.detail))
        if isinstance(answer, Receipt):
            self.tell_of(answer)
        self._rolled[limit] = limit[2].part(now)
        return None

    def retire(self, row: Row) -> Talk[None]:
        """Close one account: no new holds; a slice returns what it has left."""
        if row.is_lease:
            return (yield from self._lapse(row))
        shut = row._replace(version=row.version + 1, closed=True)
        seen = ((row.path, row.version),)
        posting = Posting(self.new_id(), "close", row.path, seen=seen, rows=(shut,))
        answer = yield from self.try_post(posting, Closed(account=row.path))
        if isinstance(answer, Receipt):
            yield from self.drain_all((yield from self.route(row.path)))

    def _lapse(self, row: Row) -> Talk[None]:
        """End a lease without its worker, who may have spent what it has left."""
        balances = yield Ask("balances", ((row.path,),))
        posting = leases.lapsed(self.new_id(), row, balances)
        above = parent_of(row.path) or ""
        event = LeaseLapsed(account=above, lease=row.path, amounts=posting.note.amounts)
        yield from self.try_post(posting, event)

    def freed(self, path: str) -> Talk[bool]:  # noqa: ARG002
        """
        Return what is kept ready for outages for the account at *path* and all below.

        Whether that is any; only this process knows what it keeps.
        """
        yield from ()
        return False

    def drain_all(self, route: Route) -> Talk[None]:
        """What a hold or an account leaves in closed slices goes to the parent."""
        for row in route.draining:
            yield from self._drain(row.path)

    def close_hold(
        self, hold: Hold, build: Callable[[Route], Posting]
    ) -> Talk[tuple[Route, Receipt | Refusal]]:
        """Post what *build* makes to close a hold, on its route as it is known."""
        route = yield from self.route(hold.account)
        answer: Receipt | Refusal = yield build(route)
        if isinstance(answer, Refusal) and answer.kind is Kind.STALE:
            return (yield from self.close_anew(hold, build))
        return route, answer

    def close_anew(
        self, hold: Hold, build: Callable[[Route], Posting]
    ) -> Talk[tuple[Route, Receipt | Refusal]]:
        """Likewise when accounts have changed: one may be closed and want its rest."""
        while True:
            self.forget()
            route = yield from self.route(hold.account)
            answer: Receipt | Refusal = yield build(route)
            if isinstance(answer, Receipt) or answer.kind is not Kind.STALE:
                return route, answer

    def _expire(self, hold: Hold) -> Talk[None]:
        now = (yield from self.now()) if rolling.rolls(hold) else 0.0
        route, answer = yield from self.close_hold(
            hold, lambda route: rules.expire(hold, route, now)
        )
        if isinstance(answer, Refusal):
            return
        yield from self.drain_all(route)
        self.queue.call()
        posting = rules.expire(hold, route, now)
        event = HoldExpired(
            account=hold.account,
            seq=answer.seq,
            hold=hold.id,
            amounts=posting.note.amounts,
            unconfirmed=posting.note.unconfirmed,
        )
        self.tell_of(unlent(posting, answer), event)

    def _drain(self, path: str) -> Talk[None]:
        """Return what a slice has available to its parent."""
        route = yield from self.route(path)
        parent = yield from self.route(route.rows[1].path)
        while True:
            balances = yield Ask("balances", ((path,),))
            left = {
                key.unit: seen.available
                for key, seen in balances.items()
                if key.unit in route.rows[0].slices
                and not key.window
                and (seen.available or 0) > 0
            }
            if not left:
                return
            deltas = moves.give_back(route, parent, left)
            answer = yield Posting(self.new_id(), "return", path, deltas)
            if isinstance(answer, Receipt):
                return
            # Less is left by now: a hold in it was settled at more than it held.
