"""From changes of balances to the events that metering announces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from langchain_budget.core.accounts import MARK_SCALE
from langchain_budget.core.amounts import USD, show
from langchain_budget.core.events import Event, Refused
from langchain_budget.core.metering import (
    BudgetExceeded,
    BudgetWarning,
    LimitNotice,
    Quantity,
    Severity,
    cents,
)
from langchain_budget.core.postings import Change, Kind, Refusal
from langchain_budget.pool import BudgetPool
from langchain_budget.stores._drive import drive

STOPPING = (Kind.EXHAUSTED, Kind.CONTENDED, Kind.TOO_LARGE)
"""Refusals that say that a limit would be passed."""


class Gauge(NamedTuple):
    """One limit of one agent that is watched."""

    rank: tuple[int, str, int]
    """Where its events stand among those of one entry."""
    agent: str
    budget_type: str
    grace: int = 0
    """How much of what is granted is grace, in whole units."""


class Reading(NamedTuple):
    """What a gauge shows, in whole units."""

    account: str
    unit: str
    used: int
    granted: int
    wanted: int = 0
    seq: int = 0


GaugeOf = Callable[[str, str], Gauge | None]
"""The gauge of an account and the name of one of its limits, if it is watched."""


class Gauges:
    """
    Announces when limits come near and when they are passed.

    Of one entry of the journal in the order of the gauges' ranks, and each time that
    more is used: it is said of every call.
    """

    def __init__(
        self, pool: BudgetPool, gauge_of: GaugeOf, *, mark: int, severity: Severity
    ) -> None:
        self._pool = pool
        self._gauge_of = gauge_of
        self._mark = mark
        self._severity = severity
        pool.ledger.listeners.watch_entries(self._see)
        pool.subscribe(self._hear)

    def read(self, gauge: Gauge, reading: Reading) -> LimitNotice | None:
        """What is to be said of a reading, `None` if nothing is."""
        _, _, used, granted, wanted, _ = reading
        limit = granted - gauge.grace
        if wanted or used > granted:
            return self._event(BudgetExceeded, gauge, reading, self._severity)
        if used > limit or used * MARK_SCALE >= limit * self._mark:
            return self._event(BudgetWarning, gauge, reading, "soft")
        return None

    def tell(self, events: Iterable[LimitNotice | None]) -> None:
        """Deliver what is to be said to all who listen to the pool."""
        self._pool.ledger.listeners.tell([each for each in events if each])

    def _see(self, changes: tuple[Change, ...], seq: int) -> None:
        found = sorted(self._readings(changes, seq), key=lambda each: each[0].rank)
        self.tell([self.read(gauge, reading) for gauge, reading in found])

    def _readings(
        self, changes: tuple[Change, ...], seq: int
    ) -> Iterator[tuple[Gauge, Reading]]:
        for key, _, before, granted, used in changes:
            gauge = self._gauge_of(key.account, key.limit) if used > before else None
            if gauge is not None:
                yield gauge, Reading(key.account, key.unit, used, granted, 0, seq)

    def _hear(self, event: Event) -> None:
        if type(event) is not Refused or event.refusal.kind not in STOPPING:
            return
        refusal = event.refusal
        gauge = self._gauge_of(refusal.account, refusal.limit)
        if gauge is not None:
            self.tell([self.read(gauge, refused(refusal))])

    def _event(
        self,
        kind: type[LimitNotice],
        gauge: Gauge,
        reading: Reading,
        severity: Severity,
    ) -> LimitNotice:
        account, unit, used, granted, wanted, seq = reading
        ledger = self._pool.ledger
        entry = seq or ledger.new_id()
        return kind(
            account=account,
            seq=seq,
            event_id=f"{entry}:{gauge.agent}:{gauge.budget_type}",
            timestamp=drive(ledger.now(), ledger.store),
            agent_id=gauge.agent,
            budget_type=gauge.budget_type,
            current_usage=quantity(unit, used),
            limit=quantity(unit, granted - gauge.grace),
            wanted=quantity(unit, wanted),
            reason=_reason(gauge, reading),
            severity=severity,
        )


def refused(refusal: Refusal) -> Reading:
    """What a refusal shows."""
    _, account, unit, wanted, balance, *_ = refusal
    used = balance.spent + balance.lent
    return Reading(account, unit, used, balance.granted or 0, wanted)


def quantity(unit: str, value: int) -> Quantity:
    """Dollars in cents, everything else as it is counted."""
    return cents(value) if unit == USD else value


def _reason(gauge: Gauge, reading: Reading) -> str:
    _, unit, used, granted, wanted, _ = reading
    limit = granted - gauge.grace
    said = f"{gauge.budget_type} of agent {gauge.agent!r}: "
    said += f"{show(unit, used)} used of {show(unit, limit)}"
    if gauge.grace:
        said += f" (stops above {show(unit, granted)})"
    if wanted:
        said += f"; a call that may need {show(unit, wanted)} was refused"
    return said
