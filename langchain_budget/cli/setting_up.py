"""The commands for what stands in files, and for windows that a program ends."""

from __future__ import annotations

from typing import Any

import click

from langchain_budget import Account, BudgetError, turns
from langchain_budget.cli.operate import examples, on_account
from langchain_budget.config import load
from langchain_budget.core.windows import TURNS


@click.command(
    name="check-config",
    epilog=examples("langchain-budget check-config budget.yaml"),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
def check_config(file: str) -> None:
    """Check FILE as a whole, and show the accounts that it opens; none is kept."""
    try:
        config = load(file)
        opened = config.open(store="memory://")
    except BudgetError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{file}: {type(config).__name__} is fine")
    click.echo(opened.pool.report())


@click.command(
    epilog=examples(
        "langchain-budget advance acme tick",
        "langchain-budget advance acme run",
    ),
)
@on_account
@click.argument("window", type=click.Choice(TURNS))
def advance(account: Account, window: str) -> None:
    """End the current tick, or run, of a pool: such limits start anew."""
    account.ledger.run(turns.advance(account.ledger, account.path, window))
    click.echo(f"{account.path}: the {window} has ended")


COMMANDS: Any = (check_config, advance)
