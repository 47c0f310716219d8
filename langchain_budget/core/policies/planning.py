"""How much a team of agents will cost, before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from typing import Final, NamedTuple

from langchain_budget.core.accounts import MARK_SCALE, ratio
from langchain_budget.core.amounts import Amount, countable
from langchain_budget.core.faults import InvalidAmount, InvalidPolicy
from langchain_budget.core.policies.rounding import Number, fraction, whole

OVERHEAD: Final = 3
"""What agents add by repeating context, talking and retrying: 2 to 5 times."""

SAFETY: Final = 1
"""No reserve on top; 2 to 3 where estimates are rough (budget manager)."""

DAYS: Final = 30
"""Days in a month."""


class Plan(NamedTuple):
    """
    What it is expected to cost; each is rounded up once, from exact numbers.

    Attributes:
        per_agent_day: One agent on one day, its own work only.
        base_day: All agents on one day, their own work only.
        day: All agents on one day, overhead and safety included.
        month: As many such days.
    """

    per_agent_day: Amount
    base_day: Amount
    day: Amount
    month: Amount


def plan(
    single: Amount,
    agents: int,
    *,
    overhead: Number = OVERHEAD,
    safety: Number = SAFETY,
    days: int = DAYS,
) -> Plan:
    """
    One agent's cost x agents x overhead x safety (budget manager).

    Args:
        single: What one agent's own work costs on one day; `daily` works it out.
        agents: How many there are.
        overhead: What they add by working together; 1 or more.
        safety: The reserve on top; 1 or more.
        days: Days in a month.

    >>> from langchain_budget.core.amounts import usd
    >>> team = plan(daily(100, 1000, usd("0.002")), agents=5)
    >>> print(*team)
    $0.20 $1.00 $3.00 $90.00
    """
    countable(single)
    base = Fraction(whole(agents, "agents"))
    day = base * _factor(overhead, "overhead") * _factor(safety, "safety")
    return Plan(
        per_agent_day=single,
        base_day=_times(single, base),
        day=_times(single, day),
        month=_times(single, day * whole(days, "days")),
    )


def plan_from(  # noqa: PLR0913  # the formula's factors, all with defaults
    costs: Sequence[Amount],
    agents: int,
    *,
    tasks: int,
    quantile: object = "90%",
    overhead: Number = 1,
    safety: Number = SAFETY,
    days: int = DAYS,
) -> Plan:
    """
    A plan from what tasks have cost, instead of from a price.

    Args:
        costs: What single tasks have cost, in any order.
        agents: How many agents there will be.
        tasks: How many tasks each will do on a day.
        quantile: Which of the costs to plan with; see `cost_at`.
        overhead: 1 by default: measured costs have it in them.
        safety: The reserve on top; 1 or more.
        days: Days in a month.

    Raises:
        InvalidPolicy: There are no costs.
    """
    single = _times(cost_at(costs, quantile), Fraction(whole(tasks, "tasks")))
    return plan(single, agents, overhead=overhead, safety=safety, days=days)


def daily(tasks: int, tokens: int, price: Amount) -> Amount:
    """
    What so many tasks of so many tokens cost at a *price* for 1000 tokens.

    >>> from langchain_budget.core.amounts import usd
    >>> daily(tasks=100, tokens=1000, price=usd("0.002"))
    usd('0.20')
    """
    thousands = Fraction(whole(tasks, "tasks") * whole(tokens, "tokens"), 1000)
    return _times(countable(price), thousands)


def cost_at(costs: Sequence[Amount], quantile: object = "90%") -> Amount:
    """
    The least of *costs* that so large a share of them does not exceed.

    *quantile* is a share such as `0.9` or `"90%"` (nearest rank: one of the costs,
    nothing between two of them).

    Raises:
        InvalidPolicy: There are no costs.
        UnitMismatch: They have different units.

    >>> from langchain_budget.core.amounts import usd
    >>> cost_at([usd(1), usd(2), usd(10)], "50%")
    usd('2.00')
    """
    if not costs:
        msg = "no costs to plan from: measure at least one task"
        raise InvalidPolicy(msg)
    ordered = sorted(map(countable, costs))
    return ordered[ceil(Fraction(len(ordered) * ratio(quantile), MARK_SCALE)) - 1]


def with_buffer(expected: Amount, buffer: object = "20%") -> Amount:
    """
    What is expected and a share of it more, 20 % unless said (tool costs).

    >>> from langchain_budget.core.amounts import usd
    >>> with_buffer(usd(5))
    usd('6.00')
    """
    more = Fraction(MARK_SCALE + ratio(buffer), MARK_SCALE)
    return _times(countable(expected), more)


def _times(amount: Amount, factor: Fraction) -> Amount:
    return Amount(amount.unit, ceil(amount.value * factor))


def _factor(number: Number, what: str) -> Fraction:
    factor = fraction(number, what)
    if factor < 1:
        msg = f"{what} {number!r}: give 1 or more, such as 3 for three times as much"
        raise InvalidAmount(msg)
    return factor
