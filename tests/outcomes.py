"""What was collected and what has become of it, for a test that runs last."""

from typing import NamedTuple

import pytest


class Outcomes(NamedTuple):
    """Names of tests, without their parameters, as `tests/a/test_b.py::test_c`."""

    collected: set[str]
    seen: dict[str, set[str]]
    """What their cases have come to so far: `passed`, `failed`, `skipped`."""

    def collect(self, item: pytest.Item) -> None:
        self.collected.add(named(item))

    def note(self, item: pytest.Item, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            self.seen.setdefault(named(item), set()).add(report.outcome)


KEY = pytest.StashKey[Outcomes]()


def of(config: pytest.Config) -> Outcomes:
    """The outcomes of this run."""
    return config.stash.setdefault(KEY, Outcomes(set(), {}))


def named(item: pytest.Item) -> str:
    """The name of a test, whichever of its cases this is."""
    return item.nodeid.partition("[")[0]
