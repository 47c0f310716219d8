"""How accounts stand at one moment, and why one can spend what it can."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from langchain_budget.core.accounts import SEPARATOR, Row
from langchain_budget.core.amounts import USD, Amount, vector
from langchain_budget.core.limits import window_in
from langchain_budget.core.postings import Balance, CounterKey, Hold, Kind, Refusal
from langchain_budget.core.routes import Route, rolling_in
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
from langchain_budget.reports.report import AccountBalance
from langchain_budget.stores._drive import Ask, Talk

Balances = Mapping[CounterKey, Balance]


def explanation_of(
    ledger: Ledger, path: str, amounts: tuple[Amount, ...]
) -> Talk[Explanation]:
    """All that has a say on the way from the account up to its root."""
    route = yield from ledger.route(path)
    order = Order(vector(amounts) or dict.fromkeys(_limited(route), 1))
    refusal = yield from ledger.outlook(path, order, overlooked=False)
    route = yield from ledger.route(path)
    rows: tuple[Row, ...] = yield Ask("below", (route.rows[-1].path,))
    balances: Balances = yield Ask("balances", (tuple(row.path for row in rows),))
    holds: tuple[Hold, ...] = yield Ask("open_holds")
    now: float = yield Ask("now")
    scene = Scene(rows, balances, now)
    standings = tuple(scene.standing(row) for row in route.rows)
    return Explanation(
        account=path,
        path=standings,
        affordable=_affordable(route, scene, refusal),
        holds=_taking(route, holds, now),
        asked=amounts,
        refusal=refusal,
        reason=_reason(refusal, amounts),
        observed=refusal is not None and refusal.account in route.observed,
        advice=tuple(advice(standings, refusal, amounts)),
    )


def _limited(route: Route) -> dict[str, None]:
    """The units that something on the route limits."""
    names = (name for row in route.rows for name, _ in row.ceilings)
    return dict.fromkeys(name.partition("@")[0] for name in names)


def _reason(refusal: Refusal | None, asked: tuple[Amount, ...]) -> str:
    if refusal is None:
        return ""
    if asked or refusal.kind not in MAY_FREE:
        return str(refused(refusal))
    return nothing_left(refusal)


def _affordable(
    route: Route, scene: Scene, refusal: Refusal | None
) -> dict[str, Amount]:
    """The most of each unit that would be admitted; nothing where all is refused."""
    left = {unit: scene.least(route, unit) for unit in _limited(route)}
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
    yield from ledger.roll(rolling_in(rows))
    balances: Balances = yield Ask("balances", (tuple(row.path for row in rows),))
    scene = Scene(rows, balances, (yield from ledger.now()))
    return tuple(scene.standing(row) for row in rows if not row.is_passing)


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
