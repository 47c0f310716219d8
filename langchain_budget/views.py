"""What can be read of an account: balances and reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from langchain_budget.core.accounts import SEPARATOR, Row
from langchain_budget.core.amounts import USD, Amount, vector
from langchain_budget.core.postings import Balance, CounterKey, Hold, Kind, Refusal
from langchain_budget.core.routes import Route
from langchain_budget.core.rules import MAY_FREE, Order
from langchain_budget.errors import UnknownAccount, refused
from langchain_budget.ledger import Ledger
from langchain_budget.reports.explanation import (
    Explanation,
    HoldInfo,
    Standing,
    advice,
    hold_info,
    nothing_left,
)
from langchain_budget.reports.report import AccountBalance, Report
from langchain_budget.stores._drive import Ask, Talk

Balances = Mapping[CounterKey, Balance]


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

    def report(self) -> Report:
        """Balances and spending by agent and node, here and below."""
        return self.ledger.run(report_of(self.ledger, self.path))

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
        return await self.ledger.arun(report_of(self.ledger, self.path))


def balances_of(
    ledger: Ledger, path: str, unit: str = ""
) -> Talk[tuple[AccountBalance, ...]]:
    """Every limit of the account and of all below it, or one unit of it alone."""
    yield from ledger.sweep()
    rows: tuple[Row, ...] = yield Ask("below", (path,))
    if not rows:
        raise UnknownAccount(path)
    balances: Balances = yield Ask("balances", (tuple(row.path for row in rows),))
    if unit:
        return (_seen(rows[0], unit, rows, balances),)
    return tuple(
        _seen(row, each, rows, balances)
        for row in rows
        if not row.is_passing
        for each, _ in row.ceilings
    )


def report_of(ledger: Ledger, path: str) -> Talk[Report]:
    """Balances and the folded journal of an account and all below it."""
    balances = yield from balances_of(ledger, path)
    statement = ledger.statement
    entries = yield Ask("journal", (statement.seq,))
    statement.fold(entries)
    return Report(account=path, balances=balances, lines=statement.within(path))


def explanation_of(
    ledger: Ledger, path: str, amounts: tuple[Amount, ...]
) -> Talk[Explanation]:
    """All that has a say on the way from the account up to its root."""
    route = yield from ledger.route(path)
    order = Order(vector(amounts) or dict.fromkeys(_limited(route), 1))
    refusal: Refusal | None = yield from ledger.judged(path, order)
    route = yield from ledger.route(path)
    rows: tuple[Row, ...] = yield Ask("below", (route.rows[-1].path,))
    balances: Balances = yield Ask("balances", (tuple(row.path for row in rows),))
    holds: tuple[Hold, ...] = yield Ask("open_holds")
    now: float = yield Ask("now")
    standings = tuple(standing(row, rows, balances) for row in route.rows)
    return Explanation(
        account=path,
        path=standings,
        affordable=_affordable(route, balances, refusal),
        holds=_taking(route, holds, now),
        asked=amounts,
        refusal=refusal,
        reason=_reason(refusal, amounts),
        observed=refusal is not None and refusal.account in route.observed,
        advice=tuple(advice(standings, refusal, amounts)),
    )


def _limited(route: Route) -> dict[str, None]:
    """The units that something on the route limits."""
    return dict.fromkeys(unit for row in route.rows for unit in row.lifelong)


def _reason(refusal: Refusal | None, asked: tuple[Amount, ...]) -> str:
    if refusal is None:
        return ""
    if asked or refusal.kind not in MAY_FREE:
        return str(refused(refusal))
    return nothing_left(refusal)


def _affordable(
    route: Route, balances: Balances, refusal: Refusal | None
) -> dict[str, Amount]:
    """The most of each unit that would be admitted; nothing where all is refused."""
    left = {unit: least(route, unit, balances) for unit in _limited(route)}
    shut = refusal is not None and refusal.kind in (Kind.FROZEN, Kind.CLOSED)
    return {
        unit: Amount(unit, 0 if shut else max(value, 0))
        for unit, value in left.items()
        if value is not None
    }


def _taking(route: Route, holds: Iterable[Hold], now: float) -> tuple[HoldInfo, ...]:
    """The holds that hold something of what a charge here would touch."""
    paths = {row.path for row in route.rows}
    taking = [
        hold
        for hold in holds
        if any(key.account in paths for delta in hold.deltas for key in delta.counters)
    ]
    largest = sorted(taking, key=lambda hold: -max(hold.amounts.values(), default=0))
    return tuple(hold_info(hold, now) for hold in largest)


def standings_of(ledger: Ledger, path: str) -> Talk[tuple[Standing, ...]]:
    """How the account and all below it stand, parents first."""
    yield from ledger.sweep()
    rows: tuple[Row, ...] = yield Ask("below", (path,))
    if not rows:
        raise UnknownAccount(path)
    balances: Balances = yield Ask("balances", (tuple(row.path for row in rows),))
    return tuple(standing(row, rows, balances) for row in rows if not row.is_passing)


def standing(row: Row, rows: tuple[Row, ...], balances: Balances) -> Standing:
    """One account with its limits, or with what it has spent if it has none."""
    used = [key.unit for key, seen in balances.items() if _unlimited(key, seen, row)]
    units = [unit for unit, _ in row.ceilings] or sorted(used, key=USD.__ne__)[:1]
    return Standing(
        account=row.path,
        closed=row.closed,
        frozen=row.frozen,
        observed=row.observed,
        marks=row.spec.marks,
        balances=tuple(_seen(row, unit, rows, balances) for unit in units),
    )


def _unlimited(key: CounterKey, seen: Balance, row: Row) -> bool:
    return key.account == row.path and seen.granted is None and not key.window


def _seen(
    row: Row, unit: str, rows: tuple[Row, ...], balances: Balances
) -> AccountBalance:
    own = balances.get(CounterKey(row.path, unit), Balance())
    inside = [
        balances.get(CounterKey(each.path, unit), Balance()).spent
        for each in rows
        if unit in each.slices and each.path.startswith(row.path + SEPARATOR)
    ]
    return AccountBalance(
        account=row.path,
        unit=unit,
        granted=_amount(unit, own.granted),
        spent=Amount(unit, own.spent + sum(inside)),
        held=Amount(unit, own.held),
        lent=Amount(unit, own.lent - sum(inside)),
        available=_amount(unit, own.available),
        state=state_of(row, own),
    )


def state_of(row: Row, own: Balance) -> str:
    """`closed`, `frozen`, `exhausted` or `active`, the strongest that is true."""
    if row.closed:
        return "closed"
    if row.frozen:
        return "frozen"
    spent_up = own.granted is not None and own.granted - own.spent - own.lent <= 0
    return "exhausted" if spent_up else "active"


def _amount(unit: str, value: int | None) -> Amount | None:
    return None if value is None else Amount(unit, value)


def left_of(ledger: Ledger, path: str, units: Iterable[str]) -> Talk[dict[str, int]]:
    """The least that the account and those above have left, by limited unit."""
    route = yield from ledger.route(path)
    paths = tuple(row.path for row in route.rows)
    balances: Balances = yield Ask("outlook", (paths,))
    left = {unit: least(route, unit, balances) for unit in units}
    return {unit: value for unit, value in left.items() if value is not None}


def least(route: Route, unit: str, balances: Balances) -> int | None:
    """The least that any counter of the route has available; `None` is unlimited."""
    seen = [balances.get(key, Balance()).available for key in route.keys(unit)]
    return min((each for each in seen if each is not None), default=None)


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
