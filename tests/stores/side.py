"""One of several stores to which the same is done, and the program that does it."""

from collections.abc import Iterable
from itertools import count
from typing import Any

from langchain_budget import Account, Amount, BudgetPool
from langchain_budget.core.accounts import SEPARATOR, Row
from langchain_budget.core.postings import (
    CloseHold,
    Entry,
    Hold,
    Kind,
    OpenHold,
    Posting,
    Receipt,
    Refusal,
    Status,
)
from langchain_budget.stores.base import Store
from langchain_budget.testing import EventLog
from tests.failing_store import FailingStore


class Line(FailingStore):
    """
    A line to a store, which may break.

    What has no order in one store has none in any; here it has, so that all programs
    do the same things in the same order.
    """

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = self.memory = store
        self.sent: dict[str, Posting] = {}
        self.receipts: dict[str, Receipt] = {}

    def post(self, posting: Posting) -> Receipt | Refusal:
        self.sent[posting.id] = posting
        return self._pass(posting.kind, lambda: self._post(posting))

    def below(self, path: str) -> tuple[Row, ...]:
        return tuple(sorted(super().below(path), key=lambda row: parts(row.path)))

    def open_holds(self) -> tuple[Hold, ...]:
        return in_order(super().open_holds())

    def overdue(self) -> tuple[Hold, ...]:
        return in_order(super().overdue())

    def _post(self, posting: Posting) -> Receipt | Refusal:
        answer = self.store.post(posting)
        if isinstance(answer, Receipt):
            self.receipts[posting.id] = answer
        return answer


class Side:
    """Two programs that use one store; ids are the same on every other store."""

    def __init__(self, store: Store, limit: Amount) -> None:
        self.line = Line(store)
        self.events = EventLog()
        self._ids = count(1)
        self._read = 0
        self.pool, self.other = self._begin(limit), self._begin(limit)

    def crash(self, limit: Amount) -> None:
        """Start a program anew; it remembers nothing."""
        self.pool = self._begin(limit)

    def switch(self) -> None:
        """Let the other program go on, with what it remembers."""
        self.pool, self.other = self.other, self.pool

    def at(self, path: str) -> Account:
        return Account(self.pool.ledger, path)

    def again(self, before: int) -> None:
        """One of the last postings comes again, late and from nowhere."""
        sent = [*self.line.sent.values()]
        until = len(sent) - before % len(sent)
        posting = next(filter(self._is_done, reversed(sent[:until])), None)
        if posting is not None:
            self._assert_answered(posting, self.line.store.post(posting))

    def _begin(self, limit: Amount) -> BudgetPool:
        pool = BudgetPool("acme", limit, store=self.line)
        pool.ledger.new_id = lambda: f"id-{next(self._ids)}"
        pool.subscribe(self.events.append)
        return pool

    def _is_done(self, posting: Posting) -> bool:
        if posting.hold is None:
            return posting.id in self.line.receipts
        hold = self.line.hold(posting.hold.id)
        opens = isinstance(posting.hold, OpenHold)
        return hold is not None and (opens or hold.status is not Status.OPEN)

    def _assert_answered(self, posting: Posting, answer: Receipt | Refusal) -> None:
        hold = posting.hold and self.line.hold(posting.hold.id)
        if isinstance(posting.hold, OpenHold):
            assert answer == Receipt(0, (), hold)
        elif isinstance(posting.hold, CloseHold):
            assert isinstance(answer, Refusal)
            assert (answer.kind, answer.hold) == (Kind.NOT_OPEN, hold)
        else:
            assert answer == self.line.receipts[posting.id]

    def news(self) -> tuple[Any, ...]:
        """All that the store says, of its journal only what is new."""
        store = self.line
        rows = store.below("")
        entries = [without_first_id(entry) for entry in store.journal(self._read)]
        self._read += len(entries)
        told, self.events[:] = list(self.events), []
        balances = dict(store.balances([row.path for row in rows]))
        return entries, told, rows, balances, store.open_holds(), store.lapsed()


def without_first_id(entry: Entry) -> Entry:
    """The first id is the pool's own: it is opened before a test can say how."""
    return entry._replace(posting="") if entry.seq == 1 else entry


def in_order(holds: Iterable[Hold]) -> tuple[Hold, ...]:
    return tuple(sorted(holds, key=lambda hold: hold.id))


def parts(path: str) -> list[str]:
    return path.split(SEPARATOR)
