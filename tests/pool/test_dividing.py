"""Limits for each user, tool or thread, in trees of their own."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from langchain.agents import create_agent

from langchain_budget import (
    Account,
    AccountClosed,
    AccountFrozen,
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    BudgetRefused,
    InvalidAmount,
    InvalidLease,
    InvalidName,
    MemoryStore,
    UnknownAccount,
    budget,
    calls,
    tokens,
    usd,
)
from langchain_budget.core.accounts import join, spec_of
from langchain_budget.core.dividing import values_of
from langchain_budget.dividing import LOOK_AGAIN_SECONDS
from langchain_budget.events import Refused, WouldRefuse
from langchain_budget.testing import FakeChatModel, StillClock
from langchain_budget.tree import open_account
from tests.invariants import assert_quiet

ADA, BOB = {"user_id": "ada"}, {"user_id": "bob"}


@pytest.fixture
def pool(store_url):
    return BudgetPool("acme", usd(10), store=store_url)


def test_each_user_has_a_limit_beside_that_of_the_pool(pool):
    pool.limit_each("user_id", limit=usd(1))
    pool.reserve(usd(1), labels=ADA).settle()

    with pytest.raises(BudgetExceeded) as refusal:
        pool.reserve(usd("0.01"), labels=ADA)
    pool.reserve(usd("0.75"), labels=BOB).settle()

    assert refusal.value.account == "acme:user_id/ada"
    assert pool.balance().spent == usd("1.75")
    assert pool.account(":user_id/bob").balance().available == usd("0.25")
    assert_quiet(pool.ledger.store)
    assert pool.admin.verify().ok


def test_what_carries_no_label_is_limited_by_the_pool_alone(pool):
    pool.limit_each("user_id", limit=usd(1))

    pool.reserve(usd(9)).settle()

    assert pool.balance().spent == usd(9)


def test_a_refusal_in_one_tree_holds_nothing_in_the_other(pool):
    pool.limit_each("user_id", limit=usd(20))
    pool.reserve(usd(1), labels=ADA).settle()

    with pytest.raises(BudgetExceeded, match="account 'acme' has"):
        pool.reserve(usd("9.50"), labels=ADA)

    assert pool.account(":user_id/ada").balance().held == usd(0)
    assert pool.account(":user_id/ada").balance().spent == usd(1)


def test_only_what_was_used_is_charged_everywhere(pool):
    agent = pool.open("web", limit=usd(5))
    pool.limit_each("user_id", limit=usd(1).per("day"))
    hold = agent.reserve(usd(1), labels=ADA)

    hold.settle(usd("0.10"))

    spent = [each.balance().spent for each in (pool, agent)]
    assert spent == [usd("0.10"), usd("0.10")]
    left = pool.can_afford(usd("0.91"), labels=ADA)
    assert "$0.90 left of $1.00 per day" in left.reason
    assert pool.can_afford(usd("0.90"), labels=ADA)


def test_an_agent_and_its_user_pay_an_overrun_each(pool):
    web = pool.open("web", carve=usd(1))
    pool.limit_each("user_id", limit=usd(1))

    web.reserve(usd(1), labels=ADA).settle(usd(3))

    assert pool.account(":user_id/ada").balance().available == -usd(2)
    assert web.balance().spent == usd(3)
    assert pool.balance().available == usd(7)
    assert pool.admin.verify().ok


def test_values_may_have_limits_of_their_own(pool):
    pool.limit_each("tool", named={"search": [calls(2), usd(1)]})

    for _ in range(2):
        pool.reserve(calls(1), labels={"tool": "search"}).settle()
    with pytest.raises(BudgetExceeded, match="acme:tool/search"):
        pool.reserve(calls(1), labels={"tool": "search"})
    pool.reserve(calls(3), labels={"tool": "other"}).settle()

    assert pool.account(":tool/search").balance("calls").spent == calls(2)
    with pytest.raises(UnknownAccount):
        pool.account(":tool/other")


def test_combinations_have_a_limit_each(pool):
    pool.limit_each("agent", "tool", limit=calls(1))
    for agent in ("a", "b"):
        pool.reserve(calls(1), labels={"agent": agent, "tool": "x"}).settle()

    with pytest.raises(BudgetExceeded, match=r"acme:agent\+tool/a\+x"):
        pool.reserve(calls(1), labels={"agent": "a", "tool": "x"})
    pool.reserve(calls(1), labels={"agent": "a"}).settle()


def test_their_number_is_bounded(pool):
    pool.limit_each("user_id", limit=usd(1), most=2)
    for user in ("a", "b", "a"):
        pool.reserve(usd("0.10"), labels={"user_id": user}).settle()

    with pytest.raises(AccountClosed, match="there are 2 accounts"):
        pool.reserve(usd("0.10"), labels={"user_id": "c"})
    pool.account(":user_id/a").close()
    pool.reserve(usd("0.10"), labels={"user_id": "c"}).settle()

    with pytest.raises(AccountClosed):
        pool.reserve(usd("0.10"), labels={"user_id": "a"})


def test_calls_that_were_refused_take_no_room(pool):
    pool.limit_each("user_id", limit=usd(1), most=2)
    pool.freeze("maintenance")
    for user in ("a", "b", "c"):
        with pytest.raises(AccountFrozen):
            pool.reserve(usd("0.10"), labels={"user_id": user})

    pool.thaw()

    for user in ("d", "e"):
        pool.reserve(usd("0.10"), labels={"user_id": user}).settle()
    with pytest.raises(AccountClosed):
        pool.reserve(usd("0.10"), labels={"user_id": "f"})


def test_one_of_them_can_be_frozen(pool):
    pool.limit_each("user_id", limit=usd(1))
    pool.reserve(usd("0.10"), labels=ADA).settle()

    pool.account(":user_id/ada").freeze("abuse")

    with pytest.raises(AccountFrozen, match="abuse"):
        pool.reserve(usd("0.10"), labels=ADA)
    pool.reserve(usd("0.10"), labels=BOB).settle()


def test_any_value_has_an_account_and_no_two_the_same(pool):
    pool.limit_each("user_id", limit=usd(1))
    odd = ["a/b", "a%2Fb", ".", "..", " a", "a ", "a\\b", "\ud800", "x" * 300, "\n"]

    for user in odd:
        pool.reserve(usd(1), labels={"user_id": user}).settle()

    with pytest.raises(BudgetExceeded):
        pool.reserve(usd(1), labels={"user_id": "a/b"})


def test_asking_opens_nothing(pool):
    pool.limit_each("user_id", limit=usd(1), most=1)

    assert pool.can_afford(usd(1), labels=ADA)
    assert not pool.can_afford(usd(2), labels=BOB)

    pool.reserve(usd(1), labels=BOB).settle()


def test_another_process_finds_what_was_spent(store_url, pool):
    if store_url == "memory://":
        pytest.skip("memory is one object's own")
    pool.limit_each("user_id", limit=usd(1))
    pool.reserve(usd("0.60"), labels=ADA).settle()

    other = BudgetPool("acme", usd(10), store=store_url)
    other.limit_each("user_id", limit=usd(1))

    with pytest.raises(BudgetExceeded, match=r"\$0.40 left"):
        other.reserve(usd("0.50"), labels=ADA)


def test_many_at_first_sight_are_admitted_as_far_as_the_limit_goes(pool):
    pool.limit_each("user_id", limit=usd(1))

    def ask(_):
        try:
            pool.reserve(usd("0.10"), labels=ADA).settle()
        except BudgetExceeded:
            return 0
        return 1

    with ThreadPoolExecutor(16) as threads:
        admitted = sum(threads.map(ask, range(64)))

    assert admitted == 10
    assert pool.balance().spent == usd(1)
    assert_quiet(pool.ledger.store)


async def test_many_tasks_likewise(pool):
    pool.limit_each("user_id", limit=usd(1))

    async def ask():
        try:
            hold = await pool.areserve(usd("0.10"), labels=ADA)
        except BudgetExceeded:
            return 0
        await hold.asettle()
        return 1

    admitted = sum(await asyncio.gather(*(ask() for _ in range(32))))

    assert admitted == 10


def test_a_handler_finds_the_user_in_the_metadata():
    pool = BudgetPool("acme", tokens(5_000))
    pool.limit_each("user_id", limit=tokens(100))
    model = FakeChatModel(replies=["Hi."], usage=(60, 10), max_tokens=20)
    config = {"callbacks": [BudgetCallbackHandler(pool)], "metadata": ADA}
    model.invoke("Hello", config=config)

    with pytest.raises(BudgetExceeded, match="acme:user_id/ada"):
        model.invoke("Hello " * 40, config=config)
    model.invoke("Hello", config=config | {"metadata": BOB})

    assert pool.account(":user_id/ada").balance("tokens").spent == tokens(70)
    assert pool.balance("tokens").spent == tokens(140)
    assert_quiet(pool.ledger.store)


async def test_so_does_a_handler_in_a_graph_and_a_middleware():
    pool = BudgetPool("acme", tokens(5_000))
    pool.limit_each("user_id", limit=tokens(200))
    model = FakeChatModel(replies=["Hi."], usage=(60, 10))
    agent = create_agent(model, middleware=[BudgetMiddleware(pool)])
    config = {"metadata": ADA}
    asked = {"messages": [("user", "Hello")]}
    await agent.ainvoke(asked, config)
    agent.invoke(asked, config)

    with pytest.raises(BudgetExceeded, match="acme:user_id/ada"):
        agent.invoke({"messages": [("user", "Hello " * 100)]}, config)

    assert pool.account(":user_id/ada").balance("tokens").spent == tokens(140)
    assert model.calls[-1].max_tokens <= 200
    assert_quiet(pool.ledger.store)


def test_a_scope_is_limited_too():
    pool = BudgetPool("acme", tokens(5_000))
    pool.limit_each("user_id", limit=tokens(50))
    model = FakeChatModel(replies=["Hi."], usage=(60, 10), max_tokens=20)

    with budget(pool), pytest.raises(BudgetExceeded, match="acme:user_id/ada"):
        model.invoke("Hello " * 100, config={"metadata": ADA})


def test_a_lease_would_pass_over_them(pool):
    pool.limit_each("user_id", limit=usd(1))

    with pytest.raises(InvalidLease, match="user_id"), pool.lease(usd(1)):
        pass


@pytest.mark.parametrize(
    ("labels", "options", "error"),
    [
        ((), {"limit": usd(1)}, InvalidName),
        (("a", "a"), {"limit": usd(1)}, InvalidName),
        (("a/b",), {"limit": usd(1)}, InvalidName),
        (("a",), {"limit": usd(1), "most": 0}, InvalidAmount),
        (("a",), {"limit": -usd(1)}, InvalidAmount),
    ],
)
def test_what_makes_no_sense_is_refused(pool, labels, options, error):
    with pytest.raises(error):
        pool.limit_each(*labels, **options)

    pool.reserve(usd(1), labels={"a": "x"}).settle()


def test_a_pool_has_no_colon_in_its_name():
    with pytest.raises(InvalidName, match="limit_each"):
        BudgetPool("acme:user")


def test_ticks_and_runs_end_when_the_program_says_so(pool):
    web = pool.open("web", limit=[tokens(10).per("tick"), tokens(15).per("run")])
    pool.limit_each("tool", limit=calls(1).per("tick"))
    web.reserve(tokens(10), calls(1), labels={"tool": "x"}).settle()
    with pytest.raises(BudgetExceeded, match="per tick"):
        web.reserve(tokens(1))

    pool.advance("tick")
    web.reserve(tokens(5), calls(1), labels={"tool": "x"}).settle()
    with pytest.raises(BudgetExceeded, match="per run"):
        web.reserve(tokens(1))
    pool.advance("run")

    web.reserve(tokens(10), calls(1), labels={"tool": "x"}).settle()
    assert pool.balance("tokens").spent == tokens(25)
    assert pool.admin.verify().ok


async def test_a_hold_is_settled_in_the_tick_that_it_was_taken_from(pool):
    web = pool.open("web", limit=tokens(10).per("tick"))
    hold = web.reserve(tokens(8))

    await pool.aadvance()
    await web.areserve(tokens(10))
    await hold.asettle(tokens(9))

    assert web.balance("tokens").held == tokens(10)
    with pytest.raises(InvalidAmount, match="ends by the clock"):
        pool.advance("day")


def test_limits_may_only_be_watched(pool):
    heard = []
    pool.subscribe(heard.append)
    pool.limit_each("user_id", limit=usd(1), enforce=False)

    pool.reserve(usd(3), labels=ADA).settle()

    assert pool.account(":user_id/ada").balance().spent == usd(3)
    (said,) = [each for each in heard if isinstance(each, WouldRefuse)]
    assert said.account == "acme:user_id/ada"
    with pytest.raises(BudgetExceeded, match="account 'acme' has"):
        pool.reserve(usd(8), labels=ADA)


def borrower(pool: BudgetPool) -> Account:
    """A slice like that of a guard's step, which draws on what its parent has free."""
    path = join(pool.path, "step")
    spec = spec_of(carve=[usd(1)])._replace(borrows=True)
    pool.ledger.run(open_account(pool.ledger, path, spec))
    return Account(pool.ledger, path)


def test_what_a_step_borrows_is_granted_to_no_user(pool):
    pool.limit_each("user_id", limit=usd(5))
    step = borrower(pool)

    for _ in range(2):
        step.reserve(usd(2), labels=ADA).settle()

    assert pool.account("acme:user_id/ada").balance().granted == usd(5)
    assert pool.account("acme:user_id").balance().granted is None
    with pytest.raises(BudgetExceeded):
        step.reserve(usd(2), labels=ADA)


def test_a_step_borrows_although_a_user_who_is_only_watched_is_over(pool):
    pool.limit_each("user_id", limit=usd(1), enforce=False)
    step = borrower(pool)
    step.reserve(usd(1), labels=ADA).settle()

    step.reserve(usd(2), labels=ADA).settle()

    assert pool.balance().available == usd(7)
    assert_quiet(pool.ledger.store)


def test_the_parent_pays_for_an_overrun_although_a_watched_user_is_over(pool):
    pool.limit_each("user_id", limit=usd(1), enforce=False)
    team = pool.open("team", carve=usd(2))

    team.reserve(usd(2), labels=ADA).settle(usd(5))

    assert pool.balance().available == usd(5)
    assert team.balance().available == usd(0)


def test_whom_there_is_no_room_to_watch_is_not_stopped(pool):
    pool.limit_each("user_id", limit=usd(1), enforce=False, most=1)
    pool.reserve(usd(1), labels=ADA).settle()

    pool.reserve(usd(1), labels=BOB).settle()

    assert pool.balance().spent == usd(2)
    with pytest.raises(UnknownAccount):
        pool.account("acme:user_id/bob")


def test_advice_is_what_a_reservation_would_say(pool):
    pool.limit_each("user_id", limit=usd(1))
    pool.limit_each("team", limit=usd(1), enforce=False)
    pool.reserve(usd(1), labels={"team": "red"}).settle()

    watched = pool.can_afford(usd(1), labels={"team": "red"})
    pool.account("acme:user_id").freeze()
    frozen = pool.can_afford(usd(1), labels=ADA)

    assert watched
    assert not frozen
    with pytest.raises(AccountFrozen):
        pool.reserve(usd(1), labels=ADA)
    pool.reserve(usd(1), labels={"team": "red"}).settle()


def test_advice_hears_of_what_another_process_froze(pool):
    pool.limit_each("user_id", limit=usd(1))
    pool.reserve(usd("0.50"), labels=ADA).settle()
    other = BudgetPool("acme", usd(10), store=pool.ledger.store)

    other.account("acme:user_id/ada").freeze()

    assert not pool.can_afford(usd("0.10"), labels=ADA)


@pytest.mark.parametrize("missing", [{"user": "nobody"}, {"user_id": 5}])
def test_what_is_missing_has_a_label_that_is_limited(pool, missing):
    with pytest.raises(InvalidName, match="missing"):
        pool.limit_each("user_id", limit=usd(1), missing=missing)


def test_labels_are_text(pool):
    pool.limit_each("user_id", limit=usd(1))

    with pytest.raises(InvalidName, match="labels 'user_id': 5: give text"):
        pool.reserve(usd(1), labels={"user_id": 5})

    assert_quiet(pool.ledger.store)


def test_a_pool_that_only_observes_stops_no_user(pool):
    pool.limit_each("user_id", limit=usd(1))
    pool.admin.observe(on=True)

    pool.reserve(usd(3), labels=ADA).settle()
    assert pool.can_afford(usd(3), labels=ADA)

    pool.admin.observe(on=False)
    with pytest.raises(BudgetExceeded, match="acme:user_id/ada"):
        pool.reserve(usd("0.10"), labels=ADA)
    assert pool.account(":user_id/ada").balance().spent == usd(3)


def test_whom_there_is_no_room_to_watch_is_stopped_with_all_others(pool):
    pool.limit_each("user_id", limit=usd(1), enforce=False, most=1)
    pool.reserve(usd(1), labels=ADA).settle()
    pool.reserve(usd(2), labels=BOB).settle()
    everyone = pool.account("acme:user_id")
    assert everyone.balance().spent == usd(3)

    everyone.freeze()

    assert not pool.can_afford(usd(1), labels=BOB)
    with pytest.raises(AccountFrozen):
        pool.reserve(usd(1), labels=BOB)


def test_advice_knows_how_many_there_may_be(pool):
    pool.limit_each("user_id", limit=usd(1), most=1)
    pool.reserve(usd("0.10"), labels=ADA).settle()

    full = pool.can_afford(usd("0.10"), labels=BOB)

    assert "there are 1 accounts" in full.reason
    with pytest.raises(AccountClosed) as refused:
        pool.reserve(usd("0.10"), labels=BOB)
    assert str(refused.value) == full.reason
    assert pool.can_afford(usd("0.10"), labels=ADA)
    assert not pool.explain(usd("0.10")).reason
    pool.account(":user_id/ada").close()
    assert pool.can_afford(usd("0.10"), labels=BOB)


@pytest.mark.parametrize("watching", ["acme", "acme:user_id"])
def test_want_of_room_stops_nobody_where_all_only_observe(pool, watching):
    pool.limit_each("user_id", limit=usd(1), most=1)
    pool.reserve(usd("0.10"), labels=ADA).settle()

    pool.account(watching).admin.observe(on=True)

    assert pool.can_afford(usd("0.10"), labels=BOB)
    pool.reserve(usd("0.10"), labels=BOB).settle()
    pool.account(watching).admin.observe(on=False)
    assert not pool.can_afford(usd("0.10"), labels=BOB)


def test_a_frozen_kind_of_accounts_stops_nobody_where_all_only_observe(pool):
    pool.limit_each("user_id", limit=usd(1))
    pool.account("acme:user_id").freeze()
    pool.admin.observe(on=True)

    assert pool.can_afford(usd(1), labels=ADA)
    pool.reserve(usd(1), labels=ADA).settle()

    assert pool.balance().spent == usd(1)


def test_what_is_charged_to_a_user_is_charged_once(pool):
    pool.limit_each("user_id", limit=usd(1))
    pool.reserve(usd("0.10"), labels=ADA).settle()
    ada = pool.account(":user_id/ada")

    assert ada.can_afford(usd("0.90"), labels=ADA)
    ada.reserve(usd("0.90"), labels=ADA).settle()

    assert ada.balance().spent == usd(1)
    assert not ada.can_afford(usd("0.10"), labels=ADA)


def test_that_there_is_no_room_is_told_like_any_refusal(pool):
    pool.limit_each("user_id", limit=usd(1), most=1)
    pool.reserve(usd("0.10"), labels=ADA).settle()
    events = []
    pool.subscribe(events.append)

    with pytest.raises(AccountClosed) as refused:
        pool.reserve(usd("0.10"), labels=BOB)

    (event,) = events
    assert type(event) is Refused
    assert (event.refusal, event.wanted_by) == (refused.value.refusal, "acme")
    assert event.labels == BOB


@pytest.mark.parametrize("agent", ["schröder", "a/b", "x y", "50%", "a+b"])
def test_combinations_may_be_named_as_they_are_said(pool, agent):
    pool.limit_each(
        "agent", "tool", limit=usd(5), named={f"{agent}+search": usd(1), "x": usd(2)}
    )

    own = pool.can_afford(usd(3), labels={"agent": agent, "tool": "search"})
    of_the_tool = pool.can_afford(usd(3), labels={"agent": agent, "tool": "x"})

    assert "of $1.00" in own.reason
    assert "of $2.00" in of_the_tool.reason
    assert pool.can_afford(usd(3), labels={"agent": "other", "tool": "search"})


@pytest.mark.parametrize("value", [5, None, ""])
def test_a_name_that_no_label_says_is_refused(pool, value):
    with pytest.raises(InvalidName, match="as text"):
        pool.limit_each("user_id", named={value: usd(1)})

    assert pool.ledger.each == ()


def test_half_a_character_in_a_combination_stops_no_call():
    pool = BudgetPool("acme", tokens(5_000))
    pool.limit_each("agent", "tool", limit=tokens(500), missing={"tool": "none"})
    model = FakeChatModel(replies=["Hi."], usage=(60, 10))
    config = {
        "callbacks": [BudgetCallbackHandler(pool)],
        "metadata": {"lc_agent_name": "caf\udce9"},
    }

    said = model.invoke("Hello", config=config).text

    assert said == "Hi."
    (account,) = pool.account(":agent+tool").report().balances
    assert values_of(account.account.rpartition("/")[2]) == ("caf\udce9", "none")


class CountingStore(MemoryStore):
    """Knows how often all accounts were read."""

    read = 0

    def below(self, path):
        self.read += path == "acme:user_id"
        return super().below(path)


@pytest.mark.parametrize("why", ["frozen", "exhausted", "too much"])
def test_calls_that_were_refused_open_no_accounts(store_url, why):
    pool = BudgetPool("acme", calls(2), store=store_url)
    pool.limit_each("user_id", limit=calls(2), most=2)
    wanted = calls(3) if why == "too much" else calls(1)
    if why == "frozen":
        pool.freeze("maintenance")
    if why == "exhausted":
        pool.set_limit(calls(0))
    for number in range(5):
        with pytest.raises(BudgetRefused):
            pool.reserve(wanted, labels={"user_id": f"u{number}"})
    opened = pool.account(":user_id").report().balances

    pool.thaw()
    pool.set_limit(calls(10))
    admitted = 0
    for number in range(5):
        with suppress(AccountClosed):
            pool.reserve(calls(1), labels={"user_id": f"u{number}"}).settle()
            admitted += 1

    assert opened == ()
    assert admitted == 2


def test_one_who_waits_for_the_rest_is_known_before(pool):
    pool.limit_each("user_id", limit=usd(10))
    held = pool.reserve(usd(10))

    with pytest.raises(BudgetExceeded):
        pool.reserve(usd(1), labels=ADA, wait_seconds=0.01)
    held.release()

    pool.reserve(usd(1), labels=ADA).settle()
    assert pool.account(":user_id/ada").balance().spent == usd(1)


def test_many_who_are_refused_do_not_read_all_accounts_each():
    store = CountingStore()
    pool = BudgetPool("acme", usd(10), store=store)
    pool.limit_each("user_id", limit=usd(1), most=2)
    pool.ledger.ticks = now = StillClock(0)
    for user in ("a", "b"):
        pool.reserve(usd(1), labels={"user_id": user}).settle()
    before = store.read

    for number in range(50):
        with pytest.raises(AccountClosed, match="there are 2 accounts"):
            pool.reserve(usd(1), labels={"user_id": f"u{number}"})
    often = store.read - before
    BudgetPool.attach("acme", store=store).account(":user_id/a").close()
    now.advance(LOOK_AGAIN_SECONDS)

    assert often <= 1
    pool.reserve(usd(1), labels={"user_id": "c"}).settle()
