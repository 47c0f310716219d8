"""The benchmark of single operations measures what it says, whatever it takes."""

import pytest

from benchmarks import latency
from langchain_budget import usd


def test_a_row_is_the_95th_percentile_of_each_operation() -> None:
    rows = latency.rows(1, calls=20)

    assert [row.what.split()[3] for row in rows] == ["estimate", "check", "record"]
    assert {row.theirs for row in rows} == {latency.MILLISECOND}
    assert all(row.ours > 0 for row in rows)


@pytest.mark.parametrize(
    ("taken", "percent", "said"),
    [([3.0, 1.0, 2.0], 95, 3.0), ([float(n) for n in range(1, 101)], 95, 95.0)],
)
def test_a_percentile_is_one_of_the_times(
    taken: list[float], percent: int, said: float
) -> None:
    assert latency.percentile(taken, percent) == said


def test_only_what_is_recorded_changes_the_books() -> None:
    subject = latency.subject()

    for operation in subject.operations.values():
        assert len(latency.timed(operation, 10)) == 10

    assert subject.account.balance().spent == usd("0.01")
    assert subject.account.balance().held == usd(0)
