"""How the accounts stand that share a budget: history, forecast, levels, a review."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from langchain_budget.account import Account, account_of, below
from langchain_budget.allocating import Desk, members_of
from langchain_budget.core.amounts import USD, Amount
from langchain_budget.core.policies.forecast import Spend, burn_rate, exhausted_in
from langchain_budget.core.policies.review import Finding, Standing, review
from langchain_budget.core.policies.service_levels import (
    SERVICE_LEVELS,
    Level,
    ServiceLevels,
)
from langchain_budget.reporting import balances_of
from langchain_budget.reports.doubts import Span
from langchain_budget.spending import Periods, Spending, spending_of
from langchain_budget.stores._drive import Ask, Talk

HOUR: Final = 3600.0
ALWAYS: Final = Span(float("-inf"), float("inf"))


class Forecast(NamedTuple):
    """
    How fast an account spends, and when it will have nothing left.

    Attributes:
        rate: What it spends in an hour, rounded down.
        seconds: Until nothing is left at that rate; `None` if that is never.
    """

    rate: Amount
    seconds: int | None


class TreasuryView:
    """What can be read of the accounts right below one; nothing here changes them."""

    def __init__(
        self,
        account: Account,
        *,
        unit: str = USD,
        reserve: Account | str | None = None,
        period_seconds: float = HOUR,
    ) -> None:
        self._account = account_of(account)
        self._ledger = account.ledger
        self.unit = unit
        self._reserve = None if reserve is None else below(reserve, account.path)
        apart = frozenset() if self._reserve is None else frozenset({self._reserve})
        self._desk = Desk(account.path, unit, apart, Periods(period_seconds))
        self._ledger.run(self._ledger.route(self._reserve or account.path))

    def review(self) -> tuple[Finding, ...]:
        """What to look at: accounts that are idle or nearly empty, a thin pool."""
        return self._ledger.run(self._reviewed())

    async def areview(self) -> tuple[Finding, ...]:
        """Awaitable twin of `review`."""
        return await self._ledger.arun(self._reviewed())

    def level(self, name: str, levels: ServiceLevels = SERVICE_LEVELS) -> Level:
        """
        What account *name* still offers, by the part of its grant that it has left.

        >>> from langchain_budget import BudgetPool, Treasury, usd
        >>> pool = BudgetPool("acme", usd(100))
        >>> web = pool.open("web", carve=usd(10))
        >>> web.reserve(usd(7)).settle()
        >>> Treasury(pool).level("web").name
        'standard'
        """
        return self._ledger.run(self._level(name, levels))

    async def alevel(self, name: str, levels: ServiceLevels = SERVICE_LEVELS) -> Level:
        """Awaitable twin of `level`."""
        return await self._ledger.arun(self._level(name, levels))

    def history(self, name: str, span: Span = ALWAYS) -> tuple[Spend, ...]:
        """What account *name* and all below it spent, oldest first."""
        return self._ledger.run(self._history(name, span))

    async def ahistory(self, name: str, span: Span = ALWAYS) -> tuple[Spend, ...]:
        """Awaitable twin of `history`."""
        return await self._ledger.arun(self._history(name, span))

    def forecast(self, name: str, seconds: float = HOUR) -> Forecast:
        """How fast account *name* has spent in the last *seconds*, and how it ends."""
        return self._ledger.run(self._forecast(name, seconds))

    async def aforecast(self, name: str, seconds: float = HOUR) -> Forecast:
        """Awaitable twin of `forecast`."""
        return await self._ledger.arun(self._forecast(name, seconds))

    def _path(self, name: str) -> str:
        return below(name, self._account.path)

    def _level(self, name: str, levels: ServiceLevels) -> Talk[Level]:
        (balance,) = yield from balances_of(self._ledger, self._path(name), self.unit)
        granted = None if balance.granted is None else balance.granted.value
        left = 0 if balance.available is None else balance.available.value
        return levels.at(left, granted)

    def _history(self, name: str, span: Span) -> Talk[tuple[Spend, ...]]:
        path = self._path(name)
        yield from self._ledger.route(path)
        spends = yield from spending_of(Spending([path], self.unit, span))
        return tuple(spends[path])

    def _forecast(self, name: str, seconds: float) -> Talk[Forecast]:
        now: float = yield Ask("now")
        spends = yield from self._history(name, Span(now - seconds, float("inf")))
        rate = burn_rate(spends, start=now - seconds, now=_last(spends, now))
        (balance,) = yield from balances_of(self._ledger, self._path(name), self.unit)
        left = None if balance.available is None else balance.available.value
        an_hour = Amount(self.unit, int(rate * int(HOUR)))
        return Forecast(an_hour, exhausted_in(left, rate))

    def _reviewed(self) -> Talk[tuple[Finding, ...]]:
        """What accounts have been given of the pool is not gone: it has it left."""
        members = yield from members_of(self._ledger, self._desk)
        path, unit = self._account.path, self.unit
        (pool,) = yield from balances_of(self._ledger, path, unit)
        left = 0 if pool.available is None else (pool.available + pool.lent).value
        granted = None if pool.granted is None else pool.granted.value
        accounts = [
            Standing(each.name, each.balance.available or 0, each.balance.granted, unit)
            for each in members
        ]
        return review(accounts, [Standing(path, left, granted, unit)])


def _last(spends: Sequence[Spend], now: float) -> float:
    """The end of what was read: something may have been spent while it was."""
    return max([now, *(each.at for each in spends)])
