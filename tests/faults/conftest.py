from collections.abc import Iterator

import pytest

from tests.faults.crew import Crew
from tests.server_process import Server


@pytest.fixture
def crew() -> Iterator[Crew]:
    with Crew() as crew:
        yield crew


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def shared_url(request: pytest.FixtureRequest) -> str:
    """Each store that processes can share."""
    names = {"sqlite": "sqlite_url", "postgresql": "postgres_url", "redis": "redis_url"}
    url: str = request.getfixturevalue(names[request.param])
    return url


@pytest.fixture(scope="module", params=["memory", "sqlite", "postgresql", "redis"])
def lasting_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """Each kind of store, emptied once: each test takes a book of its own."""
    if request.param == "memory":
        return "memory://"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('books') / 'budget.db'}"
    names = {"postgresql": "postgres_server", "redis": "redis_server"}
    server: Server = request.getfixturevalue(names[request.param])
    server.start()
    server.empty()
    return server.url
