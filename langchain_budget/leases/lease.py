"""A lease as users take it: an account that spends at the speed of memory."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Final, Generic, Protocol, TypeVar

from langchain_budget.arguments import lifetime
from langchain_budget.core.amounts import Amount, vector
from langchain_budget.core.dividing import needed
from langchain_budget.core.events import Event
from langchain_budget.core.faults import InvalidAmount
from langchain_budget.core.postings import Kind, Receipt, Refusal
from langchain_budget.core.routes import Route
from langchain_budget.core.rules import Order
from langchain_budget.dividing import TurnedAway
from langchain_budget.errors import (
    InvalidLease,
    StoreError,
    StoreReentered,
)
from langchain_budget.leases.purse import Purse, Terms
from langchain_budget.leases.store import LeaseStore
from langchain_budget.ledger import Ledger
from langchain_budget.stores._drive import Talk
from langchain_budget.tree import close_account

Clock = Callable[[], float]
_log = logging.getLogger("langchain_budget")


class _Account(Protocol):
    @property
    def path(self) -> str: ...


AccountT = TypeVar("AccountT", bound=_Account)


def since_boot() -> float:
    """Seconds that only ever rise, also while the machine is asleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


CLOCK: Final[Clock] = since_boot if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
"""The clock of a worker that is given none."""


class PurseLedger(Ledger):
    """A worker's own books; its listeners are those of the shared ones."""

    def __init__(self, shared: Ledger, purse: Purse) -> None:
        super().__init__(purse, shared.new_id, shared.prices)
        self.purse = purse
        self.expected_output = shared.expected_output
        self.per_call = shared.per_call
        self.listeners = shared.listeners
        self.statement = purse.tally

    def tell_of(self, receipt: Receipt, *happened: Event) -> None:  # noqa: ARG002
        """Tell what happened; what limits it crossed is for the shared books to say."""
        if self.listeners:
            self.listeners.tell([replace(each, seq=0) for each in happened])


class LeaseLedger(PurseLedger):
    """Those of a worker that has leased what it spends."""

    def __init__(self, shared: Ledger, path: str, terms: Terms) -> None:
        self.lease = LeaseStore(shared, path, terms)
        self._shared = shared
        super().__init__(shared, self.lease)

    def way(self, path: str, order: Order) -> Talk[Route]:
        """Likewise; a charge that the shared books count elsewhere too is refused."""
        refusal = self._passed_over(path, order.labels)
        if refusal is not None:
            raise TurnedAway(refusal)
        return (yield from super().way(path, order))

    def turned_away(self, path: str, labels: Mapping[str, str]) -> Talk[Refusal | None]:
        """Likewise, before it is reserved for."""
        away = self._passed_over(path, labels)
        return away or (yield from super().turned_away(path, labels))

    def _passed_over(self, path: str, labels: Mapping[str, str]) -> Refusal | None:
        """Why no call is admitted that `limit_each` limits since this was leased."""
        names = [new.bound[0] for new in needed(self._shared.each, path, labels)]
        if not names:
            return None
        return Refusal(Kind.CLOSED, path, detail=str(InvalidLease(path, names)))


def leased(
    shared: Ledger,
    path: str,
    amounts: tuple[Amount, ...],
    timing: tuple[float, Clock],
) -> LeaseLedger:
    """Books of one worker that has a lease of the account at *path*."""
    sizes = vector(amounts)
    empty = [unit for unit, value in sizes.items() if not value]
    if empty or not sizes:
        msg = "lease more than nothing of each unit that is limited, like usd('0.50')"
        raise InvalidAmount(msg)
    if isinstance(shared, LeaseLedger):
        raise InvalidLease(path, [])
    if shared.each:
        raise InvalidLease(path, [each.name for each in shared.each])
    return LeaseLedger(shared, path, Terms(sizes, lifetime(timing[0]), timing[1]))


class Lease(Generic[AccountT]):
    """
    A worker's share of an account, in a `with` or `async with` block.

    What the block gets is an account to be used like any other. At its end what is
    left is returned; calls that are still under way keep what they hold, and the last
    of them ends the lease.
    """

    def __init__(self, ledger: LeaseLedger, account: AccountT) -> None:
        self.ledger = ledger
        self.account = account

    def __repr__(self) -> str:
        return f"<Lease of {self.account.path!r}>"

    def __enter__(self) -> AccountT:
        self.ledger.lease.renew()
        return self.account

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.ledger.run(close_account(self.ledger, self.account.path))
        except StoreReentered:
            lease = self.ledger.lease
            lease.contract.shared.late.append(lease.given_back)
        except StoreError as failed:
            _log.warning(_LEFT, self.account.path, failed)

    async def __aenter__(self) -> AccountT:
        await self.ledger.lease.arenew()
        return self.account

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.ledger.arun(close_account(self.ledger, self.account.path))
        except StoreError as failed:
            _log.warning(_LEFT, self.account.path, failed)


_LEFT: Final = "the lease of %s could not be given back, and will lapse: %s"
