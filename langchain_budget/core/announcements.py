"""The named events of agents with a budget each: who is frozen, and who is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from langchain_budget.core.accounts import SEPARATOR, is_beside
from langchain_budget.core.amounts import USD, Vector, show
from langchain_budget.core.events import (
    AccountFrozen,
    AccountThawed,
    Event,
    ToppedUp,
    Transferred,
)

AGENT_FROZEN: Final = "agent_frozen"
AGENT_UNFROZEN: Final = "agent_unfrozen"
EXHAUSTED: Final = "llm_budget_exhausted"
"""The reason of an agent that has spent what it had; by hand it is what was said."""

RESOURCE: Final = "llm_budget"
"""What dollars are called among the resources that agents trade."""

BY_HAND: Final = ""
"""The unit of a freeze that no unit has caused."""

_AGENT_DEPTH: Final = 2


class Announcement(NamedTuple):
    """
    A named event, as programs with agents of their own log it.

    Attributes:
        name: `agent_frozen` or `agent_unfrozen`.
        payload: Plain values, ready for JSON; dollars are text like `0.05`.
    """

    name: str
    payload: Mapping[str, Any]


class Freezes:
    """
    Who is frozen and why, by the events so far: one announcement for each edge.

    An agent is frozen while its budget is exhausted or somebody has frozen it by
    hand; both together are one freeze, which ends when the last cause does. Agents
    are the accounts directly below a pool.

    Args:
        enforced: Whether an exhausted budget freezes; by hand it is always possible.
    """

    def __init__(self, *, enforced: bool = True) -> None:
        self._enforced = enforced
        self._causes: dict[str, set[str]] = {}
        self._latest: dict[tuple[str, str], int] = {}
        self._gifts: dict[str, Transferred | ToppedUp] = {}

    def know(self, agent: str, cause: str) -> None:
        """Take for known that *agent* is frozen: by hand, or for want of a unit."""
        if cause == BY_HAND or self._enforced:
            self._causes.setdefault(agent, set()).add(cause)

    def hear(self, event: Event) -> Announcement | None:
        """What *event* means for an agent; `None` is nothing that is new."""
        match event:
            case Transferred(payee=payee):
                self._gifts[payee] = event
            case ToppedUp():
                self._gifts[event.account] = event
            case AccountFrozen() | AccountThawed():
                return self._turned(event)
        return None

    def _turned(self, event: AccountFrozen | AccountThawed) -> Announcement | None:
        agent = agent_of(event.account)
        watched = event.unit != BY_HAND and not self._enforced
        if agent is None or watched or self._is_late(event, agent):
            return None
        causes = self._causes.setdefault(agent, set())
        was_frozen = bool(causes)
        if isinstance(event, AccountFrozen):
            causes.add(event.unit)
            return None if was_frozen else frozen(agent, event)
        causes.discard(event.unit)
        gift = self._gifts.get(event.account)
        return unfrozen(agent, event, gift) if was_frozen and not causes else None

    def _is_late(self, event: AccountFrozen | AccountThawed, agent: str) -> bool:
        """Whether a later edge was told before: threads overtake each other."""
        key = (agent, event.unit)
        if event.seq < self._latest.get(key, 0):
            return True
        self._latest[key] = event.seq
        return False


def announcements(
    events: Iterable[Event], *, enforced: bool = True
) -> Iterator[Announcement]:
    """
    The named events in *events*, which begin with nobody frozen.

    >>> spent = AccountFrozen(account="acme/web", reason="exhausted", unit="usd")
    >>> [(name, payload)] = announcements([spent, spent])
    >>> name, payload
    ('agent_frozen', {'agent_id': 'web', 'reason': 'llm_budget_exhausted'})
    """
    freezes = Freezes(enforced=enforced)
    for event in events:
        heard = freezes.hear(event)
        if heard is not None:
            yield heard


def agent_of(account: str) -> str | None:
    """The agent whose account it is; `None` for a pool and what lies deeper."""
    parts = account.split(SEPARATOR)
    if len(parts) != _AGENT_DEPTH or is_beside(account):
        return None
    return parts[-1]


def frozen(agent: str, event: AccountFrozen) -> Announcement:
    """Say that *agent* has stopped."""
    reason = event.reason if event.unit == BY_HAND else EXHAUSTED
    return Announcement(AGENT_FROZEN, {"agent_id": agent, "reason": reason})


def unfrozen(
    agent: str, event: AccountThawed, gift: Transferred | ToppedUp | None
) -> Announcement:
    """Say that *agent* goes on; *gift* counts if it is what has revived it."""
    by, moved = event.reason, {}
    if gift is not None and gift.seq == event.seq:
        moved = _resources(_amounts(gift))
        if isinstance(gift, Transferred):
            by = gift.account.rpartition(SEPARATOR)[2]
    payload = {"agent_id": agent, "unfrozen_by": by, "resources_transferred": moved}
    return Announcement(AGENT_UNFROZEN, payload)


def _amounts(gift: Transferred | ToppedUp) -> Vector:
    if isinstance(gift, Transferred):
        return {gift.amount.unit: gift.amount.value}
    return gift.amounts


def _resources(amounts: Vector) -> dict[str, str]:
    return {
        RESOURCE if unit == USD else unit: _plain(unit, value)
        for unit, value in amounts.items()
    }


def _plain(unit: str, value: int) -> str:
    return show(unit, value).removeprefix("$") if unit == USD else str(value)
