"""A store whose connection breaks when a test says so."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from langchain_budget import MemoryStore, StoreError
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

Result = TypeVar("Result")
READ = "read"


class FailingStore(Store):
    """
    Passes everything on to a store in memory, unless it is `broken`.

    What is broken is named by kind: `"read"`, `"reserve"`, `"settle"` and so on.
    A *lost* answer is one that comes to nothing after the posting was applied.
    """

    blocking = False

    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.attempts: list[str] = []
        self._broken: dict[str, bool] = {}

    def breaks(self, *kinds: str, lost: bool = False) -> None:
        self._broken |= dict.fromkeys(kinds, lost)

    def mend(self) -> None:
        self._broken.clear()

    def post(self, posting: Posting) -> Receipt | Refusal:
        return self._pass(posting.kind, lambda: self.memory.post(posting))

    def rows(self, paths: Iterable[str]) -> Mapping[str, Row]:
        return self._pass(READ, lambda: self.memory.rows(paths))

    def below(self, path: str) -> tuple[Row, ...]:
        return self._pass(READ, lambda: self.memory.below(path))

    def balances(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        return self._pass(READ, lambda: self.memory.balances(accounts))

    def hold(self, hold_id: str) -> Hold | None:
        return self._pass(READ, lambda: self.memory.hold(hold_id))

    def open_holds(self) -> tuple[Hold, ...]:
        return self._pass(READ, self.memory.open_holds)

    def overdue(self) -> tuple[Hold, ...]:
        return self._pass(READ, self.memory.overdue)

    def journal(self, after: int = 0, limit: int | None = None) -> tuple[Entry, ...]:
        return self._pass(READ, lambda: self.memory.journal(after, limit))

    def lapsed(self) -> tuple[Row, ...]:
        return self._pass(READ, self.memory.lapsed)

    def now(self) -> float:
        return self._pass(READ, self.memory.now)

    def _pass(self, kind: str, ask: Callable[[], Result]) -> Result:
        self.attempts.append(kind)
        lost = self._broken.get(kind)
        if lost is None:
            return ask()
        if lost:
            ask()
        raise StoreError(f"the connection broke at {kind}")
