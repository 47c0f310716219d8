"""The object that users hold: an account, and what can be done with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from langchain_budget import tree
from langchain_budget.admin import Admin
from langchain_budget.arguments import (
    Amounts,
    Limits,
    Marks,
    amounts_of,
    order_of,
    several,
    traits_asked,
)
from langchain_budget.core.accounts import SEPARATOR, Spec, check_name, spec_of
from langchain_budget.core.amounts import Amount
from langchain_budget.core.leases import LEASE_TTL_SECONDS
from langchain_budget.core.rules import HOLD_TTL_SECONDS
from langchain_budget.core.traits import Traits
from langchain_budget.errors import NotAnAccount
from langchain_budget.funds import Funds, below, child_of
from langchain_budget.holds import Reservation
from langchain_budget.leases.lease import CLOCK, Clock, Lease, leased
from langchain_budget.moving import Move, move
from langchain_budget.views import AccountView, Affordability, affordability

__all__ = ["Account", "account_of", "below"]


class Account(Funds):
    """
    A node of the tree: it draws on its parent and is drawn on by its children.

    Get one from `BudgetPool` or from another account's `open`.
    """

    def __deepcopy__(self, memo: object) -> Self:
        """The same: a copy of what spends from it spends from the same budget."""
        return self

    @property
    def admin(self) -> Admin:
        """Operators' tools for this account and all below it."""
        return Admin(self.ledger, self.path)

    def open(  # noqa: PLR0913  # each is a question of its own
        self,
        name: str,
        *,
        limit: Limits = None,
        carve: Amounts = None,
        share: str | float | None = None,
        warn_at: Marks = (),
        priority: int | None = None,
        tradeable: bool = True,
        enforce: bool = True,
        metadata: Mapping[str, str] | None = None,
    ) -> Account:
        """
        Open a child account, or attach to it when it is open already.

        Args:
            name: Its name below this account; no `/`, and not that of the pool.
            limit: A cap of its own, one amount or several. It still draws on every
                account above, and caps may add up to more than the parent has.
            carve: What is taken out of this account for the child alone; the rest
                comes back when the child is closed.
            share: Likewise, a part of what this account has available now: `"30%"`.
            warn_at: Thresholds such as `(0.5, "90%")`, or one alone, that are
                announced once each time that spending rises over them.
            priority: From 1 to 10, the more the more important: who goes first when
                several wait, and who gets more of what is allocated.
            tradeable: Whether budget may be transferred from it and to it.
            enforce: Whether its own limits stop calls, or are only watched; those
                above it stop them in any case.
            metadata: Text by text, to be found again with `traits`.

        Raises:
            LimitConflict: It is open with another specification.
            BudgetExceeded: There is not that much left to carve out.
            InvalidName, InvalidAmount: The arguments make no sense.
        """
        traits = traits_asked(priority, tradeable, enforce, metadata)
        path, spec = self._asked(name, (limit, carve, share), warn_at, traits)
        self.ledger.run(tree.open_account(self.ledger, path, spec))
        return Account(self.ledger, path)

    async def aopen(  # noqa: PLR0913  # each is a question of its own
        self,
        name: str,
        *,
        limit: Limits = None,
        carve: Amounts = None,
        share: str | float | None = None,
        warn_at: Marks = (),
        priority: int | None = None,
        tradeable: bool = True,
        enforce: bool = True,
        metadata: Mapping[str, str] | None = None,
    ) -> Account:
        """Awaitable twin of `open`."""
        traits = traits_asked(priority, tradeable, enforce, metadata)
        path, spec = self._asked(name, (limit, carve, share), warn_at, traits)
        await self.ledger.arun(tree.open_account(self.ledger, path, spec))
        return Account(self.ledger, path)

    def close(self) -> None:
        """
        Admit nothing more here or below; return what slices have left.

        Holds that are open are still settled; what they do not use follows.
        """
        self.ledger.run(tree.close_account(self.ledger, self.path))

    async def aclose(self) -> None:
        """Awaitable twin of `close`."""
        await self.ledger.arun(tree.close_account(self.ledger, self.path))

    def move_to(
        self, parent: AccountView | str, *, name: str = "", reason: str = ""
    ) -> Account:
        """
        Move this account below another parent: opened anew there, and closed here.

        What it has left goes along: of a slice the money, of a shared account its cap.
        So does what was used in a window that has not ended, and all that it is. What
        it spent in all stays where it was spent, and so do its open holds, which are
        settled there. Calls by the old path are refused.

        Args:
            parent: An account of the same pool, or its path below the pool.
            name: What it is called there, if not as here.
            reason: For the journal.

        Returns:
            The account at its new place.

        Raises:
            InvalidTransfer: It has open children, is a root, has used a rolling limit,
                would be below itself, or the place is taken.
            BudgetExceeded: An account above its new place has not that much left.
            AccountFrozen: An account above it is, that would not be any more.
            AccountClosed: It is closed, or its new parent is.

        >>> from langchain_budget import BudgetPool, usd
        >>> pool = BudgetPool("acme", usd(10))
        >>> research, sales = pool.open("research"), pool.open("sales")
        >>> web = research.open("web", carve=usd(3)).move_to(sales)
        >>> web.path, str(web.balance().available)
        ('acme/sales/web', '$3.00')
        """
        asked = self._move(parent, name, reason)
        return Account(self.ledger, self.ledger.run(move(self.ledger, asked)))

    async def amove_to(
        self, parent: AccountView | str, *, name: str = "", reason: str = ""
    ) -> Account:
        """Awaitable twin of `move_to`."""
        asked = self._move(parent, name, reason)
        return Account(self.ledger, await self.ledger.arun(move(self.ledger, asked)))

    def can_afford(
        self, *amounts: Amount, labels: Mapping[str, str] | None = None
    ) -> Affordability:
        """
        Whether a reservation of *amounts* would be admitted at this moment.

        This is advice: between it and the call others may spend. Only `reserve`,
        or one of the hooks, enforces.

        >>> from langchain_budget import BudgetPool, usd
        >>> pool = BudgetPool("acme", usd(1))
        >>> bool(pool.can_afford(usd("0.40")))
        True
        >>> print(pool.can_afford(usd(2)).reason)
        account 'acme' has $1.00 left of $1.00 ...
        """
        order = order_of(amounts, HOLD_TTL_SECONDS, labels)
        return affordability(self.ledger.run(self.ledger.judged(self.path, order)))

    async def acan_afford(
        self, *amounts: Amount, labels: Mapping[str, str] | None = None
    ) -> Affordability:
        """Awaitable twin of `can_afford`."""
        order = order_of(amounts, HOLD_TTL_SECONDS, labels)
        talk = self.ledger.judged(self.path, order)
        return affordability(await self.ledger.arun(talk))

    def reserve(
        self,
        *amounts: Amount,
        ttl_seconds: float = HOLD_TTL_SECONDS,
        labels: Mapping[str, str] | None = None,
        wait_seconds: float = 0.0,
    ) -> Reservation:
        """
        Set *amounts* aside here and on every account above, all or none.

        Args:
            amounts: At most one of each unit.
            ttl_seconds: After that the hold is given back by itself.
            labels: Kept with the hold and in the journal; reports know `agent`,
                `node` and `model`.
            wait_seconds: How long to wait when there is too little only because of
                what others hold. Accounts of a higher priority go first among those
                of one process; other processes are heard of within a moment.

        Raises:
            BudgetRefused: Nothing was set aside; the error says why.
            InvalidAmount: The arguments make no sense.
        """
        order = order_of(amounts, ttl_seconds, labels, wait_seconds)
        hold = self.ledger.run(self.ledger.reserve(self.path, order))
        return Reservation(self.ledger, hold)

    async def areserve(
        self,
        *amounts: Amount,
        ttl_seconds: float = HOLD_TTL_SECONDS,
        labels: Mapping[str, str] | None = None,
        wait_seconds: float = 0.0,
    ) -> Reservation:
        """Awaitable twin of `reserve`."""
        order = order_of(amounts, ttl_seconds, labels, wait_seconds)
        hold = await self.ledger.arun(self.ledger.reserve(self.path, order))
        return Reservation(self.ledger, hold)

    def lease(
        self,
        *amounts: Amount,
        ttl_seconds: float = LEASE_TTL_SECONDS,
        clock: Clock = CLOCK,
    ) -> Lease[Account]:
        """
        Some of what is left, to be spent here at the speed of memory, `with` a block.

        Args:
            amounts: How much to have at hand of each unit that is limited here or
                above; near the limit it is less.
            ttl_seconds: What is not accounted for by then counts as spent until it is.
            clock: Seconds that only ever rise.

        Raises:
            InvalidLease: A limit would be passed over; in the block.

        >>> from langchain_budget import BudgetPool, usd
        >>> pool = BudgetPool("acme", usd(10))
        >>> with pool.lease(usd(1)) as worker:
        ...     worker.reserve(usd("0.25")).settle(usd("0.20"))
        >>> print(pool.balance().spent, pool.balance().available)
        $0.20 $9.80
        """
        ledger = leased(self.ledger, self.path, amounts, (ttl_seconds, clock))
        return Lease(ledger, Account(ledger, self.path))

    def freeze(self, reason: str = "frozen by hand") -> None:
        """Refuse every new call here and below, until `thaw`."""
        self.ledger.run(tree.freeze(self.ledger, self.path, reason))

    async def afreeze(self, reason: str = "frozen by hand") -> None:
        """Awaitable twin of `freeze`."""
        await self.ledger.arun(tree.freeze(self.ledger, self.path, reason))

    def thaw(self, reason: str = "thawed by hand") -> None:
        """Admit calls again; what is exhausted stays exhausted."""
        self.ledger.run(tree.thaw(self.ledger, self.path, reason))

    async def athaw(self, reason: str = "thawed by hand") -> None:
        """Awaitable twin of `thaw`."""
        await self.ledger.arun(tree.thaw(self.ledger, self.path, reason))

    def _move(self, parent: AccountView | str, name: str, reason: str) -> Move:
        name = check_name(name) if name else ""
        move = Move(self.path, self._payee(parent), name, reason)
        if SEPARATOR in self.path:  # what moves a root says so
            child_of(move.parent, name or self.name)
        return move

    def _asked(
        self,
        name: str,
        money: tuple[Limits, Amounts, object],
        warn_at: Marks,
        traits: Traits,
    ) -> tuple[str, Spec]:
        path = child_of(self.path, name)
        limit, carve, share = money
        limits, carved = several(limit), amounts_of(carve)
        return path, spec_of(limits, carved, share, warn_at, traits.labels())


def account_of(given: object) -> Account:
    """The account that was given where one belongs; raises `NotAnAccount`."""
    if not isinstance(given, Account):
        raise NotAnAccount(given)
    return given
