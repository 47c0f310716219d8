"""Operators look at books, and correct them by hand."""

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langgraph.graph import END, START, StateGraph

from langchain_budget import (
    AccountFrozen,
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    HoldNotOpen,
    IdConflict,
    InexactAmount,
    InvalidAmount,
    MemoryStore,
    Price,
    PriceTable,
    UnknownAccount,
    tokens,
    usd,
)
from langchain_budget.core.events import (
    AccountFrozen as Exhausted,
)
from langchain_budget.core.events import (
    Adjusted,
    Event,
    HoldVoided,
    ObserveOnly,
)
from langchain_budget.core.rules import Charge, Order
from langchain_budget.testing import FakeChatModel, StillClock
from tests.adapters.graphs import Log, asks
from tests.interrupted_store import InterruptedStore
from tests.invariants import assert_books_add_up, assert_quiet, unchanged
from tests.twins import Do

NANOS = 1_000_000_000


def of_type(events: list[Event], kind: type[Event]) -> list[Event]:
    return [each for each in events if type(each) is kind]


async def test_books_of_a_graph_that_ran_add_up(do: Do) -> None:
    store = MemoryStore()
    prices = PriceTable({"fake": Price.per_million(input="1", output="2")})
    pool = BudgetPool("acme", usd(1), tokens(10_000), store=store, prices=prices)
    pool.open("writer", limit=usd("0.5"))
    model = FakeChatModel()
    builder = StateGraph(Log)
    builder.add_node("writer", asks(model, "writer", 3))
    builder.add_edge(START, "writer")
    builder.add_edge("writer", END)
    handlers: list[BaseCallbackHandler] = [BudgetCallbackHandler(pool)]
    builder.compile().invoke({"log": []}, {"callbacks": handlers})

    found = await do(pool.admin.verify)

    assert found.ok, str(found)
    assert (found.accounts, found.holds) == (2, 0)
    assert found.seq == len(store.journal())
    assert pool.report().total.amounts["calls"] == 3


async def test_tampering_with_a_balance_is_found(pool: BudgetPool, do: Do) -> None:
    pool.reserve(usd(2)).settle(usd(2))
    other = MemoryStore()
    twin = BudgetPool("acme", usd(10), store=other)
    twin.reserve(usd(2)).settle(usd(2))
    other._tables.counters[next(iter(other._tables.counters))].spent -= 1  # noqa: SLF001

    right, wrong = await do(pool.admin.verify), await do(twin.admin.verify)

    assert right.ok
    (found,) = wrong.findings
    assert (found.invariant, found.account, found.unit) == ("I7", "acme", "usd")


async def test_books_are_verified_while_others_post(do: Do) -> None:
    class Busy(MemoryStore):
        """Somebody spends each time that something is read."""

        def open_holds(self):  # type: ignore[no-untyped-def]  # as above
            other.reserve(usd("0.01")).settle(usd("0.01"))
            other.reserve(usd("0.01"))
            return super().open_holds()

        def below(self, path):  # type: ignore[no-untyped-def]  # as above
            found = super().below(path)
            other.reserve(usd("0.01")).settle(usd("0.02"))
            return found

    store = Busy()
    pool, other = (BudgetPool("acme", usd(10), store=store) for _ in range(2))

    found = await do(pool.admin.verify)

    assert found.ok, str(found)
    assert found.seq == len(store.journal())


async def test_open_holds_are_listed_with_their_age(
    pool: BudgetPool, clock: StillClock, do: Do
) -> None:
    web = pool.open("web")
    first = web.reserve(usd(1), labels={"agent": "researcher"})
    clock.advance(100)
    pool.reserve(usd(2), ttl_seconds=60)

    one, other = await do(pool.admin.holds)

    assert one.id == first.hold.id
    assert (one.account, one.amounts) == ("acme/web", (usd(1),))
    assert (one.age_seconds, one.seconds_left, one.started) == (100, 800, False)
    assert one.labels == {"agent": "researcher"}
    assert (other.age_seconds, other.seconds_left) == (0, 60)
    assert await do(web.admin.holds) == (one,)


async def test_holds_past_their_time_are_not_listed(
    pool: BudgetPool, clock: StillClock, do: Do
) -> None:
    pool.reserve(usd(1), ttl_seconds=60)

    clock.advance(60)

    assert await do(pool.admin.holds) == ()


async def test_a_hold_is_voided(
    pool: BudgetPool, store: MemoryStore, events: list[Event], do: Do
) -> None:
    web = pool.open("web", carve=usd(4))
    hold = web.reserve(usd(3)).hold

    await do(pool.admin.void, hold.id, reason="its worker is gone")

    assert web.balance().available == usd(4)
    assert store.journal()[-1].note.reason == "its worker is gone"
    (told,) = of_type(events, HoldVoided)
    assert isinstance(told, HoldVoided)
    assert (told.account, told.hold) == ("acme/web", hold.id)
    assert told.amounts == {"usd": 3 * NANOS}
    assert (await do(pool.admin.verify)).ok
    assert_quiet(store)


async def test_what_a_voided_call_reports_is_booked_all_the_same(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    order = Order({"usd": 3 * NANOS}, {}, 60, started=True)
    hold = pool.ledger.run(pool.ledger.reserve("acme", order))
    await do(pool.admin.void, hold.id, reason="it hangs")

    charge = Charge({"usd": 2 * NANOS})
    pool.ledger.run(pool.ledger.settle(hold, charge))
    pool.ledger.run(pool.ledger.settle(hold, charge))

    assert pool.balance().spent == pool.report().spent() == usd(2)
    assert (await do(pool.admin.verify)).ok
    assert_quiet(store)


async def test_a_hold_is_voided_once(pool: BudgetPool, do: Do) -> None:
    hold = pool.reserve(usd(3)).hold
    await do(pool.admin.void, hold.id, reason="by hand")

    with pytest.raises(HoldNotOpen, match="expired"):
        await do(pool.admin.void, hold.id, reason="by hand")


async def test_a_settled_hold_is_not_voided(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    reservation = pool.reserve(usd(3))
    reservation.settle(usd(1))

    with unchanged(store), pytest.raises(HoldNotOpen, match="settled"):
        await do(pool.admin.void, reservation.hold.id, reason="by hand")


async def test_a_hold_of_somebody_else_is_not_voided(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    web, mail = pool.open("web"), pool.open("mail")
    hold = web.reserve(usd(1)).hold

    for hold_id in (hold.id, "no such hold"):
        with unchanged(store), pytest.raises(HoldNotOpen, match="unknown in acme/mail"):
            await do(mail.admin.void, hold_id, reason="by hand")


async def test_voiding_in_a_closed_slice_returns_its_money(
    pool: BudgetPool, do: Do
) -> None:
    web = pool.open("web", carve=usd(4))
    hold = web.reserve(usd(3)).hold
    web.close()
    assert pool.balance().available == usd(7)

    await do(pool.admin.void, hold.id, reason="by hand")

    assert pool.balance().available == usd(10)


async def test_what_was_spent_is_corrected_upwards(
    pool: BudgetPool, events: list[Event], do: Do
) -> None:
    web = pool.open("web", limit=usd(1))
    labels = {"agent": "researcher", "model": "gpt-4o"}

    await do(web.admin.adjust, usd("1.5"), reason="a call by hand", labels=labels)

    assert web.balance().spent == pool.balance().spent == usd("1.5")
    assert web.balance().state == "exhausted"
    ((key, line),) = pool.report().lines.items()
    assert key == ("acme/web", "researcher", "adjustment", "gpt-4o")
    assert line.amounts == {"usd": 3 * NANOS // 2}
    (told,) = of_type(events, Adjusted)
    assert isinstance(told, Adjusted)
    assert (told.amount, told.reason) == (usd("1.5"), "a call by hand")
    assert [each.account for each in of_type(events, Exhausted)] == ["acme/web"]


async def test_what_was_spent_is_corrected_downwards(pool: BudgetPool, do: Do) -> None:
    pool.reserve(usd(10)).settle(usd(10))
    with pytest.raises(BudgetExceeded):
        pool.reserve(usd(1))

    await do(pool.admin.adjust, -usd(4), reason="credit note")

    assert pool.balance().spent == pool.report().spent() == usd(6)
    pool.reserve(usd(4)).release()


async def test_no_less_than_nothing_is_spent(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    pool.reserve(usd(3)).settle(usd(3))

    with unchanged(store), pytest.raises(InvalidAmount, match="has not spent"):
        await do(pool.admin.adjust, -usd(4), reason="too much")

    await do(pool.admin.adjust, -usd(3), reason="all of it")
    assert pool.balance().spent == usd(0)


async def test_two_who_lower_at_once_do_not_lower_below_nothing() -> None:
    store = InterruptedStore()
    pool, other = (BudgetPool("acme", usd(10), store=store) for _ in range(2))
    pool.reserve(usd(3)).settle(usd(3))
    store.before["adjust"] = lambda: other.admin.adjust(-usd(2), reason="mine")

    with pytest.raises(InvalidAmount):
        pool.admin.adjust(-usd(2), reason="mine as well")

    assert pool.balance().spent == usd(1)
    assert_books_add_up(store)


@pytest.mark.parametrize("amount", [usd(2), -usd(2)], ids=str)
async def test_an_adjustment_with_a_key_happens_once(
    pool: BudgetPool, amount: object, do: Do
) -> None:
    pool.reserve(usd(2)).settle(usd(2))

    for _ in range(2):  # as if the first answer had been lost
        await do(pool.admin.adjust, amount, reason="ticket 17", key="17")

    assert pool.balance().spent in (usd(4), usd(0))
    for other in (usd(1), -usd(3)):
        with pytest.raises(IdConflict):
            await do(pool.admin.adjust, other, reason="ticket 17", key="17")


async def test_an_adjustment_in_a_slice_spills_to_its_parent(
    pool: BudgetPool, do: Do
) -> None:
    web = pool.open("web", carve=usd(2))

    await do(web.admin.adjust, usd(3), reason="a call by hand")

    assert web.balance().granted == web.balance().spent == usd(3)
    assert pool.balance().available == usd(7)


async def test_what_is_taken_back_in_a_closed_slice_goes_to_its_parent(
    pool: BudgetPool, do: Do
) -> None:
    web = pool.open("web", carve=usd(2))
    web.reserve(usd(2)).settle(usd(2))
    web.close()

    await do(web.admin.adjust, -usd(1), reason="credit note")

    assert pool.balance().available == usd(9)


@pytest.mark.parametrize(
    ("amount", "error"), [(usd(0), InvalidAmount), (0.5, InexactAmount)]
)
async def test_an_adjustment_by_nothing_is_a_mistake(
    pool: BudgetPool, store: MemoryStore, amount: object, error: type[Exception], do: Do
) -> None:
    with unchanged(store), pytest.raises(error):
        await do(pool.admin.adjust, amount, reason="")


async def test_an_account_is_told_to_observe_only(
    pool: BudgetPool, store: MemoryStore, events: list[Event], do: Do
) -> None:
    web = pool.open("web", limit=usd(1))

    await do(web.admin.observe, on=True, reason="a week of trial")
    await do(web.admin.observe, on=True, reason="again")

    web.reserve(usd(3)).settle(usd(3))
    assert web.explain().observed
    assert web.explain().admitted
    assert "only observes" in str(web.explain())
    (told,) = of_type(events, ObserveOnly)
    assert told == ObserveOnly(
        account="acme/web", seq=told.seq, on=True, reason="a week of trial"
    )

    await do(web.admin.observe, on=False, reason="enough")

    with pytest.raises(BudgetExceeded):
        web.reserve(usd(1))
    kinds = [entry.kind for entry in store.journal()]
    assert [kinds.count(each) for each in ("observe", "enforce")] == [1, 1]
    assert (await do(pool.admin.verify)).ok


async def test_the_journal_of_an_account_is_read(pool: BudgetPool, do: Do) -> None:
    web = pool.open("web")
    for _ in range(3):
        web.reserve(usd(1)).settle(usd(1))

    every = await do(web.admin.journal)
    last = await do(web.admin.journal, last=2)
    later = await do(pool.admin.journal, after=every[-2].seq)

    assert [each.kind for each in every] == ["open"] + ["reserve", "settle"] * 3
    assert last == every[-2:]
    assert later == every[-1:]


async def test_nobody_administers_an_account_that_is_not_there(
    pool: BudgetPool, do: Do
) -> None:
    nowhere = pool.open("web").admin
    nowhere._path = "acme/nowhere"  # noqa: SLF001  # as if it had never been opened

    for method in (nowhere.holds, nowhere.unconfirmed, nowhere.journal):
        with pytest.raises(UnknownAccount):
            await do(method)


async def test_an_explanation_says_what_is_left_and_where(
    pool: BudgetPool, do: Do
) -> None:
    team = pool.open("team", limit=usd(3), warn_at=[0.5])
    web = team.open("web")
    web.reserve(usd(1), labels={"agent": "researcher"})

    said = await do(web.explain)

    assert said.admitted
    assert said.affordable == {"usd": usd(2)}
    assert [each.account for each in said.path] == [
        "acme/team/web",
        "acme/team",
        "acme",
    ]
    assert [each.amounts for each in said.holds] == [(usd(1),)]
    assert said.advice == ("Nothing needs to be done.",)
    assert "it may reserve up to $2.00" in str(said)
    assert "researcher" in str(said)
    assert said.as_dict()["affordable"] == {"usd": 2 * NANOS}
    assert "<caption>acme/team/web is not blocked" in said._repr_html_()


async def test_an_explanation_says_why_an_amount_is_refused(
    pool: BudgetPool, do: Do
) -> None:
    web = pool.open("web", limit=usd(3))
    web.reserve(usd(2))

    contended, exhausted = await do(web.explain, usd(2)), await do(web.explain, usd(4))

    assert not contended.admitted
    assert contended.refusal is not None
    assert contended.refusal.kind == "contended"
    wait, grant = contended.advice
    assert wait.startswith("Wait for open holds: $2.00 of acme/web is held.")
    assert grant.startswith("Grant acme/web $1.00 more: top up,")
    with pytest.raises(BudgetExceeded) as refused:
        web.reserve(usd(4))
    assert exhausted.reason == str(refused.value)
    assert exhausted.reason in str(exhausted)


async def test_an_explanation_says_that_nothing_is_left(
    pool: BudgetPool, do: Do
) -> None:
    web = pool.open("web", limit=usd(1))
    web.reserve(usd(1)).settle(usd(1))

    said = await do(web.explain)

    assert not said.admitted
    assert said.reason == "account 'acme/web' has $0.00 left of $1.00"
    assert said.affordable == {"usd": usd(0)}
    assert "Grant acme/web more" in str(said)


async def test_an_explanation_knows_limits_that_start_anew(
    store: MemoryStore, clock: StillClock, do: Do
) -> None:
    pool = BudgetPool("acme", usd(10), usd(2).per("day"), store=store)
    web = pool.open("web", carve=usd(5))
    web.reserve(usd(2)).settle(usd(2))

    said = await do(web.explain)

    assert said.affordable == {"usd": usd(0)}
    assert said.reason == "account 'acme' has $0.00 left of $2.00 per day"
    assert "Wait: it starts anew with $2.00 per day." in said.advice
    daily = said.path[1].balances[1]
    assert (daily.granted, daily.spent, daily.window) == (usd(2), usd(2), "per day")
    clock.advance(86_400)
    assert (await do(web.explain)).affordable == {"usd": usd(2)}
    assert (await do(pool.admin.verify)).ok


async def test_an_explanation_says_who_is_frozen_and_why(
    pool: BudgetPool, do: Do
) -> None:
    web = pool.open("web", limit=usd(1))
    pool.freeze("the invoice looks odd")

    said = await do(web.explain)

    assert said.affordable == {"usd": usd(0)}
    assert said.advice == ("acme is frozen (the invoice looks odd): thaw it.",)
    with pytest.raises(AccountFrozen):
        web.reserve(usd(1))


async def test_an_explanation_of_a_closed_account(pool: BudgetPool, do: Do) -> None:
    web = pool.open("web", limit=usd(1))
    web.close()

    said = await do(web.explain)

    assert not said.admitted
    assert said.advice == ("acme/web is closed for good: open another account.",)


async def test_an_account_without_limits_is_explained(do: Do) -> None:
    pool = BudgetPool("acme")
    pool.reserve(usd(1)).settle(usd(1))

    said = await do(pool.explain)

    assert "without a limit" in str(said)
    (standing,) = said.path
    assert [each.spent for each in standing.balances] == [usd(1)]


def test_a_pool_is_attached_to_whatever_its_limits_are(store: MemoryStore) -> None:
    BudgetPool("acme", usd(10), store=store).open("web", limit=usd(3))

    pool = BudgetPool.attach("acme", store=store)

    assert pool.balance().granted == usd(10)
    assert pool.account("web").balance().granted == usd(3)
    assert isinstance(pool, BudgetPool)


def test_attaching_makes_nothing(store: MemoryStore) -> None:
    with unchanged(store), pytest.raises(UnknownAccount):
        BudgetPool.attach("acme", store=store)


def test_a_closed_pool_can_still_be_looked_at(store: MemoryStore) -> None:
    pool = BudgetPool("acme", usd(10), store=store)
    pool.reserve(usd(1)).settle(usd(1))
    pool.close()

    assert BudgetPool.attach("acme", store=store).report().spent() == usd(1)
