"""What an account is granted: more, less, or from one to another."""

from __future__ import annotations

from langchain_budget import grants
from langchain_budget.core.accounts import BESIDE, check_name, join
from langchain_budget.core.amounts import Amount, Limit
from langchain_budget.core.written import check_reason, checked
from langchain_budget.errors import InvalidName, InvalidTransfer, NotAnAccount
from langchain_budget.views import AccountView


class Funds(AccountView):
    """An account, and what it is granted."""

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
            InvalidName: The key cannot be kept, or the reason is no text.
        """
        self.ledger.run(
            grants.top_up(self.ledger, self.path, amount, *checked(reason, key))
        )

    async def atop_up(self, amount: Amount, *, reason: str = "", key: str = "") -> None:
        """Awaitable twin of `top_up`."""
        await self.ledger.arun(
            grants.top_up(self.ledger, self.path, amount, *checked(reason, key))
        )

    def transfer(
        self, to: AccountView | str, amount: Amount, *, reason: str = "", key: str = ""
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
            InvalidName: The key cannot be kept, or the reason is no text.
        """
        paths = (self.path, self._payee(to))
        self.ledger.run(
            grants.transfer(self.ledger, paths, amount, *checked(reason, key))
        )

    async def atransfer(
        self, to: AccountView | str, amount: Amount, *, reason: str = "", key: str = ""
    ) -> None:
        """Awaitable twin of `transfer`."""
        paths = (self.path, self._payee(to))
        await self.ledger.arun(
            grants.transfer(self.ledger, paths, amount, *checked(reason, key))
        )

    def set_limit(self, amount: Amount | Limit, *, reason: str = "") -> None:
        """
        Grant *amount* in all, whatever was granted before.

        With a window, `usd(5).per("day")`, it is that window's limit that changes, at
        once and from then on; the account need not have had one.

        Below what is spent and held it exhausts the account; holds are honoured.
        A slice takes what is more from its parent, and returns what is less as far
        as it has it left.

        Raises:
            BudgetExceeded: It is a slice, and its parent has not that much left.
        """
        self.ledger.run(
            grants.set_limit(self.ledger, self.path, amount, check_reason(reason))
        )

    async def aset_limit(self, amount: Amount | Limit, *, reason: str = "") -> None:
        """Awaitable twin of `set_limit`."""
        await self.ledger.arun(
            grants.set_limit(self.ledger, self.path, amount, check_reason(reason))
        )

    def _payee(self, to: AccountView | str) -> str:
        if not isinstance(to, AccountView | str):
            raise NotAnAccount(to)
        if isinstance(to, AccountView) and to.ledger.store is not self.ledger.store:
            msg = f"{self.path!r} and {to.path!r} are in different pools"
            raise InvalidTransfer(msg)
        return path_of(to, self.path)


def path_of(account: AccountView | str, near: str) -> str:
    """The full path of an account given by itself or by its path below the root."""
    if isinstance(account, AccountView):
        return account.path
    root = near.partition("/")[0]
    if account.startswith(BESIDE):
        return root + account
    if account == root or account.startswith((f"{root}/", f"{root}{BESIDE}")):
        return account
    return join(root, account)


def below(account: AccountView | str, near: str) -> str:
    """Likewise, but by its path below *near*."""
    if not isinstance(account, AccountView | str):
        raise NotAnAccount(account)
    root = near.partition("/")[0]
    inside = (BESIDE, f"{root}/", f"{root}{BESIDE}")
    if isinstance(account, AccountView) or account.startswith(inside):
        return path_of(account, near)
    return near if account == near else join(near, account)


def child_of(parent: str, name: object) -> str:
    """
    The path of a new account *name* below *parent*, where it can be found by it.

    Raises:
        InvalidName: It is no name, or means another account there.
    """
    path = join(parent, check_name(name))
    found = below(str(name), parent)
    if found != path:
        msg = f"account name {name!r}: it means {found!r} here, give another one"
        raise InvalidName(msg)
    return path
