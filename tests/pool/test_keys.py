"""Keys and reasons: what one store keeps, every store keeps."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_budget import AccountFrozen, BudgetPool, InvalidName, usd
from langchain_budget.core.written import LONGEST_KEY
from tests.twins import Do


@pytest.fixture
def pool(store_url: str) -> BudgetPool:
    pool = BudgetPool("acme", usd(10), store=store_url)
    pool.open("web", limit=usd(5))
    return pool


@pytest.mark.parametrize("key", [5, None, "k\ud800", "k\x00", "a\nb", "k" * 501])
async def test_a_key_that_some_store_cannot_keep_is_refused(
    pool: BudgetPool, do: Do, key: Any
) -> None:
    web = pool.account("web")

    with pytest.raises(InvalidName, match="printable"):
        await do(pool.top_up, usd(1), key=key)
    with pytest.raises(InvalidName, match="printable"):
        await do(pool.transfer, web, usd(1), key=key)
    with pytest.raises(InvalidName, match="printable"):
        await do(pool.admin.adjust, usd(1), reason="by hand", key=key)

    assert pool.balance().granted == usd(10)
    assert pool.balance().spent == usd(0)


@pytest.mark.parametrize("key", ["ticket 17", "Rechnung Zoë 😀", "😀" * LONGEST_KEY])
def test_any_other_key_makes_it_happen_once(pool: BudgetPool, key: str) -> None:
    for _ in range(2):
        pool.top_up(usd(1), key=key)

    assert pool.balance().granted == usd(11)


async def test_a_reason_is_text(pool: BudgetPool, do: Do) -> None:
    reason: Any = 5

    for method in (pool.top_up, pool.set_limit, pool.admin.adjust):
        with pytest.raises(InvalidName, match="reason 5"):
            await do(method, usd(1), reason=reason)

    assert pool.balance().granted == usd(10)


def test_any_text_is_a_reason(pool: BudgetPool) -> None:
    for reason in ("a\x00b", "caf\udce9", "one\ntwo"):
        pool.top_up(usd(1), reason=reason)

    said = [entry.note.reason for entry in pool.admin.journal(last=3)]

    assert said == ["a\x00b", "caf\\udce9", "one\ntwo"]
    assert pool.admin.verify().ok


@pytest.mark.parametrize("reason", ["a\x00b", "caf\udce9", 5, None, ""])
def test_the_kill_switch_takes_any_reason(pool: BudgetPool, reason: Any) -> None:
    pool.freeze(reason)

    with pytest.raises(AccountFrozen):
        pool.reserve(usd(1))
