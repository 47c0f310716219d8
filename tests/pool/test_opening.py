from typing import Any

import pytest

from langchain_budget import (
    AccountClosed,
    BudgetExceeded,
    BudgetPool,
    InvalidAmount,
    InvalidName,
    LimitConflict,
    MemoryStore,
    UnknownAccount,
    calls,
    tokens,
    usd,
)
from langchain_budget.errors import InexactAmount
from tests.invariants import unchanged
from tests.twins import Do


async def test_many_open_one_pool(pool: BudgetPool, store: MemoryStore, do: Do) -> None:
    again = BudgetPool("acme", usd(10), store=store)

    await do(again.reserve, usd(4))

    assert pool.balance().held == usd(4)


def test_a_pool_in_memory_is_private() -> None:
    one, other = BudgetPool("acme", usd(1)), BudgetPool("acme", usd(2))

    one.reserve(usd(1))

    assert other.balance().available == usd(2)


async def test_an_account_attaches_when_it_is_opened_alike(
    pool: BudgetPool, do: Do
) -> None:
    first = await do(pool.open, "web", limit=[usd(3), calls(5)], warn_at=(0.5, "90%"))
    await do(first.reserve, usd(1))

    again = await do(pool.open, "web", limit=[calls(5), usd(3)], warn_at=(90, 0.5))

    assert again.path == "acme/web"
    assert again.name == "web"
    assert (await do(again.balance)).held == usd(1)


@pytest.mark.parametrize(
    "asked", [{"limit": usd(4)}, {"carve": usd(3)}, {"share": "30%"}, {}]
)
async def test_an_account_is_not_opened_again_with_other_limits(
    pool: BudgetPool, store: MemoryStore, asked: dict[str, Any], do: Do
) -> None:
    await do(pool.open, "web", limit=usd(3))

    with unchanged(store), pytest.raises(LimitConflict) as conflict:
        await do(pool.open, "web", **asked)

    assert conflict.value.account == "acme/web"
    assert dict(conflict.value.stored.limits) == {"usd": 3_000_000_000}
    assert conflict.value.asked != conflict.value.stored
    assert "is open with limit $3.00" in str(conflict.value)
    assert "set_limit" in str(conflict.value)


def test_a_pool_is_not_opened_again_with_other_limits(
    pool: BudgetPool, store: MemoryStore
) -> None:
    with pytest.raises(LimitConflict, match=r"limit \$10.00; asked for limit \$12.00"):
        BudgetPool("acme", usd(12), store=store)

    assert pool.balance().granted == usd(10)


def test_other_thresholds_are_another_specification(pool: BudgetPool) -> None:
    pool.open("web", limit=usd(3), warn_at=[0.5])

    with pytest.raises(LimitConflict, match=r"warn_at 50%; asked .* warn_at 75%"):
        pool.open("web", limit=usd(3), warn_at=[0.75])


async def test_there_is_no_account_that_was_not_opened(
    pool: BudgetPool, do: Do
) -> None:
    with pytest.raises(UnknownAccount, match=r"'acme/web'.*open it") as unknown:
        await do(pool.account, "web")

    assert unknown.value.account == "acme/web"
    assert isinstance(unknown.value, LookupError)


@pytest.mark.parametrize("path", ["research/web", "acme/research/web"])
async def test_an_account_is_found_by_its_path(
    pool: BudgetPool, path: str, do: Do
) -> None:
    web = pool.open("research").open("web", limit=usd(3))

    found = await do(pool.account, path)

    assert found.path == web.path == "acme/research/web"
    assert repr(found) == "<Account 'acme/research/web'>"


@pytest.mark.parametrize("name", ["", " ", "a/b", "x" * 201, "a\nb", None])
async def test_a_name_that_is_none_opens_nothing(
    pool: BudgetPool, store: MemoryStore, name: Any, do: Do
) -> None:
    with unchanged(store), pytest.raises(InvalidName):
        await do(pool.open, name)
    with pytest.raises(InvalidName):
        BudgetPool(name, store=store)


@pytest.mark.parametrize("limit", [0.5, 5, "5", True, [usd(1), 2]])
async def test_a_limit_is_an_amount(
    pool: BudgetPool, store: MemoryStore, limit: Any, do: Do
) -> None:
    with unchanged(store), pytest.raises(InexactAmount, match=r"write usd\('0.50'\)"):
        await do(pool.open, "web", limit=limit)
    with pytest.raises(InexactAmount):
        BudgetPool("other", limit, store=store)


def test_a_unit_is_limited_once(pool: BudgetPool) -> None:
    with pytest.raises(InvalidAmount, match="given twice"):
        BudgetPool("other", usd(1), usd(2))
    with pytest.raises(InvalidAmount, match="usd: either limit a unit or carve it"):
        pool.open("web", limit=usd(1), carve=usd(1))


async def test_a_limit_of_nothing_admits_nothing(store: MemoryStore, do: Do) -> None:
    pool = BudgetPool("dry", usd(0), store=store)

    with pytest.raises(BudgetExceeded, match=r"\$0.00 left of \$0.00"):
        await do(pool.reserve, usd("0.000000001"))


async def test_no_limit_admits_everything_and_meters_it(
    store: MemoryStore, do: Do
) -> None:
    pool = BudgetPool("meter", None, store=store)
    web = await do(pool.open, "web", limit=None)

    await do((await do(web.reserve, usd(1_000_000))).settle, usd(1_000_000))

    assert pool.balance().granted is None
    assert pool.balance().available is None
    assert pool.balance().spent == usd(1_000_000)


async def test_a_cap_binds_below_what_the_parent_has(pool: BudgetPool, do: Do) -> None:
    web = await do(pool.open, "web", limit=[usd(3), tokens(100)])

    with pytest.raises(BudgetExceeded) as refused:
        await do(web.reserve, usd(4), tokens(10))

    assert refused.value.account == "acme/web"
    assert refused.value.limit == usd(3)


async def test_caps_may_add_up_to_more_than_the_parent_has(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    agents = [await do(pool.open, name, limit=usd(6)) for name in "abc"]
    await do(agents[0].reserve, usd(6))

    with unchanged(store), pytest.raises(BudgetExceeded) as refused:
        await do(agents[1].reserve, usd(5))

    assert refused.value.account == "acme"
    assert refused.value.available == usd(4)


async def test_a_refusal_in_one_unit_holds_nothing_in_another(
    store: MemoryStore, do: Do
) -> None:
    pool = BudgetPool("both", usd(1), tokens(10), store=store)

    with unchanged(store), pytest.raises(BudgetExceeded) as refused:
        await do(pool.reserve, usd(1), tokens(11))

    assert refused.value.wanted == tokens(11)
    assert pool.balance("usd").held == usd(0)


async def test_nothing_is_opened_below_what_is_closed(pool: BudgetPool, do: Do) -> None:
    web = await do(pool.open, "web")
    await do(web.close)

    with pytest.raises(AccountClosed, match="'acme/web' is closed"):
        await do(pool.open, "web")
    with pytest.raises(AccountClosed, match="'acme/web' is closed"):
        await do(web.open, "page")


@pytest.mark.parametrize("name", ["acme", ":user", "acme:user"])
async def test_an_account_is_not_named_like_one_that_its_name_means_already(
    pool: BudgetPool, store: MemoryStore, name: str, do: Do
) -> None:
    web = await do(pool.open, "web")

    with (
        unchanged(store),
        pytest.raises(InvalidName, match="it means 'acme") as refused,
    ):
        await do(pool.open, name, limit=usd(1))

    assert repr(name) in str(refused.value)
    with unchanged(store), pytest.raises(InvalidName, match="it means 'acme"):
        await do(web.move_to, pool, name=name)


async def test_further_below_an_account_may_be_named_like_its_pool(
    pool: BudgetPool, do: Do
) -> None:
    web = await do(pool.open, "web")

    opened = await do(web.open, "acme")

    assert pool.account("web/acme").path == opened.path == "acme/web/acme"
    with pytest.raises(InvalidName, match="it means 'acme' here"):
        await do(opened.move_to, pool)
