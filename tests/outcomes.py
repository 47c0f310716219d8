"""What was collected and what has become of it, for a check at the very end."""

from typing import NamedTuple

import pytest


class Outcomes(NamedTuple):
    """Names of tests, without their parameters, as `tests/a/test_b.py::test_c`."""

    collected: set[str]
    seen: dict[str, set[str]]
    """What their cases have come to so far: `passed`, `failed`, `skipped`."""

    def collect(self, item: pytest.Item) -> None:
        self.collected.add(named(item.nodeid))

    def note(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            self.seen.setdefault(named(report.nodeid), set()).add(report.outcome)


KEY = pytest.StashKey[Outcomes]()


def of(config: pytest.Config) -> Outcomes:
    """The outcomes of this run."""
    return config.stash.setdefault(KEY, Outcomes(set(), {}))


def named(node: str) -> str:
    """The name of a test, whichever of its cases this is."""
    return node.partition("[")[0]


def is_worker(config: pytest.Config) -> bool:
    """Whether another process has the whole picture."""
    return hasattr(config, "workerinput")


class Recorder:
    """Notes each report, of all processes that run tests."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        of(self._config).note(report)
