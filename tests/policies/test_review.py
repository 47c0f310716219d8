import pytest

from langchain_budget.core.policies.review import Standing, due, review
from langchain_budget.core.policies.thresholds import Severity

HOUR = 3600


@pytest.mark.parametrize(
    ("remaining", "severities"),
    [
        (91, [Severity.INFO]),
        (90, []),
        (10, []),
        (9, [Severity.WARNING]),
        (-5, [Severity.WARNING]),
    ],
)
def test_idle_and_nearly_empty_accounts_are_found(
    remaining: int, severities: list[Severity]
) -> None:
    found = review([Standing("web", remaining, 100)])

    assert [finding.severity for finding in found] == severities


@pytest.mark.parametrize(("remaining", "count"), [(20, 0), (19, 1)])
def test_a_pool_of_less_than_a_fifth_is_found(remaining: int, count: int) -> None:
    found = review([], [Standing("acme", remaining, 100)])

    assert len(found) == count


def test_a_finding_says_what_it_is_and_what_to_consider() -> None:
    found = review(
        [Standing("web", 9_500, 10_000), Standing("code", 5, 100)],
        [Standing("p", 10, 100)],
    )

    assert [finding.text for finding in found] == [
        "account 'web' has 9,500 of 10,000 left, more than 90%: consider reducing it",
        "account 'code' has 5 of 100 left, less than 10%: consider increasing it",
        "pool 'p' has 10 of 100 left, less than 20%: consider rebalancing its accounts",
    ]
    assert [finding.name for finding in found] == ["web", "code", "p"]


@pytest.mark.parametrize("granted", [None, 0])
def test_there_is_nothing_to_say_of_what_has_no_share(granted: int | None) -> None:
    standing = Standing("web", 0, granted)

    assert review([standing], [standing]) == ()


def test_what_is_idle_low_or_thin_can_be_said() -> None:
    half = Standing("web", 50, 100)

    assert len(review([half], idle="40%")) == 1
    assert len(review([half], low=0.6)) == 1
    assert len(review([], [half], thin=60)) == 1


def test_a_review_is_due_every_day() -> None:
    assert due(None, 0)
    assert not due(0, 24 * HOUR - 1)
    assert due(0, 24 * HOUR)
    assert due(0, HOUR, every_hours=1)
