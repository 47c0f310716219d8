from concurrent.futures import ThreadPoolExecutor

import pytest

from langchain_budget.testing import StillClock


def test_a_still_clock_moves_only_when_told():
    clock = StillClock(100)

    clock.advance(2.5)

    assert clock() == clock() == 102.5


def test_a_still_clock_never_runs_backwards():
    clock = StillClock()

    with pytest.raises(ValueError, match="-1 seconds"):
        clock.advance(-1)

    assert clock() == 0


def test_a_still_clock_loses_no_second_between_threads():
    clock = StillClock()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(clock.advance, [1] * 4000))

    assert clock() == 4000
