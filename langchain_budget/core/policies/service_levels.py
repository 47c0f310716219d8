"""What an agent still offers as its budget runs down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from langchain_budget.core.accounts import MARK_SCALE, ratio
from langchain_budget.core.faults import InvalidPolicy


class Level(NamedTuple):
    """
    One level of service.

    Attributes:
        name: What it is called.
        mark: The share of the grant that must remain for it, in millionths.
        features: What is offered at it.
    """

    name: str
    mark: int
    features: tuple[str, ...]


class ServiceLevels:
    """
    Levels of service by how much of a budget remains.

    >>> levels = ServiceLevels([("full", 50, ["images"]), ("text", 0, [])])
    >>> levels.at(50, 100).name, levels.at(49, 100).name
    ('full', 'text')
    """

    __slots__ = ("levels",)

    def __init__(self, rows: Iterable[tuple[str, object, Iterable[str]]]) -> None:
        """
        Levels in any order.

        Args:
            rows: Name, share that must remain at least (`"50%"`, `0.5` or `50`; `0`
                for the last one), and features of each.

        Raises:
            InvalidAmount: A share is none.
            InvalidPolicy: There is no row, or two have one name or one share.
        """
        levels = [Level(name, _mark(least), tuple(has)) for name, least, has in rows]
        names = {level.name for level in levels}
        marks = {level.mark for level in levels}
        if not levels or min(len(names), len(marks)) < len(levels):
            msg = "service levels: give at least one, each with a name and share alone"
            raise InvalidPolicy(msg)
        self.levels = tuple(sorted(levels, key=lambda level: -level.mark))

    def at(self, remaining: int, granted: int | None) -> Level:
        """
        The best level that *remaining* of *granted* whole units is enough for.

        The share of a level itself is enough. Below all of them, and where nothing
        is granted, it is the lowest one; unlimited (`None`) is the best one.
        """
        best, lowest = self.levels[0], self.levels[-1]
        if granted is None:
            return best
        if granted <= 0:
            return lowest
        left = remaining * MARK_SCALE
        enough = (level for level in self.levels if left >= level.mark * granted)
        return next(enough, lowest)


def _mark(share: object) -> int:
    return 0 if str(share).strip() in ("0", "0%") else ratio(share)


SERVICE_LEVELS: Final = ServiceLevels(
    [
        ("full", "50%", ["high_quality", "all_capabilities"]),
        ("standard", "20%", ["medium_quality", "core_capabilities"]),
        ("minimal", "5%", ["low_quality", "basic_capabilities"]),
        ("emergency", "0%", ["text_only", "critical_only"]),
    ]
)
"""Those of the priority pools."""
