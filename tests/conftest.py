import os
from collections.abc import Iterator

import pytest

from langchain_budget.testing import ScriptedServer
from tests import real_model


@pytest.fixture(autouse=True)
def _no_tracing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing a test does is reported to anybody."""
    for name in [*os.environ]:
        if name.startswith(("LANGSMITH_", "LANGCHAIN_TRACING")):
            monkeypatch.delenv(name)


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    with ScriptedServer(seed=7) as server:
        yield server


@pytest.fixture(scope="session")
def local_llm() -> Iterator[str]:
    yield from real_model.serve()
