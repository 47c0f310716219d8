"""
Hundreds of agents, a store that fails, clocks that jump, processes that die: 20 seeds.

Whatever happens, the books say what the provider's log says. A seed that fails tells
how to play it again; `python -m tests.simulation --help` plays others, and longer.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.simulation.play import Outcome, Script, play
from tests.simulation.weather import FAULTS, Fate

SEEDS = range(1, 21)
SMALL = Script(7, agents=50, steps=1500)
BOOKED = (
    *("reserve", "settle", "release", "expire", "supersede", "open", "close"),
    *("return", "top_up", "transfer", "set_limit", "freeze", "thaw"),
)
HAPPENS = (
    *BOOKED,
    *FAULTS,
    *(f"message {fate}" for fate in Fate),
    *(f"agents told: {no}" for no in ("exhausted", "contended", "frozen", "closed")),
    *("agents told: store", "refused: stale", "refused: not_open"),
    *("cancelled tasks", "heartbeats", "late deliveries", "loans", "loans refused"),
    *("money left behind", "overruns of slices", "second settles", "steps"),
)


@cache
def played(seed: int) -> Outcome:
    return play(Script(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_books_are_true_whatever_happens(seed: int) -> None:
    outcome = played(seed)

    assert outcome.census["reserve"] > 100


@pytest.mark.parametrize("seed", [1, 2])
def test_the_books_are_true_on_sqlite(tmp_path: Path, seed: int) -> None:
    url = f"sqlite:///{(tmp_path / 'books.db').as_posix()}?synchronous=off"

    outcome = play(Script(seed, store=url))

    assert outcome.census["reserve"] > 100


def test_all_that_can_happen_does(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    census: Counter[str] = Counter()
    for seed in SEEDS:
        census += played(seed).census

    if request.config.get_verbosity() > 0:
        with capsys.disabled():
            counted = (f"{census[each]} times {each}" for each in sorted(census))
            print("", *counted, sep="\n  ")  # noqa: T201  # asked for with -v
    assert [each for each in HAPPENS if not census[each]] == []


def test_a_seed_makes_the_same_world_again() -> None:
    assert play(SMALL) == play(SMALL)


def test_a_seed_makes_the_same_world_in_another_process() -> None:
    told = {of_another_process(hash_seed) for hash_seed in ("1", "2")}

    assert len(told) == 1
    assert play(SMALL).digest in told.pop()


def of_another_process(hash_seed: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *str(SMALL).split()],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        check=True,
        capture_output=True,
        text=True,
    )
    return ended.stdout
