"""The talks that find, beside an account, those of the user, tool or thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from langchain_budget.core.accounts import Row
from langchain_budget.core.dividing import Each, Needed, needed
from langchain_budget.core.events import Opened
from langchain_budget.core.judge import refuse_rows
from langchain_budget.core.postings import Kind, Posting, Receipt, Refusal
from langchain_budget.core.routes import JointRoute, Route
from langchain_budget.core.rules import Order
from langchain_budget.errors import AccountClosed, BudgetRefused, UnknownAccount
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
        beside = []
        for new in needed(self.each, path, order.labels):
            known = self._routes.get(new.account)
            beside += [known or (yield from self._met(own, new))]
        return joint(own, beside)

    def prospect(self, path: str, labels: Mapping[str, str]) -> Talk[Route]:
        """Likewise, but nothing is opened: what is not there is as it would be."""
        own = yield from self.route(path)
        beside: list[Route] = []
        for new in needed(self.each, path, labels):
            beside += [(yield from self._to_be(new))]
        return joint(own, beside)

    def turned_away(self, path: str, labels: Mapping[str, str]) -> Talk[Refusal | None]:
        """Why an account cannot be opened that a reserve is the first to need."""
        own = yield from self.route(path)
        for new in needed(self.each, path, labels):
            try:
                yield from self.route(new.account)
            except UnknownAccount:
                above = yield from self.route(new.trunk.path)
                refusal = yield from self._no_room(new)
                refusal = refusal or refuse_rows(above.rows)
                if refusal and not new.is_watched(refusal, (*above.rows, own.rows[-1])):
                    return refusal
        return None

    def look_anew(self, path: str, labels: Mapping[str, str]) -> None:
        """Somebody else may have changed accounts that a charge touches."""
        self._routes.pop(path, None)
        for new in needed(self.each, path, labels):
            self._routes.pop(new.account, None)
            self._routes.pop(new.trunk.path, None)

    def _to_be(self, new: Needed) -> Talk[Route]:
        """The route of an account as it is, or as it would be opened."""
        try:
            return (yield from self.route(new.account))
        except UnknownAccount:
            above = yield from self.route(new.trunk.path)
            return Route((new.row, *above.rows))

    def _met(self, own: Route, new: Needed) -> Talk[Route]:
        """
        The route of an account that is opened if need be.

        Where that cannot be but stops nobody, a charge is counted with the rest.
        """
        while True:
            try:
                return (yield from self.route(new.account))
            except UnknownAccount:
                above = yield from self.route(new.trunk.path)
            refusal = yield from self._no_room(new)
            try:
                if refusal is not None:
                    raise AccountClosed(refusal)
                yield from self._appear(new, above)
            except BudgetRefused as error:
                rows = (*above.rows, own.rows[-1])
                if new.is_watched(error.refusal, rows):
                    return above
                raise

    def _appear(self, new: Needed, above: Route) -> Talk[None]:
        """Open an account; somebody else may do so at the same time."""
        posting = Posting(
            self.new_id(),
            "open",
            new.account,
            admit=above.admit,
            seen=((new.account, 0),),
            rows=(new.row,),
        )
        answer = yield from self.try_post(posting, Opened(account=new.account))
        if isinstance(answer, Receipt):
            self._there[new.trunk.path] += 1

    def _no_room(self, new: Needed) -> Talk[Refusal | None]:
        """Why no more accounts of its kind may be opened, if none may."""
        trunk, (name, most) = new.trunk.path, new.bound
        if self._there.get(trunk, most) >= most:
            self._there[trunk] = yield from self._in_use(trunk)
        if self._there[trunk] < most:
            return None
        why = (
            f"there are {most:,} accounts below {trunk!r} already; close "
            f"some, or raise most= of limit_each({name!r}, ...)"
        )
        return Refusal(Kind.CLOSED, new.account, detail=why)

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
