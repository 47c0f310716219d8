"""What metering announces: a limit of an agent is near, or was passed."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Final, Literal

from langchain_budget.core.amounts import NANOS
from langchain_budget.core.events import Event

Severity = Literal["soft", "hard_fail"]
Quantity = int | Decimal

_CENT: Final = NANOS // 100
_EXACT: Final = Context(prec=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitNotice(Event):
    """
    What both announcements of metering say.

    Attributes:
        event_id: The same for the same entry of the journal, in every process.
        timestamp: Seconds since 1970, by the store's clock.
        agent_id: The agent, `unattributed` where the call named none.
        budget_type: The limit: `total_tokens_per_tick`, `tool:search.calls_per_run`.
        current_usage: What is used of it: tokens, calls, or cents, exactly.
        limit: How much of it there is, in the same unit.
        reason: What people read.
        severity: `hard_fail` where calls are refused, `soft` where they go on.
        wanted: What a call that was refused may have needed; 0 if it was made.
    """

    event_id: str
    timestamp: float
    agent_id: str
    budget_type: str
    current_usage: Quantity
    limit: Quantity
    reason: str
    severity: Severity = "soft"
    wanted: Quantity = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetWarning(LimitNotice):
    """An agent comes near a limit, or is within its grace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetExceeded(LimitNotice):
    """
    A limit was passed, or a call was refused that would have passed it.

    It is told, not raised: the error of the same name is in `langchain_budget`.
    """


def cents(nanos: int) -> Decimal:
    """
    Nano-dollars in cents, exact.

    >>> cents(12_345_678), cents(1_000_000_000)
    (Decimal('1.2345678'), Decimal('100'))
    """
    whole, rest = divmod(nanos, _CENT)
    exact = _EXACT.divide(Decimal(rest), Decimal(_CENT))
    return Decimal(whole) + exact if rest else Decimal(whole)
