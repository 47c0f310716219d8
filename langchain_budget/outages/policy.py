"""What a pool does when its store does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from langchain_budget.arguments import lifetime
from langchain_budget.core.amounts import Amount, Vector, show, vector
from langchain_budget.core.faults import InvalidAmount
from langchain_budget.core.postings import NOTHING
from langchain_budget.errors import InvalidLease
from langchain_budget.leases.lease import CLOCK

RETRY_SECONDS: Final = 1.0
"""How long a store that failed is left alone, where calls can go on without it."""

STANDBY_SECONDS: Final = 60.0
"""How long calls can go on from a lease, when nobody says otherwise."""


class OnOutage(NamedTuple):
    """
    What becomes of calls while the store of a pool does not answer.

    Made by `OnOutage.closed()`, which is what a pool does that is told nothing, by
    `OnOutage.open_up_to(...)` and by `OnOutage.leased(...)`.

    >>> from langchain_budget import BudgetPool, OnOutage, usd
    >>> policy = OnOutage.open_up_to(usd("0.50"))
    >>> pool = BudgetPool("acme", usd(10), on_outage=policy)
    >>> print(policy)
    open up to $0.50
    """

    sizes: Vector = NOTHING
    leases: bool = False
    ttl_seconds: float = STANDBY_SECONDS
    retry_seconds: float = 0.0
    clock: Callable[[], float] = CLOCK
    """Seconds that only ever rise; tests pass a clock that stands still."""

    @classmethod
    def closed(cls) -> OnOutage:
        """Admit nothing until it answers again."""
        return cls()

    @classmethod
    def open_up_to(
        cls, *amounts: Amount, retry_seconds: float = RETRY_SECONDS
    ) -> OnOutage:
        """
        Admit calls without it, up to so much in each outage and each process.

        Whatever limits say: processes times *amounts* may be spent above them. Units
        that are not named are not capped.

        Args:
            amounts: At most one of each unit.
            retry_seconds: How long a store that failed is left alone.
        """
        return cls(_sizes(amounts), retry_seconds=lifetime(retry_seconds))

    @classmethod
    def leased(
        cls,
        *amounts: Amount,
        ttl_seconds: float = STANDBY_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> OnOutage:
        """
        Go on from a lease that is kept ready, so that no limit is ever passed.

        Each process keeps one of *amounts* for each account that it charges.

        Args:
            amounts: One of every unit that is limited.
            ttl_seconds: How long calls can go on; the lease is renewed at half of it.
            retry_seconds: How long a store that failed is left alone.
        """
        sizes, ttl = _sizes(amounts), lifetime(ttl_seconds)
        return cls(
            sizes, leases=True, ttl_seconds=ttl, retry_seconds=lifetime(retry_seconds)
        )

    def check(self, account: str, limits: Iterable[str]) -> None:
        """Raise `InvalidLease` if leases would not keep one of these *limits*."""
        missing = sorted(set(limits) - self.sizes.keys())
        if self.leases and missing:
            raise InvalidLease(account, missing)

    def __str__(self) -> str:
        amounts = ", ".join(show(*each) for each in self.sizes.items())
        if self.leases:
            return f"leases of {amounts} for {self.ttl_seconds:g} seconds"
        return f"open up to {amounts}" if amounts else "closed"


def _sizes(amounts: tuple[Amount, ...]) -> Vector:
    sizes = vector(amounts)
    if not sizes or not all(sizes.values()):
        msg = "say how much may be spent without the store, such as usd('0.50')"
        raise InvalidAmount(msg)
    return sizes


CLOSED: Final = OnOutage.closed()
"""What a pool does that is told nothing."""
