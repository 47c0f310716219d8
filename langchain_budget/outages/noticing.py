"""Books that know whether their store answers, and tell when that changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, cast

from langchain_budget.core.amounts import Amount
from langchain_budget.core.dividing import needed
from langchain_budget.core.events import OutageBegan, OutageEnded
from langchain_budget.errors import (
    BudgetRefused,
    StoreError,
    StoreLeftAlone,
    StoreLost,
    UnusableStore,
)
from langchain_budget.ledger import Ledger
from langchain_budget.outages._processes import follow
from langchain_budget.outages.policy import OnOutage
from langchain_budget.outages.spare import spare_of
from langchain_budget.outages.watch import Silence, Watch
from langchain_budget.pricing.prices import PriceBook
from langchain_budget.reports.outage import OutageStatus
from langchain_budget.stores._drive import Talk
from langchain_budget.stores._tables import Recent
from langchain_budget.stores.base import Store

_NO_OUTAGE: Final = (StoreLeftAlone, StoreLost, UnusableStore)
"""Known already, or lasting: to go on without the books would never end."""


class WatchedLedger(Ledger):
    """
    Books that notice when their store does not answer.

    Args:
        store: Where the books are.
        new_id: Makes ids that no other process makes.
        prices: What calls cost.
        root: The account at the root.
        policy: What becomes of calls meanwhile.
    """

    def __init__(
        self,
        store: Store,
        new_id: Callable[[], str],
        prices: PriceBook,
        root: str,
        policy: OnOutage,
    ) -> None:
        super().__init__(store, new_id, prices)
        self._root, self._policy = root, policy
        self._names: dict[str, tuple[str, ...]] = {}
        self.start_anew()
        follow(self)

    def start_anew(self) -> None:
        """Nothing was spent without the store, as far as this process is concerned."""
        self._state = Watch(self._policy)
        self._spare = spare_of(self, self._root, self._policy)
        self._holds: Recent[Ledger] = Recent()
        """Who admitted what in an outage, by the ids of the holds."""

    @property
    def outage(self) -> OutageStatus | None:
        """How this process treats calls while its store does not answer."""
        watch = self._state
        if watch.since is None and self._spare is None:
            return None
        return OutageStatus(
            policy=str(self._policy),
            down=watch.down,
            since=watch.since,
            calls=watch.calls,
            used=tuple(Amount(*each) for each in self._used().items() if each[1]),
            error=str(watch.error),
        )

    def end(self) -> None:
        """The process ends: report what was spent, and give back what was leased."""
        self.run(self._ended())

    def _ended(self) -> Talk[None]:
        if self._spare is not None:
            for path in self._spare.paths():
                yield from self._spare.give_back(path)

    def _not_kept(self, path: str, labels: Mapping[str, str]) -> str:
        """Why a call cannot go on from a lease: it is limited elsewhere as well."""
        rules = [new.bound[0] for new in needed(self.each, path, labels)]
        if not rules or not self._policy.leases:
            return ""
        return (
            f"{self._state.error}; no lease keeps the limits that "
            f"limit_each({', '.join(map(repr, rules))}) has for this call"
        )

    def _is_left_alone(self) -> bool:
        return self._spare is not None and self._state.is_left_alone()

    def _fell(self, error: object) -> None:
        """The store did not answer; or has, and it is a refusal."""
        if isinstance(error, BudgetRefused):
            error.came_from(self)
        if not isinstance(error, StoreError) or isinstance(error, _NO_OUTAGE):
            return
        began, anew = self._state.fell(error)
        if self._spare is not None:
            self._spare.leave_alone(self._policy.retry_seconds, error)
            if anew:
                self._state.before = self._spare.start_anew()
        if began:
            policy = str(self._policy)
            event = OutageBegan(account=self._root, policy=policy, error=str(error))
            self.listeners.tell([event])

    def _rose(self) -> None:
        """The store answers."""
        if self._state.rose():
            self.forget()
            event = OutageEnded(
                account=self._root,
                policy=str(self._policy),
                calls=self._state.calls,
                amounts=self._used(),
            )
            self.listeners.tell([event])

    def _used(self) -> dict[str, int]:
        """What the calls of the last outage have used and hold."""
        used, before = self._spare.used() if self._spare else {}, self._state.before
        return {unit: used[unit] - before.get(unit, 0) for unit in used}

    def _silence(self) -> Store:
        return cast("Store", Silence(self._state.error))
