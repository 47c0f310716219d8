"""A posting that comes again is answered again, and applied once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from langchain_budget.core.postings import (
    Basis,
    Delta,
    Hold,
    Kind,
    Note,
    Posting,
    Receipt,
    Refusal,
    Status,
)
from langchain_budget.stores.base import Store
from langchain_budget.testing._conformance.words import (
    LIFE,
    ROOT,
    START,
    WEB,
    account,
    applied,
    assert_books_add_up,
    expire,
    grant,
    held,
    key,
    opened,
    opening,
    refused,
    release,
    reserve,
    settle,
    supersede,
    tree,
    without_trace,
)
from langchain_budget.testing.clock import StillClock

Close = Callable[[Hold], Posting]

CLOSES: list[Close] = [lambda hold: settle(hold, 3), release, expire]
OTHERS = [
    grant("grant", 5),
    Posting(
        "transfer",
        "transfer",
        WEB,
        (
            Delta((key(WEB),), granted=-2, guarded=True),
            Delta((key("acme/new"),), granted=2),
        ),
        note=Note({"usd": 2}, labels={"payee": "acme/new"}, reason="why not"),
    ),
    opening(
        account("acme/new", {"usd": 3}, slices=frozenset({"usd"})),
        deltas=(Delta((key(ROOT),), lent=3, guarded=True),),
        seen=(("acme/new", 0),),
    ),
    opening(account(WEB, {"usd": 5}, version=2, frozen="audit"), kind="freeze"),
    grant("in time", 1)._replace(during=(START, START + 1)),
]
KINDS = [each.id for each in OTHERS]


class Repeats:
    """Idempotency."""

    def test_a_reserve_that_comes_again_holds_once(self, store: Store) -> None:
        tree(store)
        posting = reserve("same", held(4), labels={"agent": "web"})
        hold = opened(store, posting)

        again = without_trace(store, posting)

        assert again == Receipt(0, (), hold)
        assert_books_add_up(store)

    @pytest.mark.parametrize("close", CLOSES, ids=["settle", "release", "expire"])
    def test_a_reserve_that_comes_again_tells_how_the_hold_has_ended(
        self, store: Store, close: Close
    ) -> None:
        tree(store)
        posting = reserve("same", held(4))
        applied(store, close(opened(store, posting)))
        ended = store.hold("same")

        again = without_trace(store, posting)

        assert again == Receipt(0, (), ended)
        assert ended is not None
        assert ended.status is not Status.OPEN

    def test_a_reserve_that_comes_again_is_not_judged_again(
        self, store: Store, clock: StillClock
    ) -> None:
        tree(store)
        posting = reserve("same", held(4))._replace(
            admit=((WEB, 1),), during=(START, START + 1)
        )
        hold = opened(store, posting)
        clock.advance(2 * LIFE)
        applied(store, opening(account(WEB, {"usd": 5}, version=2, closed=True)))
        applied(store, grant("lower", -4, key(WEB)))

        assert without_trace(store, posting) == Receipt(0, (), hold)

    @pytest.mark.parametrize(
        "other",
        [
            reserve("same", held(5)),
            reserve("same", held(4, key(WEB))),
            reserve("same", held(4), worst={"usd": 9}),
            reserve("same", held(4), amounts={"usd": 4, "tokens": 1}),
            reserve("same", held(4), started=False),
            reserve("same", held(4), labels={"agent": "web"}),
            reserve("same", held(4))._replace(account=ROOT),
        ],
    )
    @pytest.mark.parametrize("closed", [False, True])
    def test_the_id_of_a_hold_is_not_for_another_one(
        self, store: Store, other: Posting, *, closed: bool
    ) -> None:
        tree(store)
        hold = opened(store, reserve("same", held(4)))
        if closed:
            applied(store, settle(hold, 4))

        refusal = refused(store, other)

        assert refusal == Refusal(Kind.CONFLICT, other.account, detail="same")

    @pytest.mark.parametrize("posting", OTHERS, ids=KINDS)
    def test_what_has_no_hold_is_done_once_and_answered_the_same_for_ever(
        self, store: Store, clock: StillClock, posting: Posting
    ) -> None:
        tree(store)
        first = applied(store, posting)
        assert without_trace(store, posting) == first

        applied(store, opening(account(WEB, {"usd": 1}, version=3, closed=True)))
        applied(store, grant("later", 100))
        clock.advance(LIFE)
        again = posting._replace(admit=((WEB, 1),), seen=((ROOT, 9),))

        assert without_trace(store, posting) == first
        assert without_trace(store, again) == first
        assert_books_add_up(store)

    @pytest.mark.parametrize(
        "fields",
        [
            {"kind": "set_limit"},
            {"account": WEB},
            {"deltas": (Delta((key(ROOT),), granted=6),)},
            {"deltas": (Delta((key(ROOT),), granted=5, guarded=True),)},
            {"note": Note(reason="because")},
        ],
    )
    def test_the_id_of_a_posting_is_not_for_another_one(
        self, store: Store, fields: dict[str, Any]
    ) -> None:
        tree(store)
        applied(store, grant("friday", 5))
        other = grant("friday", 5)._replace(**fields)

        refusal = refused(store, other)

        assert refusal == Refusal(Kind.CONFLICT, other.account, detail="friday")

    def test_what_was_refused_is_judged_anew(self, store: Store) -> None:
        tree(store, web=1)
        hold, lend = reserve("hold", held(4)), Delta((key(WEB),), lent=4, guarded=True)
        loan = Posting("loan", "loan", WEB, (lend,))
        last = store.journal()[-1].seq
        refused(store, hold)
        refused(store, loan)

        numbers = [
            applied(store, each).seq for each in (grant("a", 9, key(WEB)), hold, loan)
        ]

        assert numbers == [last + 1, last + 2, last + 3]

    @pytest.mark.parametrize("close", CLOSES, ids=["settle", "release", "expire"])
    def test_a_hold_closes_once_and_then_tells_how(
        self, store: Store, close: Close
    ) -> None:
        tree(store)
        hold = opened(store, reserve("once", held(4)))
        applied(store, close(hold))
        closed = store.hold("once")

        answers = [refused(store, each(hold)) for each in CLOSES]

        no = Refusal(Kind.NOT_OPEN, WEB, detail="once", hold=closed)
        assert answers == [no] * 3

    def test_a_charge_is_replaced_once(self, store: Store) -> None:
        tree(store)
        hold = opened(store, reserve("once", held(4)))
        applied(store, settle(hold, 4, Basis.ESTIMATED))
        guessed = store.hold("once")
        assert guessed is not None
        applied(store, supersede(guessed, 3))

        for again in (supersede(guessed, 3), supersede(guessed, 2), settle(hold, 4)):
            refusal = refused(store, again)
            assert (refusal.kind, refusal.hold) == (Kind.NOT_OPEN, store.hold("once"))

    def test_a_hold_and_another_posting_may_have_the_same_id(
        self, store: Store
    ) -> None:
        tree(store)

        applied(store, grant("same", 5))
        opened(store, reserve("same", held(4)))

        assert_books_add_up(store)
