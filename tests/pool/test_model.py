"""The library and a naive model of its rules agree on any history."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from langchain_budget import (
    Account,
    BudgetError,
    BudgetPool,
    MemoryStore,
    Reservation,
)
from langchain_budget.core.amounts import USD, Amount
from langchain_budget.testing import StillClock
from tests.invariants import (
    assert_admitted,
    assert_books_add_up,
    assert_nothing_is_overdue,
    assert_quiet,
    assert_report_adds_up,
    trace,
)
from tests.pool.naive import SHARED, SLICE, Hold, Naive, No, Node

LIFE_SECONDS = 60
dollars = st.integers(0, 12)


def usd(value: int) -> Amount:
    return Amount(USD, value)


class Budgets(RuleBasedStateMachine):
    """Each rule does the same to the library and to the model."""

    accounts = Bundle[tuple[Account, Node]]("accounts")
    holds = Bundle[tuple[Reservation, Hold]]("holds")

    @initialize(target=accounts, granted=st.integers(0, 40))
    def begin(self, granted: int) -> tuple[Account, Node]:
        self.clock = StillClock()
        self.store = MemoryStore(clock=self.clock)
        self.pool = BudgetPool("acme", usd(granted), store=self.store)
        self.naive = Naive(Node("acme", granted=granted))
        return self.pool, self.naive.root

    @rule(
        target=accounts,
        parent=accounts,
        kind=st.sampled_from([SHARED, SLICE]),
        granted=st.none() | dollars,
    )
    def open(self, parent: tuple[Account, Node], kind: str, granted: int | None) -> Any:
        account, node = parent
        name = f"a{len(self.naive.nodes)}"
        if granted is None:
            kind = SHARED
        limit = None if granted is None else usd(granted)
        done = self.both(
            lambda: (
                account.open(name, carve=limit)
                if kind == SLICE
                else account.open(name, limit=limit)
            ),
            lambda: self.naive.open(node, name, kind, granted),
        )
        return done or multiple()

    @rule(target=holds, where=accounts, amount=dollars)
    def reserve(self, where: tuple[Account, Node], amount: int) -> Any:
        account, node = where
        afforded = bool(account.can_afford(usd(amount)))
        until = int(self.clock()) + LIFE_SECONDS
        done = self.both(
            lambda: account.reserve(usd(amount), ttl_seconds=LIFE_SECONDS),
            lambda: self.naive.reserve(node, amount, until),
        )
        assert afforded == (done is not None)
        if done is None:
            return multiple()
        assert_admitted(self.store, done[0].hold)
        return done

    @rule(hold=holds, amount=dollars)
    def settle(self, hold: tuple[Reservation, Hold], amount: int) -> None:
        self.both(
            lambda: hold[0].settle(usd(amount)),
            lambda: self.naive.settle(hold[1], amount),
        )

    @rule(hold=holds)
    def release(self, hold: tuple[Reservation, Hold]) -> None:
        self.both(hold[0].release, lambda: self.naive.release(hold[1]))

    @rule(seconds=st.sampled_from([1, LIFE_SECONDS]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.pool.balance()
        self.naive.expire(int(self.clock()))
        assert_nothing_is_overdue(self.store)

    @rule(payer=accounts, payee=accounts, amount=dollars.filter(bool))
    def transfer(
        self, payer: tuple[Account, Node], payee: tuple[Account, Node], amount: int
    ) -> None:
        self.both(
            lambda: payer[0].transfer(payee[0], usd(amount)),
            lambda: self.naive.transfer(payer[1], payee[1], amount),
        )

    @rule(where=accounts, amount=dollars.filter(bool))
    def top_up(self, where: tuple[Account, Node], amount: int) -> None:
        self.both(
            lambda: where[0].top_up(usd(amount)),
            lambda: self.naive.top_up(where[1], amount),
        )

    @rule(where=accounts, amount=dollars)
    def set_limit(self, where: tuple[Account, Node], amount: int) -> None:
        self.both(
            lambda: where[0].set_limit(usd(amount)),
            lambda: self.naive.set_limit(where[1], amount),
        )

    @rule(where=accounts)
    def freeze(self, where: tuple[Account, Node]) -> None:
        where[0].freeze()
        where[1].frozen = True

    @rule(where=accounts)
    def thaw(self, where: tuple[Account, Node]) -> None:
        where[0].thaw()
        where[1].frozen = False

    @rule(where=consumes(accounts))
    def close(self, where: tuple[Account, Node]) -> None:
        if where[1].parent is not None:
            where[0].close()
            self.naive.close(where[1])

    def both(
        self, do: Callable[[], Any], say: Callable[[], Any]
    ) -> tuple[Any, Any] | None:
        """What both did; nothing, and no trace of it, when both refuse."""
        before = trace(self.store)
        try:
            done = do()
        except BudgetError:
            refused = True
        else:
            refused = False
        if refused:
            assert trace(self.store) == before
            with pytest.raises(No):
                say()
            return None
        return done, say()

    @invariant()
    def agree(self) -> None:
        for node in self.naive.nodes:
            path = "/".join(each.name for each in reversed(node.line()))
            balance = Account(self.pool.ledger, path).balance()
            said = (self.naive.spent(node), self.naive.held(node))
            assert (balance.spent.value, balance.held.value) == said
            left = None if balance.available is None else balance.available.value
            assert left == self.naive.available(node)

    @invariant()
    def add_up(self) -> None:
        assert_books_add_up(self.store)
        assert_report_adds_up(self.pool)

    def teardown(self) -> None:
        if hasattr(self, "pool"):
            self.clock.advance(LIFE_SECONDS)
            self.pool.close()
            self.pool.balance()
            assert_quiet(self.store)


TestBudgets = Budgets.TestCase
TestBudgets.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
