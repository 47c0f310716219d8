"""A store, the routes through its accounts, and who is told of changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from typing import Final

from langchain_budget.core.accounts import is_beside, lineage
from langchain_budget.core.amounts import Vector
from langchain_budget.core.edges import edges, unlent
from langchain_budget.core.events import Event, PricingFailed
from langchain_budget.core.postings import NOTHING, Posting, Receipt, Refusal
from langchain_budget.core.routes import Route
from langchain_budget.core.rules import MOVED_ON
from langchain_budget.errors import (
    InexactAmount,
    StoreError,
    UnknownAccount,
    refused,
    unavailable,
)
from langchain_budget.listeners import Listeners
from langchain_budget.pricing.prices import ModelRef, PriceBook
from langchain_budget.pricing.quotes import Quote, checked
from langchain_budget.reports.outage import OutageStatus
from langchain_budget.reports.statement import Statement
from langchain_budget.stores._drive import Ask, Talk
from langchain_budget.stores._queue import Queue
from langchain_budget.stores.base import Store

_log = logging.getLogger("langchain_budget")

ROUTES_KEPT: Final = 10_000
"""Routes are worked out anew when more accounts than this are in use."""

EXPECTED_OUTPUT: Final = 1_000
"""Tokens held for an answer when nobody capped it and nothing was learned yet."""


class Hours:
    """
    What the store's clock says, without asking it each time.

    Args:
        clock: Seconds that only ever rise.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ahead: float | None = None

    def set(self, now: float) -> None:
        """The store has said what time it is."""
        self._ahead = now - self._clock()

    def now(self) -> float | None:
        """Seconds since 1970, `None` when the store was never asked."""
        return None if self._ahead is None else self._ahead + self._clock()


class Books:
    """
    What every talk needs: the store, routes, listeners, prices and ids.

    Args:
        store: Where the books are.
        new_id: Makes ids that no other process makes.
        prices: What calls cost; kept here for the hooks.
    """

    def __init__(
        self, store: Store, new_id: Callable[[], str], prices: PriceBook
    ) -> None:
        self.store = store
        self.new_id = new_id
        self.prices = checked(prices)
        self.expected_output = EXPECTED_OUTPUT
        self.per_call: Vector = NOTHING
        """What a single call may need at most, by unit."""
        self.listeners = Listeners()
        self.statement = Statement()
        self.generation = 0
        """Rises with every change of accounts that these books know of."""
        self.ticks: Callable[[], float] = time.monotonic
        """Seconds that only ever rise."""
        self.hours = Hours(self.ticks)
        self.queue = Queue()
        self.root = ""
        """The pool that these are the books of."""
        self._routes: dict[str, Route] = {}
        self._marks: dict[str, tuple[int, ...]] = {}

    @property
    def identity(self) -> tuple[Hashable, str]:
        """Equal for the books of one pool, however often it was opened."""
        return self.store.place, self.root

    def is_same(self, other: Books) -> bool:
        """Whether both keep the books of one pool."""
        return self is other or self.identity == other.identity

    @property
    def outage(self) -> OutageStatus | None:
        """What becomes of calls while the store does not answer, if there is a say."""
        return None

    def quote(self, path: str, model: ModelRef) -> Quote:
        """What *model* costs whoever calls it for *path*; says so if none can tell."""
        return self.told(path, model, self.prices.quote(model))

    def told(self, path: str, model: ModelRef, quote: Quote) -> Quote:
        """The same, after all know that a price book has failed."""
        if quote.is_new:
            name, error = model.model, type(quote.fault).__name__
            _log.warning("the price book failed on %r", name, exc_info=quote.fault)
            event = PricingFailed(account=path, model=name, error=error)
            self.listeners.tell([event])
        return quote

    def route(self, path: str) -> Talk[Route]:
        """The way from *path* up to its root; raises `UnknownAccount`."""
        route = self._routes.get(path)
        if route is not None:
            return route
        paths = lineage(path)
        rows = yield Ask("rows", (paths,))
        missing = [each for each in paths if each not in rows]
        if missing:
            raise UnknownAccount(missing[-1])
        return self._remember(Route([rows[each] for each in paths]))

    def now(self) -> Talk[float]:
        """The time by the store's clock, as far as it is known here."""
        known = self.hours.now() if self.store.blocking else None
        if known is None:
            known = yield Ask("now")
            self.hours.set(known)
        return known

    def forget(self, *, named: bool = True) -> None:
        """
        Accounts have changed: read them anew when they are needed.

        When only accounts have that nobody finds by name, what was found stands.
        """
        self.generation += named
        self._routes.clear()

    def open_below(self, path: str) -> Talk[tuple[str, ...]]:
        """The paths of the accounts below *path* that are not closed."""
        try:
            rows = yield Ask("below", (path,))
        except StoreError as error:
            return self.names_without(path, error)
        return tuple(row.path for row in rows if row.path != path and not row.closed)

    def names_without(self, path: str, error: StoreError) -> tuple[str, ...]:
        """Likewise where the store does not say; raises `StoreUnavailable`."""
        raise unavailable(path, error) from error

    def left_without(self, path: str, error: StoreError) -> Mapping[str, int]:
        """What may be spent where the store does not say; raises `StoreUnavailable`."""
        raise unavailable(path, error) from error

    def try_post(self, posting: Posting, *happened: Event) -> Talk[Receipt | Refusal]:
        """
        Change accounts or grants; raises what a refusal says.

        A refusal that looking again may mend is returned.
        """
        _check_whole(posting)
        answer: Receipt | Refusal = yield posting
        if isinstance(answer, Refusal):
            self.forget()
        elif not all(row.version == 1 and is_beside(row.path) for row in posting.rows):
            self.forget(named=not all(row.is_passing for row in posting.rows))
        if isinstance(answer, Refusal):
            if answer.kind in MOVED_ON:
                return answer
            raise refused(answer)
        told = unlent(posting, answer)
        self.tell_of(told, *(replace(each, seq=answer.seq) for each in happened))
        self.queue.call()
        return answer

    def tell_of(self, receipt: Receipt, *happened: Event) -> None:
        """Tell the listeners what happened, and of the edges that it crossed."""
        if self.listeners:
            crossed = edges(receipt.changes, self._marks, receipt.seq)
            self.listeners.tell([*happened, *crossed])
            self.listeners.show(receipt.changes, receipt.seq)

    def _remember(self, route: Route) -> Route:
        if len(self._routes) >= ROUTES_KEPT:
            self._routes.clear()
        self._routes[route.account] = route
        for row in route.rows:
            self._marks[row.path] = row.spec.marks
        return route


def _check_whole(posting: Posting) -> None:
    """What is not an exact whole number never comes into a store."""
    counted = [each for delta in posting.deltas for each in delta[1:5]]
    counted += [value for row in posting.rows for _, value in row.ceilings]
    for value in counted:
        if type(value) is not int:
            msg = f"{posting.kind} of {posting.account!r}: {value!r} is no whole number"
            raise InexactAmount(msg)
