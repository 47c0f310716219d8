"""A file that others lock, a full disk, a crash in the middle of a transaction."""

from pathlib import Path

import pytest

from langchain_budget import StoreUnavailable, usd
from tests.faults.books import later, pool_at
from tests.faults.crew import Crew
from tests.faults.duties import ALL
from tests.faults.locking import USED, die_at, fill_the_disk, lock
from tests.invariants import assert_books_add_up, assert_quiet
from tests.twins import Do

HELD = usd("0.60")
STATEMENTS = 20  # at the least, of a reserve, a settle and an opening


@pytest.mark.parametrize("end", ["goes on", "is killed"])
async def test_a_settle_waits_while_another_process_has_the_file(
    sqlite_url: str, tmp_path: Path, crew: Crew, do: Do, end: str
) -> None:
    pool = pool_at(f"{sqlite_url}?wait_seconds=0.1", ALL)
    hold = await do(pool.reserve, HELD)
    other = crew.hire(lock, tmp_path / "budget.db")
    other.reach("locked")

    with pytest.raises(StoreUnavailable, match="is locked"):
        await do(pool.reserve, USED)
    await do(hold.settle, USED)
    assert pool.ledger.late
    if end == "goes on":
        other.reach("unlocked")
    else:
        other.kill()

    assert (await do(pool.balance)).spent == USED
    assert_quiet(pool.ledger.store)


async def test_whoever_is_patient_is_admitted_when_the_file_is_free(
    sqlite_url: str, tmp_path: Path, crew: Crew
) -> None:
    pool = pool_at(sqlite_url, ALL)
    hold = await pool.areserve(HELD)
    other = crew.hire(lock, tmp_path / "budget.db")
    other.reach("locked")
    other.go_on()

    await hold.asettle(USED)

    assert not pool.ledger.late
    assert (await pool.abalance()).spent == USED


def test_a_process_that_is_killed_at_any_statement_leaves_whole_postings(
    sqlite_url: str, crew: Crew
) -> None:
    pool = pool_at(sqlite_url, ALL)
    deaths = 0
    while crew.hire(die_at, sqlite_url, deaths).ends():
        deaths += 1
        assert_books_add_up(pool.ledger.store)

    assert deaths > STATEMENTS
    after = later(pool, sqlite_url, ALL)
    assert after.balance().held == usd(0)
    assert_quiet(after.ledger.store)


def test_a_full_disk_loses_nothing(sqlite_url: str, crew: Crew) -> None:
    worker = crew.hire(fill_the_disk, sqlite_url)
    held = worker.hear()
    worker.reach("full")
    pool = pool_at(sqlite_url, ALL)

    assert held > 0
    assert len(pool.ledger.store.open_holds()) == held + 1
    assert_books_add_up(pool.ledger.store)
    worker.go_on()
    assert worker.hear() == "done"
    assert pool.balance().spent == USED
    assert_quiet(pool.ledger.store)
