"""The commands that write the journal to a file, and books from such a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from langchain_budget import Account, BudgetPool
from langchain_budget.cli.operate import (
    examples,
    explained,
    make_sure,
    on_account,
    store_option,
    yes_option,
)
from langchain_budget.journal_export import FORMATS
from langchain_budget.journal_import import book_of


@click.command(
    name="export",
    epilog=examples(
        "langchain-budget export acme acme.jsonl",
        "langchain-budget export acme shorter.jsonl --format condensed",
        "langchain-budget export acme/research research.csv",
    ),
)
@on_account
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    help="jsonl can be imported; condensed as well, with calls that are over summed up "
    "by day; csv is for spreadsheets.  [default: by FILE's name]",
)
def export_journal(account: Account, file: str, **given: Any) -> None:
    """Write the journal to FILE; `-` is the standard output."""
    form = given["format"] or ("csv" if file.endswith(".csv") else "jsonl")
    out = sys.stdout if file == "-" else file
    done = account.admin.export(out, format=form, progress=tell)
    click.echo(f"{done:,} entries were written", err=True)


@click.command(
    name="import",
    epilog=examples(
        "langchain-budget import acme acme.jsonl --store redis://localhost",
    ),
)
@click.argument("pool", metavar="POOL")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@store_option
@yes_option
def import_journal(pool: str, file: Path, store: str, yes: bool) -> None:
    """
    Bring back the books of POOL from FILE, into a store that has none of them.

    The whole file is checked first. Only what `export` wrote as JSONL can be imported.
    """
    with explained(store):
        book = book_of(file)
        if book != pool:
            msg = f"{file.name} has the books of {book!r}, not of {pool!r}"
            raise click.UsageError(msg)
        make_sure(f"Import {file.name} as {pool!r} into that store?", yes)
        restored = BudgetPool.restore(file, store=store, progress=tell)
        found = restored.admin.verify()
    click.echo(found)
    sys.exit(0 if found.ok else 1)


def tell(done: int) -> None:
    """Tell somebody at a terminal how far it got."""
    if sys.stderr.isatty():
        click.echo(f"\r{done:,} entries", nl=False, err=True)


COMMANDS: Any = (export_journal, import_journal)
