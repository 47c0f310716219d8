"""Slices: what is carved out, what comes back, and who pays for an overrun."""

from __future__ import annotations

import pytest

from langchain_budget.core.postings import (
    Balance,
    Basis,
    Delta,
    Effect,
    Note,
    Posting,
    Refusal,
    Spill,
)
from langchain_budget.stores.base import Store
from langchain_budget.testing._conformance.words import (
    ROOT,
    account,
    applied,
    assert_books_add_up,
    held,
    key,
    opened,
    opening,
    refused,
    reserve,
    settle,
    supersede,
    told,
)

OUTER, TEAM, INNER = "acme/outer", "acme/outer/team", "acme/outer/team/inner"
SLICED = frozenset({"usd"})
TO_ROOT = Spill(key(OUTER), (key(ROOT),))
TO_OUTER = Spill(key(INNER), (key(TEAM), key(OUTER)))


def carved(store: Store) -> None:
    """`ROOT` of 10, in it the slice `OUTER` of 4, in it `TEAM`, and `INNER` of 2."""
    applied(store, opening(account(ROOT, {"usd": 10})))
    outer = account(OUTER, {"usd": 4}, slices=SLICED)
    applied(store, opening(outer, deltas=(lent(4, ROOT),)))
    applied(store, opening(account(TEAM, {"usd": 99})))
    inner = account(INNER, {"usd": 2}, slices=SLICED)
    applied(store, opening(inner, deltas=(lent(2, TEAM, OUTER),)))


def lent(value: int, *accounts: str) -> Delta:
    return Delta(tuple(map(key, accounts)), lent=value, guarded=True)


def dollars(store: Store) -> dict[str, Balance]:
    balances = store.balances([ROOT, OUTER, TEAM, INNER])
    return {counter.account: seen for counter, seen in balances.items()}


class Slices:
    """Money that has been carved out of a parent."""

    def test_what_is_carved_out_the_parent_has_no_more(self, store: Store) -> None:
        carved(store)

        refusal = refused(store, reserve("it", held(7, key(ROOT))))

        assert refusal.balance == Balance(10, lent=4)
        assert dollars(store) == {
            ROOT: Balance(10, lent=4),
            OUTER: Balance(4, lent=2),
            TEAM: Balance(99, lent=2),
            INNER: Balance(2),
        }

    def test_more_than_there_is_cannot_be_carved_out(self, store: Store) -> None:
        carved(store)
        row = account("acme/greedy", {"usd": 7}, slices=SLICED)

        refusal = refused(store, opening(row, deltas=(lent(7, ROOT),)))

        assert (refusal.account, refusal.wanted) == (ROOT, 7)

    def test_what_a_slice_overruns_is_paid_by_its_parent(self, store: Store) -> None:
        carved(store)
        asked = reserve("it", held(1, key(OUTER), spill=(TO_ROOT,)))
        hold = opened(store, asked)

        receipt = applied(store, settle(hold, 5))

        entry = store.journal()[-1]
        assert entry.spilled == (
            Effect(key(OUTER), granted=3),
            Effect(key(ROOT), lent=3),
        )
        assert dollars(store)[OUTER] == Balance(7, spent=5, lent=2)
        assert dollars(store)[ROOT] == Balance(10, lent=7)
        assert told(receipt) == {key(OUTER): (4, 2, 7, 7), key(ROOT): (10, 4, 10, 7)}
        assert_books_add_up(store)

    @pytest.mark.parametrize(
        ("used", "inner", "outer", "root"),
        [(2, 0, 0, 0), (3, 1, 0, 0), (4, 2, 0, 0), (5, 3, 1, 1), (30, 28, 26, 26)],
    )
    def test_an_overrun_goes_up_as_far_as_it_must(
        self, store: Store, used: int, inner: int, outer: int, root: int
    ) -> None:
        carved(store)
        asked = reserve("it", held(2, key(INNER), spill=(TO_OUTER, TO_ROOT)))
        hold = opened(store, asked)

        receipt = applied(store, settle(hold, used))

        assert dollars(store) == {
            INNER: Balance(2 + inner, spent=used),
            TEAM: Balance(99, lent=2 + inner),
            OUTER: Balance(4 + outer, lent=2 + inner),
            ROOT: Balance(10, lent=4 + root),
        }
        spilled = store.journal()[-1].spilled
        assert len(spilled) == 3 * bool(inner) + 2 * bool(outer)
        assert told(receipt)[key(INNER)] == (2, 0, 2 + inner, used)
        assert (key(ROOT) in told(receipt)) == bool(root)
        assert_books_add_up(store)

    def test_what_others_hold_in_a_slice_is_not_there_to_overrun(
        self, store: Store
    ) -> None:
        carved(store)
        asked = [reserve(each, held(1, key(OUTER), spill=(TO_ROOT,))) for each in "ab"]
        holds = [opened(store, each) for each in asked]

        applied(store, settle(holds[0], 2))

        assert dollars(store)[OUTER] == Balance(5, held=1, spent=2, lent=2)
        applied(store, settle(holds[1], 1))
        assert dollars(store)[ROOT] == Balance(10, lent=5)
        assert_books_add_up(store)

    @pytest.mark.parametrize(("reported", "more"), [(1, 0), (2, 0), (6, 4)])
    def test_a_report_after_an_estimate_may_overrun_too(
        self, store: Store, reported: int, more: int
    ) -> None:
        carved(store)
        asked = reserve("it", held(2, key(OUTER), spill=(TO_ROOT,)))
        applied(store, settle(opened(store, asked), 2, Basis.ESTIMATED))
        guessed = store.hold("it")
        assert guessed is not None

        applied(store, supersede(guessed, reported))

        assert dollars(store)[OUTER] == Balance(4 + more, spent=reported, lent=2)
        assert dollars(store)[ROOT] == Balance(10, lent=4 + more)
        assert_books_add_up(store)

    def test_a_slice_returns_only_what_it_has(self, store: Store) -> None:
        carved(store)
        opened(store, reserve("it", held(1, key(OUTER), spill=(TO_ROOT,))))

        def back(value: int) -> Posting:
            own = Delta((key(OUTER),), granted=-value, guarded=True)
            return Posting(
                f"back {value}",
                "return",
                OUTER,
                (own, Delta((key(ROOT),), lent=-value)),
            )

        assert refused(store, back(2)).balance == Balance(4, held=1, lent=2)
        receipt = applied(store, back(1))
        assert dollars(store)[OUTER] == Balance(3, held=1, lent=2)
        assert dollars(store)[ROOT] == Balance(10, lent=3)
        assert told(receipt) == {key(OUTER): (4, 2, 3, 2), key(ROOT): (10, 4, 10, 3)}

    def test_a_transfer_moves_all_or_nothing(self, store: Store) -> None:
        carved(store)
        applied(store, opening(account("acme/other", {"usd": 1})))

        def move(value: int) -> Posting:
            deltas = (
                Delta((key("acme/other"),), granted=value),
                Delta((key(ROOT),), lent=-value),
                Delta((key(OUTER),), granted=-value, guarded=True),
            )
            note = Note({"usd": value}, labels={"payee": "acme/other"})
            return Posting(f"move {value}", "transfer", OUTER, deltas, note=note)

        no = refused(store, move(3))
        applied(store, move(2))

        assert no == Refusal(no.kind, OUTER, "usd", 3, Balance(4, lent=2))
        assert dollars(store)[ROOT] == Balance(10, lent=2)
        assert store.balances(["acme/other"]) == {key("acme/other"): Balance(3)}
        assert_books_add_up(store)

    def test_an_account_is_opened_and_another_closed_in_one_posting(
        self, store: Store
    ) -> None:
        """What is granted before the account is there is what it has, not more."""
        carved(store)
        (inner,) = store.rows([INNER]).values()
        new = inner._replace(path="acme/new", version=1, ceilings=(("usd", 2),))
        shut = inner._replace(version=inner.version + 1, closed=True)
        deltas = (
            Delta((key(INNER),), granted=-2, guarded=True),
            Delta((key(TEAM),), lent=-2),
            Delta((key(OUTER),), granted=-2, lent=-2),
            Delta((key(new.path),), granted=2),
        )
        seen = ((INNER, inner.version), (new.path, 0))
        move = Posting("it", "move", INNER, deltas, seen=seen, rows=(new, shut))
        late = move._replace(id="late", seen=((INNER, inner.version), (TEAM, 0)))

        refused(store, late)
        receipt = applied(store, move)

        assert store.post(move) == receipt
        assert store.rows([INNER, new.path]) == {INNER: shut, new.path: new}
        assert dict(store.balances([new.path])) == {key(new.path): Balance(2)}
        assert dollars(store) == {
            ROOT: Balance(10, lent=4),
            OUTER: Balance(2),
            TEAM: Balance(99),
            INNER: Balance(0),
        }
        refused(store, reserve("no", held(0, key(INNER)))._replace(admit=((INNER, 2),)))
        assert_books_add_up(store)

    def test_an_empty_slice_borrows_and_holds_in_one_posting(
        self, store: Store
    ) -> None:
        carved(store)
        own = held(5, key(OUTER), spill=(TO_ROOT,))._replace(granted=3)
        asked = reserve("it", lent(3, ROOT), own, amounts={"usd": 5})
        asked = asked._replace(account=OUTER)
        greedy = reserve("no", lent(7, ROOT), own._replace(granted=7))

        refused(store, greedy)
        receipt = applied(store, asked)

        assert dollars(store)[OUTER] == Balance(7, held=5, lent=2)
        assert dollars(store)[ROOT] == Balance(10, lent=7)
        assert told(receipt) == {key(ROOT): (10, 4, 10, 7), key(OUTER): (4, 2, 7, 2)}
        assert_books_add_up(store)
