"""Windows: one counter for each day, or whatever a window is."""

from __future__ import annotations

from langchain_budget.core.postings import Balance, CounterKey, Kind, Posting, Refusal
from langchain_budget.stores.base import Store
from langchain_budget.testing._conformance.words import (
    ROOT,
    START,
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
)
from langchain_budget.testing.clock import StillClock

DAY_SECONDS = 100.0
FRIDAY, SATURDAY = (key(ROOT, "usd", f"day@2026-11-2{day}") for day in (0, 1))


def limited(store: Store, **ceilings: int) -> None:
    named = {f"usd@{span}": value for span, value in ceilings.items()}
    applied(store, opening(account(ROOT, {"usd": 100} | named)))


def asked(hold_id: str, value: int, *days: CounterKey) -> Posting:
    """Reserve within the whole budget, and within that of the *days*."""
    first = START + DAY_SECONDS * (days[0] == SATURDAY)
    posting = reserve(hold_id, held(value, key(ROOT), *days))
    return posting._replace(during=(first, first + DAY_SECONDS))


class Windows:
    """Limits that begin anew."""

    def test_a_window_is_granted_its_ceiling_when_it_is_first_touched(
        self, store: Store
    ) -> None:
        limited(store, day=5)
        before = store.balances([ROOT])

        opened(store, asked("it", 4, FRIDAY))

        assert before == {key(ROOT): Balance(100)}
        assert store.balances([ROOT]) == {
            key(ROOT): Balance(100, held=4),
            FRIDAY: Balance(5, held=4),
        }
        assert_books_add_up(store)

    def test_a_window_that_was_only_looked_at_was_not_touched(
        self, store: Store
    ) -> None:
        limited(store, day=5)

        refusal = refused(store, asked("too much", 6, FRIDAY))
        applied(store, opening(account(ROOT, {"usd": 100, "usd@day": 9}, version=2)))

        day = FRIDAY.window
        expected = Refusal(Kind.EXHAUSTED, ROOT, "usd", 6, Balance(5), window=day)
        assert refusal == expected
        opened(store, asked("fits now", 6, FRIDAY))
        assert store.balances([ROOT])[FRIDAY] == Balance(9, held=6)

    def test_each_window_begins_anew(self, store: Store, clock: StillClock) -> None:
        limited(store, day=5)
        applied(store, settle(opened(store, asked("friday", 5, FRIDAY)), 5))
        refused(store, asked("friday again", 1, FRIDAY))

        clock.advance(DAY_SECONDS)
        opened(store, asked("saturday", 5, SATURDAY))

        assert store.balances([ROOT]) == {
            key(ROOT): Balance(100, held=5, spent=5),
            FRIDAY: Balance(5, spent=5),
            SATURDAY: Balance(5, held=5),
        }
        assert_books_add_up(store)

    def test_a_hold_settles_in_the_window_that_it_was_opened_in(
        self, store: Store, clock: StillClock
    ) -> None:
        limited(store, day=5)
        hold = opened(store, asked("friday", 4, FRIDAY))
        clock.advance(DAY_SECONDS)
        opened(store, asked("saturday", 1, SATURDAY))

        receipt = applied(store, settle(hold, 7))

        balances = store.balances([ROOT])
        assert balances[FRIDAY] == Balance(5, spent=7)
        assert balances[SATURDAY] == Balance(5, held=1)
        assert told(receipt) == {key(ROOT): (100, 0, 100, 7), FRIDAY: (5, 0, 5, 7)}
        assert_books_add_up(store)

    def test_what_was_reckoned_for_another_window_is_refused(
        self, store: Store, clock: StillClock
    ) -> None:
        limited(store, day=5)

        early = refused(store, asked("saturday", 1, SATURDAY))
        clock.advance(DAY_SECONDS)
        late = refused(store, asked("friday", 1, FRIDAY))

        assert (early.kind, late.kind) == (Kind.OUTSIDE, Kind.OUTSIDE)

    def test_windows_of_several_spans_all_bind(self, store: Store) -> None:
        limited(store, **{"day": 5, "day:Europe/Berlin": 2})
        berlin = key(ROOT, "usd", "day:Europe/Berlin@2026-11-20")

        refusal = refused(store, asked("it", 3, FRIDAY, berlin))
        opened(store, asked("it", 2, FRIDAY, berlin))

        assert (refusal.window, refusal.balance) == (berlin.window, Balance(2))
        assert store.balances([ROOT])[berlin] == Balance(2, held=2)

    def test_a_window_without_a_ceiling_only_counts(self, store: Store) -> None:
        limited(store, week=1)

        opened(store, asked("it", 50, FRIDAY))

        assert store.balances([ROOT])[FRIDAY] == Balance(None, held=50)

    def test_a_ceiling_of_a_unit_is_not_that_of_its_windows(self, store: Store) -> None:
        applied(store, opening(account(ROOT, {"usd": 1, "tokens@day": 9})))

        opened(store, reserve("it", held(50, FRIDAY)))

        assert store.balances([ROOT]) == {
            key(ROOT): Balance(1),
            FRIDAY: Balance(None, held=50),
        }

    def test_a_window_that_has_begun_changes_only_by_grants(
        self, store: Store, clock: StillClock
    ) -> None:
        limited(store, day=5)
        opened(store, asked("friday", 1, FRIDAY))
        applied(store, opening(account(ROOT, {"usd": 100, "usd@day": 9}, version=2)))
        clock.advance(DAY_SECONDS)

        applied(store, grant("friday too", 2, FRIDAY))
        applied(store, grant("saturday", 1, SATURDAY))

        balances = store.balances([ROOT])
        assert balances[FRIDAY] == Balance(7, held=1)
        assert balances[SATURDAY] == Balance(10)
        assert_books_add_up(store)
