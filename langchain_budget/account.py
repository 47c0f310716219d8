"""The object that users hold: an account, and what can be done with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from langchain_budget import grants, tree
from langchain_budget.admin import Admin
from langchain_budget.arguments import Limits, order_of, several
from langchain_budget.core.accounts import Spec, check_name, join, spec_of
from langchain_budget.core.amounts import Amount, vector
from langchain_budget.core.leases import LEASE_TTL_SECONDS
from langchain_budget.core.rules import HOLD_TTL_SECONDS, Order
from langchain_budget.errors import InvalidTransfer, NotAnAccount
from langchain_budget.holds import Reservation
from langchain_budget.leases.lease import CLOCK, Clock, Lease, leased
from langchain_budget.views import AccountView, Affordability, affordability


class Account(AccountView):
    """
    A node of the tree: it draws on its parent and is drawn on by its children.

    Get one from `BudgetPool` or from another account's `open`.
    """

    @property
    def admin(self) -> Admin:
        """Operators' tools for this account and all below it."""
        return Admin(self.ledger, self.path)

    def open(
        self,
        name: str,
        *,
        limit: Limits = None,
        carve: Limits = None,
        share: str | float | None = None,
        warn_at: Iterable[float | str] = (),
    ) -> Account:
        """
        Open a child account, or attach to it when it is open already.

        Args:
            name: Its name below this account; no `/`.
            limit: A cap of its own, one amount or several. It still draws on every
                account above, and caps may add up to more than the parent has.
            carve: What is taken out of this account for the child alone; the rest
                comes back when the child is closed.
            share: Likewise, a part of what this account has available now: `"30%"`.
            warn_at: Thresholds such as `(0.5, "90%")` that are announced once each
                time that spending rises over them.

        Raises:
            LimitConflict: It is open with another specification.
            BudgetExceeded: There is not that much left to carve out.
            InvalidName, InvalidAmount: The arguments make no sense.
        """
        path, spec = self._asked(name, limit, carve, share, warn_at)
        self.ledger.run(tree.open_account(self.ledger, path, spec))
        return Account(self.ledger, path)

    async def aopen(
        self,
        name: str,
        *,
        limit: Limits = None,
        carve: Limits = None,
        share: str | float | None = None,
        warn_at: Iterable[float | str] = (),
    ) -> Account:
        """Awaitable twin of `open`."""
        path, spec = self._asked(name, limit, carve, share, warn_at)
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

    def can_afford(self, *amounts: Amount) -> Affordability:
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
        talk = self.ledger.judged(self.path, Order(vector(amounts)))
        return affordability(self.ledger.run(talk))

    async def acan_afford(self, *amounts: Amount) -> Affordability:
        """Awaitable twin of `can_afford`."""
        talk = self.ledger.judged(self.path, Order(vector(amounts)))
        return affordability(await self.ledger.arun(talk))

    def reserve(
        self,
        *amounts: Amount,
        ttl_seconds: float = HOLD_TTL_SECONDS,
        labels: Mapping[str, str] | None = None,
    ) -> Reservation:
        """
        Set *amounts* aside here and on every account above, all or none.

        Args:
            amounts: At most one of each unit.
            ttl_seconds: After that the hold is given back by itself.
            labels: Kept with the hold and in the journal; reports know `agent`,
                `node` and `model`.

        Raises:
            BudgetRefused: Nothing was set aside; the error says why.
            InvalidAmount: The arguments make no sense.
        """
        order = order_of(amounts, ttl_seconds, labels)
        hold = self.ledger.run(self.ledger.reserve(self.path, order))
        return Reservation(self.ledger, hold)

    async def areserve(
        self,
        *amounts: Amount,
        ttl_seconds: float = HOLD_TTL_SECONDS,
        labels: Mapping[str, str] | None = None,
    ) -> Reservation:
        """Awaitable twin of `reserve`."""
        order = order_of(amounts, ttl_seconds, labels)
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

    def top_up(self, amount: Amount, *, reason: str = "", key: str = "") -> None:
        """
        Grant more; a slice gets it out of its parent.

        Args:
            amount: How much more, above zero.
            reason: For the journal.
            key: Makes it happen once, however often it is called with this key.

        Raises:
            BudgetExceeded: It is a slice, and its parent has not that much left.
            InvalidTransfer: It has no limit of that unit.
            IdConflict: The key was used before for something else.
        """
        self.ledger.run(grants.top_up(self.ledger, self.path, amount, reason, key))

    async def atop_up(self, amount: Amount, *, reason: str = "", key: str = "") -> None:
        """Awaitable twin of `top_up`."""
        await self.ledger.arun(
            grants.top_up(self.ledger, self.path, amount, reason, key)
        )

    def transfer(
        self, to: Account | str, amount: Amount, *, reason: str = "", key: str = ""
    ) -> None:
        """
        Give some of this account's limit to another account of the same pool.

        Only what is neither spent nor held can move, and the sum stays the same.
        Out of a slice the money goes with it; of a shared account only the cap.

        Args:
            to: An account, or its path below the pool.
            amount: How much, above zero.
            reason: For the journal.
            key: Makes it happen once, however often it is called with this key.

        Raises:
            BudgetExceeded: There is not that much left to give.
            InvalidTransfer: To itself, across pools, or of a unit without a limit.
            IdConflict: The key was used before for something else.
        """
        paths = (self.path, self._payee(to))
        self.ledger.run(grants.transfer(self.ledger, paths, amount, reason, key))

    async def atransfer(
        self, to: Account | str, amount: Amount, *, reason: str = "", key: str = ""
    ) -> None:
        """Awaitable twin of `transfer`."""
        paths = (self.path, self._payee(to))
        await self.ledger.arun(grants.transfer(self.ledger, paths, amount, reason, key))

    def set_limit(self, amount: Amount, *, reason: str = "") -> None:
        """
        Grant *amount* in all, whatever was granted before.

        Below what is spent and held it exhausts the account; holds are honoured.
        A slice takes what is more from its parent, and returns what is less as far
        as it has it left.

        Raises:
            BudgetExceeded: It is a slice, and its parent has not that much left.
        """
        self.ledger.run(grants.set_limit(self.ledger, self.path, amount, reason))

    async def aset_limit(self, amount: Amount, *, reason: str = "") -> None:
        """Awaitable twin of `set_limit`."""
        await self.ledger.arun(grants.set_limit(self.ledger, self.path, amount, reason))

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

    def _payee(self, to: Account | str) -> str:
        if not isinstance(to, Account | str):
            raise NotAnAccount(to)
        if isinstance(to, Account) and to.ledger.store is not self.ledger.store:
            msg = f"{self.path!r} and {to.path!r} are in different pools"
            raise InvalidTransfer(msg)
        return path_of(to, self.path)

    def _asked(
        self,
        name: str,
        limit: Limits,
        carve: Limits,
        share: object,
        warn_at: Iterable[object],
    ) -> tuple[str, Spec]:
        path = join(self.path, check_name(name))
        return path, spec_of(several(limit), several(carve), share, warn_at)


def path_of(account: Account | str, near: str) -> str:
    """The full path of an account given by itself or by its path below the root."""
    if isinstance(account, Account):
        return account.path
    root = near.partition("/")[0]
    if account == root or account.startswith(f"{root}/"):
        return account
    return join(root, account)


def account_of(given: object) -> Account:
    """The account that was given where one belongs; raises `NotAnAccount`."""
    if not isinstance(given, Account):
        raise NotAnAccount(given)
    return given


def below(account: Account | str, near: str) -> str:
    """Likewise, but by its path below *near*."""
    if not isinstance(account, Account | str):
        raise NotAnAccount(account)
    if isinstance(account, Account) or account.startswith(near.partition("/")[0] + "/"):
        return path_of(account, near)
    return near if account == near else join(near, account)
