"""Play one seed from the command line, on any store: `--help` says how."""

from __future__ import annotations

import argparse
import sys

from tests.simulation.play import Outcome, Script, play
from tests.simulation.world import World

WHAT = {
    "seed": "which world",
    "agents": "how many live in it",
    "steps": "how long, before it winds down",
    "store": "a URL; the pool `acme` must not be in it",
}


def main() -> int:
    """Play, and print what happened."""
    parser = argparse.ArgumentParser("python -m tests.simulation", description=__doc__)
    for name, default in Script(1)._asdict().items():
        parser.add_argument(
            f"--{name}", type=type(default), default=default, help=WHAT[name]
        )
    script = Script(**vars(parser.parse_args()))
    outcome = play(script, say)
    sys.stdout.write(f"seed {script.seed}, {told(outcome)}\n")
    return 0


def say(world: World) -> None:
    """Tell how far it is, on a line of its own."""
    sys.stderr.write(f"step {world.steps}: {world.census['reserve']} holds\n")


def told(outcome: Outcome) -> str:
    """The whole of it, a line for each kind of thing."""
    weather, steps, spent, digest, census = outcome
    lines = [f"{times:8}  {what}" for what, times in sorted(census.items())]
    head = f"{weather} weather: {steps} steps, {spent} spent, digest {digest}"
    return "\n".join([head, *lines])


if __name__ == "__main__":
    sys.exit(main())
