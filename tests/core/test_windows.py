"""Windows follow each other without a gap, in every time zone."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_budget import InvalidAmount
from langchain_budget.core.windows import window_of

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Africa/Cairo",
    "Australia/Lord_Howe",
)
SPANS = ("minute", "hour", "day", "week", "month")
MOMENTS = st.integers(1_500_000_000, 1_900_000_000)


@given(MOMENTS, st.sampled_from(SPANS), st.sampled_from(ZONES))
def test_a_moment_lies_in_one_window(now, span, zone):
    window = window_of(span, zone)
    here = window.at(now)

    assert here.start <= now < here.end
    assert window.at(here.start) == here
    assert window.at(here.end - 0.001) == here
    assert window.at(here.end).start == here.end
    assert window.at(here.end).name != here.name


@pytest.mark.parametrize(
    ("span", "zone", "name"),
    [
        ("hour", "UTC", "hour@494231"),
        ("day", "UTC", "day@2026-05-19"),
        ("day", "Asia/Kolkata", "day:Asia/Kolkata@2026-05-20"),
        ("week", "UTC", "week@2026-W21"),
        ("month", "UTC", "month@2026-05"),
        ("tick", "UTC", "tick@3"),
    ],
)
def test_windows_are_named(span, zone, name):
    now = datetime(2026, 5, 19, 23, 30, tzinfo=UTC).timestamp()

    assert window_of(span, zone).at(now, 3).name == name


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)]
)
def test_a_day_is_as_long_as_it_is_there(day, hours):
    noon = datetime.fromisoformat(f"{day}T12:00+00:00").timestamp()
    window = window_of("day", "Europe/Berlin").at(noon)

    assert window.end - window.start == hours * 3600


@pytest.mark.parametrize("text", ["", "year", "0h", "-5h", "5", "1.5h", None, "DAY"])
def test_what_is_no_window_is_refused(text):
    with pytest.raises(InvalidAmount, match="is no window"):
        window_of(text)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", ""])
def test_what_is_no_time_zone_is_refused(zone):
    with pytest.raises(InvalidAmount, match="is no time zone"):
        window_of("day", zone)


def test_a_rolling_window_is_not_shorter_than_a_store_can_tell():
    assert window_of("10s").seconds == 10

    with pytest.raises(InvalidAmount, match="at least 10s"):
        window_of("9s")
