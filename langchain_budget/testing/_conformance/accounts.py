"""Accounts: written as they are, told as they were written."""

from __future__ import annotations

import pytest

from langchain_budget.core.accounts import Row, Spec
from langchain_budget.core.amounts import LARGEST
from langchain_budget.core.postings import Kind, Refusal
from langchain_budget.stores.base import Store
from langchain_budget.testing._conformance.words import (
    ROOT,
    START,
    WEB,
    account,
    applied,
    opening,
    refused,
    without_trace,
)
from langchain_budget.testing.clock import StillClock

FULL = Row(
    WEB,
    3,
    Spec(
        limits=(("tokens", 2**53 + 1), ("usd", LARGEST)),
        carved=(("calls", 7),),
        share=300_000,
        marks=(500_000, 900_000),
        labels=(("kind", "step"), ("who", 'Zoë "Ω" \\ 猫\n')),
        borrows=True,
    ),
    ceilings=(("calls", 7), ("usd", LARGEST), ("usd@day", 2**53 + 1)),
    slices=frozenset({"calls", "tokens"}),
    frozen="until Zoë has looked: 'why' \"so\" \\ much?",
    expires_at=START + 0.125,
    observed=True,
    turns=(("run", 3), ("tick", 2**53 + 1)),
)


class Accounts:
    """Rows."""

    @pytest.mark.parametrize(
        "row", [FULL, FULL._replace(closed=True), account(WEB)], ids=["a", "b", "c"]
    )
    def test_an_account_is_told_as_it_was_written(self, store: Store, row: Row) -> None:
        applied(store, opening(row))

        assert store.rows([WEB]) == {WEB: row}
        assert store.below(WEB) == (row,)
        assert store.journal()[-1].rows == (row,)

    def test_accounts_that_are_not_there_are_left_out(self, store: Store) -> None:
        applied(store, opening(account(ROOT), account(WEB)))

        assert store.rows([]) == {}
        assert store.rows(["nobody", WEB, WEB]) == {WEB: account(WEB)}
        assert store.rows(iter([ROOT])) == {ROOT: account(ROOT)}
        assert store.below("nobody") == ()

    def test_an_account_is_replaced_by_its_path(self, store: Store) -> None:
        applied(store, opening(FULL, account(ROOT)))
        after = account(WEB, version=4, closed=True)

        applied(store, opening(after))

        assert store.rows([WEB, ROOT]) == {WEB: after, ROOT: account(ROOT)}

    def test_one_of_two_that_open_an_account_is_told_to_look_again(
        self, store: Store
    ) -> None:
        first = opening(account(WEB, {"usd": 1}), seen=((WEB, 0),))
        second = opening(account(WEB, {"usd": 2}), seen=((WEB, 0),), id="another")
        applied(store, first)

        assert refused(store, second) == Refusal(Kind.STALE, WEB)

    def test_an_opening_that_comes_again_does_not_undo_what_came_later(
        self, store: Store
    ) -> None:
        first = opening(account(WEB, {"usd": 1}), seen=((WEB, 0),))
        applied(store, first)
        applied(store, opening(account(WEB, {"usd": 1}, version=2, closed=True)))

        without_trace(store, first)

        assert store.rows([WEB])[WEB].closed

    def test_how_long_an_account_lives_is_reckoned_by_the_clock_of_the_store(
        self, store: Store, clock: StillClock
    ) -> None:
        clock.advance(0.5)
        mortal = account(WEB, expires_at=1.0)

        applied(store, opening(account(ROOT), mortal, ttl_seconds=9.0))

        until = START + 9.5
        told = store.rows([ROOT, WEB])
        assert [row.expires_at for row in told.values()] == [until, until]
        entered = store.journal()[-1].rows
        assert [row.expires_at for row in entered] == [until, until]

    @pytest.mark.parametrize(("left", "lapses"), [(0.5, False), (0, True), (-1, True)])
    def test_an_account_lapses_at_the_end_of_its_time_unless_it_is_closed(
        self,
        store: Store,
        clock: StillClock,
        left: float,
        lapses: bool,  # noqa: FBT001
    ) -> None:
        applied(store, opening(account(WEB), ttl_seconds=9.0))
        applied(store, opening(account(ROOT), account("acme/late", expires_at=9e9)))

        clock.advance(9.0 - left)

        row = store.rows([WEB])[WEB]
        assert store.lapsed() == ((row,) if lapses else ())
        applied(store, opening(row._replace(version=2, closed=True)))
        assert store.lapsed() == ()

    def test_a_store_tells_the_time(self, store: Store, clock: StillClock) -> None:
        assert store.now() == START

        clock.advance(0.5)

        assert store.now() == START + 0.5

    def test_a_store_that_was_closed_opens_again(self, store: Store) -> None:
        applied(store, opening(account(WEB)))

        store.close()

        assert store.rows([WEB])
        applied(store, opening(account(ROOT)))
