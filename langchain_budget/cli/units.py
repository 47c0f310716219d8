"""Units that somebody mistyped: one that nobody has counted limits nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import click

from langchain_budget import Account, Amount
from langchain_budget.core.amounts import Limit
from langchain_budget.core.postings import CounterKey
from langchain_budget.core.written import UNITS
from langchain_budget.stores._drive import Ask, Talk

new_unit_option = click.option(
    "--new-unit", is_flag=True, help="Nothing was counted in this unit before."
)


def check_units(account: Account, given: dict[str, Any]) -> None:
    """Complain about an amount in a unit that is neither built in nor known here."""
    may_be_new = "new_unit" in given
    if given.pop("new_unit", False):
        return
    strange = sorted(set(_units_in(given.values())) - set(UNITS))
    if not strange:
        return
    known = {*UNITS, *account.ledger.run(_units_of(account))}
    for unit in strange:
        if unit not in known:
            near = get_close_matches(unit.lower(), sorted(known), n=1)
            instead = f"did you mean {near[0]!r}?" if near else _listed(known)
            new = " Add --new-unit if it is one of your own." if may_be_new else ""
            raise click.UsageError(f"unknown unit {unit!r}: {instead}{new}")


def _listed(known: Iterable[str]) -> str:
    return f"known are {', '.join(sorted(known))}."


def _units_in(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, Amount):
            yield value.unit
        elif isinstance(value, Limit):
            yield value.amount.unit
        elif isinstance(value, tuple):
            yield from _units_in(value)


def _units_of(account: Account) -> Talk[set[str]]:
    """What an account and those above it are limited in, or have counted."""
    route = yield from account.ledger.route(account.path)
    limits = {name.partition("@")[0] for row in route.rows for name, _ in row.ceilings}
    paths = tuple(row.path for row in route.rows)
    balances: Mapping[CounterKey, object] = yield Ask("balances", (paths,))
    return limits | {key.unit for key in balances}
