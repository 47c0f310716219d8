"""The root of a tree of accounts: a pool that agents share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Self

from langchain_budget import tree
from langchain_budget.account import Account, below
from langchain_budget.books import EXPECTED_OUTPUT
from langchain_budget.core.accounts import check_name, spec_of
from langchain_budget.core.amounts import Amount, tokens
from langchain_budget.ids import new_id
from langchain_budget.journal_export import Progress
from langchain_budget.journal_import import load
from langchain_budget.ledger import Ledger
from langchain_budget.listeners import Listener
from langchain_budget.outages.ledger import OutageLedger
from langchain_budget.outages.policy import CLOSED, OnOutage
from langchain_budget.pricing.catalog import GenaiPrices
from langchain_budget.pricing.prices import PriceBook, first_price
from langchain_budget.stores._open import open_store
from langchain_budget.stores.base import Store
from langchain_budget.stores.memory import MemoryStore


class BudgetPool(Account):
    """
    A budget that agents share: one ceiling, and a tree of accounts under it.

    Args:
        name: The root account's name.
        limits: What all together may spend, at most one amount of each unit:
            `usd(10)`, `tokens(1_000_000)`. None at all: it only meters.
        store: Where the books are: `None` for this object's own memory, a URL, or
            a store.
        prices: Prices of your own, asked before the public catalogue.
        warn_at: Thresholds that are announced, as in `Account.open`.
        expected_output: Tokens to hold for an answer that nobody capped, until
            that model has answered once; then what it is known to answer.
        on_outage: What becomes of calls while the store does not answer; left out,
            none is admitted.

    Raises:
        LimitConflict: The store has a pool of that name with other limits.
        InvalidName, InvalidAmount, InvalidLease: The arguments make no sense.

    >>> from langchain_budget import BudgetPool, usd
    >>> pool = BudgetPool("acme", usd(10))
    >>> research = pool.open("research", limit=usd(3))
    >>> print(research.balance().available)
    $3.00
    """

    def __init__(  # noqa: PLR0913  # each is a question of its own
        self,
        name: str,
        *limits: Amount | None,
        store: Store | str | None = None,
        prices: PriceBook | None = None,
        warn_at: Iterable[float | str] = (),
        expected_output: int = EXPECTED_OUTPUT,
        on_outage: OnOutage | None = None,
    ) -> None:
        path, spec = check_name(name), spec_of(limits, marks=warn_at)
        policy = on_outage or CLOSED
        policy.check(path, dict(spec.limits))
        opened = open_store(store, book=path)
        super().__init__(_ledger(opened, prices, path, policy), path)
        self.ledger.expected_output = tokens(expected_output).value
        self.ledger.run(tree.open_account(self.ledger, path, spec))

    @classmethod
    def attach(
        cls, name: str, *, store: Store | str, prices: PriceBook | None = None
    ) -> Self:
        """
        A pool that exists, whatever its limits are; none is made.

        Raises:
            UnknownAccount: There is no pool of that name in the store.
        """
        path = check_name(name)
        return cls._attached(path, open_store(store, book=path, create=False), prices)

    @classmethod
    def restore(
        cls,
        file: str | os.PathLike[str],
        *,
        store: Store | str | None = None,
        prices: PriceBook | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """
        A pool as `admin.export` wrote it, in a store that has no such books yet.

        The whole file is checked first. Accounts, balances, ids and times are those
        of the file; holds that were open have as long to live as they had then.

        Args:
            file: The path of a journal in JSONL.
            store: Where the books are to be. An empty store that is given as an
                object dates the entries anew; one that a URL names does not.
            prices: Prices of your own, asked before the public catalogue.
            progress: Called with the number of entries now and then.

        Raises:
            InvalidJournal: The file is damaged or was not written by `export`.
            BookNotEmpty: There are such books in the store.
        """
        path, opened = load(file, store, progress)
        return cls._attached(path, opened, prices)

    @classmethod
    def _attached(cls, path: str, store: Store, prices: PriceBook | None) -> Self:
        pool = cls.__new__(cls)
        Account.__init__(pool, _ledger(store, prices, path), path)
        pool.ledger.run(pool.ledger.route(path))
        return pool

    def account(self, path: str) -> Account:
        """
        The open account at *path*, below this pool: `"research/web"`.

        Raises:
            UnknownAccount: There is none.
        """
        full = below(path, self.path)
        self.ledger.run(self.ledger.route(full))
        return Account(self.ledger, full)

    async def aaccount(self, path: str) -> Account:
        """Awaitable twin of `account`."""
        full = below(path, self.path)
        await self.ledger.arun(self.ledger.route(full))
        return Account(self.ledger, full)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """
        Call *listener* with each event, after the books have changed.

        It runs where the change was made, so it should be quick. Returns a function
        that ends the subscription. See `langchain_budget.events`.
        """
        return self.ledger.listeners.add(listener)


def _ledger(
    store: Store,
    prices: PriceBook | None,
    root: str,
    on_outage: OnOutage = CLOSED,
) -> Ledger:
    book = first_price(*([prices] if prices else []), GenaiPrices())
    if type(store) is MemoryStore:
        return Ledger(store, new_id, book)  # it is where the program is
    return OutageLedger(store, new_id, book, root, on_outage)
