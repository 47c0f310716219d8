"""What others do, or what breaks, between two questions of one operation."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from langchain_budget import (
    Account,
    BudgetPool,
    MemoryStore,
    StoreError,
    StoreUnavailable,
    tokens,
    usd,
)
from langchain_budget.core.accounts import join, spec_of
from langchain_budget.core.events import AccountFrozen, AccountThawed, Event
from langchain_budget.core.postings import Hold, Posting, Receipt, Refusal
from langchain_budget.core.rules import Order
from langchain_budget.stores.sqlite import SqliteStore
from langchain_budget.testing import StillClock
from langchain_budget.tree import open_account
from tests.failing_store import FailingStore
from tests.interrupted_store import InterruptedStore
from tests.invariants import assert_admitted, assert_books_add_up, assert_quiet


class SweptStore(MemoryStore):
    """Before it tells what is overdue, somebody else gives that back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.rivals: list[BudgetPool] = []

    def overdue(self) -> tuple[Hold, ...]:
        if self.rivals:
            self.rivals.pop().balance()
        return super().overdue()


class RepeatingStore(MemoryStore):
    """Before the next reserve, a *refused* one arrives once more."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[Posting] = []
        self.make_room: Callable[[], None] | None = None

    def post(self, posting: Posting) -> Receipt | Refusal:
        if self.refused and self.make_room and posting.kind == "reserve":
            self.make_room()
            super().post(self.refused.pop())
        answer = super().post(posting)
        if isinstance(answer, Refusal):
            self.refused.append(posting)
        return answer


class ForgetfulStore(SqliteStore):
    """It takes what it is given, but once it is *cut* no answer comes back."""

    cut = False

    def post(self, posting: Posting) -> Receipt | Refusal:
        answer = super().post(posting)
        if self.cut and isinstance(answer, Receipt):
            raise StoreError("the connection broke")
        return answer


def test_what_somebody_else_has_just_given_back_is_there(clock: StillClock) -> None:
    store = SweptStore(clock)
    pool, rival = (BudgetPool("acme", usd(10), store=store) for _ in range(2))
    pool.reserve(usd(10), ttl_seconds=60)
    clock.advance(60)
    store.rivals.append(rival)

    hold = pool.reserve(usd(10))

    assert_admitted(store, hold.hold)


def test_a_loan_grows_with_what_others_take_from_the_slice() -> None:
    store = InterruptedStore()
    pool = BudgetPool("acme", usd(10), store=store)
    step = borrower(pool, 4)

    def take_some() -> None:
        store.before["reserve"] = lambda: step.reserve(usd(3))

    store.before["reserve"] = take_some

    hold = step.reserve(usd(6))

    assert pool.balance().available == usd(1)
    assert_admitted(store, hold.hold)


def test_a_reserve_that_is_built_anew_is_another_one() -> None:
    """What was sent first arrives once more, and is judged like any reserve."""
    store = RepeatingStore()
    pool = BudgetPool("acme", usd(10), store=store)
    step = borrower(pool, 4)
    store.make_room = step.reserve(usd(3)).release

    hold = step.reserve(usd(2))

    assert_admitted(store, hold.hold)
    assert step.balance().held == usd(4)
    assert_books_add_up(store)


def borrower(pool: BudgetPool, dollars: int) -> Account:
    path = join(pool.path, "step")
    spec = spec_of(carve=[usd(dollars)])._replace(borrows=True)
    pool.ledger.run(open_account(pool.ledger, path, spec))
    return Account(pool.ledger, path)


async def test_a_charge_is_not_lost_with_a_task_that_was_tidying_up() -> None:
    """It is cancelled in what another one has left behind, before it could begin."""
    store = InterruptedStore()
    pool = BudgetPool("acme", usd(10), store=store)
    mine, left = await pool.areserve(usd(4)), await pool.areserve(usd(1))
    store.stuck.add("release")
    await cut_off(left.arelease(), store)
    store.stuck.add("release")

    await cut_off(mine.asettle(usd(3)), store)

    assert (await pool.abalance()).spent == usd(3)
    assert_quiet(store)


async def cut_off(deed: object, store: InterruptedStore) -> None:
    task = asyncio.ensure_future(deed)  # type: ignore[call-overload]  # a coroutine
    await store.reached.wait()
    store.reached.clear()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    store.stuck.clear()


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[ForgetfulStore]:
    store = ForgetfulStore(tmp_path / "books.db", book="acme")
    yield store
    store.close()


def test_a_hold_that_was_built_anew_is_given_back_as_it_was_built(
    forgetful: ForgetfulStore,
) -> None:
    """A unit was limited meanwhile; the answer to the second try is lost."""
    pool, rival = (BudgetPool("acme", usd(10), store=forgetful) for _ in range(2))
    order = Order({"usd": 1, "tokens": 500})
    pool.ledger.run(
        pool.ledger.release(pool.ledger.run(pool.ledger.reserve("acme", order)))
    )
    rival.set_limit(tokens(1_000))
    forgetful.cut = True
    with pytest.raises(StoreUnavailable):
        pool.ledger.run(pool.ledger.reserve("acme", order))
    forgetful.cut = False

    assert pool.balance("tokens").available == tokens(1_000)
    assert_quiet(forgetful)


def test_closing_again_returns_what_was_left_behind() -> None:
    store = FailingStore()
    pool = BudgetPool("acme", usd(10), store=store)
    web = pool.open("web", carve=usd(3))
    store.breaks("return")
    with pytest.raises(StoreError):
        web.close()
    store.mend()

    web.close()

    assert pool.balance().available == usd(10)
    assert_quiet(store.memory)


def test_an_overrun_that_is_paid_at_once_exhausts_nobody() -> None:
    pool = BudgetPool("acme", usd(10))
    web = pool.open("web", carve=usd(3))
    first, _ = web.reserve(usd(1)), web.reserve(usd(1))
    heard: list[Event] = []
    pool.subscribe(heard.append)

    first.settle(usd(4))

    assert web.balance().granted == usd(5)
    assert not [
        each for each in heard if isinstance(each, AccountFrozen | AccountThawed)
    ]
