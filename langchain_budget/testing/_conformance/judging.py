"""Why a posting is refused: what is looked at, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_budget.core.accounts import Row
from langchain_budget.core.amounts import USD
from langchain_budget.core.postings import Balance, Kind, Refusal
from langchain_budget.stores.base import Store
from langchain_budget.testing._conformance.words import (
    PATH,
    ROOT,
    START,
    WEB,
    account,
    applied,
    grant,
    held,
    key,
    opened,
    opening,
    refused,
    release,
    reserve,
    tree,
)


class Judging:
    """Refusals."""

    def test_the_first_guard_that_fails_is_the_one_that_is_told(
        self, store: Store
    ) -> None:
        tree(store, acme=3, web=2)

        inner = refused(store, reserve("inner first", held(4, key(WEB), key(ROOT))))
        outer = refused(store, reserve("outer first", held(4, key(ROOT), key(WEB))))
        later = held(4, key(WEB))
        earlier = refused(store, reserve("two deltas", held(4, key(ROOT)), later))

        assert inner == Refusal(Kind.EXHAUSTED, WEB, "usd", 4, Balance(2))
        assert outer == earlier == Refusal(Kind.EXHAUSTED, ROOT, "usd", 4, Balance(3))

    def test_a_limit_is_contended_while_open_holds_may_yet_free_enough(
        self, store: Store
    ) -> None:
        tree(store)
        opened(store, reserve("first", held(4)))

        kinds = [refused(store, reserve("more", held(n))).kind for n in (2, 5, 6)]

        assert kinds == [Kind.CONTENDED, Kind.CONTENDED, Kind.EXHAUSTED]

    def test_the_numbers_of_a_refusal_are_those_of_its_moment(
        self, store: Store
    ) -> None:
        tree(store)
        hold = opened(store, reserve("first", held(4)))
        refusal = refused(store, reserve("late", held(2)))

        applied(store, release(hold))

        assert refusal == Refusal(Kind.CONTENDED, WEB, "usd", 2, Balance(5, held=4))

    def test_time_then_accounts_then_prices_then_balances_are_judged(
        self, store: Store
    ) -> None:
        tree(store)
        frozen = account(WEB, {"usd": 5}, version=2, frozen="audit")
        applied(store, opening(frozen))
        wrong = reserve("wrong", held(99))._replace(
            during=(START + 1, START + 2),
            admit=((WEB, 2),),
            seen=((ROOT, 7),),
            unpriced=(key(ROOT),),
        )
        mended: list[dict[str, Any]] = [
            {},
            {"during": (START, START + 1)},
            {"admit": ((ROOT, 1),)},
            {"seen": ((WEB, 2),)},
            {"unpriced": ()},
        ]

        told = []
        for fields in mended:
            wrong = wrong._replace(**fields)
            refusal = refused(store, wrong)
            told.append((refusal.kind, refusal.account, refusal.unit))

        assert told == [
            (Kind.OUTSIDE, WEB, ""),
            (Kind.FROZEN, WEB, ""),
            (Kind.STALE, ROOT, ""),
            (Kind.UNPRICED, ROOT, "usd"),
            (Kind.EXHAUSTED, WEB, "usd"),
        ]

    @pytest.mark.parametrize(
        ("row", "version", "refusal"),
        [
            (account(WEB), 2, Refusal(Kind.STALE, WEB)),
            (account(WEB, version=3), 2, Refusal(Kind.STALE, WEB)),
            (account(WEB, closed=True), 1, Refusal(Kind.CLOSED, WEB)),
            (account(WEB, frozen="why"), 1, Refusal(Kind.FROZEN, WEB, detail="why")),
            (account(WEB, frozen="x", closed=True), 1, Refusal(Kind.CLOSED, WEB)),
            (account("acme/other"), 1, Refusal(Kind.UNKNOWN, WEB)),
        ],
    )
    def test_an_account_admits_when_it_is_as_expected_open_and_not_frozen(
        self, store: Store, row: Row, version: int, refusal: Refusal
    ) -> None:
        applied(store, opening(account(ROOT), row))
        posting = reserve("asks", held(1))

        for admit in [((ROOT, 1), (WEB, version)), ((WEB, version), (ROOT, 9))]:
            assert refused(store, posting._replace(admit=admit)) == refusal

    @pytest.mark.parametrize(
        ("version", "kind"),
        [
            (0, Kind.STALE),
            (2, None),
            (1, Kind.STALE),
            (3, Kind.STALE),
            (-1, Kind.STALE),
        ],
    )
    def test_an_account_that_is_only_to_be_seen_may_be_frozen_or_closed(
        self, store: Store, version: int, kind: Kind | None
    ) -> None:
        applied(store, opening(account(WEB, version=2, frozen="why", closed=True)))
        posting = grant("more", 1)._replace(seen=((WEB, version),))

        if kind is None:
            applied(store, posting)
        else:
            assert refused(store, posting) == Refusal(kind, WEB)

    def test_who_has_only_looked_at_a_frozen_account_lets_nobody_in(
        self, store: Store
    ) -> None:
        frozen = account(WEB, {USD: 5}, frozen="why")
        applied(store, opening(account(ROOT, {USD: 10}), frozen))
        asks = reserve("asks", held(1))._replace(admit=((WEB, 1), (ROOT, 1)))

        applied(store, grant("more", 1)._replace(seen=((WEB, 1),)))

        assert refused(store, asks) == Refusal(Kind.FROZEN, WEB, detail="why")

    def test_an_account_that_is_not_there_is_seen_at_version_0(
        self, store: Store
    ) -> None:
        posting = grant("more", 1)

        refusal = refused(store, posting._replace(seen=((WEB, 1),)))

        assert refusal == Refusal(Kind.UNKNOWN, WEB)
        applied(store, posting._replace(seen=((WEB, 0),)))

    @pytest.mark.parametrize(
        ("since", "until", "inside"),
        [
            (0, 0.5, True),
            (-0.5, 0, False),
            (-1, 1, True),
            (0.5, 1, False),
            (float("-inf"), float("inf"), True),
            (float("-inf"), 0, False),
            (0, float("inf"), True),
        ],
    )
    def test_a_posting_is_for_from_a_time_on_and_until_before_another(
        self,
        store: Store,
        since: float,
        until: float,
        inside: bool,  # noqa: FBT001
    ) -> None:
        tree(store)
        during = (START + since, START + until)
        posting = reserve("now", held(1))._replace(during=during)

        if inside:
            applied(store, posting)
        else:
            refusal = refused(store, posting)
            assert (refusal.kind, refusal.account) == (Kind.OUTSIDE, WEB)

    def test_what_has_no_price_is_refused_where_there_is_a_limit(
        self, store: Store
    ) -> None:
        tree(store)
        day = key(ROOT, "usd", "day@2027-01-15")
        row = account(ROOT, {"usd": 10, "usd@day": 4}, version=2)
        applied(store, opening(row))
        posting = reserve("asks", held(1, key(ROOT, "tokens")))

        lifelong = refused(store, posting._replace(unpriced=(key("else"), *PATH)))
        daily = refused(store, posting._replace(unpriced=(day,)))

        assert lifelong == Refusal(Kind.UNPRICED, WEB, "usd", 0, Balance(5))
        assert (daily.kind, daily.account) == (Kind.UNPRICED, ROOT)
        assert (daily.unit, daily.balance) == ("usd", Balance(4))
        applied(store, posting._replace(unpriced=(key(ROOT, "calls"),)))

    def test_an_account_that_admitted_does_not_once_it_has_changed(
        self, store: Store
    ) -> None:
        tree(store)
        admit = ((WEB, 1), (ROOT, 1))
        opened(store, reserve("before", held(1))._replace(admit=admit))
        changed = account(ROOT, {"usd": 10}, version=2, frozen="audit")
        applied(store, opening(changed))

        stale = refused(store, reserve("after", held(1))._replace(admit=admit))
        admit = ((WEB, 1), (ROOT, 2))
        frozen = refused(store, reserve("after", held(1))._replace(admit=admit))

        assert stale == Refusal(Kind.STALE, ROOT)
        assert frozen == Refusal(Kind.FROZEN, ROOT, detail="audit")
