"""What the current thread or task carries: an open scope, and offered holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from typing import Protocol

from langchain_budget.account import Account
from langchain_budget.adapters.clamp import Clamp
from langchain_budget.adapters.requests import Request
from langchain_budget.adapters.weaknesses import outer_middleware
from langchain_budget.core.accounts import SEPARATOR
from langchain_budget.core.postings import Hold
from langchain_budget.ledger import Ledger


class OpenScope(Protocol):
    """A scope as the hooks see it."""

    @property
    def account(self) -> Account:
        """The account that calls are charged to."""

    @property
    def outer(self) -> OpenScope | None:
        """The scope around it, `None` for the outermost."""

    @property
    def lost(self) -> bool:
        """Whether it ended in another context than it began in, which still has it."""


class Offer:
    """
    A hold that an outer layer made for one model call.

    Exactly one call claims it, once; context alone stays visible to later ones.
    """

    __slots__ = ("_free", "clamp", "hold", "is_withdrawn", "ledger", "request")

    def __init__(
        self, ledger: Ledger, hold: Hold, request: Request, clamp: Clamp
    ) -> None:
        self.ledger = ledger
        self.hold = hold
        self.request = request
        self.clamp = clamp
        self.is_withdrawn = False
        """Whether whoever made it has taken it back, since no call has claimed it."""
        self._free = [self]

    @property
    def claimed(self) -> bool:
        """Whether a call has taken the hold, and will close it."""
        return not self._free

    def claim(self) -> bool:
        """Take the hold; true the first time only."""
        try:
            self._free.pop()
        except IndexError:
            return False
        return True

    def withdraw(self) -> bool:
        """Take it back, unless a call has taken it."""
        if self.claim():
            self.is_withdrawn = True
        return self.is_withdrawn


scope_now: ContextVar[OpenScope | None] = ContextVar("budget_scope", default=None)
offers_now: ContextVar[tuple[Offer, ...]] = ContextVar("budget_offers", default=())


def claimed(ledger: Ledger) -> Offer | None:
    """The hold that an outer layer has made for the call that begins now, if any."""
    offered = [offer for offer in offers_now.get() if ledger.is_same(offer.ledger)]
    found = next((offer for offer in offered if offer.claim()), None)
    if found is None and any(not offer.is_withdrawn for offer in offered):
        outer_middleware(ledger)
    return found


def enclosing(scope: OpenScope | None) -> Iterator[OpenScope]:
    """The scope and those around it, innermost first, but for those left behind."""
    while scope is not None:
        if not scope.lost:
            yield scope
        scope = scope.outer


def innermost(account: Account) -> str:
    """
    The path where what is charged to *account* goes, inside the scopes that are open.

    An open scope on the same books goes first, unless *account* lies below it.
    """
    scopes = (each.account for each in enclosing(scope_now.get()))
    scope = next(
        (each for each in scopes if account.ledger.is_same(each.ledger)), account
    )
    below = (account.path + SEPARATOR).startswith(scope.path + SEPARATOR)
    return account.path if below else scope.path
