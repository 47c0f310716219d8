"""What workers in other processes do with a lease; each gets its end of the line."""

import asyncio
import os

from langchain_budget import Account, BudgetExceeded, BudgetPool, BudgetRefused, calls
from tests.faults.books import pool_at
from tests.faults.crew import Post

SIZE, LIMIT = calls(20), calls(500)


def books(url: str) -> BudgetPool:
    return pool_at(url, LIMIT)


def spend(post: Post, url: str, way: str) -> None:
    """Start with all others, spend until nothing is left, and tell how much it was."""
    pool = books(url)
    post.at("the start")
    if way == "awaited":
        spent = asyncio.run(_aspend(pool))
    else:
        with pool.lease(SIZE) as worker:
            spent = 0
            while reserved(worker):
                spent += 1
    post.say(spent)


async def _aspend(pool: Account) -> int:
    async with pool.lease(SIZE) as worker:
        spent = await asyncio.gather(*(_until_refused(worker) for _ in range(8)))
    return sum(spent)


async def _until_refused(worker: Account) -> int:
    spent = 0
    while True:
        try:
            hold = await worker.areserve(calls(1))
        except BudgetExceeded:
            return spent
        await hold.asettle(calls(1))
        spent += 1


def reserved(worker: Account) -> bool:
    try:
        worker.reserve(calls(1)).settle(calls(1))
    except BudgetExceeded:
        return False
    return True


def crash(post: Post, url: str, reports: int) -> None:
    """Spend seven of twenty, and hold two more, when the end comes."""
    worker = books(url).lease(SIZE).__enter__()
    for _ in range(7):
        worker.reserve(calls(1)).settle(calls(1))
    if reports:
        worker.ledger.store.renew()  # type: ignore[attr-defined]  # it has a lease
    worker.reserve(calls(2))
    post.at("the end")


def fork(post: Post, url: str) -> None:
    """Fork inside a lease, and say what the child could do with it."""
    with books(url).lease(SIZE) as worker:
        worker.reserve(calls(1)).settle(calls(1))
        ours, theirs = os.pipe()
        child = os.fork()
        if not child:
            os.write(theirs, _words(worker, url).encode())
            os._exit(0)
        os.waitpid(child, 0)
        post.say(os.read(ours, 1_000).decode())
        post.say(reserved(worker))


def _words(inherited: Account, url: str) -> str:
    with books(url).lease(SIZE) as own:
        own.reserve(calls(1)).settle(calls(1))
    try:
        inherited.reserve(calls(1))
    except BudgetRefused as refusal:
        inherited.close()
        return str(refusal)
    return "admitted"
