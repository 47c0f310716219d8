import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget import (
    Account,
    BudgetExceeded,
    BudgetPool,
    MemoryStore,
    tokens,
    usd,
)
from langchain_budget.core.accounts import spec_of
from langchain_budget.testing import StillClock
from langchain_budget.tree import open_account
from tests.invariants import unchanged
from tests.twins import Do


async def test_what_fits_is_affordable(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    with unchanged(store):
        answer = await do(pool.can_afford, usd(10), tokens(1_000_000))

    assert answer
    assert answer.affordable
    assert answer.reason == ""


async def test_what_does_not_fit_is_refused_with_a_reason(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    web = await do(pool.open, "web")
    await do((await do(pool.reserve, usd(6))).settle, usd(5))
    await do(pool.reserve, usd(1))

    with unchanged(store):
        answer = await do(web.can_afford, usd(7))

    assert not answer
    assert answer.reason == (
        "account 'acme' has $4.00 left of $10.00 ($5.00 spent, $1.00 held, $0.00 lent "
        "out); this may need $7.00. Top it up, transfer to it, or cap the output of "
        "the call."
    )
    assert answer.refusal.account == "acme"


async def test_the_reason_says_whether_waiting_may_help(
    pool: BudgetPool, do: Do
) -> None:
    await do(pool.reserve, usd(6))

    answer = await do(pool.can_afford, usd(5))

    assert "try again when they settle" in answer.reason


async def test_nothing_is_affordable_where_it_is_frozen_or_closed(
    pool: BudgetPool, do: Do
) -> None:
    web = await do(pool.open, "web")
    await do(web.freeze, "month end")
    frozen = await do(web.can_afford, usd(1))
    await do(web.close)

    closed = await do(web.can_afford, usd(1))

    assert "is frozen (month end)" in frozen.reason
    assert "is closed" in closed.reason


async def test_it_is_told_of_what_others_did_to_the_accounts(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    elsewhere = BudgetPool("acme", usd(10), store=store)
    assert await do(elsewhere.can_afford, usd(1))

    await do(pool.freeze)

    assert not await do(elsewhere.can_afford, usd(1))


async def test_a_slice_that_may_borrow_can_afford_what_its_parent_has(
    pool: BudgetPool, do: Do
) -> None:
    ledger, step = pool.ledger, "acme/step"
    spec = spec_of(carve=[usd(1)])._replace(borrows=True)
    ledger.run(open_account(ledger, step, spec))
    account = Account(ledger, step)

    enough, too_much = (
        await do(account.can_afford, usd(10)),
        await do(account.can_afford, usd(11)),
    )

    assert enough
    assert too_much.refusal.account == "acme"
    await do((await do(account.reserve, usd(10))).release)


async def test_an_overdue_hold_is_no_reason(
    pool: BudgetPool, clock: StillClock, do: Do
) -> None:
    await do(pool.reserve, usd(10), ttl_seconds=60)
    clock.advance(60)

    assert await do(pool.can_afford, usd(10))


@given(st.lists(st.integers(0, 6), max_size=6), st.integers(0, 12))
def test_the_answer_is_what_a_reserve_would_be(held: list[int], wanted: int) -> None:
    pool = BudgetPool("acme", usd(10))
    team = pool.open("team", limit=usd(8))
    web = team.open("web", carve=usd(5))
    for number, amount in enumerate(held):
        account = (pool, team, web)[number % 3]
        if account.can_afford(usd(amount)):
            account.reserve(usd(amount)).settle(usd(amount + 1))

    for account in (pool, team, web):
        answer = account.can_afford(usd(wanted))
        if answer:
            account.reserve(usd(wanted)).release()
        else:
            with pytest.raises(BudgetExceeded) as refused:
                account.reserve(usd(wanted))
            assert str(refused.value) == answer.reason
