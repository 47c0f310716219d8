"""How rough a world is: what becomes of messages, and what else goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


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

FINE: Final = {Fate.WELL: 600, Fate.SLOW: 320}
BAD: Final = {
    Fate.NEVER: 12,
    Fate.REPLY_LOST: 14,
    Fate.AGAIN: 14,
    Fate.TWICE: 10,
    Fate.LATE: 10,
    Fate.CANCELLED: 4,
    Fate.TAKEN_AND_CANCELLED: 4,
    Fate.LATE_AND_CANCELLED: 4,
}


class Weather(NamedTuple):
    """What a world is like."""

    name: str
    odds: Mapping[Fate, int]
    once_in: Mapping[str, int]
    """How seldom the world does these things, in steps; never, if not named."""
    ticks: int = 10
    """How many thousandths of a second a step takes at most."""
    patience: int = 400
    """How many steps a process waits at most for an answer before it sends again."""


JUMPS: Final = {"forwards": 800, "backwards": 900}
FAULTS: Final = {**JUMPS, "crash": 1200, "outage": 1500}

WEATHERS: Final = (
    Weather("fair", FINE, JUMPS),
    Weather("rough", FINE | BAD, FAULTS),
    Weather("deadly", FINE | BAD, FAULTS | {"crash": 300}),
    Weather("hasty", FINE | {Fate.AGAIN: 60, Fate.TWICE: 30}, FAULTS, 200, 3000),
    Weather("lossy", FINE | {fate: 3 * odds for fate, odds in BAD.items()}, FAULTS),
)


def weather_of(seed: int) -> Weather:
    """Any five seeds in a row have seen it all."""
    return WEATHERS[seed % len(WEATHERS)]
