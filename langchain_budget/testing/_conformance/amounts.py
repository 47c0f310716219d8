"""Whole numbers stay whole, and limits are exact to the last unit."""

from __future__ import annotations

import pytest

from langchain_budget.core.amounts import LARGEST
from langchain_budget.core.postings import Balance, Kind, Refusal
from langchain_budget.errors import StoreError
from langchain_budget.stores.base import Store
from langchain_budget.testing._conformance.words import (
    PATH,
    ROOT,
    WEB,
    applied,
    assert_books_add_up,
    grant,
    held,
    key,
    opened,
    refused,
    reserve,
    settle,
    told,
    trace,
    tree,
)

BEYOND_FLOATS = 2**53 + 1
MOST = 2**63 - 1


class Amounts:
    """Numbers."""

    @pytest.mark.parametrize("value", [BEYOND_FLOATS, LARGEST - 1, LARGEST])
    def test_counts_are_exact_where_a_float_is_not(
        self, store: Store, value: int
    ) -> None:
        tree(store, acme=LARGEST, web=LARGEST)

        hold = opened(store, reserve("big", held(value), worst={"usd": value}))
        holding = store.balances([WEB])[key(WEB)]
        receipt = applied(store, settle(hold, value - 1))
        entry = store.journal()[-1]

        assert hold.amounts == hold.worst == {"usd": value}
        assert holding == Balance(LARGEST, held=value)
        assert told(receipt) == dict.fromkeys(PATH, (LARGEST, 0, LARGEST, value - 1))
        assert entry.note.amounts == {"usd": value - 1}
        assert (entry.released[0].held, entry.deltas[0].spent) == (value, value - 1)
        assert_books_add_up(store)

    @pytest.mark.parametrize("limit", [1, 10, BEYOND_FLOATS, LARGEST])
    def test_a_limit_admits_its_last_unit_and_not_one_more(
        self, store: Store, limit: int
    ) -> None:
        tree(store, acme=limit, web=LARGEST)
        refused(store, reserve("one more than all", held(limit + 1, key(ROOT))))
        hold = opened(store, reserve("all but one", held(limit - 1)))
        opened(store, reserve("the last", held(1)))

        contended = refused(store, reserve("too much", held(1, key(ROOT))))
        applied(store, settle(hold, limit))
        exhausted = refused(store, reserve("too much", held(1, key(ROOT))))

        assert contended == Refusal(
            Kind.CONTENDED, ROOT, "usd", 1, Balance(limit, held=limit)
        )
        assert exhausted == Refusal(
            Kind.EXHAUSTED, ROOT, "usd", 1, Balance(limit, held=1, spent=limit)
        )

    def test_nothing_at_all_fits_into_an_empty_limit_but_not_below(
        self, store: Store
    ) -> None:
        tree(store, acme=0)
        hold = opened(store, reserve("nothing", held(0)))
        applied(store, settle(hold, 1))

        below = refused(store, reserve("nothing more", held(0)))

        assert below == Refusal(Kind.EXHAUSTED, ROOT, "usd", 0, Balance(0, spent=1))

    def test_a_limit_may_be_lowered_below_what_is_spent(self, store: Store) -> None:
        tree(store)
        applied(store, settle(opened(store, reserve("spent", held(4))), 4))

        receipt = applied(store, grant("lower", -9))

        assert told(receipt) == {key(ROOT): (10, 4, 1, 4)}
        assert store.balances([ROOT])[key(ROOT)].available == -3
        assert refused(store, reserve("more", held(1))).balance == Balance(1, spent=4)

    def test_what_is_spent_counts_on_to_the_end_of_64_bits(self, store: Store) -> None:
        tree(store)
        holds = [opened(store, reserve(each, held(0))) for each in ("half", "rest")]

        applied(store, settle(holds[0], LARGEST))
        applied(store, settle(holds[1], MOST - LARGEST))

        assert store.balances([ROOT])[key(ROOT)] == Balance(10, spent=MOST)
        assert_books_add_up(store)

    def test_beyond_64_bits_a_store_counts_on_or_fails_as_a_whole(
        self, store: Store
    ) -> None:
        tree(store)
        holds = [opened(store, reserve(each, held(0))) for each in "ab"]
        # The first counter of this one has room where the others have none.
        last = opened(store, reserve("last", held(0, key("else"), *PATH)))
        applied(store, settle(holds[0], LARGEST))
        applied(store, settle(holds[1], LARGEST - 1))
        posting = settle(last, 2)
        before = trace(store, posting)

        try:
            applied(store, posting)
        except StoreError:
            assert trace(store, posting) == before

        assert_books_add_up(store)

    def test_more_than_is_counted_cannot_be_granted(self, store: Store) -> None:
        tree(store, acme=LARGEST - 5)

        refusal = refused(store, grant("too much", 6))

        assert refusal == Refusal(Kind.OVERFLOW, ROOT, "usd", 6, Balance(LARGEST - 5))
        assert told(applied(store, grant("all there is", 5))) == {
            key(ROOT): (LARGEST - 5, 0, LARGEST, 0)
        }

    def test_what_one_account_lacks_is_held_on_none(self, store: Store) -> None:
        tree(store, acme=3)

        refusal = refused(store, reserve("wide", held(1, key("else")), held(4)))

        assert refusal == Refusal(Kind.EXHAUSTED, ROOT, "usd", 4, Balance(3))
