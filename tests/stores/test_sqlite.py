"""What is special to books in a file of SQLite."""

import multiprocessing
import os
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path

import pytest

from langchain_budget import (
    BudgetPool,
    StoreError,
    StoreUnavailable,
    UnknownStore,
    UnusableStore,
    tokens,
    usd,
)
from langchain_budget.core.postings import CounterKey, Delta, Posting
from langchain_budget.stores.sqlite import SqliteStore

FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
spawned = multiprocessing.get_context("spawn")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "budget.db"


def pool_in(path, **options):
    return BudgetPool("acme", usd(1), store=SqliteStore(path, book="acme", **options))


def test_two_pools_on_one_file_share_their_books(path):
    url = f"sqlite:///{path}"
    one, other = (BudgetPool("acme", usd(1), store=url) for _ in range(2))

    one.reserve(usd("0.75")).settle(usd("0.50"))

    assert other.balance().spent == usd("0.50")


def test_books_outlive_the_program(path):
    pool_in(path).reserve(usd("0.75")).settle(usd("0.50"))

    script = (
        "import sys; from langchain_budget import BudgetPool, usd;"
        "print(BudgetPool('acme', usd(1), store=sys.argv[1]).balance().spent)"
    )
    said = run_python(script, f"sqlite:///{path}")

    assert said == "$0.50"


def run_python(script, *args):
    import subprocess  # noqa: PLC0415  # only here

    done = subprocess.run(
        [sys.executable, "-c", script, *args],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip()


def test_pools_of_other_names_have_books_of_their_own(path):
    acme, other = (
        BudgetPool(name, usd(1), store=f"sqlite:///{path}")
        for name in ("acme", "umbra")
    )
    acme.reserve(usd("0.75")).settle()

    assert other.balance().spent == usd(0)
    assert [entry.seq for entry in other.ledger.store.journal()] == [1]


def test_sums_above_what_a_float_can_tell_apart_are_exact(path):
    pool = BudgetPool("acme", store=f"sqlite:///{path}")
    for count in (2**53 + 1, 2**60):
        pool.reserve(tokens(count)).settle()

    assert pool.balance("tokens").spent.value == 2**60 + 2**53 + 1


def test_a_sum_that_does_not_fit_changes_nothing(path):
    store = SqliteStore(path)
    key = CounterKey("acme", "usd")
    most = Posting("1", "spend", "acme", (Delta((key,), spent=2**63 - 1),))
    more = Posting("2", "spend", "acme", (Delta((key,), spent=1),))
    store.post(most)

    with pytest.raises(StoreError, match="64 bits"):
        store.post(more)

    assert store.balances(["acme"])[key].spent == 2**63 - 1
    assert len(store.journal()) == 1


def test_while_another_process_writes_nothing_is_admitted(path):
    pool = pool_in(path, wait_seconds=0.05)
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="is locked"):
            pool.reserve(usd("0.10"))

    assert pool.balance().held == usd(0)


def test_who_waits_for_another_process_goes_on_after_it(path):
    pool = pool_in(path)
    other = sqlite3.connect(path, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    waits = spawned.Event()
    child = spawned.Process(target=reserve_in_child, args=(str(path), waits))
    child.start()
    assert waits.wait(30)
    other.execute("COMMIT")
    other.close()
    child.join(30)

    assert child.exitcode == 0
    assert pool.balance().spent == usd("0.25")


def reserve_in_child(path, waits):
    waits.set()
    pool = pool_in(Path(path), wait_seconds=20)
    pool.reserve(usd("0.25")).settle()


def test_a_settle_that_found_the_file_locked_is_kept(path):
    pool = pool_in(path, wait_seconds=0.05)
    reservation = pool.reserve(usd("0.10"))
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        reservation.settle(usd("0.04"))
        assert len(pool.ledger.late) == 1

    assert pool.balance().spent == usd("0.04")
    assert pool.balance().held == usd(0)


def test_a_full_disk_changes_nothing(path):
    pool = pool_in(path)
    store = pool.ledger.store
    limit_pages(store, 0)

    with pytest.raises(StoreUnavailable, match="full"):
        fill(pool)

    limit_pages(store, 1_000_000)
    held = sum(hold.amounts["usd"] for hold in store.open_holds())
    assert pool.balance().held.value == held


def fill(pool):
    for _ in range(1000):
        pool.reserve(usd("0.0001"), labels={"note": "x" * 2000})


def limit_pages(store, more):
    """Let the database grow by no more than this, as a full disk would."""
    with store._file._turn() as db:  # noqa: SLF001  # only its own connection obeys
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages + more}")


def test_a_file_that_is_no_database_is_left_alone(path):
    path.write_text("these are my notes\n" * 200)

    with pytest.raises(UnusableStore, match="not a database"):
        pool_in(path)

    assert path.read_text() == "these are my notes\n" * 200


def test_a_damaged_file_is_refused(path):
    pool_in(path).ledger.store.close()
    damaged = bytearray(path.read_bytes())
    damaged[100:] = b"\xff" * (len(damaged) - 100)
    path.write_bytes(damaged)

    with pytest.raises(UnusableStore, match="malformed"):
        pool_in(path)


def test_a_newer_schema_is_refused(path):
    pool_in(path).ledger.store.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE budget_meta SET schema = 2")

    with pytest.raises(UnusableStore, match="newer release"):
        pool_in(path)


def test_tables_of_others_with_our_names_are_refused(path):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE budget_holds (mine TEXT)")

    with pytest.raises(UnusableStore, match="budget_holds"):
        pool_in(path)

    with closing(sqlite3.connect(path)) as db:
        names = db.execute("SELECT name FROM sqlite_master").fetchall()
    assert names == [("budget_holds",)]


def test_tables_of_others_with_other_names_do_not_matter(path):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE notes (mine TEXT)")

    assert pool_in(path).balance().spent == usd(0)


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UnusableStore, match="see that the directory exists"):
        pool_in(tmp_path / "nowhere" / "budget.db")

    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anything"
)
def test_a_file_that_may_not_be_written_is_named(path):
    pool_in(path).ledger.store.close()
    path.chmod(stat.S_IREAD)

    with pytest.raises(UnusableStore, match="may be written"):
        pool_in(path)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://budget.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///budget.db?journal=off",
        "sqlite:///budget.db?wait_seconds=long",
        "mysql://host/db",
        "budget.db",
        "",
        "memory://x",
    ],
)
def test_what_names_no_store_is_refused(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UnknownStore):
        BudgetPool("acme", usd(1), store=url)

    assert list(tmp_path.iterdir()) == []


def test_a_password_is_not_repeated():
    with pytest.raises(UnknownStore) as caught:
        BudgetPool("acme", usd(1), store="mysql://me:secret@host/db")

    assert "secret" not in str(caught.value)


def test_an_unknown_durability_is_refused(path):
    with pytest.raises(UnusableStore, match="off, normal, full, extra"):
        SqliteStore(path, synchronous="maybe")


@FORK
def test_a_forked_worker_opens_the_file_for_itself(path):
    pool = pool_in(path)
    pool.reserve(usd("0.10")).settle()

    child = os.fork()
    if child == 0:
        try:
            pool.reserve(usd("0.20")).settle()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    pool.reserve(usd("0.30")).settle()

    assert pool.balance().spent == usd("0.60")


def test_a_store_that_was_closed_opens_again(path):
    pool = pool_in(path)
    pool.ledger.store.close()

    pool.reserve(usd("0.10")).settle()

    assert pool.balance().spent == usd("0.10")
    pool.ledger.store.close()


def test_books_that_are_gone_are_noticed(path):
    pool = pool_in(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM budget_books")

    with pytest.raises(StoreUnavailable, match="are gone"):
        pool.reserve(usd("0.10"))
