"""The talks that report what an account has, and what was spent."""

from __future__ import annotations

from langchain_budget.core.accounts import Row
from langchain_budget.core.faults import InvalidName, told
from langchain_budget.core.routes import rolling_in
from langchain_budget.errors import UnknownAccount
from langchain_budget.reports.report import AccountBalance, Report
from langchain_budget.reports.scene import Balances, Scene
from langchain_budget.stores._drive import Ask, Talk
from langchain_budget.upkeep import Upkeep


def _check_unit(unit: object) -> None:
    if not isinstance(unit, str):
        msg = f"unit {told(unit)}: give its name, like 'usd' or 'tokens'"
        raise InvalidName(msg)


def balances_of(
    ledger: Upkeep, path: str, unit: str = ""
) -> Talk[tuple[AccountBalance, ...]]:
    """Every limit of the account and of all below it, or one unit of it alone."""
    _check_unit(unit)
    scene = yield from scene_below(ledger, path)
    if unit:
        return (scene.balance(scene.rows[0], unit),)
    return tuple(
        scene.balance(row, each)
        for row in scene.rows
        if not row.is_passing
        for each, _ in row.ceilings
    )


def scene_below(ledger: Upkeep, path: str) -> Talk[Scene]:
    """The account and all below it, after all that is overdue was seen to."""
    yield from ledger.sweep()
    rows: tuple[Row, ...] = yield Ask("below", (path,))
    if not rows:
        raise UnknownAccount(path)
    yield from ledger.roll(rolling_in(rows))
    balances: Balances = yield Ask("balances", (tuple(row.path for row in rows),))
    return Scene(rows, balances, (yield from ledger.now()))


def report_of(ledger: Upkeep, path: str) -> Talk[Report]:
    """Balances and the folded journal of an account and all below it."""
    balances = yield from balances_of(ledger, path)
    statement = ledger.statement
    entries = yield Ask("journal", (statement.seq,))
    statement.fold(entries)
    return Report(
        account=path,
        balances=balances,
        lines=statement.within(path),
        outage=ledger.outage,
    )
