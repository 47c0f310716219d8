"""What listeners are told, after the books have changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from langchain_budget.core.amounts import Amount, Vector, show
from langchain_budget.core.postings import (
    Basis,
    Refusal,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    Something that happened to an account.

    Attributes:
        account: The path of the account.
        seq: The journal's sequence number, 0 for what left no entry.
    """

    account: str
    seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved(Event):
    """A call was admitted and its money set aside."""

    hold: str
    amounts: Vector
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled(Event):
    """
    A call was charged; `basis` says how well the charge is known.

    One that failed at no cost, or came out of a cache, has no amounts.
    """

    hold: str
    amounts: Vector
    unconfirmed: Vector = field(default_factory=dict)
    basis: Basis = Basis.REPORTED
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Released(Event):
    """A hold was given back: nothing was charged."""

    hold: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldExpired(Event):
    """A hold reached its time to live; what it is charged is an estimate."""

    hold: str
    amounts: Vector = field(default_factory=dict)
    unconfirmed: Vector = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Event):
    """A call was refused; `refusal` has the account, limit and numbers."""

    refusal: Refusal
    wanted_by: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WouldRefuse(Refused):
    """A call was admitted only because the account that says no just observes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdCrossed(Event):
    """Spending rose over a warning threshold, given in millionths of the limit."""

    unit: str
    mark: int
    used: int
    granted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert(Event):
    """
    A rule for alerts holds.

    Attributes:
        rule: What it is called, or what it says: `used >= 80%`.
        severity: `info`, `warning`, `medium` or `critical`.
        unit: What is limited, by the name of the limit: `usd`, `tokens@day`.
        used: What is used of it, in whole units.
        granted: How much of it there is.
    """

    rule: str
    severity: str
    unit: str
    used: int
    granted: int

    @property
    def message(self) -> str:
        """What people read."""
        unit = self.unit.partition("@")[0]
        used, granted = show(unit, self.used), show(unit, self.granted)
        return f"{self.account!r}: {self.rule}, {used} of {granted}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFrozen(Event):
    """An account stopped admitting calls: `exhausted`, or frozen by hand."""

    reason: str
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountThawed(Event):
    """An account admits calls again."""

    reason: str
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened(Event):
    """An account was opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed(Event):
    """An account was closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowEnded(Event):
    """A `run` or `tick` of a pool has ended; the limits of so many accounts reset."""

    window: str
    accounts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ToppedUp(Event):
    """An account was granted more."""

    amounts: Vector
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetChanged(Event):
    """What an account has left was set anew, in whole units of *unit*."""

    unit: str
    before: int
    after: int
    priority: int
    reason: str

    @property
    def message(self) -> str:
        """What people read."""
        before, after = show(self.unit, self.before), show(self.unit, self.after)
        change = show(self.unit, self.after - self.before)
        sign = "" if self.after < self.before else "+"
        why = self.reason or "none given"
        return (
            f"Budget of {self.account!r} (priority {self.priority}): "
            f"{before} -> {after} ({sign}{change}). Reason: {why}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred(Event):
    """Budget moved from `account` to `payee`."""

    payee: str
    amount: Amount
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved(Event):
    """`account` was closed and goes on as `to`, below another parent."""

    to: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldVoided(Event):
    """An operator closed an open hold; its call may still be charged later."""

    hold: str
    amounts: Vector
    reason: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted(Event):
    """What is booked as spent was corrected, up or down."""

    amount: Amount
    reason: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled(Event):
    """An invoice settled what was unconfirmed."""

    confirmed: Vector
    reason: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserveOnly(Event):
    """An account and all below it only watch from now on, or enforce again."""

    on: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLapsed(Event):
    """A lease was not renewed in time: what it had left counts as spent for now."""

    lease: str
    amounts: Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageBegan(Event):
    """The store does not answer; `policy` says what happens to calls meanwhile."""

    policy: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageEnded(Event):
    """The store answers again; `calls` were admitted without it."""

    policy: str
    calls: int
    amounts: Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class PricingFailed(Event):
    """
    A price book of the user's own fails on a model; told once until it answers again.

    Calls that are paid are charged at the price that it gave before, as an estimate;
    new ones are refused where a dollar limit binds.

    Attributes:
        model: The model that it was asked about.
        error: The type of what it raised.
    """

    model: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleDeferred(Event):
    """The store could not take a charge; it is kept and tried again."""

    hold: str
    error: str = field(default="")
