"""The journal: what happened, in order, and all of it."""

from __future__ import annotations

from itertools import product

import pytest

from langchain_budget.core.postings import (
    Balance,
    Basis,
    Delta,
    Entry,
    Note,
    Part,
    Posting,
)
from langchain_budget.core.rules import keep
from langchain_budget.stores.base import Store
from langchain_budget.testing._conformance.words import (
    PATH,
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

ODD_TEXTS = [
    *("", " ", "Zoë", "猫", "\N{SNOWMAN}", "\U0001f4b8", "שלום", "e\u0301", "\u2028"),
    *("it's", 'a "b" c', "back\\slash", "{}", "%s", "null", "a\nb\r\n\tc", "\x01\x7f"),
]


class Journal:
    """Entries."""

    def test_entries_are_numbered_from_1_in_the_order_of_their_effects(
        self, store: Store
    ) -> None:
        assert store.journal() == ()
        tree(store)
        hold = opened(store, reserve("it", held(1)))
        refused(store, reserve("no", held(99)))
        without_trace(store, reserve("it", held(1)))
        without_trace(store, opening(account(WEB, {"usd": 5})))
        applied(store, keep(hold, 500.0))
        last = applied(store, settle(hold, 1))

        entries = store.journal()

        assert [each.seq for each in entries] == [1, 2, 3, 4]
        assert [each.kind for each in entries] == ["open", "open", "reserve", "settle"]
        assert last.seq == 4

    def test_a_part_of_the_journal_can_be_read(self, store: Store) -> None:
        for each in "abcde":
            applied(store, grant(each, 1))

        for after, limit in product((0, 1, 3, 4, 5, 9), (None, 0, 1, 2, 9)):
            numbers = list(range(after + 1, 6))[:limit]
            entries = store.journal(after, limit)
            assert [each.seq for each in entries] == numbers
            assert [each.posting for each in entries] == [
                "abcde"[number - 1] for number in numbers
            ]

    def test_an_entry_of_an_account_says_all(
        self, store: Store, clock: StillClock
    ) -> None:
        rows = account(ROOT, {"usd": 10}), account(WEB, {"usd": 2**53 + 1}, frozen="x")
        deltas = Delta((key(ROOT), key("else")), 1, -2, 3, -4, guarded=False)
        note = Note({"usd": 3}, {"usd": 1}, Basis.UNKNOWN, {"a": "b"}, "because")
        clock.advance(0.125)

        applied(store, opening(*rows, deltas=(deltas,), note=note))

        assert store.journal() == (
            Entry(
                1,
                START + 0.125,
                "open",
                f"open {WEB} 1",
                WEB,
                "",
                note,
                (deltas,),
                rows=rows,
            ),
        )

    def test_the_entries_of_a_hold_say_all(
        self, store: Store, clock: StillClock
    ) -> None:
        tree(store)
        asked = reserve("it", held(4), worst={"usd": 9}, labels={"node": "a"})
        hold = opened(store, asked)
        clock.advance(5)
        applied(store, settle(hold, 3, Basis.ESTIMATED))
        guessed = store.hold("it")
        assert guessed is not None
        applied(store, supersede(guessed, 7))

        charge = Note({"usd": 3}, {"usd": 6}, Basis.ESTIMATED, {"agent": "web"})
        replaced = Note(
            {"usd": 4}, {"usd": -6}, Basis.REPORTED, {"agent": "web"}, "estimated"
        )
        later, spent = START + 5, Delta(PATH, spent=3)
        assert store.journal(2) == (
            Entry(
                *(3, START, "reserve", "it", WEB, "it"),
                Note({"usd": 4}, labels={"node": "a"}),
                asked.deltas,
            ),
            Entry(
                *(4, later, "settle", "it:settle", WEB, "it", charge, (spent,)),
                asked.deltas,
            ),
            Entry(
                *(5, later, "supersede", "it:supersede", WEB, "it", replaced),
                (spent._replace(spent=4),),
            ),
        )

    @pytest.mark.parametrize("close", [release, expire])
    def test_an_entry_tells_what_was_given_back(
        self, store: Store, close: object
    ) -> None:
        tree(store)
        hold = opened(store, reserve("it", held(4), started=False))

        applied(store, close(hold))  # type: ignore[operator]  # one of two functions

        entry = store.journal()[-1]
        assert (entry.released, entry.deltas) == (hold.deltas, ())

    def test_texts_come_back_as_they_were(self, store: Store) -> None:
        tree(store, web=100)
        for version, text in enumerate(ODD_TEXTS, start=2):
            labels = {text: text, "agent": text}
            hold = opened(store, reserve(f"{version}", held(1), labels=labels))
            note = Note({"usd": 1}, labels=labels, reason=text)
            frozen = account(WEB, {"usd": 100}, version=version, frozen=text)

            applied(store, settle(hold, 0)._replace(note=note))
            applied(store, opening(frozen, note=note))

            reserved, settled, told = store.journal()[-3:]
            assert hold.labels == reserved.note.labels == labels
            assert settled.note == told.note == note
            assert told.rows == (frozen,)
            assert store.rows([WEB]) == {WEB: frozen}

    def test_labels_may_hold_even_a_nul(self, store: Store) -> None:
        """Names, ids and reasons to freeze may not: not every server keeps one."""
        tree(store)
        labels = {"agent": "a\0b"}

        hold = opened(store, reserve("it", held(4), labels=labels))

        assert hold.labels == store.journal()[-1].note.labels == labels

    def test_the_parts_of_a_charge_are_told(self, store: Store) -> None:
        tree(store)
        hold = opened(store, reserve("it", held(4)))
        parts = (
            Part(WEB, {"usd": 2**53 + 1, "tokens": 0}, Basis.REPORTED, {"a": 'x"y'}),
            Part(ROOT, {}, Basis.ESTIMATED),
        )
        posting = settle(hold, 2)

        applied(store, posting._replace(note=posting.note._replace(parts=parts)))

        assert store.journal()[-1].note.parts == parts

    def test_balances_are_a_fold_of_the_journal(
        self, store: Store, clock: StillClock
    ) -> None:
        tree(store)
        holds = [opened(store, reserve(each, held(1))) for each in "abcde"]
        applied(store, settle(holds[0], 7))
        applied(store, release(holds[1]))
        clock.advance(100)
        applied(store, expire(holds[2]))
        expired = store.hold("c")
        assert expired is not None
        applied(store, supersede(expired, 0))
        applied(store, grant("more", 5, *PATH))
        applied(store, Posting("lend", "x", ROOT, (Delta(PATH, lent=1, guarded=True),)))

        assert store.balances([WEB]) == {key(WEB): Balance(10, 2, 7, 1)}

        assert_books_add_up(store)
