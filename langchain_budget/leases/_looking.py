"""What a worker sees of the shared books when it looks at its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar, cast

from langchain_budget.core.accounts import Row
from langchain_budget.core.postings import Balance, CounterKey, Hold
from langchain_budget.errors import StoreError
from langchain_budget.leases._contract import Contract, Sight
from langchain_budget.leases._turn import Turn
from langchain_budget.leases.purse import Purse, Terms
from langchain_budget.ledger import Ledger
from langchain_budget.stores._drive import Talk, adrive, drive
from langchain_budget.stores.base import Store

UNSEEN: Final = Sight({}, {})

_Result = TypeVar("_Result")


class _Outside:
    """The shared store, and whose turn it is to speak with it."""

    def __init__(self, store: Store, turn: Turn) -> None:
        self._store = store
        self.post, self.apost = store.post, store.apost
        self.enter, self.aenter = turn.enter, turn.aenter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Looking(Purse):
    """
    A purse that knows what the shared books could add to it.

    What it has seen of them is from the last time that it spoke with them, unless
    somebody wants to be exact.
    """

    def __init__(self, shared: Ledger, path: str, terms: Terms) -> None:
        super().__init__(path, terms.sizes, terms.clock)
        self.contract = Contract(shared, terms, self)
        self._turn = Turn()
        self._outside = cast("Store", _Outside(shared.store, self._turn))
        self._sight: Sight | None = UNSEEN
        self._retry_at = terms.clock()
        """Until when the shared store is left alone, since it has failed."""

    @property
    def blocking(self) -> bool:  # type: ignore[override]  # the base has a constant
        """Whether a call may wait for something outside of this process."""
        return self.contract.shared.store.blocking

    def overdue(self) -> tuple[Hold, ...]:
        """The open holds past their time to live; whoever asks wants to be exact."""
        self._sight = None
        return super().overdue()

    def rows(self, paths: Iterable[str]) -> Mapping[str, Row]:
        """The accounts at *paths*; those that do not exist are left out."""
        if self._sight is None:
            drive(self._look(), self._outside)
        return self._as_seen(super().rows(paths))

    async def arows(self, paths: Iterable[str]) -> Mapping[str, Row]:
        """Awaitable twin of `rows`."""
        if self._sight is None:
            await adrive(self._look(), self._outside)
        return self._as_seen(super().rows(paths))

    def outlook(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        """Every counter of these accounts, with what the shared books could add."""
        if not (self._sight and self._sight.rows):
            drive(self._look(), self._outside)
        return self._with_more(self.balances(accounts))

    async def aoutlook(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        """Awaitable twin of `outlook`."""
        if not (self._sight and self._sight.rows):
            await adrive(self._look(), self._outside)
        return self._with_more(self.balances(accounts))

    def _look(self) -> Talk[None]:
        """See what the leased account could give, as it is now."""
        if self._clock() < min(self._retry_at, self.contract.good_until):
            return
        try:
            self._sight = yield from self.contract.sight()
        except StoreError:
            # As long as the lease is good it is all that is needed.
            if self._clock() >= self.contract.good_until:
                raise

    def _as_seen(self, rows: Mapping[str, Row]) -> Mapping[str, Row]:
        """With what freezes or has closed the account in the shared books."""
        shared = self._sight.rows if self._sight else {}
        return {
            path: row._replace(frozen=shared[path].frozen, closed=shared[path].closed)
            if path in shared
            else row
            for path, row in rows.items()
        }

    def _with_more(
        self, balances: Mapping[CounterKey, Balance]
    ) -> Mapping[CounterKey, Balance]:
        more = self._sight.left if self._sight else {}
        return dict(balances) | {
            self.keys[unit]: _raised(balances[self.keys[unit]], left)
            for unit, left in more.items()
            if self.keys[unit] in balances
        }

    async def _away(self, ask: Callable[..., _Result], *args: object) -> _Result:
        """What is in memory is answered at once."""
        return ask(*args)


def _raised(seen: Balance, more: int | None) -> Balance:
    if more is None or seen.granted is None:
        return seen._replace(granted=None)
    return seen._replace(granted=seen.granted + max(more, 0))
