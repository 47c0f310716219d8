"""What workers do to a file of SQLite."""

import os
import resource
import sqlite3
from contextlib import closing
from pathlib import Path
from signal import SIGKILL

from langchain_budget import Reservation, StoreUnavailable, usd
from langchain_budget.stores.sqlite import SqliteStore
from tests.faults.books import pool_at
from tests.faults.crew import Post
from tests.faults.duties import ALL, CENT

USED = usd("0.25")


def lock(post: Post, path: Path) -> None:
    """Write to the file, and take a while."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE budget_counters SET spent = spent + 1")
        post.at("locked")
        db.execute("ROLLBACK")
    post.at("unlocked")


def die_at(post: Post, url: str, statement: int) -> None:
    """Reserve, settle, and open a slice; be killed before one of the statements."""
    pool = pool_at(url, ALL)
    store = pool.ledger.store
    assert isinstance(store, SqliteStore)
    left = statement

    def count(_: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), SIGKILL)

    with store._file._turn() as db:  # noqa: SLF001  # its own connection alone tells
        db.set_trace_callback(count)
    pool.reserve(CENT).settle(CENT)
    pool.open(f"child {statement}", carve=CENT)
    post.say("alive")


def fill_the_disk(post: Post, url: str) -> None:
    """Go on until files may not grow any more, and then until they may."""
    pool = pool_at(url, ALL)
    hold = pool.reserve(USED)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(path.stat().st_size for path in Path(url[10:]).parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 50_000, most))
    held: list[Reservation] = []
    try:
        while True:
            held.append(pool.reserve(usd("0.001"), labels={"note": "x" * 2_000}))
    except StoreUnavailable:
        post.say(len(held))
    hold.settle(USED)
    post.at("full")
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    for each in held:
        each.release()
    post.say("done")
