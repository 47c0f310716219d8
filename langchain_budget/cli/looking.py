"""The commands that look at shared books and change nothing."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

import click

from langchain_budget import Account, Amount
from langchain_budget.cli.loading import loaded
from langchain_budget.cli.operate import (
    AmountType,
    examples,
    json_option,
    on_account,
    show,
)
from langchain_budget.core.amounts import show as show_amount
from langchain_budget.core.postings import Entry
from langchain_budget.reports.explanation import Standing, hold_table
from langchain_budget.reports.journal_lines import text_of
from langchain_budget.reports.render import text_table
from langchain_budget.standings import standings_of


@click.command(
    epilog=examples(
        "langchain-budget status acme --store sqlite:///budget.db",
        "langchain-budget status acme/research --json",
    ),
)
@on_account
@click.option("--all", "closed", is_flag=True, help="Show closed accounts as well.")
@json_option
def status(account: Account, closed: bool, as_json: bool) -> None:
    """Show an account and all below it: limits, spent, held, left, state."""
    shown = standing_below(account, closed=closed)
    if as_json:
        click.echo(json.dumps([each.as_dict() for each in shown], indent=2))
        return
    loaded("langchain_budget.cli.status_view", "cli").show(shown)


@click.command(
    epilog=examples(
        "langchain-budget watch acme --interval 1",
    ),
)
@on_account
@click.option(
    "--interval",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
@click.option("--count", type=click.IntRange(min=1), help="Look so often, then end.")
def watch(account: Account, interval: float, count: int | None) -> None:
    """Show the same live, until Ctrl-C."""
    view = loaded("langchain_budget.cli.status_view", "cli")
    view.watch(lambda: standing_below(account), interval, count)


@click.command(
    epilog=examples(
        "langchain-budget explain acme/research/web",
    ),
)
@on_account
@json_option
def explain(account: Account, as_json: bool) -> None:
    """Explain what binds an account: limits up to the root, holds, what to do next."""
    show(account.explain(), as_json)


@click.command(
    epilog=examples(
        "langchain-budget why acme/research 0.50",
        'langchain-budget why acme/research 0.50 "2000 tokens"',
    ),
)
@on_account
@click.argument("amounts", type=AmountType(), nargs=-1, required=True)
@json_option
def why(account: Account, amounts: tuple[Amount, ...], as_json: bool) -> None:
    """Tell why AMOUNTS would be refused, or that they would not; ends with 1 if so."""
    found = account.explain(*amounts)
    show(found, as_json)
    sys.exit(0 if found.admitted else 1)


@click.command(
    epilog=examples(
        "langchain-budget verify acme",
    ),
)
@on_account
@json_option
def verify(account: Account, as_json: bool) -> None:
    """
    Check that all of the books add up; ends with 1 if they do not.

    Balances, holds and accounts are compared with the journal. Others may go on
    working meanwhile.
    """
    found = account.admin.verify()
    show(found, as_json)
    sys.exit(0 if found.ok else 1)


@click.command(
    epilog=examples(
        "langchain-budget unconfirmed acme",
    ),
)
@on_account
@json_option
def unconfirmed(account: Account, as_json: bool) -> None:
    """List the charges that are estimates and may be too low."""
    show(account.admin.unconfirmed(), as_json)


@click.command(
    name="list",
    epilog=examples(
        "langchain-budget holds list acme",
    ),
)
@on_account
@json_option
def list_holds(account: Account, as_json: bool) -> None:
    """List the open holds of an account and all below it, oldest first."""
    holds = account.admin.holds()
    if as_json:
        click.echo(json.dumps([each.as_dict() for each in holds], indent=2))
    else:
        click.echo(hold_table(holds) if holds else "No hold is open.")


@click.command(
    epilog=examples(
        "langchain-budget journal acme --last 50",
        "langchain-budget journal acme/research --after 1200 --json",
    ),
)
@on_account
@click.option(
    "--last",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="COUNT",
    help="How many, the latest ones.",
)
@click.option("--after", type=int, default=0, help="Leave out those up to this number.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def journal(account: Account, last: int, after: int, as_json: bool) -> None:
    """Show the latest entries of the journal."""
    entries = account.admin.journal(after=after, last=last)
    if as_json:
        for entry in entries:
            click.echo(text_of(entry))
        return
    heads = ("entry", "time", "kind", "account", "amounts", "reason")
    click.echo(text_table(heads, [_cells(entry) for entry in entries]))


def standing_below(account: Account, *, closed: bool = False) -> list[Standing]:
    """How an account and all below it stand; closed ones only if asked for."""
    standings = account.ledger.run(standings_of(account.ledger, account.path))
    return [each for each in standings if closed or not each.closed]


def _cells(entry: Entry) -> tuple[str, ...]:
    when = datetime.fromtimestamp(entry.at, UTC).isoformat(" ", "seconds")[:19]
    amounts = ", ".join(show_amount(*each) for each in entry.note.amounts.items())
    words = (entry.kind, entry.account, amounts, entry.note.reason)
    return (str(entry.seq), when, *words)


COMMANDS: Any = (status, watch, explain, why, verify, unconfirmed, journal)
