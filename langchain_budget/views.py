"""What can be read of an account: balances and reports."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from langchain_budget.core.accounts import SEPARATOR
from langchain_budget.core.amounts import USD, Amount
from langchain_budget.core.postings import NO_LABELS, Balance, Refusal
from langchain_budget.core.routes import Route
from langchain_budget.core.traits import Traits, traits_of
from langchain_budget.errors import StoreError, refused
from langchain_budget.ledger import Ledger
from langchain_budget.reporting import balances_of
from langchain_budget.reports.explanation import Explanation
from langchain_budget.reports.report import AccountBalance, Report
from langchain_budget.reports.scene import Balances
from langchain_budget.standings import explanation_of
from langchain_budget.stores._drive import Ask, Talk


class AccountView:
    """
    What an account says of itself; nothing here changes anything.

    Attributes:
        path: Where it is in its tree: `"acme/research/web"`.
        ledger: The books that it is in.
    """

    def __init__(self, ledger: Ledger, path: str) -> None:
        self.ledger = ledger
        self.path = path

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path!r}>"

    def __str__(self) -> str:
        return str(self.report())

    def _repr_html_(self) -> str:
        return self.report()._repr_html_()

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(SEPARATOR)[2]

    def balance(self, unit: str = USD) -> AccountBalance:
        """What this account has of *unit*: granted, spent, held, lent, available."""
        return self.ledger.run(balances_of(self.ledger, self.path, unit))[0]

    async def abalance(self, unit: str = USD) -> AccountBalance:
        """Awaitable twin of `balance`."""
        return (await self.ledger.arun(balances_of(self.ledger, self.path, unit)))[0]

    def traits(self) -> Traits:
        """Its priority and metadata, whether it trades, whether its limits stop."""
        return traits_of(self.ledger.run(self.ledger.route(self.path)).rows[0].spec)

    async def atraits(self) -> Traits:
        """Awaitable twin of `traits`."""
        route = await self.ledger.arun(self.ledger.route(self.path))
        return traits_of(route.rows[0].spec)

    def report(self) -> Report:
        """Balances and spending by agent and node, here and below."""
        return self.ledger.report_on(self.path)

    def explain(self, *amounts: Amount) -> Explanation:
        """
        What binds this account, what it may reserve now, and what to do next.

        With *amounts* it says why a reservation of them would be refused, or that it
        would not.

        >>> from langchain_budget import BudgetPool, usd
        >>> web = BudgetPool("acme", usd(1)).open("web", limit=usd(3))
        >>> print(web.explain(usd(2)).reason)
        account 'acme' has $1.00 left of $1.00 ...
        """
        return self.ledger.run(explanation_of(self.ledger, self.path, amounts))

    async def aexplain(self, *amounts: Amount) -> Explanation:
        """Awaitable twin of `explain`."""
        return await self.ledger.arun(explanation_of(self.ledger, self.path, amounts))

    async def areport(self) -> Report:
        """Awaitable twin of `report`."""
        return await self.ledger.areport_on(self.path)


def left_of(
    ledger: Ledger,
    path: str,
    units: Iterable[str],
    labels: Mapping[str, str] = NO_LABELS,
) -> Talk[dict[str, int]]:
    """
    The least that the account and those above have left, by limited unit.

    With *labels* also those of the user, agent or tool that they name.
    """
    try:
        way = ledger.prospect(path, labels) if labels else ledger.route(path)
        route = yield from way
        paths = tuple(row.path for row in route.rows)
        now = (yield from ledger.moment(route)) if route.timed else 0.0
        balances: Balances = yield Ask("outlook", (paths,))
    except StoreError as error:
        without = ledger.left_without(path, error)
        return {unit: without[unit] for unit in units if unit in without}
    left = {unit: least(route, unit, balances, now, route.observed) for unit in units}
    return {unit: value for unit, value in left.items() if value is not None}


def least(
    route: Route,
    unit: str,
    balances: Balances,
    now: float = 0.0,
    without: Collection[str] = (),
) -> int | None:
    """
    The least that any limit of the route has left *now*; `None` is unlimited.

    The limits of accounts in *without* stop nothing and have no say.
    """
    rows = {row.path: row for row in route.rows}
    keys = route.keys(unit) + route.windows(unit, now)
    seen = [
        balances.get(key) or Balance(rows[key.account].ceiling(key.limit))
        for key in keys
        if key.account not in without
    ]
    left = (each.available for each in seen)
    return min((each for each in left if each is not None), default=None)


class Affordability(NamedTuple):
    """The answer of `can_afford`: true or false, and why; true only for now."""

    affordable: bool
    reason: str = ""
    refusal: Refusal | None = None

    def __bool__(self) -> bool:
        return self.affordable


def affordability(refusal: Refusal | None) -> Affordability:
    """What a refusal, or none, says about affording."""
    if refusal is None:
        return Affordability(affordable=True)
    return Affordability(
        affordable=False, reason=str(refused(refusal)), refusal=refusal
    )
