"""The talks that find, beside an account, those of the user, tool or thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from langchain_budget.core.accounts import Row
from langchain_budget.core.dividing import Each, Needed, needed
from langchain_budget.core.events import Opened
from langchain_budget.core.judge import refuse_rows
from langchain_budget.core.postings import Kind, Posting, Receipt, Refusal
from langchain_budget.core.routes import JointRoute, Route
from langchain_budget.core.rules import Order
from langchain_budget.errors import BudgetRefused, UnknownAccount
from langchain_budget.pricing.prices import PriceBook
from langchain_budget.stores._drive import Ask, Talk
from langchain_budget.stores.base import Store
from langchain_budget.upkeep import Upkeep

LOOK_AGAIN_SECONDS: Final = 1.0
"""How long it is believed that all accounts are in use, before they are read anew."""


class TurnedAway(Exception):  # nobody outside of the ledger sees it
    """Why an account is not opened that a reserve is the first to need."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class Dividing(Upkeep):
    """Books in which a charge may be counted in several trees at once."""

    def __init__(
        self, store: Store, new_id: Callable[[], str], prices: PriceBook
    ) -> None:
        super().__init__(store, new_id, prices)
        self.each: tuple[Each, ...] = ()
        """By which labels what is charged is limited as well."""
        self._there: dict[str, int] = {}
        self._looked: dict[str, float] = {}

    def forget(self, *, named: bool = True) -> None:
        """Accounts have changed; there may be room again."""
        self._looked.clear()
        super().forget(named=named)

    def way(self, path: str, order: Order) -> Talk[Route]:
        """All that a reserve touches; what it is the first to need is opened."""
        own = self._routes.get(path) or (yield from self.route(path))
        if not self.each:
            return own
        beside = []
        for new in needed(self.each, path, order.labels):
            known = self._routes.get(new.account)
            beside += [known or (yield from self._met(own, new, order))]
        return joint(own, beside)

    def outlook(
        self, path: str, order: Order, *, overlooked: bool
    ) -> Talk[Refusal | None]:
        """What a reserve would say now, without reserving."""
        raise NotImplementedError

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

    def _met(self, own: Route, new: Needed, order: Order) -> Talk[Route]:
        """
        The route of an account that is opened if need be.

        Where that cannot be but stops nobody, a charge is counted with the rest. For
        what is refused in any case none is opened: refusals take no room.
        """
        while True:
            try:
                return (yield from self.route(new.account))
            except UnknownAccount:
                above = yield from self.route(new.trunk.path)
            try:
                yield from self._judge(new, own.account, order)
                yield from self._appear(new, above)
            except (BudgetRefused, TurnedAway) as error:
                rows = (*above.rows, own.rows[-1])
                if new.is_watched(error.refusal, rows):
                    return above
                raise TurnedAway(error.refusal) from None

    def _judge(self, new: Needed, path: str, order: Order) -> Talk[None]:
        refusal = yield from self._no_room(new)
        refusal = refusal or (yield from self.outlook(path, order, overlooked=True))
        waits = order.wait_seconds and refusal and refusal.kind is Kind.CONTENDED
        if refusal and not waits:
            raise TurnedAway(refusal)

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
        if self._there.get(trunk, most) >= most and self._is_due(trunk):
            self._there[trunk] = yield from self._count(trunk)
        if self._there[trunk] < most:
            return None
        why = (
            f"there are {most:,} accounts below {trunk!r} already; close "
            f"some, or raise most= of limit_each({name!r}, ...)"
        )
        return Refusal(Kind.CLOSED, new.account, detail=why)

    def _is_due(self, trunk: str) -> bool:
        """Whether to look at the books again: somebody may have closed accounts."""
        looked = self._looked.get(trunk)
        return looked is None or self.ticks() - looked >= LOOK_AGAIN_SECONDS

    def _count(self, trunk: str) -> Talk[int]:
        """How many accounts there are that are not closed."""
        rows: tuple[Row, ...] = yield Ask("below", (trunk,))
        self._looked[trunk] = self.ticks()
        return sum(row.path != trunk and not row.closed for row in rows)


def joint(own: Route, beside: list[Route]) -> Route:
    """One route for all; just the first where there is no other."""
    return JointRoute(own, beside) if beside else own
