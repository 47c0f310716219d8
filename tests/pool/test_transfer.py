from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget import (
    Account,
    AccountClosed,
    AccountFrozen,
    Amount,
    BudgetError,
    BudgetExceeded,
    BudgetPool,
    InvalidAmount,
    InvalidTransfer,
    MemoryStore,
    UnknownAccount,
    tokens,
    usd,
)
from langchain_budget.core.events import AccountThawed, Event, Transferred
from langchain_budget.errors import IdConflict
from tests.invariants import assert_books_add_up, unchanged
from tests.twins import Do


def left(*accounts: Account) -> tuple[Amount | None, ...]:
    return tuple(account.balance().available for account in accounts)


async def test_a_cap_moves_from_one_agent_to_another(
    pool: BudgetPool, events: list[Event], do: Do
) -> None:
    web = await do(pool.open, "web", limit=usd(3))
    mail = await do(pool.open, "mail", limit=usd(3))

    await do(web.transfer, mail, usd(2), reason="more to write")

    assert left(web, mail, pool) == (usd(1), usd(5), usd(10))
    (told,) = (each for each in events if isinstance(each, Transferred))
    assert (told.account, told.payee, told.amount) == ("acme/web", "acme/mail", usd(2))
    assert told.reason == "more to write"


async def test_money_moves_between_slices_by_their_common_ancestor(
    pool: BudgetPool, do: Do
) -> None:
    team = await do(pool.open, "team", carve=usd(5))
    web = await do(team.open, "web", carve=usd(3))
    mail = await do(pool.open, "mail", carve=usd(2))

    await do(web.transfer, "mail", usd(1))

    assert left(web, team, mail, pool) == (usd(2), usd(2), usd(3), usd(3))
    assert team.balance().granted == usd(4)


async def test_a_slice_can_give_to_its_parent_and_get_from_it(
    pool: BudgetPool, do: Do
) -> None:
    team = await do(pool.open, "team", carve=usd(5))
    web = await do(team.open, "web", carve=usd(3))

    await do(web.transfer, pool, usd(1))
    up = left(web, team, pool)
    await do(pool.transfer, web, usd(2))

    assert up == (usd(2), usd(2), usd(6))
    assert left(web, team, pool) == (usd(4), usd(2), usd(4))


async def test_the_money_of_a_slice_goes_with_the_cap_of_an_account_in_it(
    pool: BudgetPool, do: Do
) -> None:
    team = await do(pool.open, "team", carve=usd(5))
    desk = await do(team.open, "desk", limit=usd(4))
    mail = await do(pool.open, "mail", carve=usd(5))

    await do(desk.transfer, mail, usd(2))

    assert left(desk, team, mail, pool) == (usd(2), usd(3), usd(7), usd(0))


async def test_only_what_is_neither_spent_nor_held_moves(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    web = await do(pool.open, "web", limit=usd(3))
    mail = await do(pool.open, "mail", limit=usd(1))
    await do((await do(web.reserve, usd(1))).settle, usd(1))
    await do(web.reserve, usd(1))

    with unchanged(store), pytest.raises(BudgetExceeded) as refused:
        await do(web.transfer, mail, usd(2))

    assert refused.value.account == "acme/web"
    assert refused.value.available == usd(1)
    await do(web.transfer, mail, usd(1))
    assert left(web, mail) == (usd(0), usd(2))


async def test_an_account_that_overran_gives_nothing(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    web = await do(pool.open, "web", limit=usd(3))
    mail = await do(pool.open, "mail", limit=usd(1))
    await do((await do(web.reserve, usd(1))).settle, usd(4))

    with unchanged(store), pytest.raises(BudgetExceeded):
        await do(web.transfer, mail, usd("0.01"))


async def test_a_transfer_revives_only_above_zero(
    pool: BudgetPool, events: list[Event], do: Do
) -> None:
    web = await do(pool.open, "web", limit=usd(3))
    mail = await do(pool.open, "mail", limit=usd(1))
    await do((await do(mail.reserve, usd(1))).settle, usd(2))

    await do(web.transfer, mail, usd(1))
    still = mail.balance().state
    await do(web.transfer, mail, usd(1))

    assert (still, mail.balance().state) == ("exhausted", "active")
    (thawed,) = (each for each in events if isinstance(each, AccountThawed))
    assert (thawed.account, thawed.reason) == ("acme/mail", "credit")


async def test_a_frozen_account_gives_nothing_but_gets_what_it_is_given(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    web = await do(pool.open, "web", limit=usd(3))
    mail = await do(pool.open, "mail", limit=usd(1))
    await do(web.freeze)

    with unchanged(store), pytest.raises(AccountFrozen):
        await do(web.transfer, mail, usd(1))

    await do(mail.transfer, web, usd(1))
    assert web.balance().granted == usd(4)
    assert web.balance().state == "frozen"


async def test_a_closed_account_neither_gives_nor_gets(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    web = await do(pool.open, "web", carve=usd(3))
    mail = await do(pool.open, "mail", carve=usd(3))
    await do(web.close)

    for payer, payee in ((web, mail), (mail, web)):
        with unchanged(store), pytest.raises(AccountClosed, match="'acme/web'"):
            await do(payer.transfer, payee, usd(1))


async def test_a_payee_that_closes_meanwhile_gets_nothing(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    elsewhere = BudgetPool("acme", usd(10), store=store)
    web = await do(pool.open, "web", carve=usd(3))
    mail = await do(pool.open, "mail", carve=usd(3))
    await do(web.transfer, mail, usd(1))
    await do(elsewhere.account("mail").close)

    with unchanged(store), pytest.raises(AccountClosed, match="'acme/mail'"):
        await do(web.transfer, mail, usd(1))


async def test_a_transfer_with_a_key_happens_once(pool: BudgetPool, do: Do) -> None:
    web = await do(pool.open, "web", limit=usd(3))
    mail = await do(pool.open, "mail", carve=usd(3))
    for _ in range(3):
        await do(web.transfer, mail, usd(1), key="move 1")
    await do(mail.close)

    await do(web.transfer, mail, usd(1), key="move 1")

    assert web.balance().granted == usd(2)


@pytest.mark.parametrize(
    "change", [{"amount": usd(2)}, {"reason": "other"}, {"to": "chat"}]
)
async def test_a_key_means_one_transfer(
    pool: BudgetPool, store: MemoryStore, change: dict[str, Any], do: Do
) -> None:
    web = await do(pool.open, "web", limit=usd(3))
    mail = await do(pool.open, "mail", limit=usd(3))
    await do(pool.open, "chat", limit=usd(3))
    await do(web.transfer, mail, usd(1), key="move 1")
    asked = {"to": mail, "amount": usd(1), "key": "move 1"} | change

    with unchanged(store), pytest.raises(IdConflict, match="'move 1'"):
        await do(web.transfer, **asked)
    with unchanged(store), pytest.raises(IdConflict, match="'move 1'"):
        await do(web.top_up, usd(1), key="move 1")


async def test_an_account_cannot_give_to_itself(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    with unchanged(store), pytest.raises(InvalidTransfer, match="to itself"):
        await do(pool.transfer, pool, usd(1))


async def test_a_shared_account_draws_on_its_parent_already(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    web = await do(pool.open, "web", limit=usd(3))

    for payer, payee in ((pool, web), (web, pool)):
        with unchanged(store), pytest.raises(InvalidTransfer, match="use set_limit"):
            await do(payer.transfer, payee, usd(1))


@pytest.mark.parametrize("name", ["acme", "other"])
async def test_pools_keep_their_money(
    pool: BudgetPool, store: MemoryStore, name: str, do: Do
) -> None:
    other = BudgetPool(name, usd(10)).open("web", limit=usd(3))
    mine = await do(pool.open, "mail", limit=usd(3))

    with unchanged(store), pytest.raises(InvalidTransfer, match="different pools"):
        await do(mine.transfer, other, usd(1))


async def test_pools_in_one_store_keep_their_money(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    other = BudgetPool("other", usd(10), store=store)

    with unchanged(store), pytest.raises(InvalidTransfer, match="different pools"):
        await do(pool.transfer, other, usd(1))


async def test_what_has_no_limit_cannot_move(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    web = await do(pool.open, "web")
    mail = await do(pool.open, "mail", limit=[usd(3), tokens(5)])

    with (
        unchanged(store),
        pytest.raises(InvalidTransfer, match="'acme/web' has no usd"),
    ):
        await do(web.transfer, mail, usd(1))
    with unchanged(store), pytest.raises(InvalidTransfer, match=r"no usd.*set_limit"):
        await do(mail.transfer, web, usd(1))
    with unchanged(store), pytest.raises(InvalidTransfer, match="no tokens limit"):
        await do(mail.transfer, "web", tokens(1))


@pytest.mark.parametrize("amount", [usd(0), usd(0) - usd(1), 1, 0.5, None])
async def test_nothing_and_less_does_not_move(
    pool: BudgetPool, store: MemoryStore, amount: Any, do: Do
) -> None:
    web = await do(pool.open, "web", limit=usd(3))
    await do(pool.open, "mail", limit=usd(3))

    with unchanged(store), pytest.raises(InvalidAmount):
        await do(web.transfer, "mail", amount)


async def test_nobody_gives_to_an_account_that_was_never_opened(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    with unchanged(store), pytest.raises(UnknownAccount, match="'acme/mail'"):
        await do(pool.transfer, "mail", usd(1))


@st.composite
def trees(draw: st.DrawFn) -> BudgetPool:
    """Draw up to eight accounts in a tree, each shared, capped or a slice."""
    pool = BudgetPool("acme", usd(100), store=MemoryStore())
    accounts: list[Account] = [pool]
    for number in range(draw(st.integers(2, 8))):
        parent = draw(st.sampled_from(accounts))
        kind = draw(st.sampled_from(["shared", "limit", "carve", "carve"]))
        amount = usd(draw(st.integers(1, 9)))
        options: dict[str, Any] = {} if kind == "shared" else {kind: amount}
        try:
            accounts.append(parent.open(f"a{number}", **options))
        except BudgetExceeded:
            continue
        if draw(st.booleans()):
            with accounts[-1].reserve() as hold:
                hold.settle(usd(draw(st.integers(0, 5))))
    return pool


@given(trees(), st.data())
def test_a_transfer_neither_makes_nor_loses_money(
    pool: BudgetPool, data: st.DataObject
) -> None:
    store = pool.ledger.store
    paths = [row.path for row in store.below(pool.path)]
    payer = pool.account(data.draw(st.sampled_from(paths)))
    payee = pool.account(data.draw(st.sampled_from(paths)))
    amount = usd(data.draw(st.integers(1, 5)))
    before, money = left(payer, payee), free_money(pool)

    try:
        payer.transfer(payee, amount)
    except BudgetError:
        assert left(payer, payee) == before
    else:
        assert left(payer)[0] == subtracted(before[0], amount)
        assert subtracted(left(payee)[0], amount) == before[1]

    assert free_money(pool) == money
    assert_books_add_up(store)


def free_money(pool: BudgetPool) -> Amount:
    """Add what the root and every slice have left."""
    rows = pool.ledger.store.below(pool.path)
    purses = [row.path for row in rows if "usd" in row.slices or row.path == pool.path]
    balances = [pool.account(path).balance() for path in purses]
    return sum((each.available or usd(0) for each in balances), usd(0))


def subtracted(left: Amount | None, amount: Amount) -> Amount:
    assert left is not None
    return left - amount
