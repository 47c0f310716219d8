"""How accounts stand at one moment, and why one can spend what it can."""

from __future__ import annotations

from collections.abc import Iterable

from langchain_budget.core.accounts import Row
from langchain_budget.core.amounts import Amount, vector
from langchain_budget.core.postings import Hold, Kind, Refusal
from langchain_budget.core.routes import Route
from langchain_budget.core.rules import MAY_FREE, Order
from langchain_budget.errors import refused
from langchain_budget.ledger import Ledger
from langchain_budget.reporting import scene_below
from langchain_budget.reports.explanation import (
    Explanation,
    HoldInfo,
    Standing,
    advice,
    hold_info,
    nothing_left,
)
from langchain_budget.reports.scene import Balances, Scene
from langchain_budget.stores._drive import Ask, Talk


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
    scene = yield from scene_below(ledger, path)
    return tuple(scene.standing(row) for row in scene.rows if not row.is_passing)
