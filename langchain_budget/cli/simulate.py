"""The command `simulate`: agents with a budget each, which they trade."""

from __future__ import annotations

import sys
from typing import Final

import click

from langchain_budget import BudgetError
from langchain_budget.cli.loading import loaded
from langchain_budget.cli.operate import examples

MOST_AGENTS: Final = 50
MOST_TICKS: Final = 10_000


@click.command(
    epilog=examples(
        "langchain-budget simulate",
        "langchain-budget simulate --ticks 20 --agents 3 --config budgets.yaml",
    ),
)
@click.option(
    "--ticks",
    type=click.IntRange(1, MOST_TICKS),
    default=20,
    show_default=True,
    help="How often each agent acts.",
)
@click.option(
    "--agents",
    type=click.IntRange(1, MOST_AGENTS),
    default=3,
    show_default=True,
    help="How many there are; the first has the shortest answers.",
)
@click.option(
    "--config",
    metavar="FILE",
    help="The budgets, in YAML.  [default: $0.10 each, $10 in all, tradeable]",
)
@click.option(
    "--store", metavar="URL", help="Where the books are.  [default: in memory]"
)
@click.option(
    "--seed", type=int, default=7, show_default=True, help="Varies the answers."
)
@click.option(
    "--watch/--plain",
    default=None,
    help="A live table, or lines only.  [default: live in a terminal]",
)
def simulate(watch: bool | None, config: str | None, **given: int | str | None) -> None:
    """
    Simulate agents that have a budget each, and trade it.

    In each tick every agent calls a scripted model once, some with longer answers
    than others. Who has used its budget up is frozen while the others go on; who has
    more than it will need sells to who is frozen, and that one goes on as well. It
    ends early when all are frozen, or when the ceiling for all is reached.

    It needs no key and no network. At the end the books are compared with what the
    models have counted; if they differ, the exit code is 1.
    """
    per_agent = loaded("langchain_budget.config.per_agent", "cli")
    simulation = loaded("langchain_budget.cli.simulation", "cli")
    try:
        budgets = per_agent.PerAgentBudgets
        chosen = budgets.load(config) if config else budgets()
        right = simulation.play(simulation.Options(chosen, **given), watch=watch)
    except BudgetError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(0 if right else 1)
