"""Play one seed from the command line, on any store: `--help` says how."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress

from langchain_budget import StoreError, UnknownStore
from langchain_budget.stores._open import open_store
from tests.simulation.play import AGENTS, STEPS, Outcome, play
from tests.simulation.process import ROOT
from tests.simulation.world import World


def main() -> int:
    """Play, and print what happened."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--agents", type=int, default=AGENTS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--store", default="memory://", help="a URL; its book is new")
    asked = parser.parse_args()
    with suppress(BrokenPipeError):
        outcome = play(
            asked.seed,
            agents=asked.agents,
            steps=asked.steps,
            make_store=lambda clock: open_store(asked.store, book=ROOT, clock=clock),
            address=asked.store,
            progress=say,
        )
        print(told(outcome))
    return 0


def say(world: World) -> None:
    """Tell how far it is, on a line of its own."""
    print(f"step {world.steps}: {world.census['reserve']} holds", file=sys.stderr)


def told(outcome: Outcome) -> str:
    """The whole of it, a line for each kind of thing."""
    head = f"seed {outcome.seed}, {outcome.weather} weather: {outcome.steps} steps"
    lines = [f"{times:8}  {what}" for what, times in sorted(outcome.census.items())]
    return "\n".join([f"{head}, {outcome.spent} spent, digest {outcome.digest}", *lines])


if __name__ == "__main__":
    sys.exit(main())
