"""What the operators' commands have in common: accounts, amounts, errors, questions."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import click

from langchain_budget import Account, Amount, BudgetError, BudgetPool, UnknownAccount
from langchain_budget.cli.units import check_units
from langchain_budget.core.accounts import BESIDE
from langchain_budget.core.amounts import USD, Limit, usd
from langchain_budget.core.written import built_in, ungrouped
from langchain_budget.errors import InvalidAmount

Command = Callable[..., None]

STORE_VARIABLE: Final = "LANGCHAIN_BUDGET_STORE"
_WINDOW: Final = re.compile(r"(.+?) +(?:per|in any) +(\w+)(?: +in +(\S+))?")
_AMOUNT: Final = re.compile(r"\$?([\d.,]+) *([A-Za-z]\w*)?")


class AmountType(click.ParamType):  # type: ignore[type-arg]  # no generic class in older releases
    """Dollars like `0.50`, or a count and its unit like `5000tokens`."""

    name = "amount"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Amount:
        """Read what was typed."""
        found = _AMOUNT.fullmatch(str(value).strip())
        try:
            return _amount(*found.groups()) if found else self._wrong(value, param, ctx)
        except ValueError:
            return self._wrong(value, param, ctx)

    def _wrong(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Amount:
        told = (
            f"{value!r}: write dollars like 0.50, or a count like '5000 tokens'; "
            f"commas only group thousands, as in 1,234.50"
        )
        self.fail(told, param, ctx)


def _amount(number: str, unit: str | None) -> Amount:
    digits, named = ungrouped(number), built_in(unit or USD)
    return usd(digits) if named == USD else Amount(named, int(digits))


class LimitType(AmountType):
    """The same, or with a window: `"$5 per day"`, `"100000 tokens in any 5h"`."""

    name = "limit"

    def convert(  # type: ignore[override]  # a limit is an amount with a window
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Amount | Limit:
        """Read what was typed."""
        found = _WINDOW.fullmatch(str(value).strip())
        if found is None:
            return super().convert(value, param, ctx)
        amount = super().convert(found[1], param, ctx)
        try:
            return amount.per(found[2], found[3] or "UTC")
        except InvalidAmount as error:
            self.fail(str(error), param, ctx)


store_option = click.option(
    "--store",
    envvar=STORE_VARIABLE,
    required=True,
    metavar="URL",
    help=f"Where the books are, like sqlite:///budget.db.  [env: {STORE_VARIABLE}]",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="For programs; dollars in nano-dollars."
)
reason_option = click.option(
    "--reason", metavar="TEXT", default="", help="For the journal."
)
why_option = click.option(
    "--reason", metavar="TEXT", required=True, help="For the journal."
)
key_option = click.option(
    "--key", metavar="ID", default="", help="With the same key it happens once."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def examples(*commands: str) -> str:
    """The end of a help text: commands to copy, as they stand."""
    return "\n".join(["\b", "Examples:", *(f"  {each}" for each in commands)])


def on_account(command: Command) -> Command:
    """Give a command the account that is named on the command line."""

    @click.argument("path", metavar="ACCOUNT")
    @store_option
    @wraps(command)
    def run(path: str, store: str, **given: Any) -> None:
        with explained(store):
            account = opened(path, store)
            try:
                check_units(account, given)
                command(account, **given)
            finally:
                account.ledger.store.close()

    return run


def opened(path: str, store: str) -> Account:
    """The account at a path such as `acme/research`; nothing is made."""
    root = path.partition("/")[0].partition(BESIDE)[0]
    try:
        pool = BudgetPool.attach(root, store=store)
    except UnknownAccount as error:
        msg = f"there is no pool {root!r} in that store: check its name and --store"
        raise click.ClickException(msg) from error
    try:
        return pool.account(path)
    except UnknownAccount as error:
        msg = f"there is no account {path!r}: `langchain-budget status {root}` has all"
        raise click.ClickException(msg) from error


@contextmanager
def explained(store: str) -> Iterator[None]:
    """Tell errors of the books and of files in one line, without a password."""
    try:
        yield
    except BrokenPipeError:  # whoever reads has seen enough
        raise
    except (BudgetError, OSError) as error:
        told = " ".join(str(error).split())
        raise click.ClickException(without_secrets(told, store)) from error


def without_secrets(text: str, url: str) -> str:
    """A text in which nothing is left of the passwords in a URL."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query)
    secrets = [parts.password or ""]
    secrets += [value for name, value in query if "pass" in name.lower()]
    for secret in secrets:
        for each in (secret, unquote(secret)):
            text = text.replace(each, "...") if each else text
    return text


def show(value: Any, as_json: bool) -> None:
    """Print something as people read it, or as programs do."""
    click.echo(json.dumps(value.as_dict(), indent=2) if as_json else str(value))


def make_sure(question: str, yes: bool) -> None:
    """Ask before something that cannot be taken back; without a terminal, refuse."""
    if yes:
        return
    if not is_terminal():
        msg = f"{question} Nobody is there to ask: add --yes"
        raise click.UsageError(msg)
    click.confirm(question, abort=True)


def is_terminal() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty()
