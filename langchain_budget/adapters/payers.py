"""Who pays for a call, as the hooks were told: an account, or one that is found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig

from langchain_budget.account import Account, account_of, below
from langchain_budget.adapters.attribution import caller_of, divided_by
from langchain_budget.adapters.context import innermost
from langchain_budget.adapters.finder import finder_of
from langchain_budget.adapters.labels import tool_around
from langchain_budget.adapters.steps import STEPS
from langchain_budget.ledger import Ledger


class Payer(NamedTuple):
    """An account that pays, inside the scopes that are open."""

    account: Account
    named: bool
    """Whether the user has named it; else the one below it is found that is named
    like the caller."""

    @property
    def ledger(self) -> Ledger:
        """The books that it is in."""
        return self.account.ledger

    def path(self, metadata: Mapping[str, Any]) -> str:
        """The account that pays for whoever has this metadata."""
        base = innermost(self.account)
        if self.named:
            return base
        return finder_of(self.ledger).find(self.ledger, base, caller_of(metadata))

    def places(self, config: RunnableConfig) -> tuple[str, ...]:
        """Likewise, preceded by what guards have reserved for this step."""
        run = getattr(config.get("callbacks"), "parent_run_id", None)
        return STEPS.places(self.ledger, self.path(metadata_of(config)), run)


def payer_of(pool: Account, account: str | None) -> Payer:
    """
    The pool that was given to a hook, or the account below it that was named.

    Raises:
        UnknownAccount: There is no such account.
        NotAnAccount: The pool is none.
    """
    ledger = account_of(pool).ledger
    path = pool.path if account is None else below(account, pool.path)
    ledger.run(ledger.route(path))
    return Payer(Account(ledger, path), account is not None)


def metadata_of(config: RunnableConfig) -> Mapping[str, Any]:
    """What the framework says of a run."""
    return config.get("metadata") or {}


def labels_of(ledger: Ledger, config: RunnableConfig, **more: str) -> dict[str, str]:
    """What is written about a call of whoever has this configuration."""
    metadata = metadata_of(config)
    caller = caller_of(metadata)
    labels = {"agent": caller.agent, "node": caller.node}
    thread = metadata.get("thread_id")
    if thread is not None:
        labels["thread"] = str(thread)
    parent = getattr(config.get("callbacks"), "parent_run_id", None)
    return labels | tool_around(parent) | divided_by(ledger, metadata) | more
