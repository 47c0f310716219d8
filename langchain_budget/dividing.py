"""The talks that find, beside an account, those of the user, tool or thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from langchain_budget.core.accounts import Row, Spec
from langchain_budget.core.dividing import Each
from langchain_budget.core.events import Opened
from langchain_budget.core.postings import Kind, Posting, Receipt, Refusal
from langchain_budget.core.routes import JointRoute, Route
from langchain_budget.core.rules import Order
from langchain_budget.errors import AccountClosed, UnknownAccount
from langchain_budget.pricing.prices import PriceBook
from langchain_budget.stores._drive import Ask, Talk
from langchain_budget.stores.base import Store
from langchain_budget.upkeep import Upkeep


class Dividing(Upkeep):
    """Books in which a charge may be counted in several trees at once."""

    def __init__(
        self, store: Store, new_id: Callable[[], str], prices: PriceBook
    ) -> None:
        super().__init__(store, new_id, prices)
        self.each: tuple[Each, ...] = ()
        """By which labels what is charged is limited as well."""
        self._there: dict[str, int] = {}

    def way(self, path: str, order: Order) -> Talk[Route]:
        """All that a reserve touches; what it is the first to need is opened."""
        own = self._routes.get(path) or (yield from self.route(path))
        if not self.each:
            return own
        return joint(own, (yield from self._beside(path, order.labels)))

    def prospect(self, path: str, labels: Mapping[str, str]) -> Talk[Route]:
        """Likewise, but nothing is opened: what is not there is as it would be."""
        own = yield from self.route(path)
        beside = []
        for each in self.each:
            found = each.account(path, labels)
            if found is not None:
                beside.append((yield from self._to_be(each, *found)))
        return joint(own, beside)

    def _to_be(self, each: Each, account: str, spec: Spec) -> Talk[Route]:
        """The route of an account as it is, or as it would be opened."""
        try:
            return (yield from self.route(account))
        except UnknownAccount:
            row, trunk = each.rows(account, spec)
            return Route((row, *(yield from self.route(trunk.path)).rows))

    def look_anew(self, path: str, labels: Mapping[str, str]) -> None:
        """Somebody else may have changed accounts that a charge touches."""
        found = (each.account(path, labels) for each in self.each)
        beside = [account for account, _ in filter(None, found)]
        trunks = [each.trunk(path) for each in self.each]
        for each in (path, *beside, *trunks):
            self._routes.pop(each, None)

    def _beside(self, path: str, labels: Mapping[str, str]) -> Talk[list[Route]]:
        routes = []
        for each in self.each:
            found = each.account(path, labels)
            if found is not None:
                known = self._routes.get(found[0])
                route = known or (yield from self._met(each, *found))
                routes += [route] if route else []
        return routes

    def _met(self, each: Each, account: str, spec: Spec) -> Talk[Route | None]:
        """The route of an account that may not be there yet, if there is room."""
        while True:
            try:
                return (yield from self.route(account))
            except UnknownAccount:
                if not (yield from self._has_room(each, account, spec)):
                    return None
                yield from self._appear(each, account, spec)

    def _appear(self, each: Each, account: str, spec: Spec) -> Talk[None]:
        """Open an account; somebody else may do so at the same time."""
        row, trunk = each.rows(account, spec)
        above = yield from self.route(trunk.path)
        posting = Posting(
            self.new_id(),
            "open",
            account,
            admit=above.admit,
            seen=((account, 0),),
            rows=(row,),
        )
        answer = yield from self.try_post(posting, Opened(account=account))
        if isinstance(answer, Receipt):
            self._there[trunk.path] += 1

    def _has_room(self, each: Each, account: str, spec: Spec) -> Talk[bool]:
        """Whether one more may be opened; raises where its limits stop calls."""
        row, above = each.rows(account, spec)
        trunk = above.path
        if self._there.get(trunk, each.most) >= each.most:
            self._there[trunk] = yield from self._in_use(trunk)
        full = self._there[trunk] >= each.most
        if full and not row.observed:
            why = (
                f"there are {each.most:,} accounts below {trunk!r} already; close "
                f"some, or raise most= of limit_each({each.name!r}, ...)"
            )
            raise AccountClosed(Refusal(Kind.CLOSED, account, detail=why))
        return not full

    def _in_use(self, trunk: str) -> Talk[int]:
        """How many accounts have spent or hold something; others take no room."""
        rows: tuple[Row, ...] = yield Ask("below", (trunk,))
        paths = tuple(row.path for row in rows if row.path != trunk and not row.closed)
        balances = yield Ask("balances", (paths,))
        used = (key for key, seen in balances.items() if seen.spent or seen.held)
        return len({key.account for key in used})


def joint(own: Route, beside: list[Route]) -> Route:
    """One route for all; just the first where there is no other."""
    return JointRoute(own, beside) if beside else own
