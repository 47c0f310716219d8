"""
Leases: four processes spend under one cap, each at the speed of its own memory.

Beside it stands the same work on a pool in memory, in the same process. Both are the
processor time of a reserve and a settle; the aim is 20,000 of them a second, 50 us.
"""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

from benchmarks.measure import Ratio
from benchmarks.stores import servers
from langchain_budget import Account, BudgetPool, usd

PROCESSES = 4
CAP = usd(1_000)


def rows(rounds: int) -> list[Ratio]:
    """One row for each shared store."""
    with servers() as settings:
        return [_row(each.name, each.url, rounds * 2_000) for each in settings]


def _row(name: str, url: str, pairs: int) -> Ratio:
    BudgetPool("leased", CAP, store=url)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=spawn) as workers:
        jobs = [workers.submit(_work, url, pairs) for _ in range(PROCESSES)]
        times = [job.result(timeout=600) for job in jobs]
    leased, alone = (sum(each) / PROCESSES * 1e6 for each in zip(*times, strict=True))
    what = f"lease, {PROCESSES} processes, {name}: a pair / in memory"
    return Ratio(what, leased, alone, "<= 50 us")


def _work(url: str, pairs: int) -> tuple[float, float]:
    """Processor seconds for a reserve and a settle: on a lease, and in memory."""
    shared = BudgetPool("leased", CAP, store=url)
    alone = _time(BudgetPool("alone", CAP), pairs)
    with shared.lease(usd(5), ttl_seconds=30) as worker:
        return _time(worker, pairs), alone


def _time(account: Account, pairs: int) -> float:
    held, used = usd("0.0005"), usd("0.0004")
    start = time.process_time()
    for _ in range(pairs):
        account.reserve(held).settle(used)
    return (time.process_time() - start) / pairs
