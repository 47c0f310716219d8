"""Play one world from its seed to its end, and say what happened in it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from langchain_budget import Account
from langchain_budget.core.amounts import USD, Amount
from langchain_budget.stores._open import open_store
from tests.simulation.agents import TTL_SECONDS
from tests.simulation.checks import assert_agrees, assert_all_is_paid
from tests.simulation.population import populate
from tests.simulation.process import ROOT
from tests.simulation.world import World

LOOK_EVERY: Final = 2000
MOST_STEPS: Final = 200_000
"""A world that is not quiet after so many steps never will be."""

Progress = Callable[[World], None]


class Script(NamedTuple):
    """What is to be played."""

    seed: int
    agents: int = 300
    steps: int = 4000
    store: str = "memory://"

    def __str__(self) -> str:
        return " ".join(f"--{name} {value}" for name, value in self._asdict().items())


class Outcome(NamedTuple):
    """What happened in a world."""

    weather: str
    steps: int
    spent: str
    digest: str
    census: Counter[str]


def play(script: Script, progress: Progress = lambda _: None) -> Outcome:
    """Play a world to its end; what is wrong with it is raised, and told in words."""
    world = World(
        script.seed, lambda clock: open_store(script.store, book=ROOT, clock=clock)
    )
    try:
        with quiet_log():
            _play(world, script, progress)
    except Exception as error:
        error.add_note("\n".join(world.last_words()))
        error.add_note(f"Again: python -m tests.simulation {script}")
        raise
    finally:
        world.end()
    spent = str(Amount(USD, world.naive.total(USD)))
    return Outcome(world.weather.name, world.steps, spent, world.digest, world.census)


def _play(world: World, script: Script, progress: Progress) -> None:
    populate(world, script.agents)
    for _ in range(script.steps):
        world.step()
        if world.steps % LOOK_EVERY == 0:
            assert_agrees(world)
            progress(world)
    wind_down(world)
    assert_all_is_paid(world)


@contextmanager
def quiet_log() -> Iterator[None]:
    """What the ledger has to say of a store that fails is no news here."""
    log = logging.getLogger("langchain_budget")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def wind_down(world: World) -> None:
    """Nothing breaks any more: all that is under way comes to its end."""
    world.winding_down = world.network.calm = True
    _finish(world)
    for process in world.processes:
        while process.ledger.late:
            world.spawn(process, "tidying", process.ledger.arun(process.ledger.sweep()))
            _finish(world)
    world.clock.seconds += 10 * TTL_SECONDS
    process = world.processes[0]
    world.spawn(process, "sweeping", process.ledger.arun(process.ledger.sweep()))
    _finish(world)
    for path in left_behind(world):
        world.census["money left behind"] += 1
        world.spawn(process, "tidying", Account(process.ledger, path).aclose())
        _finish(world)


def left_behind(world: World) -> list[str]:
    """Closed slices that have a rest: whoever was to return it was cut off."""
    naive, rows = world.naive, world.naive.rows.values()
    return [
        row.path
        for row in rows
        if row.closed and any(naive.available((row.path, unit)) for unit in row.slices)
    ]


def _finish(world: World) -> None:
    for _ in range(MOST_STEPS):
        if not (world.ready or world.asleep or world.network.under_way):
            return
        world.step()
    msg = f"still busy after {MOST_STEPS} steps: {[each.name for each in world.ready]}"
    raise AssertionError(msg)
