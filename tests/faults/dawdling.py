"""A store of any kind that lets others go first: a race, forced."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

from langchain_budget.core.accounts import Row
from langchain_budget.core.postings import (
    Balance,
    CounterKey,
    Entry,
    Hold,
    Posting,
    Receipt,
    Refusal,
)
from langchain_budget.stores.base import Store

Action = Callable[[], object]


class Dawdling(Store):
    """
    Passes everything on to *store*.

    Before it posts one of a kind, or before it tells what became of that, it does once
    what it was told to do meanwhile.
    """

    blocking: ClassVar[bool] = False

    def __init__(self, store: Store) -> None:
        self._store = store
        self._meanwhile: dict[tuple[str, str], Action] = {}

    def meanwhile(self, moment: str, kind: str, action: Action) -> None:
        """Do *action* `before` or `after` the next posting of a kind."""
        self._meanwhile[moment, kind] = action

    @property
    def idle(self) -> bool:
        """Whether all that was to happen meanwhile has happened."""
        return not self._meanwhile

    def post(self, posting: Posting) -> Receipt | Refusal:
        self._dawdle("before", posting)
        answer = self._store.post(posting)
        self._dawdle("after", posting)
        return answer

    async def apost(self, posting: Posting) -> Receipt | Refusal:
        await asyncio.to_thread(self._dawdle, "before", posting)
        answer = await self._store.apost(posting)
        await asyncio.to_thread(self._dawdle, "after", posting)
        return answer

    def rows(self, paths: Iterable[str]) -> Mapping[str, Row]:
        return self._store.rows(paths)

    def below(self, path: str) -> tuple[Row, ...]:
        return self._store.below(path)

    def balances(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        return self._store.balances(accounts)

    def hold(self, hold_id: str) -> Hold | None:
        return self._store.hold(hold_id)

    def open_holds(self) -> tuple[Hold, ...]:
        return self._store.open_holds()

    def overdue(self) -> tuple[Hold, ...]:
        return self._store.overdue()

    def journal(self, after: int = 0, limit: int | None = None) -> tuple[Entry, ...]:
        return self._store.journal(after, limit)

    def lapsed(self) -> tuple[Row, ...]:
        return self._store.lapsed()

    def now(self) -> float:
        return self._store.now()

    def close(self) -> None:
        self._store.close()

    def _dawdle(self, moment: str, posting: Posting) -> None:
        self._meanwhile.pop((moment, posting.kind), _nothing)()


def _nothing() -> None:
    pass
