"""Windows that a limit may have: calendar, rolling, or ended by the program."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from langchain_budget.core.faults import InvalidAmount

LIFETIME: Final = ""
"""The window of a limit that never resets."""

CLOCK: Final = {"minute": 60, "hour": 3600}
"""Windows that are as long and begin as often in every time zone, in seconds."""

CALENDAR: Final = ("day", "week", "month")
TURNS: Final = ("run", "tick")
"""Windows that end when the program says so."""

RING: Final = 60
"""
Parts of a rolling window. What was spent leaves with its part, so a debit counts for up
to one part, a sixtieth of the window, longer than it should; never for less.
"""

LIVE: Final = RING + 1
"""Parts that count: those of a whole window, and the one that is going on."""

SLOTS: Final = 2 * LIVE
"""Counters of parts, used in turn: a part has left long before its own is reused."""

SHORTEST_SECONDS: Final = 10
"""Of a rolling window: its parts have to be longer than a store takes to answer."""

LOCAL: Final = ("localtime", "posixrules")
"""Files that stand among the time zones, and are others on each machine."""

FOR_EVER: Final = (float("-inf"), float("inf"))

_ROLLING: Final = re.compile(r"([1-9][0-9]{0,5})(s|min|h|d)")
_SECONDS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


class Instance(NamedTuple):
    """One of the windows of a kind: its name, and from when until before when."""

    name: str
    start: float
    end: float


class Window(NamedTuple):
    """
    How often a limit starts anew.

    Attributes:
        span: `minute`, `hour`, `day`, `week`, `month`; `run`, `tick`; or the length
            of a rolling window such as `5h`.
        zone: The IANA time zone that days, weeks and months begin in.
    """

    span: str
    zone: str = "UTC"

    def __str__(self) -> str:
        return self.span if self.zone == "UTC" else f"{self.span}:{self.zone}"

    @property
    def words(self) -> str:
        """As people read it: `per day in Europe/Berlin`."""
        if self.is_rolling:
            return f"in any {self.span}"
        return f"per {self.span}" + (f" in {self.zone}" if self.zone != "UTC" else "")

    @property
    def is_rolling(self) -> bool:
        """Whether it is the time up to now, not a piece of a calendar."""
        return _ROLLING.fullmatch(self.span) is not None

    @property
    def seconds(self) -> int:
        """How long a rolling window is; 0 for another one."""
        found = _ROLLING.fullmatch(self.span)
        return int(found[1]) * _SECONDS[found[2]] if found else 0

    def counters(self, now: float, turn: int = 0) -> tuple[str, ...]:
        """
        The names of what is counted at *now*; the first one has the limit.

        A rolling window has one for all that counts, and one for each of its parts.
        """
        if not self.is_rolling:
            return (self.at(now, turn).name,)
        return (self.whole, self.slot(self.part(now)))

    @property
    def whole(self) -> str:
        """What is counted of all parts of a rolling window together."""
        return f"{self.span}@all"

    def slot(self, part: int) -> str:
        """Where a part of a rolling window is counted; it has no limit of its own."""
        return f"{self.span}~{part % SLOTS}"

    def part(self, now: float) -> int:
        """The number of the part of a rolling window that *now* is in."""
        return int(now // (self.seconds / RING))

    def at(self, now: float, turn: int = 0) -> Instance:
        """
        The window that *now*, in seconds since 1970, lies in.

        Args:
            now: The time by the store's clock.
            turn: How many windows the program has ended so far, for `run` and `tick`.
        """
        if self.span in TURNS:
            return Instance(f"{self}@{turn}", *FOR_EVER)
        if self.span in CALENDAR:
            return _calendar_at(self, int(now // 60) * 60)
        length = CLOCK.get(self.span) or self.seconds / RING
        number = int(now // length)
        return Instance(f"{self}@{number}", number * length, (number + 1) * length)


def window_of(text: object, zone: str = "UTC") -> Window:
    """
    The window that a user names: `"day"`, `"month"`, `"5h"` (rolling), `"tick"`.

    Raises:
        InvalidAmount: There is no such window or time zone.

    >>> str(window_of("day", "Europe/Berlin"))
    'day:Europe/Berlin'
    >>> window_of("5h").seconds
    18000
    """
    span, _, named = str(text).partition(":")
    zone = named or zone
    known = (*CLOCK, *CALENDAR, *TURNS)
    if span not in known and not _ROLLING.fullmatch(span):
        msg = (
            f"{text!r} is no window: give one of {', '.join(known)}, or "
            f"a length such as '30min', '5h' or '7d' for a rolling one"
        )
        raise InvalidAmount(msg)
    _zone(check_zone(zone))
    made = Window(span, zone if span in CALENDAR else "UTC")
    if made.is_rolling and made.seconds < SHORTEST_SECONDS:
        msg = f"{text!r} is too short: give at least {SHORTEST_SECONDS}s"
        raise InvalidAmount(msg)
    return made


def has_left(counter: str, at: float, now: float) -> bool:
    """
    Whether what was counted *at* a time in a counter of a rolling window has left.

    >>> has_left("5h~7", 0, 5 * 3600), has_left("5h~7", 0, 5 * 3600 + 300)
    (False, True)
    """
    window = Window(counter.partition("@")[0].partition("~")[0])
    return window.is_rolling and window.part(now) - window.part(at) >= LIVE


def check_zone(zone: object) -> str:
    """
    The name of a time zone that is the same everywhere; whether there is one, is open.

    Raises:
        InvalidAmount: It is no text, or what a machine is set to.
    """
    if not isinstance(zone, str) or zone.lower() in LOCAL:
        msg = f"{zone!r} is no time zone: give an IANA name like 'Europe/Berlin'"
        raise InvalidAmount(msg)
    return zone


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        msg = f"{name!r} is no time zone: give an IANA name like 'Europe/Berlin'"
        raise InvalidAmount(msg) from error


@lru_cache(maxsize=4096)
def _calendar_at(window: Window, minute: int) -> Instance:
    """No time zone changes within a minute, so that instances can be remembered."""
    begin, longest, name = _CALENDARS[window.span]
    start = begin(datetime.fromtimestamp(minute, _zone(window.zone)))
    end = begin(start + timedelta(days=longest))
    named = f"{window}@{start.strftime(name)}"
    return Instance(named, start.timestamp(), end.timestamp())


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


_CALENDARS: Final[dict[str, tuple[Callable[[datetime], datetime], int, str]]] = {
    "day": (_midnight, 1, "%Y-%m-%d"),
    "week": (lambda at: _midnight(at - timedelta(days=at.weekday())), 7, "%G-W%V"),
    "month": (lambda at: _midnight(at.replace(day=1)), 31, "%Y-%m"),
}
"""Where one begins, how many days it has at most, and how it is named."""
