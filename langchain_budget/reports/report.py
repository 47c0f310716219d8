"""What an account and all below it have spent, in a form that people read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_budget.core.amounts import (
    CALLS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    TOKENS,
    USD,
    Amount,
    show,
)
from langchain_budget.reports.outage import OutageStatus
from langchain_budget.reports.render import html_table, text_table
from langchain_budget.reports.statement import Line, LineKey, by, total


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountBalance:
    """
    One limit of one account, or one unit that it spent without a limit.

    Attributes:
        granted: What it may spend in all; `None` is unlimited.
        spent: What it and all below it have spent.
        held: What open holds set aside.
        lent: What was carved out for children and they have not spent.
        available: What may still be held; `None` is unlimited.
        state: `active`, `exhausted`, `frozen` or `closed`.
        window: How often the limit starts anew: `per day`; empty if it never does.
    """

    account: str
    unit: str
    granted: Amount | None
    spent: Amount
    held: Amount
    lent: Amount
    available: Amount | None
    state: str = "active"
    window: str = ""

    def __str__(self) -> str:
        return text_table(_ACCOUNT_HEADS, [self.cells()])

    def _repr_html_(self) -> str:
        return html_table(self.account, _ACCOUNT_HEADS, [self.cells()])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; dollars in whole nano-dollars."""
        names = ("granted", "spent", "held", "lent", "available")
        amounts: dict[str, Amount | None] = {
            name: getattr(self, name) for name in names
        }
        return {
            "account": self.account,
            "unit": self.unit,
            "window": self.window,
            "state": self.state,
            **plain(amounts),
        }

    def cells(self) -> tuple[str, ...]:
        """One row of a table."""
        amounts = (self.granted, self.spent, self.held, self.lent, self.available)
        limit, *shown = ["unlimited" if it is None else str(it) for it in amounts]
        return (self.account, self.state, f"{limit} {self.window}".rstrip(), *shown)


_ACCOUNT_HEADS = ("account", "state", "limit", "spent", "held", "lent", "left")
_SHORT = {CALLS: "calls", INPUT_TOKENS: "input", OUTPUT_TOKENS: "output"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    Balances and spending of an account and all below it, at one moment.

    It prints as tables, shows itself in a notebook, and turns into JSON.
    """

    account: str
    balances: tuple[AccountBalance, ...]
    lines: Mapping[LineKey, Line]
    outage: OutageStatus | None = None
    """How calls are treated while the store is away, and when it last was."""

    @property
    def total(self) -> Line:
        """The sum over all lines."""
        return total(self.lines.values())

    def spent(self, unit: str = USD) -> Amount:
        """What was spent of *unit*, by the journal."""
        return Amount(unit, self.total.amounts.get(unit, 0))

    def by(self, *fields: str) -> dict[tuple[str, ...], Line]:
        """Sums by any of `account`, `agent`, `node`, `model`."""
        return by(self.lines, *fields)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; dollars in whole nano-dollars."""
        return {
            "account": self.account,
            "balances": [each.as_dict() for each in self.balances],
            "lines": [
                key._asdict() | _line_dict(line) for key, line in self.lines.items()
            ],
            "total": _line_dict(self.total),
            "outage": self.outage and self.outage.as_dict(),
        }

    def as_json(self) -> str:
        """The report as a JSON object."""
        return json.dumps(self.as_dict(), indent=2)

    def __str__(self) -> str:
        tables = [text_table(heads, rows) for heads, rows in self._tables()]
        return "\n\n".join([*tables, *([str(self.outage)] if self.outage else [])])

    def _repr_html_(self) -> str:
        titles = (f"Budget of {self.account}", "Spending by agent and node")
        return "".join(
            html_table(title, heads, rows)
            for title, (heads, rows) in zip(titles, self._tables(), strict=True)
        )

    def _tables(self) -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
        whole = self.total
        units = _counted(whole)
        rows = [
            (*names, *_cells(line, units))
            for names, line in self.by("agent", "node").items()
        ]
        rows.append(("total", "", *_cells(whole, units)))
        counts = (_SHORT.get(unit, unit.replace("_", " ")) for unit in units)
        return [
            (_ACCOUNT_HEADS, [each.cells() for each in self.balances]),
            (("agent", "node", *counts, "cost", "notes"), rows),
        ]


def _counted(whole: Line) -> tuple[str, ...]:
    """The units of the columns: the usual ones, and meters that were used."""
    amounts = whole.amounts
    either = amounts.get(INPUT_TOKENS, 0) + amounts.get(OUTPUT_TOKENS, 0)
    known = {USD, *_SHORT} | ({TOKENS} if amounts.get(TOKENS, 0) == either else set())
    others = [
        unit for unit in amounts if unit not in known and not unit.endswith("_tokens")
    ]
    return (*_SHORT, *others)


def _cells(line: Line, units: tuple[str, ...]) -> tuple[str, ...]:
    counts = [f"{line.amounts.get(unit, 0):,}" for unit in units]
    return (*counts, _cost(line), notes(line))


def _cost(line: Line) -> str:
    """Dollars, if any of them are known."""
    if line.unpriced and USD not in line.amounts:
        return "unknown"
    return show(USD, line.amounts.get(USD, 0))


def notes(line: Line) -> str:
    """What a reader must know before they trust the sums."""
    doubt = next(
        (each for each in (USD, TOKENS) if line.unconfirmed.get(each, 0) > 0), ""
    )
    unconfirmed = show(doubt, line.unconfirmed[doubt]) if doubt else ""
    avoided, used = (
        show(USD, sums.get(USD, 0)) for sums in (line.avoided, line.outage)
    )
    said = (
        (line.estimated, f"{line.estimated} estimated"),
        (doubt, f"up to {unconfirmed} unconfirmed"),
        (line.unpriced, f"{line.unpriced} without a price"),
        (line.cached, f"{line.cached} from cache, {avoided} avoided"),
        (line.failed, f"{line.failed} failed"),
        (line.outages, f"{line.outages} during outages, {used}"),
    )
    return ", ".join(text for is_so, text in said if is_so)


def plain(amounts: Mapping[str, Amount | None]) -> dict[str, int | None]:
    """Amounts as whole numbers."""
    return {name: None if it is None else it.value for name, it in amounts.items()}


def _line_dict(line: Line) -> dict[str, Any]:
    return {
        "amounts": dict(line.amounts),
        "unconfirmed": dict(line.unconfirmed),
        "avoided": dict(line.avoided),
        "estimated": line.estimated,
        "unpriced": line.unpriced,
        "cached": line.cached,
        "failed": line.failed,
        "outages": line.outages,
        "outage": dict(line.outage),
    }
