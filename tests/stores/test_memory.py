from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_budget import (
    Account,
    Amount,
    BudgetError,
    BudgetPool,
    BudgetRefused,
    PriceUnknown,
    tokens,
    usd,
)
from langchain_budget.core.accounts import Row, spec_of
from langchain_budget.core.postings import (
    Balance,
    Basis,
    CloseHold,
    CounterKey,
    Delta,
    Hold,
    Kind,
    Note,
    OpenHold,
    Posting,
    Receipt,
    Refusal,
    Status,
)
from langchain_budget.core.rules import Charge, Order
from langchain_budget.stores import _tables
from langchain_budget.stores.memory import MemoryStore
from langchain_budget.testing import StillClock
from tests.invariants import (
    assert_admitted,
    assert_books_add_up,
    assert_quiet,
    unchanged,
)

ROOT, CHILD = "acme", "acme/web"


def pool_of(store: MemoryStore, dollars: int = 10) -> BudgetPool:
    pool = BudgetPool(ROOT, usd(dollars), store=store)
    pool.open("web", limit=usd(5))
    return pool


def hold_of(pool: BudgetPool, value: int, path: str = CHILD) -> Hold:
    order = Order({"usd": value}, labels={"agent": "web"})
    return pool.ledger.run(pool.ledger.reserve(path, order))


def reserve_posting(hold_id: str, value: int, *accounts: str) -> Posting:
    keys = tuple(CounterKey(each, "usd") for each in accounts or (CHILD, ROOT))
    return Posting(
        hold_id,
        "reserve",
        keys[0].account,
        (Delta(keys, held=value, guarded=True),),
        hold=OpenHold(hold_id, 60.0, started=True, amounts={"usd": value}, worst={}),
    )


def settle_posting(
    hold: Hold, value: int, before: frozenset[tuple[Status, Basis]]
) -> Posting:
    return Posting(
        f"{hold.id}:settle",
        "settle",
        hold.account,
        tuple(Delta(each.counters, spent=value) for each in hold.deltas),
        hold=CloseHold(hold.id, Status.SETTLED, Basis.REPORTED, {"usd": value}, before),
        note=Note({"usd": value}, basis=Basis.REPORTED),
    )


def test_a_refusal_leaves_no_trace() -> None:
    store = MemoryStore()
    pool = pool_of(store)
    hold_of(pool, usd(4).value)

    with unchanged(store), pytest.raises(BudgetRefused):
        hold_of(pool, usd(2).value)

    with unchanged(store), pytest.raises(BudgetRefused):
        pool.ledger.run(
            pool.ledger.reserve(CHILD, Order({"tokens": 1, "usd": usd(2).value}))
        )


def test_the_numbers_of_a_refusal_are_those_of_its_moment() -> None:
    store = MemoryStore()
    pool = pool_of(store)
    hold = hold_of(pool, usd(4).value)
    refusal = store.post(reserve_posting("late", usd(2).value))
    assert isinstance(refusal, Refusal)

    pool.ledger.run(pool.ledger.release(hold))

    assert refusal.balance == Balance(usd(5).value, usd(4).value)
    assert (refusal.kind, refusal.account) == (Kind.CONTENDED, CHILD)


def test_a_reserve_that_comes_again_holds_once_and_tells_how_the_hold_is() -> None:
    store = MemoryStore()
    pool = pool_of(store)
    posting = reserve_posting("same", usd(1).value)
    first = store.post(posting)

    again = store.post(posting)

    assert isinstance(first, Receipt)
    assert isinstance(again, Receipt)
    assert again.hold == store.hold("same")
    assert again.hold is not None
    assert again.hold.status is Status.OPEN
    assert_books_add_up(store)

    pool.ledger.run(pool.ledger.settle(again.hold, Charge({"usd": 7})))
    last = store.post(posting)

    assert isinstance(last, Receipt)
    assert last.hold is not None
    assert (last.hold.status, last.hold.charged) == (Status.SETTLED, {"usd": 7})


def test_an_id_that_comes_again_with_something_else_is_a_conflict() -> None:
    store = MemoryStore()
    pool = pool_of(store)
    store.post(reserve_posting("same", 1))
    pool.top_up(usd(1), key="topped")

    with unchanged(store):
        other_hold = store.post(reserve_posting("same", 2))
        other_grant = store.post(
            Posting("topped", "top_up", ROOT, (Delta((CounterKey(ROOT, "usd"),), 5),))
        )

    for answer in (other_hold, other_grant):
        assert isinstance(answer, Refusal)
        assert answer.kind is Kind.CONFLICT


def test_a_grant_that_comes_again_is_granted_once() -> None:
    store = MemoryStore()
    pool = pool_of(store)

    pool.top_up(usd(1), key="friday")
    pool.top_up(usd(1), key="friday")

    assert pool.balance().granted == usd(11)


def test_a_hold_is_closed_once_and_only_in_the_state_that_was_asked_for() -> None:
    store = MemoryStore()
    pool = pool_of(store)
    hold = hold_of(pool, 9)
    fresh = frozenset({(Status.OPEN, Basis.NONE)})
    guessed = frozenset({(Status.EXPIRED, Basis.ESTIMATED)})

    with unchanged(store):
        too_early = store.post(settle_posting(hold, 3, guessed))
        unknown = store.post(settle_posting(hold._replace(id="nobody"), 3, fresh))
    # An equal state that is another object is the same state.
    settled = store.post(settle_posting(hold, 3, fresh))
    with unchanged(store):
        twice = store.post(settle_posting(hold, 3, fresh))

    assert isinstance(settled, Receipt)
    kinds = [each.kind for each in (too_early, unknown, twice) if type(each) is Refusal]
    assert kinds == [Kind.NOT_OPEN, Kind.UNKNOWN, Kind.NOT_OPEN]
    assert_quiet(store)


def test_what_a_slice_overruns_is_paid_by_its_parent() -> None:
    store = MemoryStore()
    pool = pool_of(store)
    inner = pool.open("slice", carve=usd(2))
    hold = hold_of(pool, usd(1).value, inner.path)

    pool.ledger.run(pool.ledger.settle(hold, Charge({"usd": usd(3).value})))

    dollars = {
        key.account: seen
        for key, seen in store.balances([ROOT, inner.path]).items()
        if key.unit == "usd"
    }
    three = usd(3).value
    assert dollars[inner.path] == Balance(three, spent=three)
    assert dollars[ROOT] == Balance(usd(10).value, lent=three)
    assert store.journal()[-1].spilled
    assert_quiet(store)


def test_the_journal_keeps_what_was_said_though_the_caller_changes_it() -> None:
    store = MemoryStore()
    pool = pool_of(store)
    labels, amounts, cost = {"agent": "web"}, {"usd": 5}, {"usd": 3}
    order = Order(amounts, {"usd": 9}, 60.0, started=True, labels=labels)
    hold = pool.ledger.run(pool.ledger.reserve(CHILD, order))
    pool.ledger.run(
        pool.ledger.settle(hold, Charge(cost, Basis.ESTIMATED, dict(labels)))
    )

    for each in (amounts, cost):
        each["usd"] = 10**6
    labels["agent"] = "somebody else"

    reserved, settled = store.journal()[-2:]
    assert (reserved.kind, settled.kind) == ("reserve", "settle")
    assert reserved.note == Note({"usd": 5}, labels={"agent": "web"})
    assert settled.note == Note(
        {"usd": 3}, {"usd": 6}, Basis.ESTIMATED, {"agent": "web"}
    )
    assert settled.released == reserved.deltas == hold.deltas
    assert settled.hold == reserved.hold == reserved.posting == hold.id


def test_a_hold_is_told_of_in_full_while_open_and_after() -> None:
    store = MemoryStore(StillClock(100.0))
    pool = pool_of(store)
    order = Order({"usd": 5}, {"usd": 9}, 60.0, started=True, labels={"node": "a"})
    hold = pool.ledger.run(pool.ledger.reserve(CHILD, order))
    timed = hold._replace(opened_at=100.0, expires_at=160.0)

    assert store.hold(hold.id) == timed
    assert store.open_holds() == (timed,)

    pool.ledger.run(pool.ledger.release(hold))

    assert store.hold(hold.id) == timed._replace(status=Status.RELEASED)
    assert store.open_holds() == ()


def test_the_oldest_ids_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tables, "RETAINED", 3)
    store = MemoryStore()
    pool = pool_of(store)
    holds = [hold_of(pool, 1) for _ in range(5)]

    for hold in holds:
        pool.ledger.run(pool.ledger.settle(hold, Charge({"usd": 1})))

    known = [store.hold(hold.id) is not None for hold in holds]
    assert known == [False, False, True, True, True]
    assert_quiet(store)


def test_what_an_account_was_when_it_was_asked_does_not_admit_once_it_changed() -> None:
    store = MemoryStore()
    pool = pool_of(store)
    admit = tuple((row.path, row.version) for row in store.below(ROOT))
    assert isinstance(
        store.post(reserve_posting("a", 1)._replace(admit=admit)), Receipt
    )
    pool.freeze("audit")

    with unchanged(store):
        answer = store.post(reserve_posting("b", 1)._replace(admit=admit))

    assert isinstance(answer, Refusal)
    assert (answer.kind, answer.account) == (Kind.STALE, ROOT)


def test_a_call_without_a_price_is_refused_where_one_with_a_price_was_admitted() -> (
    None
):
    store = MemoryStore()
    pool = pool_of(store)
    hold_of(pool, 1)

    with unchanged(store), pytest.raises(PriceUnknown):
        pool.ledger.run(pool.ledger.reserve(CHILD, Order({"tokens": 1}, unpriced=True)))


def test_a_reported_charge_takes_the_place_of_an_estimated_one() -> None:
    store = MemoryStore()
    pool = pool_of(store)
    hold = hold_of(pool, 9)
    pool.ledger.run(pool.ledger.settle(hold, Charge({"usd": 5}, Basis.ESTIMATED)))

    pool.ledger.run(pool.ledger.settle(hold, Charge({"usd": 7})))

    superseded = store.hold(hold.id)
    entry = store.journal()[-1]
    assert superseded is not None
    assert superseded.charged == {"usd": 7}
    assert entry.note.amounts == {"usd": 2}
    assert entry.released == ()
    assert_quiet(store)


def test_a_counter_is_made_from_the_ceiling_of_its_account() -> None:
    store = MemoryStore()
    row = Row(ROOT, 1, spec_of([tokens(5)]), (("tokens", 5),))

    store.post(Posting("open", "open", ROOT, seen=((ROOT, 0),), rows=(row,)))

    assert store.balances([ROOT]) == {CounterKey(ROOT, "tokens"): Balance(5)}


RACERS, PLACES = 64, 16


def test_threads_that_race_for_a_limit_get_exactly_the_limit() -> None:
    store = MemoryStore()
    pool = BudgetPool(ROOT, usd(PLACES), store=store)
    pool.open("web", limit=usd(100))
    start = Barrier(RACERS)

    def race(_: int) -> bool:
        start.wait(30)
        try:
            hold_of(pool, usd(1).value)
        except BudgetRefused:
            return False
        return True

    with ThreadPoolExecutor(RACERS) as racers:
        admitted = sum(racers.map(race, range(RACERS)))

    assert admitted == PLACES
    assert pool.balance().available == usd(0)
    assert_books_add_up(store)


class DawdlingKey(CounterKey):
    """The name of a counter; looking it up for the first time takes a while."""

    dawdle: Callable[[], None]

    def __hash__(self) -> int:
        self.dawdle()
        return super().__hash__()


def test_nobody_comes_between_the_look_at_a_limit_and_the_change() -> None:
    """The first counter was looked at; then another call asks for the same money."""
    store = MemoryStore()
    pool_of(store)
    looking, done = Event(), Event()

    def dawdle() -> None:
        if not looking.is_set():
            looking.set()
            # A store that locks keeps the other one out until this has run out.
            done.wait(0.2)

    slow_key = DawdlingKey(ROOT, "usd")
    slow_key.dawdle = dawdle
    quick = reserve_posting("quick", usd(3).value)
    slow = reserve_posting("slow", usd(3).value)
    keys = (CounterKey(CHILD, "usd"), slow_key)
    slow = slow._replace(deltas=(slow.deltas[0]._replace(counters=keys),))

    def second() -> Receipt | Refusal:
        assert looking.wait(30)
        answer = store.post(quick)
        done.set()
        return answer

    with ThreadPoolExecutor(2) as callers:
        answers = [callers.submit(store.post, slow), callers.submit(second)]
        kinds = [type(each.result(30)) for each in answers]

    assert kinds == [Receipt, Refusal]
    assert_books_add_up(store)


PATHS = [ROOT, CHILD, "acme/slice", "acme/slice/inner", "acme/web/deep"]
paths = st.sampled_from(PATHS)
amounts = st.integers(0, 400).map(lambda value: Amount("usd", value * 10**7))
which = st.integers(0, 7)
operations = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["reserve", "prepare"]), paths, amounts),
        st.tuples(st.just("settle"), which, amounts, st.sampled_from(list(Basis)[:3])),
        st.tuples(st.just("release"), which),
        st.tuples(st.just("advance"), st.integers(1, 40)),
        st.tuples(st.just("top_up"), paths, amounts),
        st.tuples(st.just("transfer"), paths, paths, amounts),
        st.tuples(st.just("set_limit"), paths, amounts),
        st.tuples(st.just("carve"), paths, amounts),
        st.tuples(st.just("close"), paths),
    ),
    max_size=30,
)


class World:
    """A tree with caps and slices, and what a program may do to it."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.store = MemoryStore(self.clock)
        self.pool = pool_of(self.store)
        self.pool.open("slice", carve=usd(4)).open("inner", share="50%")
        self.pool.account("web").open("deep", carve=usd(1))
        self.holds: list[Hold] = []
        self.children = 0

    def act(self, name: str, *args: object) -> None:
        try:
            getattr(self, name)(*args)
        except BudgetError:
            assert name not in {"settle", "release"}

    def reserve(self, path: str, amount: Amount, *, started: bool = True) -> None:
        order = Order({"usd": amount.value, "tokens": 7}, {}, 60.0, started=started)
        hold = self.pool.ledger.run(self.pool.ledger.reserve(path, order))
        assert_admitted(self.store, hold)
        self.holds.append(hold)

    def prepare(self, path: str, amount: Amount) -> None:
        self.reserve(path, amount, started=False)

    def settle(self, which: int, amount: Amount, basis: Basis) -> None:
        for hold in self.holds[which : which + 1]:
            charge = Charge({"usd": amount.value, "tokens": 9}, basis)
            self.pool.ledger.run(self.pool.ledger.settle(hold, charge))

    def release(self, which: int) -> None:
        for hold in self.holds[which : which + 1]:
            self.pool.ledger.run(self.pool.ledger.release(hold))

    def advance(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.pool.ledger.run(self.pool.ledger.sweep())

    def top_up(self, path: str, amount: Amount) -> None:
        self.account(path).top_up(amount)

    def transfer(self, path: str, to: str, amount: Amount) -> None:
        self.account(path).transfer(self.account(to), amount)

    def set_limit(self, path: str, amount: Amount) -> None:
        self.account(path).set_limit(amount)

    def carve(self, path: str, amount: Amount) -> None:
        self.children += 1
        self.account(path).open(f"child-{self.children}", carve=amount)

    def close(self, path: str) -> None:
        self.account(path).close()

    def account(self, path: str) -> Account:
        return Account(self.pool.ledger, path)


@settings(deadline=None)
@given(operations)
def test_the_books_add_up_whatever_is_done(asked: list[tuple[object, ...]]) -> None:
    world = World()

    for name, *args in asked:
        world.act(str(name), *args)
        assert_books_add_up(world.store)

    world.advance(100)
    assert_quiet(world.store)
