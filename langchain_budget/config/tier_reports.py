"""What the agents of a tier have used, and what their violations count."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Final, NamedTuple

from langchain_budget.core.amounts import CALLS, OUTPUT_TOKENS, TOKENS, USD, Amount
from langchain_budget.reports.report import Report

_ROUNDED: Final = Context(prec=12)


class AgentUse(NamedTuple):
    """
    One agent of a tier.

    Attributes:
        agent: Its name, `unattributed` for calls that named none.
        tokens: All that it has used, input and output together.
        cost: What that cost, as far as prices are known.
        calls: Its model calls.
        overage: By what share of its limit it has passed it; 0 if it has not.
        penalty: The overage times the penalty's weight.
        efficiency: Which share of its tokens were answers; `None` where it was not
            asked for, or nothing was used.
        tokens_per_result: Tokens of all kinds for each answer; `None` likewise.
    """

    agent: str
    tokens: int
    cost: Amount
    calls: int
    overage: Decimal
    penalty: Decimal
    efficiency: Decimal | None
    tokens_per_result: Decimal | None


class TierReport(NamedTuple):
    """
    All agents of a tier, by name.

    Attributes:
        agents: What each has used.
        penalty: The sum of their penalties.
    """

    agents: Mapping[str, AgentUse]
    penalty: Decimal


class Terms(NamedTuple):
    """
    What agents are measured by.

    Attributes:
        limit: Tokens of a run for each; `None` for any number.
        weight: The penalty of a violation by the whole limit.
        efficiency: Whether the share of answers is asked for.
    """

    limit: int | None
    weight: Decimal
    efficiency: bool


def tier_report(report: Report, spent: Mapping[str, int], terms: Terms) -> TierReport:
    """
    What the agents of a pool have used over all runs.

    What each has *spent* of its tokens in the current run is measured by its limit.
    """
    uses = {}
    for (agent,), line in report.by("agent").items():
        over = _overage(spent.get(agent, 0), terms.limit)
        uses[agent] = _use(agent, line.amounts, over, terms)
    return TierReport(uses, sum((each.penalty for each in uses.values()), Decimal(0)))


def _use(
    agent: str, amounts: Mapping[str, int], over: Decimal, terms: Terms
) -> AgentUse:
    used, calls = amounts.get(TOKENS, 0), amounts.get(CALLS, 0)
    answers, asked = amounts.get(OUTPUT_TOKENS, 0), terms.efficiency
    return AgentUse(
        agent=agent,
        tokens=used,
        cost=Amount(USD, amounts.get(USD, 0)),
        calls=calls,
        overage=over,
        penalty=_ROUNDED.multiply(over, terms.weight),
        efficiency=_part(answers, used) if asked and used else None,
        tokens_per_result=_part(used, calls) if asked and calls else None,
    )


def _overage(used: int, limit: int | None) -> Decimal:
    """By what share a limit was passed; of a limit of nothing, by how much."""
    if limit is None or used <= limit:
        return Decimal(0)
    return _part(used - limit, limit or 1)


def _part(some: int, whole: int) -> Decimal:
    return _ROUNDED.divide(Decimal(some), Decimal(whole))
