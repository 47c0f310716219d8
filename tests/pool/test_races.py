"""Two things at once; the overlap is forced, by threads at a barrier or by a stop."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from langchain_budget import BudgetExceeded, BudgetPool, MemoryStore, usd
from tests.invariants import assert_quiet


@pytest.mark.parametrize("threads", [2, 16, 64])
def test_threads_are_admitted_as_far_as_the_budget_goes(
    store: MemoryStore, threads: int
) -> None:
    affordable = max(threads // 10, 1)
    pool = BudgetPool("acme", usd(affordable), store=store)
    agents = [pool.open(f"agent-{number % 3}") for number in range(threads)]
    barrier = Barrier(threads)

    def spend(number: int) -> bool:
        barrier.wait()
        try:
            hold = agents[number].reserve(usd(1))
        except BudgetExceeded:
            return False
        barrier.wait()
        hold.settle(usd(1))
        return True

    with ThreadPoolExecutor(threads) as workers:
        futures = [workers.submit(spend, number) for number in range(threads)]
        while barrier.n_waiting < affordable or sum(
            future.done() for future in futures
        ) < (threads - affordable):
            continue
        barrier.abort() if affordable < threads else None
        answers = [not future.exception() and future.result() for future in futures]

    assert sum(not each for each in answers) >= threads - affordable
    assert pool.balance().held + pool.balance().spent <= usd(affordable)


def test_many_settles_of_one_hold_are_one(pool: BudgetPool, store: MemoryStore) -> None:
    hold = pool.reserve(usd(5))
    barrier = Barrier(8)

    def settle(dollars: int) -> None:
        barrier.wait()
        hold.settle(usd(dollars))

    with ThreadPoolExecutor(8) as workers:
        list(workers.map(settle, [2] * 8))

    assert pool.balance().spent == usd(2)
    assert_quiet(store)
