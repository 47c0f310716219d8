import logging

import pytest

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    MemoryStore,
    budgeted,
    tokens,
    usd,
)
from langchain_budget import events as happened
from langchain_budget.core.events import Event, ThresholdCrossed
from langchain_budget.testing import FakeChatModel
from tests.invariants import assert_quiet
from tests.twins import Do


def kinds(events: list[Event]) -> list[str]:
    return [type(each).__name__ for each in events]


def marks(events: list[Event]) -> list[tuple[str, int]]:
    crossed = (each for each in events if isinstance(each, ThresholdCrossed))
    return [(each.account, each.mark // 10_000) for each in crossed]


async def spend(pool: BudgetPool, dollars: int | str, do: Do) -> None:
    await do((await do(pool.reserve, usd(0))).settle, usd(dollars))


async def test_listeners_hear_what_happened_after_the_books_changed(
    pool: BudgetPool, events: list[Event], do: Do
) -> None:
    seen = []
    pool.subscribe(lambda _: seen.append(pool.balance().spent))

    hold = await do(pool.reserve, usd(10), labels={"agent": "web"})
    await do(hold.settle, usd(10))

    assert kinds(events) == ["Reserved", "Settled", "AccountFrozen"]
    assert seen == [usd(0), usd(10), usd(10)]
    reserved, settled, frozen = events
    assert isinstance(reserved, happened.Reserved)
    assert isinstance(settled, happened.Settled)
    assert isinstance(frozen, happened.AccountFrozen)
    assert reserved.labels == settled.labels == {"agent": "web"}
    assert reserved.hold == settled.hold == hold.hold.id
    assert (frozen.account, frozen.reason, frozen.unit) == ("acme", "exhausted", "usd")


async def test_listeners_are_told_in_the_order_they_came(
    pool: BudgetPool, do: Do
) -> None:
    told: list[str] = []
    pool.subscribe(lambda event: told.append(f"first {type(event).__name__}"))
    pool.subscribe(lambda event: told.append(f"second {type(event).__name__}"))

    await do((await do(pool.reserve, usd(1))).release)

    assert told == [
        *("first Reserved", "second Reserved"),
        *("first Released", "second Released"),
    ]


async def test_whoever_unsubscribes_hears_no_more(pool: BudgetPool, do: Do) -> None:
    heard: list[Event] = []
    listener = heard.append
    keep, stop = pool.subscribe(listener), pool.subscribe(listener)

    stop()
    await do(pool.reserve, usd(1))
    keep()
    keep()
    await do(pool.reserve, usd(1))

    assert kinds(heard) == ["Reserved"]


async def test_a_listener_that_fails_is_logged_and_harms_nobody(
    pool: BudgetPool, caplog: pytest.LogCaptureFixture, do: Do
) -> None:
    def fail(event: Event) -> None:
        raise ValueError(event.account)

    pool.subscribe(fail)
    heard: list[Event] = []
    pool.subscribe(heard.append)
    with caplog.at_level(logging.ERROR, "langchain_budget"):
        await spend(pool, 1, do)

    assert kinds(heard) == ["Reserved", "Settled"]
    assert pool.balance().spent == usd(1)
    assert caplog.messages == [
        "a budget listener failed on Reserved",
        "a budget listener failed on Settled",
    ]


async def test_a_listener_may_use_the_pool(pool: BudgetPool, do: Do) -> None:
    def refill(event: Event) -> None:
        if isinstance(event, happened.AccountFrozen):
            pool.top_up(usd(5))

    pool.subscribe(refill)

    await spend(pool, 10, do)

    assert pool.balance().available == usd(5)


async def test_a_refusal_is_announced_with_its_numbers(
    pool: BudgetPool, events: list[Event], do: Do
) -> None:
    web = await do(pool.open, "web")

    with pytest.raises(BudgetExceeded) as error:
        await do(web.reserve, usd(11), labels={"agent": "web"})

    refused = events[-1]
    assert isinstance(refused, happened.Refused)
    assert (refused.account, refused.wanted_by) == ("acme", "acme/web")
    assert refused.refusal == error.value.refusal
    assert refused.labels == {"agent": "web"}
    assert refused.seq == 0


@pytest.fixture
def watched(store: MemoryStore) -> BudgetPool:
    return BudgetPool("watch", usd(100), store=store, warn_at=(0.5, "75%", 90))


async def test_each_threshold_is_announced_when_it_is_crossed(
    watched: BudgetPool, do: Do
) -> None:
    events: list[Event] = []
    watched.subscribe(events.append)

    heard = []
    for dollars in ("49.99", "0.01", "10", "30", "20"):
        await spend(watched, dollars, do)
        heard.append(marks(events))
        events.clear()

    assert heard == [
        *([], [("watch", 50)], [], [("watch", 75), ("watch", 90)], []),
    ]


async def test_one_jump_crosses_several_thresholds_once_each(
    watched: BudgetPool, do: Do
) -> None:
    events: list[Event] = []
    watched.subscribe(events.append)

    await spend(watched, 200, do)

    assert marks(events) == [("watch", 50), ("watch", 75), ("watch", 90)]
    assert kinds(events)[-1] == "AccountFrozen"
    crossed = next(each for each in events if isinstance(each, ThresholdCrossed))
    assert (crossed.used, crossed.granted) == (200 * 10**9, 100 * 10**9)


async def test_every_account_has_thresholds_of_its_own(
    watched: BudgetPool, do: Do
) -> None:
    web = await do(watched.open, "web", limit=usd(10), warn_at=[0.2])
    events: list[Event] = []
    watched.subscribe(events.append)

    await do((await do(web.reserve, usd(1))).settle, usd(60))

    assert marks(events) == [("watch/web", 20), ("watch", 50)]


async def test_what_is_held_crosses_no_threshold(watched: BudgetPool, do: Do) -> None:
    events: list[Event] = []
    watched.subscribe(events.append)

    await do((await do(watched.reserve, usd(100))).release)

    assert kinds(events) == ["Reserved", "Released"]


async def test_a_threshold_is_crossed_again_after_a_top_up(
    watched: BudgetPool, do: Do
) -> None:
    events: list[Event] = []
    watched.subscribe(events.append)
    await spend(watched, 50, do)
    await do(watched.top_up, usd(100))

    await spend(watched, 50, do)

    assert marks(events) == [("watch", 50)] * 2


async def test_a_lowered_limit_crosses_thresholds_and_exhausts(
    watched: BudgetPool, do: Do
) -> None:
    await spend(watched, 40, do)
    events: list[Event] = []
    watched.subscribe(events.append)

    await do(watched.set_limit, usd(50))
    await do(watched.set_limit, usd(40))

    assert marks(events) == [("watch", 50), ("watch", 75), ("watch", 90)]
    assert kinds(events)[-1] == "AccountFrozen"


async def test_exhausted_and_revived_are_announced_once_each(
    pool: BudgetPool, events: list[Event], do: Do
) -> None:
    await spend(pool, 9, do)
    hold = await do(pool.reserve, usd(1))
    other = await do(pool.reserve, usd(0))
    await do(hold.settle, usd(2))
    await do(other.settle, usd(1))
    for _ in range(3):
        await do(pool.top_up, usd(1))

    told = [kind for kind in kinds(events) if kind.startswith("Account")]
    assert told == ["AccountFrozen", "AccountThawed"]
    assert pool.balance().available == usd(1)


class CutOff(BaseException):
    """As `SystemExit` of a signal is: not one's own error, and not an `Exception`."""


@pytest.mark.parametrize("during", ["Reserved", "Settled", "Released"])
async def test_a_listener_that_is_cut_off_leaves_nothing_held(
    pool: BudgetPool, during: str, do: Do
) -> None:
    def cut_off(event: Event) -> None:
        if type(event).__name__ == during:
            stop()
            raise CutOff

    stop = pool.subscribe(cut_off)

    async def use() -> None:
        hold = await do(pool.reserve, usd(3))
        if during == "Settled":
            await do(hold.settle, usd(3))
        await do(hold.release)

    with pytest.raises(CutOff):
        await use()

    assert pool.balance().held == usd(0)
    assert pool.balance().spent == usd(3 if during == "Settled" else 0)
    await spend(pool, 1, do)
    assert_quiet(pool.ledger.store)


@pytest.mark.parametrize("wrap", [False, True])
def test_a_call_that_is_cut_off_there_is_not_made_and_holds_nothing(
    wrap: bool,  # noqa: FBT001  # pytest passes it by name
) -> None:
    def cut_off(event: Event) -> None:
        if isinstance(event, happened.Reserved):
            raise CutOff

    pool, model = BudgetPool("acme", tokens(9_999)), FakeChatModel(usage=(12, 3))
    pool.subscribe(cut_off)
    asked = budgeted(model, pool) if wrap else model
    callbacks = [] if wrap else [BudgetCallbackHandler(pool)]

    with pytest.raises(CutOff):
        asked.invoke("Hi", {"callbacks": callbacks})

    assert model.calls == ()
    assert pool.report().total.amounts == {}
    assert_quiet(pool.ledger.store)
