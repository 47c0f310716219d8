"""The commands and their options."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import click

from langchain_budget import Amount, BudgetError, Price, tokens, usd
from langchain_budget.cli import carrying, changing, looking, setting_up
from langchain_budget.cli.loading import loaded
from langchain_budget.cli.simulate import simulate
from langchain_budget.core.written import ungrouped

PAIRS: Final = (
    ("base_url", "model"),
    ("model", "base_url"),
    ("api_key_env", "base_url"),
    ("input_price", "output_price"),
    ("output_price", "input_price"),
)
"""Options that mean nothing without another one."""


def amount_of(_: click.Context, __: click.Parameter, text: str | None) -> Amount | None:
    """Read dollars, as in `0.05` or `$0.05`, or tokens, as in `5000 tokens`."""
    if text is None:
        return None
    number, _unit, unit = text.strip().lstrip("$").partition(" ")
    try:
        digits = ungrouped(number)
        amount = tokens(int(digits)) if unit == "tokens" else usd(digits)
    except ValueError:
        amount = usd(0)
    if unit not in ("", "tokens") or not amount:
        msg = f"{text!r}: write dollars like 0.05, or tokens like '5000 tokens'"
        raise click.BadParameter(msg)
    return amount


def key_of(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    """Read a key from the environment variable of that name."""
    if name is not None and not os.environ.get(name):
        msg = f"the environment variable {name!r} is not set"
        raise click.BadParameter(msg)
    return os.environ[name] if name else None


def url_of(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    """Read the address of a server."""
    if url is not None and not url.startswith(("http://", "https://")):
        msg = f"{url!r}: write an address like http://127.0.0.1:8080/v1"
        raise click.BadParameter(msg)
    return url


def installed() -> str:
    """Tell the version; a bare checkout has none."""
    try:
        return version("langchain-budget")
    except PackageNotFoundError:
        return "not installed"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(installed(), prog_name="langchain-budget")
def app() -> None:
    """Spending limits for LangChain and LangGraph programs."""


@app.command()
@click.option(
    "--base-url",
    metavar="URL",
    callback=url_of,
    help="A server that speaks OpenAI's API.",
)
@click.option("--model", metavar="NAME", help="A model that this server has.")
@click.option(
    "--api-key-env",
    metavar="VAR",
    callback=key_of,
    help="The environment variable that holds its key.",
)
@click.option(
    "--input-price", metavar="USD", help="Dollars per million tokens, if not known."
)
@click.option("--output-price", metavar="USD", help="The same for output.")
@click.option(
    "--limit",
    metavar="AMOUNT",
    callback=amount_of,
    help="For all agents together: dollars like 0.05, or '5000 tokens'.",
)
@click.option(
    "--seed", type=int, default=7, show_default=True, help="Varies the scripted model."
)
@click.option(
    "--watch/--plain",
    default=None,
    help="A live table, or lines only.  [default: live in a terminal]",
)
@click.option(
    "--pace",
    type=click.FloatRange(0, 10),
    default=0.2,
    show_default=True,
    metavar="SECONDS",
    help="How long each line stands when watching; the calls wait for it.",
)
def demo(watch: bool | None, pace: float, **given: Any) -> None:
    """
    Watch a team of agents spend from one pool.

    A supervisor and three workers run as one graph. One of them runs out of money,
    is refused and frozen while the others go on, is given more, and finishes.

    Without options it needs no key and no network: it starts a scripted model server
    on this machine and, at the end, compares the books with what that has counted.
    With --base-url and --model the same graph runs against that server.
    """
    check_pairs(given)
    price = price_of(given.pop("input_price"), given.pop("output_price"))
    given["api_key"] = given.pop("api_key_env")
    asked = {name: value for name, value in given.items() if value is not None}
    play = loaded("langchain_budget.cli.demo", "demo")
    options = play.Options(price=price, **asked)
    try:
        right = play.play(options, watch=watch, pace=pace)
    except BudgetError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(0 if right else 1)


def check_pairs(given: Mapping[str, object]) -> None:
    """Complain about an option whose companion is missing."""
    for names in PAIRS:
        one, other = (f"--{each.replace('_', '-')}" for each in names)
        if given[names[0]] is not None and given[names[1]] is None:
            msg = f"{one} needs {other} as well"
            raise click.UsageError(msg)


def price_of(into: str | None, out: str | None) -> Price | None:
    """Read the price that was declared, if one was."""
    if into is None or out is None:
        return None
    if (into, out) == ("0", "0"):
        return Price.free()
    try:
        return Price.per_million(input=into, output=out)
    except ValueError as error:
        msg = f"--input-price and --output-price: {error}"
        raise click.UsageError(msg) from error


@app.group()
def holds() -> None:
    """List open holds, or void one."""


for each in (
    simulate,
    *looking.COMMANDS,
    *changing.COMMANDS,
    *carrying.COMMANDS,
    *setting_up.COMMANDS,
):
    app.add_command(each)
for each in (looking.list_holds, changing.void):
    holds.add_command(each)
