"""The commands that change shared books: each is an entry of the journal."""

from __future__ import annotations

import sys
from typing import Any

import click

from langchain_budget import Account, Amount
from langchain_budget.cli.operate import (
    AmountType,
    LimitType,
    examples,
    json_option,
    key_option,
    make_sure,
    on_account,
    reason_option,
    show,
    why_option,
    yes_option,
)
from langchain_budget.cli.units import new_unit_option
from langchain_budget.core.amounts import Limit

amount_argument = click.argument("amount", type=AmountType())


@click.command(
    epilog=examples(
        'langchain-budget freeze acme --reason "the invoice looks odd"',
    ),
)
@on_account
@why_option
def freeze(account: Account, reason: str) -> None:
    """
    Stop an account and all below it: the kill switch.

    New calls are refused at once; those under way are still settled.
    """
    account.freeze(reason)
    click.echo(f"{account.path} is frozen: {reason}")


@click.command(
    epilog=examples(
        "langchain-budget thaw acme",
    ),
)
@on_account
@reason_option
def thaw(account: Account, reason: str) -> None:
    """Admit calls again; what is exhausted stays exhausted."""
    account.thaw(reason or "thawed by hand")
    click.echo(f"{account.path} admits calls again")


@click.command(
    name="top-up",
    epilog=examples(
        "langchain-budget top-up acme 5",
        'langchain-budget top-up acme/research "100000 tokens" --key "ticket 17"',
    ),
)
@on_account
@amount_argument
@reason_option
@key_option
def top_up(account: Account, amount: Amount, reason: str, key: str) -> None:
    """Grant AMOUNT more; a slice gets it out of its parent."""
    account.top_up(amount, reason=reason, key=key)
    click.echo(account.balance(amount.unit))


@click.command(
    epilog=examples(
        "langchain-budget transfer acme/web acme/research 0.50",
    ),
)
@on_account
@click.argument("to", metavar="TO")
@amount_argument
@reason_option
@key_option
def transfer(account: Account, to: str, amount: Amount, reason: str, key: str) -> None:
    """Give AMOUNT of an account's limit to the account TO of the same pool."""
    account.transfer(to, amount, reason=reason, key=key)
    click.echo(account.balance(amount.unit))


@click.command(
    epilog=examples(
        'langchain-budget move acme/research/web acme/sales --reason "reorganised"',
    ),
)
@on_account
@click.argument("parent", metavar="PARENT")
@click.option("--name", default="", help="What it is called there, if not as here.")
@reason_option
def move(account: Account, parent: str, name: str, reason: str) -> None:
    """
    Move an account below the account PARENT of the same pool, with what it has left.

    It is closed where it was; what it spent there stays there.
    """
    moved = account.move_to(parent, name=name, reason=reason)
    click.echo(f"{account.path} is {moved.path} now")


@click.command(
    name="set-limit",
    epilog=examples(
        "langchain-budget set-limit acme/research 20",
        "langchain-budget set-limit acme '$5 per day in Europe/Berlin'",
        "langchain-budget set-limit acme:user_id/ada '100000 tokens in any 5h'",
    ),
)
@on_account
@click.argument("limit", type=LimitType())
@reason_option
@new_unit_option
def set_limit(account: Account, limit: Amount | Limit, reason: str) -> None:
    """Make LIMIT what an account may spend, in all or in each of its windows."""
    account.set_limit(limit, reason=reason)
    name = limit.unit if isinstance(limit, Amount) else limit.name
    click.echo(account.balance(name))


@click.command(
    epilog=examples(
        'langchain-budget observe acme/research on --reason "a week of trial"',
    ),
)
@on_account
@click.argument("state", type=click.Choice(["on", "off"]))
@reason_option
def observe(account: Account, state: str, reason: str) -> None:
    """
    Only watch an account and all below it (on), or enforce its limits again (off).

    What would be refused is announced and booked, and stops nothing.
    """
    account.admin.observe(on=state == "on", reason=reason)
    told = "only observes" if state == "on" else "enforces its limits"
    click.echo(f"{account.path} {told}")


@click.command(
    epilog=examples(
        'langchain-budget holds void acme 5d1f-17 --reason "that worker is gone"',
    ),
)
@on_account
@click.argument("hold")
@why_option
@yes_option
def void(account: Account, hold: str, reason: str, yes: bool) -> None:
    """
    Close an open hold and give back all of it.

    If its call still runs, what the provider reports is booked all the same.
    """
    make_sure(f"Give back what hold {hold} holds?", yes)
    account.admin.void(hold, reason=reason)
    click.echo(f"hold {hold} is void")


@click.command(
    epilog=examples(
        'langchain-budget adjust acme/web --add 0.25 --reason "a call by hand"',
        'langchain-budget adjust acme --subtract 1.20 --reason "credit note 4"',
    ),
)
@on_account
@click.option("--add", type=AmountType(), help="What was spent and is not booked.")
@click.option("--subtract", type=AmountType(), help="What is booked and was not spent.")
@why_option
@key_option
@click.option("--model", default="", help="The model that it is about, for reports.")
@click.option("--agent", default="", help="The agent that it is about, for reports.")
@new_unit_option
@yes_option
def adjust(account: Account, reason: str, key: str, yes: bool, **given: Any) -> None:
    """Correct what is booked as spent, up or down; limits do not refuse it."""
    add, subtract = given["add"], given["subtract"]
    if (add is None) == (subtract is None):
        msg = "give either --add or --subtract, and an amount"
        raise click.UsageError(msg)
    amount: Amount = -subtract if add is None else add
    labels = {name: given[name] for name in ("model", "agent") if given[name]}
    make_sure(f"Book {amount} on {account.path}?", yes)
    account.admin.adjust(amount, reason=reason, key=key, labels=labels)
    click.echo(account.balance(amount.unit))


@click.command(
    epilog=examples(
        "langchain-budget reconcile acme november.csv",
        "langchain-budget reconcile acme --charge gpt-4o 12.34 --since 2026-11-01",
        'langchain-budget reconcile acme november.csv --apply --reason "invoice 17"',
    ),
)
@on_account
@click.argument("invoice", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--total", type=AmountType(), multiple=True, help="For all models.")
@click.option(
    "--charge",
    type=(str, AmountType()),
    multiple=True,
    metavar="MODEL AMOUNT",
    help="For one model; give it for each.",
)
@click.option("--since", type=click.DateTime(), help="Where it begins, in UTC.")
@click.option("--until", type=click.DateTime(), help="Up to before when, in UTC.")
@click.option("--apply", is_flag=True, help="Post the differences.")
@reason_option
@json_option
@yes_option
def reconcile(account: Account, as_json: bool, yes: bool, **given: Any) -> None:
    """
    Compare a provider's invoice with what is booked.

    INVOICE is a CSV file with a first line of names, or a JSON list of objects, with
    `amount` and, if known, `model`, `unit` and `date`. Ends with 1 if they differ.
    """
    charges = charges_of(given.pop("invoice"), given.pop("total"), given.pop("charge"))
    if given["apply"]:
        make_sure(f"Post what the invoice says otherwise on {account.path}?", yes)
    found = account.admin.reconcile(charges, **given)
    show(found, as_json)
    sys.exit(0 if found.agrees or found.applied else 1)


def charges_of(
    invoice: str | None,
    total: tuple[Amount, ...],
    charge: tuple[tuple[str, Amount], ...],
) -> Any:
    """What the invoice says, by whichever way it was given."""
    if sum(map(bool, (invoice, total, charge))) != 1:
        msg = "give the invoice as a file, or with --total, or with --charge"
        raise click.UsageError(msg)
    if charge:
        by_model: dict[str, list[Amount]] = {}
        for model, amount in charge:
            by_model.setdefault(model, []).append(amount)
        return by_model
    return invoice or total


COMMANDS: Any = (
    *(freeze, thaw, top_up, transfer, move, set_limit, observe, adjust),
    reconcile,
)
