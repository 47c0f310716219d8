"""Condensed books: fewer entries, and nothing that anybody asks for is another."""

from pathlib import Path

import pytest
from hypothesis import given, settings

from langchain_budget import BudgetPool, MemoryStore, calls, tokens, usd
from langchain_budget.core.charges import CARRIED
from langchain_budget.core.postings import Balance, Basis, CounterKey
from langchain_budget.core.rules import Charge, Order
from langchain_budget.errors import BudgetExceeded
from langchain_budget.stores.base import Store
from langchain_budget.testing import StillClock
from tests.invariants import assert_books_add_up, assert_quiet
from tests.pool.played import MOVES, open_holds, play
from tests.twins import Do

DAY = 86_400
NANOS = 1_000_000_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "acme.jsonl"


@pytest.fixture
def clock() -> StillClock:
    return StillClock(20_000 * DAY)


@pytest.fixture
def pool(clock: StillClock) -> BudgetPool:
    """Two days of calls by two agents."""
    pool = BudgetPool("acme", usd(100), store=MemoryStore(clock))
    for name in ("web", "mail"):
        pool.open(name, carve=usd(20))
    for _ in range(2):
        for number in range(20):
            call(pool.account(("web", "mail")[number % 2]), 0.5)
        clock.advance(DAY)
    return pool


def call(account, dollars, **labels):
    labels = {"agent": account.name, "node": "n", "model": "m"} | labels
    account.reserve(usd(1), tokens(90), calls(1), labels=labels).settle(
        usd(str(dollars)), tokens(70), calls(1)
    )


def condensed(pool: BudgetPool, file: Path, store: Store | str | None = None):
    pool.admin.export(file, format="condensed")
    return BudgetPool.restore(file, store=store)


def touched_in(store: Store) -> dict[CounterKey, Balance]:
    """The counters that say something."""
    found = store.balances([row.path for row in store.below("")])
    return {key: balance for key, balance in found.items() if balance != Balance()}


def said(pool: BudgetPool):
    """The report, whichever of its lines was first."""
    found = pool.report().as_dict()
    return found | {"lines": sorted(found["lines"], key=str)}


def assert_equal_books(one: BudgetPool, other: BudgetPool) -> None:
    for pool in (one, other):
        assert pool.admin.verify().ok, str(pool.admin.verify())
    assert said(one) == said(other)
    assert touched_in(one.ledger.store) == touched_in(other.ledger.store)
    assert one.ledger.store.below("") == other.ledger.store.below("")
    assert open_holds(one) == open_holds(other)
    doubts = [pool.admin.unconfirmed() for pool in (one, other)]
    assert doubts[0].total == doubts[1].total


async def test_calls_that_are_over_are_one_entry_for_each_account_and_day(
    pool: BudgetPool, file: Path, do: Do
) -> None:
    before = pool.ledger.store.journal()
    told: list[int] = []

    written = await do(
        pool.admin.export, file, format="condensed", progress=told.append
    )
    restored = BudgetPool.restore(file, store=MemoryStore(StillClock(0)))

    journal = restored.ledger.store.journal()
    assert len(before) == 3 + 2 * 40
    assert len(journal) == written == told[-1]
    carried = [each for each in journal if each.kind == CARRIED]
    assert [each.account for each in carried[:4]] == ["acme/web", "acme/mail"] * 2
    assert len(journal) == 3 + 4 + 1
    assert restored.report().as_dict() == pool.report().as_dict()


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres", "redis"])
def test_condensed_books_go_on_in_every_store(
    pool: BudgetPool, file: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    url = None if kind == "memory" else request.getfixturevalue(f"{kind}_url")

    restored = condensed(pool, file, url)

    assert_equal_books(restored, pool)
    call(restored.account("web"), 0.25)
    call(pool.account("web"), 0.25)
    assert restored.report().as_dict() == pool.report().as_dict()
    assert restored.admin.verify().ok
    with pytest.raises(BudgetExceeded) as refusal:
        restored.account("web").reserve(usd(10))
    assert refusal.value.available == usd("9.75")
    restored.ledger.store.close()


def test_what_operators_did_stays_with_its_ids(pool: BudgetPool, file: Path) -> None:
    pool.top_up(usd(5), key="invoice 17", reason="more")
    pool.account("web").transfer("mail", usd(1), reason="swap")
    pool.admin.adjust(usd("0.10"), reason="by hand")
    pool.account("mail").freeze("odd")

    restored = condensed(pool, file)

    restored.top_up(usd(5), key="invoice 17", reason="more")
    assert_equal_books(restored, pool)
    reasons = [each.note.reason for each in restored.admin.journal()]
    assert [each for each in reasons if "carried" not in each][-4:] == [
        *("more", "swap", "by hand", "odd")
    ]


def test_what_may_yet_change_stays_as_it_is(
    pool: BudgetPool, file: Path, clock: StillClock
) -> None:
    order = Order({"usd": NANOS}, {"usd": 3 * NANOS}, 60, started=True)
    guessed = pool.ledger.run(pool.ledger.reserve("acme", order))
    clock.advance(100)
    pool.balance()
    running = pool.account("web").reserve(usd(2), ttl_seconds=1_000)
    other = StillClock(clock())

    restored = condensed(pool, file, MemoryStore(other))

    assert_equal_books(restored, pool)
    for each in (restored, pool):
        late = each.ledger.settle(guessed, Charge({"usd": 2 * NANOS}))
        each.ledger.run(late)
        each.ledger.run(each.ledger.settle(running.hold, Charge({"usd": NANOS})))
    assert restored.report().as_dict() == pool.report().as_dict()
    assert restored.admin.unconfirmed().total == ()
    assert_quiet(restored.ledger.store)


def test_users_and_every_mark_of_a_charge_come_to_the_same(
    pool: BudgetPool, file: Path
) -> None:
    pool.limit_each("user_id", limit=usd(3))
    web = pool.account("web")
    call(web, 1, user_id="ada")
    call(web, 0, avoided_usd="250")
    call(web, 0, avoided_usd="50")
    call(web, 1, outage="open")
    web.reserve(tokens(5), calls(1)).settle(tokens(5), calls(1))
    guess = pool.ledger.run(pool.ledger.reserve("acme", Order({"usd": NANOS})))
    charge = Charge({"usd": NANOS // 2}, Basis.ESTIMATED)
    pool.ledger.run(pool.ledger.settle(guess, charge))

    restored = condensed(pool, file)

    assert_equal_books(restored, pool)
    restored.limit_each("user_id", limit=usd(3))
    with pytest.raises(BudgetExceeded, match="acme:user_id/ada"):
        restored.account("web").reserve(usd("2.50"), labels={"user_id": "ada"})


def test_what_workers_spent_of_their_leases_comes_to_the_same(
    file: Path, clock: StillClock
) -> None:
    pool = BudgetPool("acme", usd(9), store=MemoryStore(clock))
    web = pool.open("web", limit=usd(6))
    for _ in range(2):
        with web.lease(usd(2), clock=clock) as worker:
            call(worker, 0.75)

    restored = condensed(pool, file)

    assert_equal_books(restored, pool)
    assert restored.account("web").balance().available == usd("4.50")
    kinds = [each.kind for each in restored.admin.journal()]
    assert kinds == ["open"] * 2 + [CARRIED] * len(kinds[2:])


def test_windows_go_on_where_they_were(file: Path, clock: StillClock) -> None:
    limits = usd(6).per("day"), usd(4).per("5h"), usd(2).per("run")
    pool = BudgetPool("acme", *limits, store=MemoryStore(clock))
    for hours in (13, 3, 3, 1):
        call(pool, 1)
        pool.advance("run")
        clock.advance(hours * 3600)
    call(pool, 1)

    restored = condensed(pool, file, MemoryStore(clock))

    assert_equal_books(restored, pool)
    for each in (pool, restored):
        call(each, 1)
    for _ in range(2):
        assert not pool.can_afford(usd(1))
        assert not restored.can_afford(usd(1))
        clock.advance(3600)
    assert_equal_books(restored, pool)


def test_books_can_be_condensed_again(pool: BudgetPool, file: Path) -> None:
    once = condensed(pool, file)
    for _ in range(2):
        call(once.account("web"), 0.5)

    twice = condensed(once, file)

    assert_equal_books(twice, once)
    carried = [each for each in twice.admin.journal() if each.note.parts]
    days = [(each.account, each.at // DAY) for each in carried]
    assert len(set(days)) == len(days) == 5


@pytest.mark.parametrize("end", ["expired", "settled", "open", "released"])
def test_slices_that_only_watch_may_be_overdrawn(
    file: Path, clock: StillClock, end: str
) -> None:
    pool = BudgetPool("acme", usd(10), store=MemoryStore(clock))
    watched = pool.open("watched", carve=usd(1), enforce=False)
    held = watched.reserve(usd(2), ttl_seconds=5)
    if end == "settled":
        held.settle()
    elif end == "released":
        held.release()
        watched.transfer(pool, usd(1))
        watched.reserve(usd(1)).settle()
    elif end == "expired":
        clock.advance(10)
        pool.balance()

    restored = condensed(pool, file, MemoryStore(clock))

    assert_equal_books(restored, pool)


@settings(max_examples=100, deadline=None)
@given(MOVES)
def test_any_condensed_books_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[str, str, int]]
) -> None:
    clock = StillClock(1_000)
    pool = BudgetPool("acme", usd(6), usd(2).per("hour"), store=MemoryStore(clock))
    pool.open("web", carve=usd(2)).open("deep", limit=usd(1))
    pool.open("mail", carve=usd(1), limit=calls(9).per("5h"), enforce=False)
    play(pool, clock, moves)
    file = tmp_path_factory.mktemp("journals") / "acme.jsonl"

    restored = condensed(pool, file, MemoryStore(clock))

    assert_books_add_up(restored.ledger.store)
    assert_equal_books(restored, pool)
    clock.advance(1_000)
    for each in (pool, restored):
        each.close()
        each.balance()
        assert_quiet(each.ledger.store)
