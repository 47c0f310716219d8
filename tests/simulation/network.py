"""What becomes of a message between a process and the store."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random  # noqa: TID251  # the world is random; one seed makes it so
from typing import Any

from tests.simulation.weather import OF_A_QUESTION, Fate, Weather
from tests.simulation.wire import Message


@dataclass(frozen=True, slots=True)
class Reply:
    """What whoever waits is sent: a value, or an error."""

    value: Any = None
    error: BaseException | None = None


class Network:
    """Draws fates, and keeps what arrives later."""

    def __init__(self, rng: Random, weather: Weather) -> None:
        self._rng = rng
        self._fates, self._odds = [*weather.odds], [*weather.odds.values()]
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
        (fate,) = self._rng.choices(self._fates, self._odds)
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
