"""Typed events: what `pool.subscribe` delivers, after the books have changed."""

from langchain_budget.core.events import (
    AccountFrozen,
    AccountThawed,
    Closed,
    Event,
    HoldExpired,
    Opened,
    Refused,
    Released,
    Reserved,
    Settled,
    SettleDeferred,
    ThresholdCrossed,
    ToppedUp,
    Transferred,
)

__all__ = [
    "AccountFrozen",
    "AccountThawed",
    "Closed",
    "Event",
    "HoldExpired",
    "Opened",
    "Refused",
    "Released",
    "Reserved",
    "SettleDeferred",
    "Settled",
    "ThresholdCrossed",
    "ToppedUp",
    "Transferred",
]
