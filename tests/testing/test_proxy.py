from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, RemoteDisconnected
from typing import Any
from urllib.parse import urlsplit

import pytest

from langchain_budget.testing import ScriptedServer
from tests.proxy import Proxy
from tests.servers import RedisServer, need

need("psycopg", "redis")

import psycopg  # noqa: E402  # it may be missing
import redis  # noqa: E402


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    with Proxy(redis_url) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: Proxy, redis_url: str) -> Iterator[Any]:
    """A connected client that goes through the proxy and never tries twice."""
    with redis.Redis.from_url(proxy.url_for(redis_url), retry=None) as client:
        client.ping()
        yield client


@pytest.fixture
def direct(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.mark.parametrize(
    ("url", "by_way_of"),
    [
        ("redis://:secret@127.0.0.1:6379/2?a=b", "redis://:secret@{}/2?a=b"),
        ("postgresql://postgres@localhost:5432/db", "postgresql://postgres@{}/db"),
        ("http://127.0.0.1:80/v1", "http://{}/v1"),
    ],
)
def test_a_url_by_way_of_the_proxy_differs_in_its_address_only(
    url: str, by_way_of: str
):
    with Proxy("127.0.0.1:1") as proxy:
        address = proxy.url_for("redis://x:1").removeprefix("redis://")

        assert proxy.url_for(url) == by_way_of.format(address)


def test_large_requests_and_replies_pass_whole(through: Any, direct: Any):
    value = bytes(range(256)) * 8192

    through.set("value", value)

    assert direct.get("value") == through.get("value") == value


def test_an_http_client_goes_through():
    with ScriptedServer() as server, Proxy(server.base_url) as proxy:
        line = HTTPConnection(urlsplit(proxy.url_for(server.base_url)).netloc)
        proxy.lose_reply()
        line.request("GET", "/v1/models")
        with pytest.raises(RemoteDisconnected):
            line.getresponse()

        line.request("GET", "/v1/models")

        with line.getresponse() as answer:
            assert answer.status == 200
        line.close()


async def test_an_awaiting_client_goes_through(proxy: Proxy, redis_url: str):
    async with redis.asyncio.Redis.from_url(
        proxy.url_for(redis_url), retry=None
    ) as client:
        await client.ping()
        proxy.lose_reply()
        with pytest.raises(redis.ConnectionError):
            await client.incr("n")

        assert await client.get("n") == b"1"


def test_a_request_whose_reply_is_lost_was_carried_out(
    proxy: Proxy, through: Any, direct: Any
):
    proxy.lose_reply()

    with pytest.raises(redis.ConnectionError):
        through.incr("n")

    assert direct.get("n") == b"1"
    assert through.incr("n") == 2


def test_replies_to_certain_requests_are_lost_as_often_as_asked(
    proxy: Proxy, redis_url: str
):
    persistent = {
        "retry": redis.retry.Retry(redis.backoff.NoBackoff(), 2),
        "retry_on_error": [redis.ConnectionError],
    }
    proxy.lose_reply(2, to=b"INCR")

    with redis.Redis.from_url(proxy.url_for(redis_url), **persistent) as client:
        assert client.incr("n") == 3


def test_a_commit_whose_reply_is_lost_was_carried_out(postgres_url: str):
    with Proxy(postgres_url) as proxy:
        connection = psycopg.connect(proxy.url_for(postgres_url))
        connection.execute("CREATE TABLE t (n int)")
        proxy.lose_reply(to=b"COMMIT")

        with pytest.raises(psycopg.OperationalError), connection:
            connection.execute("INSERT INTO t VALUES (7)")

    with psycopg.connect(postgres_url) as direct:
        assert direct.execute("SELECT n FROM t").fetchall() == [(7,)]


def test_a_reply_is_cut(proxy: Proxy, through: Any, direct: Any):
    proxy.cut_after(3)

    with pytest.raises(redis.ConnectionError):
        through.set("n", 1)

    assert direct.get("n") == b"1"
    assert through.get("n") == b"1"


def test_nobody_gets_through_while_the_proxy_refuses(proxy: Proxy, through: Any):
    proxy.refuse()

    for _ in ("the old connection", "a new connection"):
        with pytest.raises(redis.ConnectionError):
            through.ping()

    proxy.heal()
    assert through.ping()


def test_what_a_black_hole_takes_is_never_carried_out(
    proxy: Proxy, redis_url: str, direct: Any
):
    impatient = {"socket_timeout": 0.05, "retry": None}
    url = proxy.url_for(redis_url)
    with redis.Redis.from_url(url, **impatient) as client:
        client.ping()
        proxy.blackhole()

        for _ in ("the old connection", "a new connection"):
            with pytest.raises(redis.TimeoutError):
                client.incr("n")

    proxy.heal()
    with redis.Redis.from_url(url) as client:
        assert client.incr("n") == 1
    assert direct.get("n") == b"1"


def test_a_client_in_a_black_hole_is_hung_up_on_when_it_heals(
    proxy: Proxy, through: Any, direct: Any
):
    proxy.blackhole()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(through.incr, "n")
        proxy.wait_for_request()
        proxy.heal()

        with pytest.raises(redis.ConnectionError):
            waiting.result()
    assert direct.get("n") is None


def test_replies_are_held_until_the_proxy_heals(
    proxy: Proxy, through: Any, direct: Any
):
    proxy.hold_replies(to=b"INCR")
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(through.incr, "n") for _ in range(2)]
        proxy.wait_for_reply(2)

        assert direct.get("n") == b"2"
        assert not any(each.done() for each in waiting)

        proxy.heal()
        assert sorted(each.result() for each in waiting) == [1, 2]


def test_a_held_reply_can_still_be_lost(proxy: Proxy, through: Any, direct: Any):
    proxy.hold_replies()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(through.incr, "n")
        proxy.wait_for_reply()
        proxy.refuse()

        with pytest.raises(redis.ConnectionError):
            waiting.result()
    assert direct.get("n") == b"1"


def test_a_server_that_is_away_is_reached_again_when_it_is_back(
    redis_server: RedisServer, through: Any
):
    redis_server.kill()
    with pytest.raises(redis.ConnectionError):
        through.ping()

    redis_server.start()

    assert through.ping()


def test_waiting_for_a_request_that_does_not_come_fails(proxy: Proxy):
    with pytest.raises(TimeoutError, match="only 0 requests and 0 replies"):
        proxy.wait_for_request(seconds=0)
