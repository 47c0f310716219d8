"""A hold: how it is opened, and what is told of it."""

from __future__ import annotations

import pytest

from langchain_budget.core.postings import (
    Balance,
    Basis,
    Hold,
    KeepHold,
    Kind,
    Posting,
    Receipt,
    Refusal,
    Status,
)
from langchain_budget.core.rules import keep
from langchain_budget.core.rules import opened as opened_by
from langchain_budget.stores.base import Store
from langchain_budget.testing._conformance.words import (
    LIFE,
    ROOT,
    START,
    WEB,
    applied,
    assert_books_add_up,
    expire,
    held,
    key,
    opened,
    refused,
    release,
    reserve,
    settle,
    tree,
    without_trace,
)
from langchain_budget.testing.clock import StillClock


class Holds:
    """Opening and keeping holds."""

    def test_a_hold_is_told_of_in_full_while_open_and_after(
        self, store: Store, clock: StillClock
    ) -> None:
        tree(store)
        clock.advance(7.5)
        deltas = held(5), held(900, key(WEB, "tokens"))
        worst, labels = {"usd": 9}, {"node": "a", "agent": 'the "web"'}
        asked = reserve("it", *deltas, worst=worst, labels=labels, started=False)
        amounts = {"usd": 5, "tokens": 900}
        times = START + 7.5, START + 7.5 + LIFE
        expected = Hold("it", WEB, amounts, worst, deltas, False, *times, labels=labels)  # noqa: FBT003

        hold = opened(store, asked)
        holds = store.open_holds()
        clock.advance(3)
        applied(store, settle(hold, 6))

        assert hold == expected
        assert holds == (expected,)
        assert store.hold("it") == expected._replace(
            status=Status.SETTLED,
            basis=Basis.REPORTED,
            charged={"usd": 6, "tokens": 6},
        )
        assert store.open_holds() == ()

    def test_a_hold_that_never_was_is_none(self, store: Store) -> None:
        tree(store)

        assert store.hold("it") is None
        assert store.open_holds() == store.overdue() == ()

    def test_a_hold_that_never_was_is_not_charged(self, store: Store) -> None:
        tree(store)
        hold = opened_by(reserve("nobody", held(4)))

        answers = [refused(store, each) for each in (settle(hold, 1), expire(hold))]

        assert answers == [Refusal(Kind.UNKNOWN, WEB, detail="nobody")] * 2

    def test_a_hold_may_touch_several_trees_and_units(self, store: Store) -> None:
        tree(store)
        keys = key(WEB), key(ROOT), key("tenant"), key("tool")
        tokens = held(7, key(ROOT, "tokens"))

        hold = opened(store, reserve("wide", held(2, *keys), tokens))

        balances = store.balances([ROOT, WEB, "tenant", "tool"])
        assert [balances[each].held for each in keys] == [2, 2, 2, 2]
        assert balances[key(ROOT, "tokens")] == Balance(None, held=7)
        applied(store, release(hold))
        after = store.balances([ROOT, WEB, "tenant", "tool"])
        assert [each.held for each in after.values()] == [0] * 5

    def test_a_hold_may_hold_nothing(self, store: Store) -> None:
        tree(store)
        asked = reserve("free", held(1))._replace(deltas=())

        hold = opened(store, asked)
        applied(store, release(hold))

        assert hold.deltas == ()
        assert_books_add_up(store)

    @pytest.mark.parametrize("left", [0.5, 0, -0.5])
    def test_a_hold_is_overdue_from_the_end_of_its_time_on(
        self, store: Store, clock: StillClock, left: float
    ) -> None:
        tree(store)
        short = opened(store, reserve("short", held(1), ttl_seconds=5.0))
        long = opened(store, reserve("long", held(1), ttl_seconds=500.0))

        clock.advance(5.0 - left)

        assert store.overdue() == (() if left > 0 else (short,))
        assert sorted(store.open_holds()) == sorted([short, long])
        applied(store, settle(short, 1))
        assert store.overdue() == ()

    @pytest.mark.parametrize("seconds", [100.0, 3.0])
    def test_a_hold_that_is_kept_lives_that_long_from_now_on(
        self, store: Store, clock: StillClock, seconds: float
    ) -> None:
        tree(store)
        hold = opened(store, reserve("kept", held(1)))
        journal = store.journal()
        clock.advance(LIFE)
        assert store.overdue() == (hold,)

        answers = [store.post(keep(hold, seconds)) for _ in range(2)]

        until = START + LIFE + seconds
        assert answers == [Receipt(0), Receipt(0)]
        assert store.open_holds() == (hold._replace(expires_at=until),)
        assert store.overdue() == ()
        assert store.journal() == journal
        clock.advance(seconds)
        assert store.overdue() == store.open_holds()

    def test_what_is_closed_or_was_never_there_cannot_be_kept(
        self, store: Store
    ) -> None:
        tree(store)
        hold = opened(store, reserve("kept", held(1)))
        applied(store, release(hold))
        nobody = Posting("x:keep", "keep", WEB, hold=KeepHold("x", LIFE))

        closed = refused(store, keep(hold, LIFE))
        unknown = refused(store, nobody)

        ended = store.hold("kept")
        assert closed == Refusal(Kind.NOT_OPEN, WEB, detail="kept", hold=ended)
        assert unknown == Refusal(Kind.UNKNOWN, WEB, detail="x")

    def test_a_kept_hold_is_still_the_same_when_its_reserve_comes_again(
        self, store: Store
    ) -> None:
        tree(store)
        asked = reserve("kept", held(1))
        applied(store, keep(opened(store, asked), 500.0))

        again = without_trace(store, asked)

        assert again == Receipt(0, (), store.hold("kept"))

    def test_the_caller_may_go_on_to_change_what_it_has_passed(
        self, store: Store
    ) -> None:
        tree(store)
        amounts, worst, labels = {"usd": 5}, {"usd": 9}, {"agent": "web"}
        asked = reserve("it", held(5), amounts=amounts, worst=worst, labels=labels)
        hold = opened(store, asked)
        applied(store, settle(hold, 3))

        amounts["usd"] = worst["usd"] = 0
        labels.clear()

        kept = store.hold("it")
        assert kept is not None
        assert (kept.amounts, kept.worst) == ({"usd": 5}, {"usd": 9})
        assert kept.labels == store.journal()[-2].note.labels == {"agent": "web"}
        assert store.journal()[-2].note.amounts == {"usd": 5}
