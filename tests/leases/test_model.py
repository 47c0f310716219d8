"""
Any history of workers with leases, on a store that fails, against what was spent.

Nothing is settled at more than it held and no limit is lowered, so that at no moment
may all that was really spent and is under way come to more than the limit.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from langchain_budget import (
    Account,
    BudgetPool,
    BudgetRefused,
    Reservation,
    StoreError,
    calls,
)
from langchain_budget.leases.lease import Lease
from langchain_budget.stores.memory import MemoryStore
from langchain_budget.testing import StillClock
from tests.failing_store import FailingStore
from tests.invariants import assert_books_add_up, assert_quiet, assert_report_adds_up

LIMIT, SIZE, TTL = 40, 8, 30.0
WORKERS = st.integers(0, 2)
POSTINGS = st.sampled_from(["lease", "read", "open", "lapse"])


class Worker:
    """A lease, what is under way in it, and whether its process is still there."""

    def __init__(self, pool: BudgetPool, clock: StillClock) -> None:
        self.lease: Lease[Account] = pool.lease(
            calls(SIZE), ttl_seconds=TTL, clock=clock
        )
        self.account = self.lease.account
        self.holds: list[Reservation] = []


class Workers(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.clock = StillClock(1_000)
        self.store = FailingStore()
        self.store.memory = MemoryStore(clock=self.clock)
        self.pool = BudgetPool("acme", calls(LIMIT), store=self.store)
        self.workers = [self.worker() for _ in range(3)]
        self.spent = self.dead = 0
        self.frozen = self.died = False

    def worker(self) -> Worker:
        return Worker(self.pool, self.clock)

    @rule(who=WORKERS, amount=st.integers(1, 12))
    def reserve(self, who: int, amount: int) -> None:
        worker = self.workers[who]
        try:
            hold = worker.account.reserve(calls(amount))
        except (BudgetRefused, StoreError):
            return
        worker.holds.append(hold)

    @rule(who=WORKERS, used=st.integers(0, 12))
    def settle(self, who: int, used: int) -> None:
        worker = self.workers[who]
        if worker.holds:
            hold = worker.holds.pop(0)
            (held,) = hold.amounts
            hold.settle(calls(min(used, held.value)))
            self.spent += min(used, held.value)

    @rule(who=WORKERS)
    def release(self, who: int) -> None:
        if self.workers[who].holds:
            self.workers[who].holds.pop().release()

    @rule(who=WORKERS)
    def leave_and_start_again(self, who: int) -> None:
        """Calls that are under way go on in the lease that was left."""
        if not self.workers[who].holds:
            try:
                self.workers[who].account.close()
            except StoreError:
                return
            self.workers[who] = self.worker()

    @rule(who=WORKERS)
    def die(self, who: int) -> None:
        """What it had under way was spent, and nobody will say so."""
        for hold in self.workers[who].holds:
            self.dead += sum(each.value for each in hold.amounts)
        self.workers[who], self.died = self.worker(), True

    @rule(seconds=st.sampled_from([1, 5, 14, 16, 31]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(kind=POSTINGS, lost=st.booleans())
    def fail(self, kind: str, lost: Any) -> None:
        self.store.breaks(kind, lost=lost)

    @rule()
    def mend(self) -> None:
        self.store.mend()

    @rule()
    def look(self) -> None:
        """Lapsed leases are found."""
        try:
            self.pool.report()
        except StoreError:
            return

    @rule(amount=st.integers(1, 5))
    def spend_without_a_lease(self, amount: int) -> None:
        try:
            self.pool.reserve(calls(amount)).settle(calls(amount))
        except (BudgetRefused, StoreError):
            return
        self.spent += amount

    @precondition(lambda self: not self.frozen)
    @rule()
    def freeze(self) -> None:
        try:
            self.pool.freeze()
        except StoreError:
            return
        self.frozen = True

    @rule()
    def thaw(self) -> None:
        try:
            self.pool.thaw()
        except StoreError:
            return
        self.frozen = False

    @invariant()
    def never_more_than_the_limit(self) -> None:
        if hasattr(self, "workers"):
            holds = [hold for each in self.workers for hold in each.holds]
            under_way = sum(each.value for hold in holds for each in hold.amounts)
            assert self.spent + self.dead + under_way <= LIMIT
            assert_books_add_up(self.store.memory)

    def teardown(self) -> None:
        if not hasattr(self, "workers"):
            return
        self.store.mend()
        self.clock.advance(1)
        for worker in self.workers:
            for hold in worker.holds:
                hold.release()
            worker.account.close()
            assert_books_add_up(worker.lease.ledger.store)
        self.clock.advance(TTL)
        booked = self.pool.balance("calls").spent.value
        assert self.spent + self.dead <= booked <= LIMIT
        if not self.died:
            assert booked == self.spent
            assert self.pool.report().total.estimated == 0
        assert self.pool.balance("calls").lent == calls(0)
        assert_quiet(self.store)
        assert_report_adds_up(self.pool)


TestWorkers = Workers.TestCase
TestWorkers.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
