"""What becomes of calls while the store does not answer."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from langchain_budget import (
    BudgetExceeded,
    BudgetPool,
    InvalidAmount,
    InvalidLease,
    InvalidTransfer,
    OnOutage,
    PriceUnknown,
    StoreError,
    StoreUnavailable,
    Treasury,
    tokens,
    usd,
)
from langchain_budget.core.events import (
    OutageBegan,
    OutageEnded,
    Reserved,
    Settled,
    SettleDeferred,
)
from langchain_budget.core.rules import Charge, Order
from langchain_budget.errors import StoreLost
from tests.invariants import assert_quiet, assert_report_adds_up
from tests.outages.conftest import Shaky
from tests.twins import Do

UP_TO_A_DOLLAR = OnOutage.open_up_to(usd(1))
LEASED = OnOutage.leased(usd(1), ttl_seconds=60)


async def test_a_closed_pool_admits_nothing(shaky: Shaky, do: Do) -> None:
    pool = shaky.open(OnOutage.closed())
    shaky.fail()

    with pytest.raises(StoreUnavailable):
        await do(pool.reserve, usd(1))

    assert not await do(pool.can_afford, usd(1))
    shaky.mend()
    assert await do(pool.reserve, usd(1))
    began, ended = (e for e in shaky.events if isinstance(e, OutageBegan | OutageEnded))
    assert (began.account, began.policy) == ("acme", "closed")
    assert "broke at" in began.error
    assert ended.calls == 0
    assert pool.ledger.outage is not None
    assert not pool.ledger.outage.down


async def test_an_open_pool_admits_up_to_its_cap_and_books_it_when_the_store_is_back(
    shaky: Shaky, do: Do
) -> None:
    pool = shaky.open(UP_TO_A_DOLLAR)
    shaky.fail()
    labels = {"agent": "web", "node": "search"}

    holds = [await do(pool.reserve, usd("0.30"), labels=labels) for _ in range(3)]
    with pytest.raises(StoreUnavailable, match=r"without it this is left: \$0.10"):
        await do(pool.reserve, usd("0.30"))
    for hold in holds[:2]:
        await do(hold.settle, usd("0.20"), tokens(5))
    await do(holds[2].release)
    assert shaky.store.memory.journal()[-1].kind == "open"
    shaky.mend()

    report = await do(pool.report)

    assert report.spent() == usd("0.40")
    assert pool.balance().spent == usd("0.40")
    assert pool.balance("tokens").spent == tokens(10)
    line = report.by("agent", "node")["web", "search"]
    assert (line.outages, line.outage) == (2, {"usd": 4 * 10**8, "tokens": 10})
    assert "2 during outages, $0.40" in str(report)
    assert [each.kind for each in shaky.store.journal()][-1] == "outage"
    assert sum(isinstance(each, Reserved) for each in shaky.events) == 3
    assert sum(isinstance(each, Settled) for each in shaky.events) == 2
    (ended,) = (each for each in shaky.events if isinstance(each, OutageEnded))
    assert (ended.calls, ended.amounts) == (3, {"usd": 4 * 10**8, "tokens": 10})
    assert_quiet(shaky.store)
    assert_report_adds_up(pool)


async def test_the_cap_is_for_each_outage(shaky: Shaky, do: Do) -> None:
    pool = shaky.open(UP_TO_A_DOLLAR)
    still_open = None
    for number in range(3):
        shaky.fail()
        hold = await do(pool.reserve, usd("0.90"))
        still_open = still_open or await do(pool.reserve, usd("0.10"))
        with pytest.raises(StoreUnavailable):
            await do(pool.reserve, usd("0.01"))
        await do(hold.settle, usd("0.50"))
        shaky.mend()
        assert (await do(pool.balance)).spent.value == (number + 1) * 5 * 10**8

    assert still_open is not None
    await do(still_open.settle, usd("0.05"))
    assert (await do(pool.balance)).spent == usd("1.55")
    assert_quiet(shaky.store)


async def test_a_store_that_can_be_read_but_takes_nothing_is_one_outage(
    shaky: Shaky, do: Do
) -> None:
    pool = shaky.open(UP_TO_A_DOLLAR)
    admitted = 0
    for _ in range(5):
        shaky.store.breaks("reserve", "settle", "release", "outage")
        for _ in range(4):
            try:
                hold = await do(pool.reserve, usd("0.10"))
            except StoreUnavailable:
                continue
            await do(hold.settle, usd("0.10"))
            admitted += 1
        shaky.clock.advance(1)
        with pytest.raises(StoreError):
            await do(pool.balance)
        shaky.clock.advance(1)

    assert admitted == 10
    shaky.mend()
    assert (await do(pool.balance)).spent == usd(1)


async def test_a_report_whose_answer_was_lost_is_not_booked_twice(
    shaky: Shaky, do: Do
) -> None:
    pool = shaky.open(UP_TO_A_DOLLAR)
    shaky.fail()
    await do((await do(pool.reserve, usd("0.30"))).settle, usd("0.30"))
    shaky.mend()
    shaky.store.breaks("outage", lost=True)
    with pytest.raises(StoreError):
        await do(pool.balance)
    assert shaky.store.memory.journal()[-1].kind == "outage"
    shaky.mend()

    await do((await do(pool.reserve, usd("0.10"))).settle, usd("0.10"))

    assert pool.balance().spent == usd("0.40")
    assert_quiet(shaky.store)


async def test_a_hold_that_the_store_took_before_it_failed_is_given_back(
    shaky: Shaky, do: Do
) -> None:
    pool = shaky.open(UP_TO_A_DOLLAR)
    shaky.store.breaks("reserve", lost=True)
    hold = await do(pool.reserve, usd(1))
    shaky.mend()

    await do(hold.settle, usd(1))
    await do(pool.balance)

    assert pool.balance().spent == usd(1)
    assert_quiet(shaky.store)


@pytest.mark.parametrize("policy", [UP_TO_A_DOLLAR, LEASED], ids=str)
async def test_a_store_that_failed_is_asked_once_a_second_only(
    shaky: Shaky, policy: OnOutage, do: Do
) -> None:
    pool = shaky.open(policy)
    await do((await do(pool.reserve, usd("0.01"))).settle, usd("0.01"))
    shaky.fail()
    shaky.store.attempts.clear()
    for _ in range(10):
        await do((await do(pool.reserve, usd("0.01"))).settle, usd("0.01"))
    assert len(shaky.store.attempts) == 1

    shaky.clock.advance(1)
    for _ in range(10):
        await do((await do(pool.reserve, usd("0.01"))).settle, usd("0.01"))

    assert len(shaky.store.attempts) == 2
    shaky.mend()


@pytest.mark.parametrize("policy", [OnOutage.closed(), UP_TO_A_DOLLAR, LEASED], ids=str)
async def test_a_call_that_was_admitted_before_is_settled_when_the_store_is_back(
    shaky: Shaky, policy: OnOutage, do: Do
) -> None:
    pool = shaky.open(policy)
    hold, other = await do(pool.reserve, usd(1)), await do(pool.reserve, usd(1))
    shaky.fail()
    await do(hold.settle, usd("0.70"))
    await do(other.release)
    shaky.mend()

    await do((await do(pool.reserve, usd(1))).release)
    await do(pool.balance)

    assert (await do(pool.balance)).spent == usd("0.70")
    assert sum(isinstance(each, SettleDeferred) for each in shaky.events) >= 1
    assert pool.balance().held == usd(0)


async def test_a_leased_pool_goes_on_from_its_lease_until_its_time_is_over(
    shaky: Shaky, do: Do
) -> None:
    pool = shaky.open(LEASED)
    await do((await do(pool.reserve, usd(2))).settle, usd(2))
    assert pool.balance().available == usd(7)
    shaky.fail()

    hold = await do(pool.reserve, usd("0.40"))
    await do(hold.settle, usd("0.30"))
    with pytest.raises(StoreUnavailable):
        await do(pool.reserve, usd("0.80"))
    shaky.clock.advance(60)
    with pytest.raises(StoreUnavailable):
        await do(pool.reserve, usd("0.01"))
    shaky.mend()

    assert (await do(pool.balance)).spent == usd("2.30")
    report = await do(pool.report)
    assert (report.total.outages, report.total.estimated) == (1, 0)
    assert_report_adds_up(pool)


async def test_a_leased_pool_never_passes_a_limit(shaky: Shaky, do: Do) -> None:
    """Two processes, and a limit that is nearly used up."""
    one, other = shaky.open(LEASED), shaky.open(LEASED)
    one.reserve(usd("8.5")).settle(usd("8.5"))
    other.reserve(usd("0.10")).settle(usd("0.10"))
    shaky.fail()

    admitted = usd("8.60")
    for pool in (one, other):
        try:
            while True:
                await do((await do(pool.reserve, usd("0.05"))).settle, usd("0.05"))
                admitted += usd("0.05")
        except StoreUnavailable:
            pass
    shaky.mend()

    assert usd("8.60") < admitted <= usd(10)
    for pool in (one, other):
        await do(pool.balance)
    assert (await do(one.balance)).spent == admitted


async def test_limits_of_children_bind_in_leases(shaky: Shaky, do: Do) -> None:
    pool = shaky.open(LEASED)
    child = await do(pool.open, "child", limit=usd("0.50"))
    await do((await do(child.reserve, usd("0.10"))).settle, usd("0.10"))
    shaky.fail()

    await do((await do(child.reserve, usd("0.20"))).settle, usd("0.20"))
    with pytest.raises(StoreUnavailable):
        await do(child.reserve, usd("0.25"))
    with pytest.raises(StoreUnavailable):
        await do(pool.reserve, usd("0.01"))

    shaky.mend()
    assert (await do(pool.balance)).spent == usd("0.30")


def test_a_pool_that_is_closed_gives_its_leases_back(shaky: Shaky) -> None:
    pool = shaky.open(LEASED)
    pool.open("child").reserve(usd(1)).settle(usd(1))
    pool.reserve(usd(1)).settle(usd(1))

    pool.close()

    assert pool.balance().spent == usd(2)
    assert pool.balance().lent == usd(0)
    assert_quiet(shaky.store)


def test_what_is_kept_ready_is_given_back_when_the_process_ends(shaky: Shaky) -> None:
    pool = shaky.open(LEASED)
    pool.reserve(usd(1)).settle(usd(1))
    assert pool.balance().available == usd(8)

    pool.ledger.end()  # type: ignore[attr-defined]  # as at exit

    assert pool.balance().available == usd(9)


def test_a_lease_of_this_process_that_lapsed_unused_is_not_given_up(
    shaky: Shaky,
) -> None:
    pool = shaky.open(LEASED)
    pool.reserve(usd(1)).settle(usd(1))
    shaky.clock.advance(61)

    assert pool.balance().spent == usd(1)
    assert pool.balance().available == usd(9)
    assert pool.report().total.estimated == 0


@pytest.mark.parametrize("policy", [OnOutage.closed(), UP_TO_A_DOLLAR, LEASED], ids=str)
async def test_books_that_cannot_be_read_say_so_whatever_the_policy(
    shaky: Shaky, policy: OnOutage, do: Do
) -> None:
    pool = shaky.open(policy)
    shaky.fail()

    for read in (pool.balance, pool.report, pool.explain):
        with pytest.raises(StoreError, match="broke at"):
            await do(read)
    for change in (pool.top_up, pool.set_limit):
        with pytest.raises(StoreError, match="broke at"):
            await do(change, usd(1))
    with pytest.raises(StoreError, match="broke at"):
        await do(pool.open, "child")
    shaky.mend()
    assert (await do(pool.balance)).spent == usd(0)


@pytest.mark.parametrize("policy", [OnOutage.closed(), UP_TO_A_DOLLAR, LEASED], ids=str)
def test_a_pool_cannot_be_opened_while_the_store_does_not_answer(
    shaky: Shaky, policy: OnOutage
) -> None:
    """A mistake in its address must not look like an outage."""
    shaky.fail()

    with pytest.raises(StoreError, match="broke at"):
        shaky.open(policy)

    shaky.mend()


async def test_what_can_be_afforded_in_an_outage_is_what_would_be_admitted(
    shaky: Shaky, do: Do
) -> None:
    for policy in (UP_TO_A_DOLLAR, LEASED):
        pool = shaky.open(policy)
        await do((await do(pool.reserve, usd("0.01"))).settle, usd("0.01"))
        shaky.fail()
        assert await do(pool.can_afford, usd(1))
        assert not await do(pool.can_afford, usd("1.01"))
        assert await do(pool.reserve, usd(1))
        assert not await do(pool.can_afford, usd("0.01"))
        shaky.mend()
        await do(pool.balance)


def test_a_call_without_a_price_is_refused_in_an_outage_too(shaky: Shaky) -> None:
    pool = shaky.open(UP_TO_A_DOLLAR)
    shaky.fail()
    order = Order({"tokens": 5}, unpriced=True, labels={"model": "odd"})

    with pytest.raises(PriceUnknown, match="odd"):
        pool.ledger.run(pool.ledger.reserve(pool.path, order))

    shaky.mend()


def test_a_hold_of_an_outage_that_nobody_settles_is_given_back_at_its_time(
    shaky: Shaky,
) -> None:
    pool = shaky.open(UP_TO_A_DOLLAR)
    shaky.fail()
    pool.reserve(usd("0.50"), ttl_seconds=10)
    order = Order({"usd": 10**8}, ttl_seconds=10, started=True)
    pool.ledger.run(pool.ledger.reserve(pool.path, order))
    shaky.clock.advance(11)
    shaky.mend()

    pool.reserve(usd(1)).release()

    assert pool.report().spent() == usd("0.10")
    assert pool.report().total.estimated == 1
    assert_quiet(shaky.store)


def test_the_state_can_be_seen_without_the_store(shaky: Shaky) -> None:
    pool = shaky.open(UP_TO_A_DOLLAR)
    assert pool.ledger.outage is not None
    assert str(pool.ledger.outage) == (
        "When the store does not answer: open up to $1.00."
    )
    shaky.fail()
    pool.reserve(usd("0.25"))
    status = pool.ledger.outage

    assert status is not None
    assert (status.down, status.calls, status.used) == (True, 1, (usd("0.25"),))
    assert "It does not answer since" in str(status)
    shaky.mend()
    report = pool.report()
    assert report.outage is not None
    assert not report.outage.down
    assert "It did not answer last from" in str(report)
    assert report.as_dict()["outage"]["calls"] == 1


def test_threads_in_an_outage_stay_under_the_cap(shaky: Shaky) -> None:
    pool = shaky.open(UP_TO_A_DOLLAR)
    shaky.fail()

    def call(_: int) -> bool:
        try:
            pool.reserve(usd("0.01")).settle(usd("0.01"))
        except StoreUnavailable:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(call, range(200))) == 100
    shaky.mend()
    assert pool.balance().spent == usd(1)
    assert_quiet(shaky.store)


def test_units_that_are_not_capped_are_booked_all_the_same(shaky: Shaky) -> None:
    pool = shaky.open(UP_TO_A_DOLLAR)
    shaky.fail()
    pool.reserve(tokens(10**6)).settle(tokens(10**6))
    shaky.mend()

    assert pool.balance("tokens").spent == tokens(10**6)


def test_an_account_that_nobody_knows_is_charged_to_the_root(shaky: Shaky) -> None:
    pool = shaky.open(UP_TO_A_DOLLAR)
    shaky.fail()
    order = Order({"usd": 10**8})
    hold = pool.ledger.run(pool.ledger.reserve("acme/nobody", order))
    pool.ledger.run(pool.ledger.settle(hold, Charge({"usd": 10**8})))
    shaky.mend()

    assert pool.report().by("account")[("acme",)].amounts == {"usd": 10**8}


@pytest.mark.parametrize("make", [OnOutage.open_up_to, OnOutage.leased])
def test_a_policy_says_how_much(make: Callable[..., OnOutage]) -> None:
    with pytest.raises(InvalidAmount):
        make()
    with pytest.raises(InvalidAmount):
        make(usd(0))
    with pytest.raises(InvalidAmount):
        make(usd(1), retry_seconds=0)


def test_a_pool_in_this_programs_memory_has_no_outages() -> None:
    pool = BudgetPool("acme", usd(1), on_outage=UP_TO_A_DOLLAR)

    assert pool.report().outage is None


async def test_what_is_kept_ready_can_be_spent_when_nothing_else_is_left(
    shaky: Shaky, do: Do
) -> None:
    pool = shaky.open(LEASED)
    for _ in range(100):
        await do((await do(pool.reserve, usd("0.10"))).settle, usd("0.10"))

    assert (await do(pool.balance)).spent == usd(10)
    assert_quiet(shaky.store)


def test_leases_must_keep_every_limit_of_the_pool(shaky: Shaky) -> None:
    with pytest.raises(InvalidLease, match="tokens"):
        BudgetPool("acme", usd(1), tokens(9), store=shaky.store, on_outage=LEASED)


async def test_a_store_without_its_books_is_no_outage(
    shaky: Shaky, monkeypatch: pytest.MonkeyPatch, do: Do
) -> None:
    pool = shaky.open(UP_TO_A_DOLLAR)

    def lost(_: object) -> None:
        raise StoreLost("acme", "somewhere")

    monkeypatch.setattr(shaky.store, "post", lost)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="are gone from somewhere"):
            await do(pool.reserve, usd("0.10"))


def test_what_is_spent_in_an_outage_counts_in_the_window_of_a_limit(
    shaky: Shaky,
) -> None:
    pool = BudgetPool(
        "daily",
        usd(2).per("day"),
        store=shaky.store,
        on_outage=UP_TO_A_DOLLAR._replace(clock=shaky.clock),
    )
    shaky.fail()
    pool.reserve(usd("0.90")).settle(usd("0.90"))
    shaky.mend()

    pool.reserve(usd("1.10")).settle(usd("1.10"))

    assert not pool.can_afford(usd("0.01"))
    assert_quiet(shaky.store)


def test_leases_cannot_keep_limits_that_begin_anew(shaky: Shaky) -> None:
    with pytest.raises(InvalidLease, match="usd@day"):
        BudgetPool("daily", usd(2).per("day"), store=shaky.store, on_outage=LEASED)


def test_a_lease_that_lapsed_is_ended_once_when_many_look(shaky: Shaky) -> None:
    pool = shaky.open(LEASED)
    for _ in range(3):
        pool.reserve(usd(1)).settle(usd(1))
        shaky.clock.advance(61)

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: pool.report(), range(16)))

        assert pool.balance().spent == pool.report().spent()
    assert pool.balance().spent == usd(3)


async def test_what_a_user_spends_in_outages_counts_in_the_users_account(
    shaky: Shaky, do: Do
) -> None:
    pool = shaky.open(UP_TO_A_DOLLAR)
    pool.limit_each("user", limit=(usd(2), usd(2).per("day")))
    for user in ("ada", "bob", "ada"):
        shaky.fail()
        hold = await do(pool.reserve, usd("0.80"), labels={"user": user})
        await do(hold.settle, usd("0.70"), tokens(5))
        await do((await do(pool.reserve, usd("0.10"))).settle, usd("0.10"))
        shaky.mend()
        await do(pool.balance)

    users = await do(pool.ledger.report_on, "acme:user")
    spent = {(each.account, each.window): each.spent for each in users.balances}
    assert spent["acme:user/ada", ""] == spent["acme:user/ada", "per day"] == usd("1.4")
    assert spent["acme:user/bob", ""] == spent["acme:user/bob", "per day"] == usd("0.7")
    assert pool.balance().spent == pool.report().spent() == usd("2.40")
    with pytest.raises(BudgetExceeded, match="acme:user/ada"):
        await do(pool.reserve, usd("0.61"), labels={"user": "ada"})
    assert [each.kind for each in shaky.store.journal()].count("outage") == 3
    assert_quiet(shaky.store)
    assert pool.admin.verify().ok


def test_a_user_whose_account_cannot_be_opened_stops_no_report(shaky: Shaky) -> None:
    pool = shaky.open(UP_TO_A_DOLLAR)
    pool.limit_each("user", limit=usd(1), most=1)
    pool.reserve(usd("0.10"), labels={"user": "ada"}).settle()
    shaky.fail()
    pool.reserve(usd("0.20"), labels={"user": "bob"}).settle()
    shaky.mend()

    assert pool.balance().spent == usd("0.30")
    assert pool.admin.verify().ok


@pytest.mark.parametrize("window", ["day", "5h"])
def test_what_is_spent_in_an_outage_counts_when_it_was_admitted(
    shaky: Shaky, window: str
) -> None:
    pool = BudgetPool(
        "timed",
        usd(3).per(window),
        store=shaky.store,
        on_outage=UP_TO_A_DOLLAR._replace(clock=shaky.clock),
    )
    shaky.fail()
    before = pool.reserve(usd("0.50"))
    shaky.clock.advance(86_400)
    pool.reserve(usd("0.30")).settle()
    before.settle()
    shaky.mend()

    assert pool.balance(f"usd@{window}").spent == usd("0.30")
    assert pool.report().spent() == usd("0.80")
    shaky.clock.advance(86_400)
    assert pool.can_afford(usd(3))
    assert pool.admin.verify().ok


async def test_a_lease_does_not_admit_what_limit_each_limits_as_well(
    shaky: Shaky, do: Do
) -> None:
    pool = shaky.open(LEASED)
    pool.limit_each("user", limit=usd("0.30"))
    ada = {"user": "ada"}
    await do((await do(pool.reserve, usd("0.10"), labels=ada)).settle)
    assert pool.balance().lent == usd(0)
    await do((await do(pool.reserve, usd("0.10"))).settle)
    shaky.fail()

    with pytest.raises(StoreUnavailable, match=r"no lease keeps .* limit_each\('user'"):
        await do(pool.reserve, usd("0.10"), labels=ada)
    answer = await do(pool.can_afford, usd("0.10"), labels=ada)
    await do((await do(pool.reserve, usd("0.20"))).settle)
    shaky.mend()

    assert "limit_each('user')" in answer.reason
    await do(pool.balance)
    pool.ledger.end()  # type: ignore[attr-defined]  # as at exit
    assert pool.balance().spent == usd("0.40")
    assert pool.ledger.report_on("acme:user").balances[0].spent == usd("0.10")


async def test_what_is_kept_ready_can_be_transferred_taken_away_and_divided(
    shaky: Shaky, do: Do
) -> None:
    pool = shaky.open(LEASED)
    web, other = pool.open("web", carve=usd(3)), pool.open("other", carve=usd(0))

    async def call() -> None:
        await do((await do(web.reserve, usd("0.10"))).settle)
        assert web.balance().lent > usd(0)

    await call()
    await do(web.transfer, other, usd("2.20"))
    assert web.balance().available == usd("0.70")
    await call()
    await do(web.set_limit, usd("0.50"))
    assert (web.balance().available, web.balance().lent) == (usd("0.30"), usd(0))
    await call()
    await do(Treasury(pool).set_remaining, "web", usd(0))
    assert (web.balance().available, web.balance().lent) == (usd(0), usd(0))
    assert pool.balance().available == usd("7.50")
    assert_quiet(shaky.store)


async def test_an_account_moves_with_what_is_kept_ready_for_it(
    shaky: Shaky, do: Do
) -> None:
    pool = shaky.open(LEASED)
    web = pool.open("web", carve=usd(2))
    await do((await do(web.reserve, usd("0.10"))).settle)

    moved = await do(web.move_to, pool.open("other"))

    assert moved.balance().available == usd("1.90")
    await do((await do(moved.reserve, usd("0.10"))).settle)
    shaky.fail()
    await do((await do(moved.reserve, usd("0.30"))).settle)
    shaky.mend()
    await do(pool.balance)
    pool.ledger.end()  # type: ignore[attr-defined]  # as at exit
    assert pool.report().spent() == usd("0.50")
    assert moved.balance().available == usd("1.50")
    assert_quiet(shaky.store)


def test_what_a_call_of_an_outage_holds_is_not_given_back_to_operators(
    shaky: Shaky,
) -> None:
    pool = shaky.open(LEASED)
    web = pool.open("web", carve=usd(2))
    web.reserve(usd("0.10")).settle()
    shaky.fail()
    hold = web.reserve(usd("0.40"))
    shaky.mend()

    web.transfer(pool, usd("1.50"))
    with pytest.raises(BudgetExceeded):
        web.transfer(pool, usd("0.01"))
    with pytest.raises(InvalidTransfer, match="is open below"):
        web.move_to(pool.open("other"))

    hold.settle()
    pool.ledger.end()  # type: ignore[attr-defined]  # as at exit
    assert web.balance().spent == usd("0.50")
    assert_quiet(shaky.store)
