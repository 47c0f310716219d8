"""Names: any text that may be a name is one, and no other one."""

from __future__ import annotations

import unicodedata

from langchain_budget.core.postings import Balance, Kind
from langchain_budget.stores.base import Store
from langchain_budget.testing._conformance.words import (
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
)

ODD = (
    *("%", "_", "*", "?", "[a]", "a{1}", "{}", "$1", ":a", "%s", "^a", "\N{SNOWMAN}"),
    *(
        "it's",
        'a "b"',
        "a`b",
        "--",
        ";",
        "a b",
        "a,b",
        "\U0001f4b8",
        "א" * 3,
        "é" * 200,
    ),
)
ALIKE = (
    "a",
    "A",
    "\N{FULLWIDTH LATIN SMALL LETTER A}",
    unicodedata.normalize("NFD", "é"),
    "é",
    "ß",
    "ss",
    "1",
    "1.0",
)
BESIDE = ("acme", "acme/web", "acme/web/deep", "acme/web-2", "acme/webs", "acme-2")


class Names:
    """Paths, ids and units."""

    def test_an_account_may_have_any_name(self, store: Store) -> None:
        for name in ODD:
            root, child, beside = name, f"{name}/{name}", f"{name}{name}"
            rows = [account(each, {"usd": 5}) for each in (root, child, beside)]
            applied(store, opening(*rows))

            hold = opened(store, reserve(name, held(2, key(child), key(root))))
            applied(store, settle(hold, 1))
            applied(store, grant(f"more {name}", 4, key(beside)))

            assert store.below(root) == (rows[0], rows[1])
            assert store.rows([child]) == {child: rows[1]}
            assert store.balances([root]) == {key(root): Balance(5, spent=1)}
            assert store.balances([beside]) == {key(beside): Balance(9)}
            assert store.journal()[-2].hold == name
        assert_books_add_up(store)

    def test_a_unit_may_have_any_name(self, store: Store) -> None:
        applied(store, opening(account("acme", dict.fromkeys(ODD, 5))))

        for unit in ODD:
            opened(store, reserve(unit, held(2, key("acme", unit))))

        assert store.balances(["acme"]) == {
            key("acme", unit): Balance(5, held=2) for unit in ODD
        }
        for unit in ODD:
            refusal = refused(store, reserve("no", held(4, key("acme", unit))))
            assert refusal.unit == unit

    def test_names_that_look_alike_are_different(self, store: Store) -> None:
        rows = [account(name, {name: at}) for at, name in enumerate(ALIKE)]
        applied(store, opening(*rows))
        for name in ALIKE:
            applied(store, grant(name, 100, key(name, name)))
            opened(store, reserve(name, held(1, key(name, name))))

        assert {row.path for row in store.below("")} == set(ALIKE)
        for at, name in enumerate(ALIKE):
            assert store.below(name) == (rows[at],)
            counter = Balance(at + 100, held=1)
            assert store.balances([name]) == {key(name, name): counter}

    def test_below_are_those_inside_and_none_with_a_name_that_begins_alike(
        self, store: Store
    ) -> None:
        applied(store, opening(*map(account, BESIDE)))

        inside = {
            path: {row.path for row in store.below(path)} for path in ("", *BESIDE)
        }

        assert inside == {
            "": set(BESIDE),
            "acme": set(BESIDE) - {"acme-2"},
            "acme/web": {"acme/web", "acme/web/deep"},
        } | {path: {path} for path in (*BESIDE[2:5], "acme-2")}

    def test_parents_come_before_their_children(self, store: Store) -> None:
        # The sign before the separator sorts first, and the last are written first.
        paths = [
            "a",
            "a/b",
            "a/b/c",
            "a.b",
            "a/b.c",
            "a!",
            "a/b!/d",
            "a/b!",
            "z/y",
            "z",
        ]
        applied(store, opening(*(account(path) for path in reversed(paths))))

        for path in ("", "a"):
            listed = [row.path for row in store.below(path)]
            above = [each.rpartition("/")[0] for each in listed]
            late = [
                each
                for at, each in enumerate(above)
                if each in listed and each not in listed[:at]
            ]
            assert late == []

    def test_an_id_may_be_any_text(self, store: Store) -> None:
        applied(store, opening(account("acme", {"usd": 5})))
        ids = [*ODD, *ALIKE, " ", "a:settle", "x" * 1000]

        for each in ids:
            applied(store, grant(each, 1, key("acme")))
        holds = [opened(store, reserve(each, held(1, key("acme")))) for each in ids]

        assert [store.hold(each) for each in ids] == holds
        assert {hold.id for hold in store.open_holds()} == set(ids)
        for each in ids:
            assert refused(store, grant(each, 2, key("acme"))).kind is Kind.CONFLICT
        assert_books_add_up(store)

    def test_a_label_may_be_any_text_even_half_of_a_character(
        self, store: Store
    ) -> None:
        applied(store, opening(account("acme", {"usd": 5})))
        labels = {"agent": "\ud800", "node": "a\x00b", "\udfff": "\U0001f4b8"}

        hold = opened(store, reserve("odd", held(1, key("acme")), labels=labels))
        applied(store, settle(hold, 1))

        assert hold.labels == labels
        assert store.journal()[-2].note.labels == labels
