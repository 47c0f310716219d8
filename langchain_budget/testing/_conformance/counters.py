"""Counters: made from ceilings, and what changes them."""

from __future__ import annotations

from langchain_budget.core.amounts import LARGEST
from langchain_budget.core.postings import Balance, Delta, Note, Posting
from langchain_budget.stores.base import Store
from langchain_budget.testing._conformance.words import (
    ROOT,
    WEB,
    account,
    applied,
    assert_books_add_up,
    grant,
    held,
    key,
    opened,
    opening,
    refused,
    reserve,
    settle,
    told,
    tree,
)


class Counters:
    """Balances and receipts."""

    def test_ceilings_are_told_before_anything_touches_them(self, store: Store) -> None:
        applied(store, opening(account(ROOT, {"tokens": 5, "usd": 0})))

        balances = store.balances([ROOT, "nobody", ROOT])

        assert balances == {key(ROOT, "tokens"): Balance(5), key(ROOT): Balance(0)}
        assert store.balances([]) == store.balances(["nobody"]) == {}
        assert store.balances(iter([ROOT])) == balances

    def test_without_a_ceiling_a_counter_counts_and_refuses_nothing(
        self, store: Store
    ) -> None:
        tree(store)
        hold = opened(store, reserve("it", held(LARGEST, key(WEB, "tokens"))))
        applied(store, settle(hold, 900))

        counter = store.balances([WEB])[key(WEB, "tokens")]

        assert counter == Balance(None, spent=900)
        assert counter.available is None

    def test_a_grant_makes_a_limit_of_what_had_none(self, store: Store) -> None:
        tree(store)
        tokens = key(ROOT, "tokens")
        hold = opened(store, reserve("it", held(5, tokens)))
        applied(store, settle(hold, 4))

        receipt = applied(store, grant("first limit", 7, tokens))

        assert store.balances([ROOT])[tokens] == Balance(7, spent=4)
        assert told(receipt) == {tokens: (LARGEST, 4, 7, 4)}
        refused(store, reserve("more", held(4, tokens)))
        assert_books_add_up(store)

    def test_a_grant_that_is_taken_back_at_once_makes_a_limit_of_nothing(
        self, store: Store
    ) -> None:
        tree(store)
        tokens = key(ROOT, "tokens")
        deltas = Delta((tokens,), granted=1), Delta((tokens,), granted=-1)

        receipt = applied(store, Posting("nothing", "set_limit", ROOT, deltas))

        assert store.balances([ROOT])[tokens] == Balance(0)
        assert told(receipt) == {tokens: (LARGEST, 0, 0, 0)}

    def test_a_counter_that_is_there_keeps_what_it_was_granted(
        self, store: Store
    ) -> None:
        opened(store, reserve("early", held(5, key(ROOT))))

        applied(store, opening(account(ROOT, {"usd": 7, "tokens": 9})))
        applied(store, opening(account(ROOT, {"usd": 8, "tokens": 3}, version=2)))

        assert store.balances([ROOT]) == {
            key(ROOT): Balance(None, held=5),
            key(ROOT, "tokens"): Balance(9),
        }

    def test_a_limit_changes_by_what_the_posting_grants(self, store: Store) -> None:
        tree(store)
        more = Delta((key(ROOT),), granted=5)
        row = account(ROOT, {"usd": 15}, version=2)
        posting = opening(row, deltas=(more,), kind="set_limit", note=Note({"usd": 5}))

        receipt = applied(store, posting)

        assert store.balances([ROOT])[key(ROOT)] == Balance(15)
        assert told(receipt) == {key(ROOT): (10, 0, 15, 0)}
        assert_books_add_up(store)

    def test_a_first_limit_comes_with_its_account(self, store: Store) -> None:
        tree(store)
        more = Delta((key(ROOT, "tokens"),), granted=5)
        row = account(ROOT, {"usd": 10, "tokens": 5}, version=2)

        applied(store, opening(row, deltas=(more,)))

        assert store.balances([ROOT])[key(ROOT, "tokens")] == Balance(5)
        assert_books_add_up(store)

    def test_a_receipt_tells_of_limits_that_were_used_or_granted_more(
        self, store: Store
    ) -> None:
        tree(store)
        asked = reserve("it", held(4), held(9, key(WEB, "tokens")))
        lent = Delta((key(ROOT),), lent=3, guarded=True)

        holding = applied(store, asked)
        lending = applied(store, Posting("lend", "loan", ROOT, (lent,)))
        hold = store.hold("it")
        assert hold is not None
        settling = applied(store, settle(hold, 2))

        assert holding.changes == ()
        assert holding.hold is None
        assert told(lending) == {key(ROOT): (10, 0, 10, 3)}
        assert told(settling) == {key(WEB): (5, 0, 5, 2), key(ROOT): (10, 3, 10, 5)}

    def test_what_is_lent_is_guarded_like_what_is_held(self, store: Store) -> None:
        tree(store)
        opened(store, reserve("it", held(4)))

        def lend(value: int) -> Posting:
            lent = Delta((key(ROOT),), lent=value, guarded=True)
            return Posting(f"lend {value}", "loan", ROOT, (lent,))

        assert refused(store, lend(7)).balance == Balance(10, held=4)
        applied(store, lend(6))
        assert store.balances([ROOT])[key(ROOT)] == Balance(10, held=4, lent=6)
