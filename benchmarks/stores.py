"""
Each store against its bare driver, on a hot account and on spread ones.

Clients are threads of this process; a *spread* client has accounts of its own below
the shared root. What counts is the time until all have done their share: the best of
several rounds, ours and the bare driver in turn.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.bare import Bare, BarePostgres, BareRedis, BareSqlite
from benchmarks.measure import Ratio
from langchain_budget import Account, BudgetPool, calls, tokens, usd
from tests.servers import PostgresServer, RedisServer

CLIENTS = (1, 4, 16)
PAIRS = 480
"""How many reserves and settles a round has, all clients together."""


class Setting(NamedTuple):
    """A store, the bare client of it, and where it is."""

    name: str
    url: str
    bare: type[Bare]


def rows(rounds: int) -> list[Ratio]:
    """The rows of all stores; times are of one reserve or one settle."""
    with servers() as settings:
        return [
            _row(setting, clients, rounds, spread=spread)
            for setting in settings
            for clients in CLIENTS
            for spread in ((False, True) if clients > 1 else (False,))
        ]


@contextmanager
def servers() -> Iterator[list[Setting]]:
    """Start what is needed, in a directory that is gone afterwards."""
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer() as redis,
        PostgresServer() as postgres,
    ):
        lanes = max(CLIENTS)
        BareSqlite.prepare(Path(folder, "bare.db"), lanes)
        BarePostgres.prepare(postgres.url, lanes)
        BareRedis.prepare(redis.url, lanes)
        yield [
            Setting("sqlite", f"sqlite:///{folder}/ours.db", BareSqlite),
            Setting("postgresql", postgres.url, BarePostgres),
            Setting("redis", redis.url, BareRedis),
        ]
        BareSqlite.db.close()


def _row(setting: Setting, clients: int, rounds: int, *, spread: bool) -> Ratio:
    lanes = range(clients) if spread else [0] * clients
    limits = usd(10**6), tokens(10**12), calls(10**9)
    where = "spread" if spread else "hot"
    pool = BudgetPool(f"{where}{clients}", *limits, store=setting.url)
    ours = [_ours(_leaf(pool, lane)) for lane in lanes]
    theirs = [setting.bare(lane).pair for lane in lanes]
    best = [float("inf"), float("inf")]
    for _ in range(rounds + 1):
        for side, steps in enumerate((ours, theirs)):
            best[side] = min(best[side], _round(steps))
    what = f"{setting.name}, clients: {clients}, {where} / bare driver"
    each = [seconds / PAIRS / 2 * 1e6 for seconds in best]
    return Ratio(what, each[0], each[1], "<= 1.67")


def _leaf(pool: BudgetPool, lane: int) -> Account:
    """An account on the third level."""
    limits = usd(10**6), tokens(10**12), calls(10**9)
    return pool.open(f"team{lane}", limit=limits).open("agent", limit=limits)


def _ours(account: Account) -> Callable[[], None]:
    def pair() -> None:
        held = account.reserve(usd("0.01"), tokens(900), calls(1))
        held.settle(usd("0.008"), tokens(700), calls(1))

    return pair


def _round(steps: list[Callable[[], None]]) -> float:
    """Seconds until each client has done its share."""

    def share(step: Callable[[], None]) -> None:
        for _ in range(PAIRS // len(steps)):
            step()

    with ThreadPoolExecutor(len(steps)) as threads:
        start = time.perf_counter()
        list(threads.map(share, steps))
        return time.perf_counter() - start
