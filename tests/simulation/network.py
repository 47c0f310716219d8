"""What becomes of a message between a process and the store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random  # noqa: TID251  # the world is random; one seed makes it so
from typing import Any, Final

from tests.simulation.wire import Message


class Fate(StrEnum):
    """What happens to a message."""

    WELL = "is answered"
    SLOW = "arrives, and the answer takes its time"
    NEVER = "is lost"
    REPLY_LOST = "arrives, but the answer is lost"
    AGAIN = "arrives, but the answer is lost, and it is sent again"
    TWICE = "is answered, and will arrive once more"
    LATE = "is given up, and will arrive later"
    CANCELLED = "is lost with the task that waits for it"
    TAKEN_AND_CANCELLED = "arrives, but whoever waits for the answer is cancelled"
    LATE_AND_CANCELLED = "will arrive later, but whoever waits for it is cancelled"


ARRIVES_LATER: Final = {Fate.TWICE, Fate.LATE, Fate.LATE_AND_CANCELLED}
ARRIVES_NOW: Final = {
    Fate.WELL,
    Fate.SLOW,
    Fate.REPLY_LOST,
    Fate.AGAIN,
    Fate.TWICE,
    Fate.TAKEN_AND_CANCELLED,
}
CANCELS: Final = {Fate.CANCELLED, Fate.TAKEN_AND_CANCELLED, Fate.LATE_AND_CANCELLED}
FAILS: Final = {Fate.NEVER, Fate.REPLY_LOST, Fate.LATE}
OF_A_QUESTION: Final = {Fate.WELL, Fate.SLOW, Fate.NEVER, Fate.CANCELLED}
"""A question that arrives once more, or late, does nothing."""

ODDS: Final[Mapping[Fate, int]] = {
    Fate.WELL: 600,
    Fate.SLOW: 320,
    Fate.NEVER: 12,
    Fate.REPLY_LOST: 14,
    Fate.AGAIN: 14,
    Fate.TWICE: 10,
    Fate.LATE: 10,
    Fate.CANCELLED: 4,
    Fate.TAKEN_AND_CANCELLED: 4,
    Fate.LATE_AND_CANCELLED: 4,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What whoever waits is sent: a value, or an error."""

    value: Any = None
    error: BaseException | None = None


class Network:
    """Draws fates, and keeps what arrives later."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.under_way: list[Message] = []
        self.calm = False
        self.outage = 0
        """For how many more messages nothing gets through."""

    def fate(self, message: Message) -> Fate:
        if self.calm:
            return Fate.WELL
        if self.outage:
            self.outage -= 1
            return Fate.NEVER
        (fate,) = self._rng.choices([*ODDS], [*ODDS.values()])
        if message.posting is None and fate not in OF_A_QUESTION:
            return Fate.WELL
        return fate

    def post_late(self, message: Message) -> None:
        """Let *message* arrive when nobody expects it any more."""
        if message.posting is not None:
            self.under_way.append(message)

    def late(self) -> Message:
        """One of those that are under way, in any order."""
        at = self._rng.randrange(len(self.under_way))
        return self.under_way.pop(at)


def cancelled() -> Reply:
    return Reply(error=asyncio.CancelledError())
