"""A regular look at all budgets: which are idle, nearly gone, or badly spread."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from langchain_budget.core.accounts import MARK_SCALE, ratio
from langchain_budget.core.amounts import show
from langchain_budget.core.policies.thresholds import Severity

EVERY_HOURS: Final = 24
"""How often to look (priority pools)."""


class Standing(NamedTuple):
    """
    How an account or a pool stands.

    Attributes:
        name: What it is called.
        remaining: Whole units that it has left.
        granted: Whole units that it has been given; `None` is unlimited.
        unit: What they are, so that people can read them; left out, bare numbers.
    """

    name: str
    remaining: int
    granted: int | None
    unit: str = ""

    def below(self, share: object) -> bool:
        """Whether less than *share* of what was granted remains."""
        left, mark = self._scaled(share)
        return left < mark

    def above(self, share: object) -> bool:
        """Whether more than *share* of what was granted remains."""
        left, mark = self._scaled(share)
        return left > mark

    def _scaled(self, share: object) -> tuple[int, int]:
        if self.granted is None:
            return 0, 0
        return self.remaining * MARK_SCALE, self.granted * ratio(share)


class Finding(NamedTuple):
    """
    Something to look at.

    Attributes:
        name: The account or pool.
        severity: How bad it is.
        text: What it is and what to consider.
    """

    name: str
    severity: Severity
    text: str


def review(
    accounts: Iterable[Standing],
    pools: Iterable[Standing] = (),
    *,
    idle: object = "90%",
    low: object = "10%",
    thin: object = "20%",
) -> tuple[Finding, ...]:
    """
    What to look at: accounts first, then pools, in the order given.

    Args:
        accounts: Accounts that spend.
        pools: Accounts that others draw on.
        idle: An account that has more than this share left is noted.
        low: An account that has less than this left is warned of.
        thin: A pool that has less than this left is warned of.

    >>> review([Standing("web", 5, 100)])[0].text
    "account 'web' has 5 of 100 left, less than 10%: consider increasing it"
    """
    found: list[Finding] = []
    for each in accounts:
        if each.above(idle):
            found.append(_idle(each, idle))
        if each.below(low):
            found.append(_scarce("account", each, low, "increasing it"))
    found += [
        _scarce("pool", each, thin, "rebalancing its accounts")
        for each in pools
        if each.below(thin)
    ]
    return tuple(found)


def due(last_at: float | None, now: float, every_hours: int = EVERY_HOURS) -> bool:
    """
    Whether it is time for a review; always when there was none (`None`).

    Times are in seconds since any fixed time.
    """
    return last_at is None or now - last_at >= every_hours * 3600


def _idle(each: Standing, share: object) -> Finding:
    text = (
        f"{_left('account', each)}, more than {_percent(share)}: consider reducing it"
    )
    return Finding(each.name, Severity.INFO, text)


def _scarce(kind: str, each: Standing, share: object, remedy: str) -> Finding:
    text = f"{_left(kind, each)}, less than {_percent(share)}: consider {remedy}"
    return Finding(each.name, Severity.WARNING, text)


def _left(kind: str, each: Standing) -> str:
    left, granted = _shown(each, each.remaining), _shown(each, each.granted)
    return f"{kind} {each.name!r} has {left} of {granted} left"


def _shown(each: Standing, value: int | None) -> str:
    return show(each.unit, value) if each.unit else f"{value:,}"


def _percent(share: object) -> str:
    return f"{ratio(share) * 100 / MARK_SCALE:g}%"
