"""A hold: how it ends."""

from __future__ import annotations

import pytest

from langchain_budget.core.postings import (
    Balance,
    Basis,
    CloseHold,
    Hold,
    Kind,
    Receipt,
    Refusal,
    Status,
)
from langchain_budget.core.rules import opened as opened_by
from langchain_budget.stores.base import Store
from langchain_budget.testing._conformance.words import (
    LIFE,
    ROOT,
    WEB,
    account,
    applied,
    assert_books_add_up,
    expire,
    held,
    key,
    opened,
    opening,
    refused,
    release,
    reserve,
    settle,
    supersede,
    told,
    tree,
    without_trace,
)
from langchain_budget.testing.clock import StillClock


class Closing:
    """Settling, releasing, expiring, superseding."""

    @pytest.mark.parametrize("used", [0, 3, 4, 9])
    def test_a_settle_charges_what_was_used_and_gives_back_the_hold(
        self, store: Store, used: int
    ) -> None:
        tree(store)
        opened(store, reserve("other", held(1)))
        hold = opened(store, reserve("it", held(4)))

        receipt = applied(store, settle(hold, used))

        balances = store.balances([ROOT, WEB])
        assert balances[key(WEB)] == Balance(5, held=1, spent=used)
        assert balances[key(ROOT)] == Balance(10, held=1, spent=used)
        changes = {key(WEB): (5, 0, 5, used), key(ROOT): (10, 0, 10, used)}
        assert told(receipt) == (changes if used else {})
        assert store.journal()[-1].seq == receipt.seq
        assert_books_add_up(store)

    def test_a_release_charges_nothing(self, store: Store) -> None:
        tree(store)
        hold = opened(store, reserve("it", held(4)))

        receipt = applied(store, release(hold))

        assert told(receipt) == {}
        assert store.balances([WEB]) == {key(WEB): Balance(5)}
        assert store.hold("it") == hold._replace(status=Status.RELEASED)

    @pytest.mark.parametrize("started", [True, False])
    def test_an_expired_hold_is_charged_if_its_call_had_started(
        self, store: Store, clock: StillClock, *, started: bool
    ) -> None:
        tree(store)
        asked = reserve("it", held(4), started=started, worst={"usd": 6})
        hold = opened(store, asked)
        clock.advance(LIFE)

        applied(store, expire(hold))

        ended = store.hold("it")
        assert ended is not None
        assert (ended.status, ended.charged) == (
            Status.EXPIRED,
            {"usd": 4} if started else {},
        )
        assert store.balances([WEB])[key(WEB)] == Balance(5, spent=4 * started)
        assert store.journal()[-1].note.unconfirmed == ({"usd": 2} if started else {})

    def test_a_hold_is_closed_only_out_of_the_state_that_was_asked_for(
        self, store: Store
    ) -> None:
        tree(store)
        hold = opened(store, reserve("it", held(4)))
        # Another set of another status that is the same is the same.
        fresh = frozenset({(Status("open"), Basis(""))})
        posting = settle(hold, 3)
        assert isinstance(posting.hold, CloseHold)
        posting = posting._replace(hold=posting.hold._replace(before=fresh))

        early = refused(store, supersede(hold, 3))
        applied(store, posting)

        assert early == Refusal(Kind.NOT_OPEN, WEB, detail="it", hold=hold)

    def test_a_hold_that_is_released_before_it_is_seen_never_opens(
        self, store: Store, clock: StillClock
    ) -> None:
        tree(store)
        asked = reserve("late", held(4))
        hold = opened_by(asked)
        at = clock()
        expected = Hold("late", WEB, {}, {}, (), False, at, at, Status.RELEASED)  # noqa: FBT003
        journal = store.journal()

        receipt = applied(store, release(hold))
        clock.advance(5)
        answer = without_trace(store, asked)
        twice = refused(store, release(hold))
        settled = refused(store, settle(hold, 1))

        (entry,) = store.journal()[len(journal) :]
        assert receipt == Receipt(len(journal) + 1)
        assert (entry.kind, entry.hold, entry.released) == ("release", "late", ())
        assert answer == Receipt(0, (), expected)
        assert twice == Refusal(Kind.NOT_OPEN, WEB, detail="late", hold=expected)
        assert settled == twice
        assert store.open_holds() == ()
        assert_books_add_up(store)

    def test_a_close_is_judged_like_any_posting(
        self, store: Store, clock: StillClock
    ) -> None:
        tree(store)
        closes = [
            release(opened(store, reserve("known", held(4)))),
            release(opened_by(reserve("unseen", held(4)))),
        ]
        for close in closes:
            late = refused(store, close._replace(during=(0.0, clock())))
            stale = refused(store, close._replace(seen=((WEB, 9),)))
            assert (late.kind, stale) == (Kind.OUTSIDE, Refusal(Kind.STALE, WEB))
            applied(store, close._replace(seen=((WEB, 1),)))

    @pytest.mark.parametrize("reported", [0, 2, 9])
    def test_what_is_reported_takes_the_place_of_an_estimate(
        self, store: Store, reported: int
    ) -> None:
        tree(store)
        hold = opened(store, reserve("it", held(4), worst={"usd": 6}))
        applied(store, settle(hold, 4, Basis.ESTIMATED))
        guessed = store.hold("it")
        assert guessed is not None

        receipt = applied(store, supersede(guessed, reported))

        entry, ended = store.journal()[-1], store.hold("it")
        assert store.balances([ROOT])[key(ROOT)] == Balance(10, spent=reported)
        assert told(receipt)[key(WEB)] == (5, 4, 5, reported)
        assert (entry.kind, entry.hold, entry.released) == ("supersede", "it", ())
        assert entry.note.amounts == {"usd": reported - 4}
        assert entry.note.unconfirmed == {"usd": -2}
        assert ended == guessed._replace(
            basis=Basis.REPORTED, charged={"usd": reported}
        )
        assert_books_add_up(store)

    @pytest.mark.parametrize("started", [True, False])
    def test_a_report_takes_the_place_of_an_expiry(
        self, store: Store, *, started: bool
    ) -> None:
        tree(store)
        hold = opened(store, reserve("it", held(4), started=started))
        applied(store, expire(hold))
        expired = store.hold("it")
        assert expired is not None

        applied(store, supersede(expired, 3))

        ended = store.hold("it")
        assert ended is not None
        assert (ended.status, ended.basis) == (Status.SETTLED, Basis.REPORTED)
        assert [store.balances([WEB])[key(WEB)]] == [Balance(5, spent=3)]

    @pytest.mark.parametrize("basis", [Basis.REPORTED, Basis.UNKNOWN])
    def test_a_report_stands_and_so_does_a_release(
        self, store: Store, basis: Basis
    ) -> None:
        tree(store)
        first, second = (opened(store, reserve(each, held(1))) for each in "ab")
        applied(store, settle(first, 1, basis))
        applied(store, release(second))

        for each in "ab":
            ended = store.hold(each)
            assert ended is not None
            refusal = refused(store, supersede(ended, 2))
            assert (refusal.kind, refusal.hold) == (Kind.NOT_OPEN, ended)

    def test_a_hold_may_end_where_and_when_nothing_else_is_admitted(
        self, store: Store, clock: StillClock
    ) -> None:
        tree(store)
        holds = [opened(store, reserve(each, held(1))) for each in "abc"]
        frozen = account(WEB, {"usd": 5}, version=2, frozen="audit")
        closed = account(ROOT, {"usd": 10}, version=2, closed=True)
        applied(store, opening(closed, frozen))
        clock.advance(LIFE * 9)

        applied(store, settle(holds[0], 99))
        applied(store, release(holds[1]))
        applied(store, expire(holds[2]))

        assert store.balances([WEB]) == {key(WEB): Balance(5, spent=100)}
