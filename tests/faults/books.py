"""The books that everybody opens: those of a pool called acme."""

from collections.abc import Callable

from langchain_budget import Amount, BudgetPool, Price, PriceTable
from langchain_budget.core.rules import HOLD_TTL_SECONDS
from langchain_budget.stores._open import open_store
from langchain_budget.testing import StillClock

NAME = "acme"
PRICES = PriceTable({"fake": Price.per_million(input=1, output=2)})


def pool_at(
    url: str, *limits: Amount, clock: Callable[[], float] | None = None
) -> BudgetPool:
    store = open_store(url, book=NAME, clock=clock)
    return BudgetPool(NAME, *limits, store=store, prices=PRICES)


def patient(url: str) -> str:
    """Wait longer for the store than crowds on a busy machine can take."""
    name = "wait_seconds" if url.startswith("sqlite") else "timeout"
    return f"{url}?{name}=60"


def later(pool: BudgetPool, url: str, *limits: Amount) -> BudgetPool:
    """Open the same books when every hold of now has outlived its time."""
    now = pool.ledger.store.now()
    return pool_at(url, *limits, clock=StillClock(now + HOLD_TTL_SECONDS + 1))
