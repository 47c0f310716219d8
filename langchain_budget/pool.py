"""The root of a tree of accounts: a pool that agents share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Self

from langchain_budget import tree, turns
from langchain_budget.account import Account, below
from langchain_budget.arguments import (
    Limits,
    Marks,
    divided,
    given_by_value,
    several,
    traits_asked,
)
from langchain_budget.books import EXPECTED_OUTPUT
from langchain_budget.core.accounts import (
    Spec,
    check_name,
    check_root,
    one_or_more,
    spec_of,
)
from langchain_budget.core.amounts import Amount, Limit, tokens
from langchain_budget.core.dividing import MOST, Each
from langchain_budget.core.faults import told
from langchain_budget.core.traits import check_metadata
from langchain_budget.errors import InvalidPolicy
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
        *limits: Amount | Limit | None,
        store: Store | str | None = None,
        prices: PriceBook | None = None,
        warn_at: Marks = (),
        expected_output: int = EXPECTED_OUTPUT,
        on_outage: OnOutage | None = None,
    ) -> None:
        path, spec = check_root(name), spec_of(limits, marks=warn_at)
        policy = _policy(on_outage)
        policy.check(path, dict(spec.limits))
        known = _book(prices)
        opened = open_store(store, book=path)
        super().__init__(_ledger(opened, known, path, policy), path)
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
        path, known = check_name(name), _book(prices)
        return cls._attached(path, open_store(store, book=path, create=False), known)

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
        known = _book(prices)
        path, opened = load(file, store, progress)
        return cls._attached(path, opened, known)

    @classmethod
    def _attached(cls, path: str, store: Store, prices: PriceBook) -> Self:
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

    def limit_each(  # noqa: PLR0913  # each is a question of its own
        self,
        *labels: str,
        limit: Limits = None,
        named: Mapping[str, Limits] | None = None,
        warn_at: Marks = (),
        enforce: bool = True,
        most: int = MOST,
        missing: Mapping[str, str] | None = None,
    ) -> None:
        """
        Limit each user, tenant, tool or thread by itself, whatever else binds.

        An account comes into being with the first call that carries a new value; it
        stands beside the pool's own tree, as `acme:user/ada`, and a call has to fit
        into both. A call that does not carry the label is not limited by it. Like
        handlers, each process says this for itself; the balances are shared.

        Args:
            labels: `agent`, `node`, `tool`, `thread`, `model`, `provider`, or a key
                of the `metadata` that a call is made with, such as `user_id`. Of
                several, each combination has an account.
            limit: What each may spend; accounts that are there keep what they have.
            named: Other limits for some values. Of several labels: for a value of the
                last one, or for all of them joined by `+`.
            warn_at: Thresholds, as in `Account.open`.
            enforce: Whether these limits stop calls, or are only watched.
            most: How many accounts there may be, closed ones aside; then new values
                are refused. Calls that are refused open none. Each process counts for
                itself and, when it is full, looks at the books once a second.
            missing: What a call counts as, by label, that does not carry it:
                `{"agent": "unattributed"}`.

        >>> from langchain_budget import BudgetPool, usd
        >>> pool = BudgetPool("acme", usd(10))
        >>> pool.limit_each("user_id", limit=usd(1).per("day"))
        >>> hold = pool.reserve(usd("0.75"), labels={"user_id": "ada"})
        >>> print(pool.can_afford(usd("0.50"), labels={"user_id": "ada"}).reason)
        account 'acme:user_id/ada' has $0.25 left of $1.00 per day ...
        >>> bool(pool.can_afford(usd("0.50"), labels={"user_id": "bob"}))
        True
        """
        traits = traits_asked(None, True, enforce, None)  # noqa: FBT003  # tradeable
        spec = partial(spec_of, marks=one_or_more(warn_at), labels=traits.labels())
        specs = {
            value: spec(several(given))
            for value, given in given_by_value(named).items()
        }
        each = divided(
            Each(
                labels,
                spec(several(limit)),
                specs,
                most,
                check_metadata(missing, "missing"),
            )
        )
        trunk = each.trunk(self.path)
        self.ledger.run(tree.open_account(self.ledger, trunk, Spec()))
        others = (one for one in self.ledger.each if one.name != each.name)
        self.ledger.each = (*others, each)

    def advance(self, window: str = "tick") -> None:
        """
        End the current `tick`, or `run`, of this pool: its limits start anew.

        A new run begins with a new tick. What is still held was taken out of the one
        that it was reserved in, and is settled there.

        Raises:
            InvalidAmount: It is another window, that ends by the clock.
        """
        self.ledger.run(turns.advance(self.ledger, self.path, window))

    async def aadvance(self, window: str = "tick") -> None:
        """Awaitable twin of `advance`."""
        await self.ledger.arun(turns.advance(self.ledger, self.path, window))

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """
        Call *listener* with each event, after the books have changed.

        It runs where the change was made, so it should be quick. Returns a function
        that ends the subscription. See `langchain_budget.events`.
        """
        return self.ledger.listeners.add(listener)


def _policy(given: object) -> OnOutage:
    """What `on_outage` was given, checked."""
    if given is None:
        return CLOSED
    if not isinstance(given, OnOutage):
        msg = f"on_outage={told(given)}: give OnOutage.closed(), or another of OnOutage"
        raise InvalidPolicy(msg)
    return given


def _book(own: PriceBook | None) -> PriceBook:
    """The prices of the user's own, and behind them the public ones."""
    public = GenaiPrices()
    return public if own is None else first_price(own, public)


def _ledger(
    store: Store, book: PriceBook, root: str, on_outage: OnOutage = CLOSED
) -> Ledger:
    if type(store) is MemoryStore:  # it is where the program is
        ledger = Ledger(store, new_id, book)
    else:
        ledger = OutageLedger(store, new_id, book, root, on_outage)
    ledger.root = root
    return ledger
