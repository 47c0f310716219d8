"""Arguments that make no sense: each is told, with what to give instead."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from langchain_budget import (
    AccountClosed,
    Alerts,
    Amount,
    BudgetPool,
    InvalidAmount,
    InvalidLease,
    InvalidName,
    MemoryStore,
    tokens,
    usd,
)
from langchain_budget.core.accounts import ratio
from langchain_budget.errors import BudgetError, InvalidPolicy
from tests.invariants import unchanged
from tests.twins import Do

ENDLESS = 10**5_000
HUGE = 10**400

Wrong = tuple[Callable[[BudgetPool], Any], type[BudgetError], str]

WRONG: list[Wrong] = [
    (lambda _: usd(1).per("day", None), InvalidAmount, "None is no time zone"),  # type: ignore[arg-type]  # the point
    (lambda _: usd(1).per("day", "localtime"), InvalidAmount, "'Europe/Berlin'"),
    (lambda _: usd(1).per("day:localtime"), InvalidAmount, "'Europe/Berlin'"),
    (lambda _: tokens(ENDLESS), InvalidAmount, "very many digits tokens is more"),
    (lambda _: tokens(-ENDLESS), InvalidAmount, "zero or more"),
    (lambda _: usd(ENDLESS), InvalidAmount, "very many digits dollars is more"),
    (lambda _: Amount("usd", ENDLESS), InvalidAmount, "give at most"),
    (lambda _: ratio(Decimal("1e99999999")), InvalidAmount, "at most 100%"),
    (lambda _: ratio(Decimal("1e-99999999")), InvalidAmount, "at most 100%"),
    (lambda _: ratio(ENDLESS), InvalidAmount, "at most 100%"),
    (lambda p: p.open("w", share="1e99999999%"), InvalidAmount, "at most 100%"),
    (lambda p: p.open("w", metadata="x"), InvalidName, "metadata='x': give a map"),  # type: ignore[arg-type]  # the point
    (lambda p: p.open("w", warn_at=None), InvalidAmount, "None is no share"),  # type: ignore[arg-type]  # the point
    (lambda p: p.reserve(usd(1), labels=[("a", "b")]), InvalidName, "labels="),  # type: ignore[arg-type]  # the point
    *(
        (lambda p, ttl=ttl: p.reserve(usd(1), ttl_seconds=ttl), InvalidAmount, "ttl_")
        for ttl in ("5", Decimal(3), HUGE, ENDLESS, None, True, float("nan"))
    ),
    *(
        (lambda p, s=s: p.reserve(usd(1), wait_seconds=s), InvalidAmount, "wait_se")
        for s in ("5", Decimal(3), HUGE, None, True, float("inf"))
    ),
    (lambda p: p.limit_each("u", limit=usd(1), named=5), InvalidName, "named=5"),  # type: ignore[arg-type]  # the point
    (lambda p: p.limit_each("u", named=[usd(1)]), InvalidName, "by value"),  # type: ignore[arg-type]  # the point
    (lambda p: p.limit_each("u", limit=usd(1), missing="u"), InvalidName, "missing="),  # type: ignore[arg-type]  # the point
    (lambda p: p.limit_each("u"), InvalidAmount, "limits nothing: give limit="),
    (lambda p: p.limit_each("u", named={"a": None}), InvalidAmount, "limits nothing"),
    (lambda p: p.limit_each("a+b", limit=usd(1)), InvalidName, "one by one"),
    (lambda p: p.balance(5), InvalidName, "unit 5: give its name"),  # type: ignore[arg-type]  # the point
    (lambda p: p.admin.journal(last=-1), InvalidAmount, "last=-1: give a whole"),
    (lambda _: BudgetPool("p", on_outage="closed"), InvalidPolicy, "OnOutage.closed()"),  # type: ignore[arg-type]  # the point
    (lambda p: Alerts(p, "50%"), InvalidPolicy, r"[Rule('50%')]"),  # type: ignore[arg-type]  # the point
    (lambda p: Alerts(p, ["50%"]), InvalidPolicy, r"[Rule('50%')]"),  # type: ignore[list-item]  # the point
    (lambda p: Alerts(p, 5), InvalidPolicy, r"[Rule('50%')]"),  # type: ignore[arg-type]  # the point
]


@pytest.mark.parametrize(("ask", "kind", "said"), WRONG)
def test_what_makes_no_sense_is_told_and_changes_nothing(
    pool: BudgetPool,
    store: MemoryStore,
    ask: Callable[[BudgetPool], Any],
    kind: type[BudgetError],
    said: str,
) -> None:
    with unchanged(store), pytest.raises(kind) as refusal:
        ask(pool)

    assert said in str(refusal.value)
    assert pool.ledger.each == ()


@pytest.mark.parametrize("mark", [0.8, "80%", 80, Decimal("0.8")])
async def test_one_threshold_needs_no_list(pool: BudgetPool, mark: Any, do: Do) -> None:
    first = await do(pool.open, "web", limit=usd(1), warn_at=[0.8])

    again = await do(pool.open, "web", limit=usd(1), warn_at=mark)

    assert again.path == first.path
    pool.limit_each("user", limit=usd(1), warn_at=mark)
    assert pool.ledger.each[0].spec.marks == (800_000,)


def test_a_lease_of_a_lease_is_told_where_to_lease_from(pool: BudgetPool) -> None:
    with pool.lease(usd(1)) as worker, pytest.raises(InvalidLease) as refusal:
        worker.lease(usd("0.10"))

    assert "'acme' is leased already" in str(refusal.value)
    assert "limits of ." not in str(refusal.value)


def test_a_lease_that_was_given_back_is_told_what_to_do(pool: BudgetPool) -> None:
    with pool.lease(usd(1)) as worker:
        pass

    with pytest.raises(AccountClosed) as refusal:
        worker.reserve(usd("0.10"))

    assert str(refusal.value).endswith("given back. " + refusal.value.remedy)
    assert refusal.value.remedy.startswith("Take another one")
