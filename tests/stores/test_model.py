"""All stores and a naive model of the rules agree on any history."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from langchain_budget import BudgetPool, MemoryStore, usd
from langchain_budget.stores._open import open_store
from langchain_budget.stores.base import Store
from langchain_budget.testing import StillClock
from tests.failing_store import FailingStore
from tests.stores.machine import Histories

books = count(1)


def new_book(url: str) -> Callable[[StillClock], Store]:
    """Open a book of its own for each history."""
    return lambda clock: open_store(url, book=f"book {next(books)}", clock=clock)


def agree(histories: int, phases: Sequence[Phase], *urls: str) -> None:
    run_state_machine_as_test(
        partial(Histories, [MemoryStore, *map(new_book, urls)]),
        settings=settings(
            max_examples=histories,
            stateful_step_count=30,
            deadline=None,
            phases=phases,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def test_memory_and_sqlite_agree_with_the_model(sqlite_url: str) -> None:
    agree(120, tuple(Phase), sqlite_url)


def test_stores_on_servers_agree_with_memory(postgres_url: str, redis_url: str) -> None:
    """A history that fails is not made shorter: that would take minutes here."""
    agree(25, [Phase.reuse, Phase.generate], postgres_url, redis_url)


def test_a_closed_slice_returns_its_rest_though_the_answer_to_a_settle_was_lost() -> (
    None
):
    line = FailingStore()
    pool = BudgetPool("acme", usd(20), store=line)
    inner = pool.open("inner", carve=usd(10))
    reservation = inner.reserve(usd(5))
    inner.close()
    line.breaks("settle", lost=True)
    reservation.settle(usd(3))
    line.mend()

    assert pool.balance().available == usd(17)
