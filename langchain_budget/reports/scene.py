"""How accounts stand at one moment, by what their counters say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from langchain_budget.core.accounts import SEPARATOR, Row
from langchain_budget.core.amounts import USD, Amount
from langchain_budget.core.limits import window_in
from langchain_budget.core.postings import Balance, CounterKey
from langchain_budget.core.routes import Route
from langchain_budget.reports.explanation import Standing
from langchain_budget.reports.report import AccountBalance

Balances = Mapping[CounterKey, Balance]


class Scene(NamedTuple):
    """Accounts and their balances at one moment."""

    rows: tuple[Row, ...]
    balances: Balances
    now: float

    def standing(self, row: Row) -> Standing:
        """One account with its limits, or with what it has spent if it has none."""
        used = sorted(
            key.unit
            for key, seen in self.balances.items()
            if key.account == row.path and seen.granted is None and not key.window
        )
        names = [name for name, _ in row.ceilings] or sorted(used, key=USD.__ne__)[:1]
        return Standing(
            account=row.path,
            closed=row.closed,
            frozen=row.frozen,
            observed=row.observed,
            marks=row.spec.marks,
            balances=tuple(self.balance(row, name) for name in names),
        )

    def balance(self, row: Row, name: str) -> AccountBalance:
        """One limit of an account; what slices below have spent counts as spent."""
        key, window = self._counter(row, name)
        own = self._own(row, key)
        inside = 0 if window else sum(self._spent_in_slices(row, key.unit))
        return AccountBalance(
            account=row.path,
            unit=key.unit,
            granted=_amount(key.unit, own.granted),
            spent=Amount(key.unit, own.spent + inside),
            held=Amount(key.unit, own.held),
            lent=Amount(key.unit, own.lent - inside),
            available=_amount(key.unit, own.available),
            state=state_of(row, own, own.spent + inside),
            window=window,
        )

    def least(self, route: Route, unit: str) -> int | None:
        """The least that any limit has left, those of this hour or day as well."""
        rows = {row.path: row for row in route.rows}
        keys = (*route.keys(unit), *route.windows(unit, self.now))
        left = [self._own(rows[key.account], key).available for key in keys]
        return min((each for each in left if each is not None), default=None)

    def _counter(self, row: Row, name: str) -> tuple[CounterKey, str]:
        """Where a limit is counted now, and its window in words."""
        unit, _, _ = name.partition("@")
        window = window_in(name)
        if window is None:
            return CounterKey(row.path, unit), ""
        turn = dict(row.turns).get(window.span, 0)
        name = window.counters(self.now, turn)[0]
        return CounterKey(row.path, unit, name), window.words

    def _own(self, row: Row, key: CounterKey) -> Balance:
        """A window that nobody has touched yet has all of its limit left."""
        untouched = Balance(row.ceiling(key.limit) if key.window else None)
        return self.balances.get(key, untouched)

    def _spent_in_slices(self, row: Row, unit: str) -> Iterator[int]:
        for each in self.rows:
            if unit in each.slices and each.path.startswith(row.path + SEPARATOR):
                yield self.balances.get(CounterKey(each.path, unit), Balance()).spent


def state_of(row: Row, own: Balance, spent: int) -> str:
    """
    `closed`, `frozen`, `exhausted` or `active`, the strongest that is true.

    What was carved out for others and not *spent* by them exhausts nobody.
    """
    if row.closed:
        return "closed"
    if row.frozen:
        return "frozen"
    spent_up = own.granted is not None and own.granted - spent <= 0
    return "exhausted" if spent_up else "active"


def _amount(unit: str, value: int | None) -> Amount | None:
    return None if value is None else Amount(unit, value)
