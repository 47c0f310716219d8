"""The objects that users hold: an account, and a reservation on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

from langchain_budget import tree
from langchain_budget.core.accounts import Spec, check_name, join, spec_of
from langchain_budget.core.amounts import USD, Amount, vector
from langchain_budget.core.postings import Basis, Hold, Refusal
from langchain_budget.core.rules import HOLD_TTL_SECONDS, Charge, Order
from langchain_budget.errors import HoldNotOpen, refused
from langchain_budget.ledger import Ledger
from langchain_budget.reports.report import AccountBalance, Report
from langchain_budget.views import balances_of, report_of

Limits = Amount | Iterable[Amount] | None


class Affordability(NamedTuple):
    """The answer of `can_afford`: true or false, and why; true only for now."""

    affordable: bool
    reason: str = ""
    refusal: Refusal | None = None

    def __bool__(self) -> bool:
        return self.affordable


class Account:
    """
    A node of the tree: it draws on its parent and is drawn on by its children.

    Get one from `BudgetPool` or from another account's `open`.
    """

    def __init__(self, ledger: Ledger, path: str) -> None:
        self.ledger = ledger
        self.path = path

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path!r}>"

    def __str__(self) -> str:
        return str(self.report())

    def _repr_html_(self) -> str:
        return self.report()._repr_html_()

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

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
        return _affordability(self.ledger.run(talk))

    async def acan_afford(self, *amounts: Amount) -> Affordability:
        """Awaitable twin of `can_afford`."""
        talk = self.ledger.judged(self.path, Order(vector(amounts)))
        return _affordability(await self.ledger.arun(talk))

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
            labels: Kept with the hold and in the journal.

        Raises:
            BudgetRefused: Nothing was set aside; the error says why.
        """
        order = Order(vector(amounts), {}, ttl_seconds, labels=dict(labels or {}))
        hold = self.ledger.run(self.ledger.reserve(self.path, order))
        return Reservation(self.ledger, hold)

    async def areserve(
        self,
        *amounts: Amount,
        ttl_seconds: float = HOLD_TTL_SECONDS,
        labels: Mapping[str, str] | None = None,
    ) -> Reservation:
        """Awaitable twin of `reserve`."""
        order = Order(vector(amounts), {}, ttl_seconds, labels=dict(labels or {}))
        hold = await self.ledger.arun(self.ledger.reserve(self.path, order))
        return Reservation(self.ledger, hold)

    def top_up(self, amount: Amount, *, reason: str = "", key: str = "") -> None:
        """
        Grant more; a slice gets it out of its parent.

        Args:
            amount: How much more, above zero.
            reason: For the journal.
            key: Makes it happen once, however often it is called with this key.
        """
        self.ledger.run(tree.top_up(self.ledger, self.path, amount, reason, key))

    async def atop_up(
        self, amount: Amount, *, reason: str = "", key: str = ""
    ) -> None:
        """Awaitable twin of `top_up`."""
        await self.ledger.arun(
            tree.top_up(self.ledger, self.path, amount, reason, key)
        )

    def transfer(
        self, to: Account | str, amount: Amount, *, reason: str = "", key: str = ""
    ) -> None:
        """
        Give some of this account's limit to another account of the same pool.

        Only what is neither spent nor held can move, and the sum stays the same.

        Raises:
            BudgetExceeded: There is not that much left to give.
            InvalidTransfer: To itself, across pools, or of a unit without a limit.
        """
        paths = (self.path, path_of(to, self.path))
        self.ledger.run(tree.transfer(self.ledger, paths, amount, reason, key))

    async def atransfer(
        self, to: Account | str, amount: Amount, *, reason: str = "", key: str = ""
    ) -> None:
        """Awaitable twin of `transfer`."""
        paths = (self.path, path_of(to, self.path))
        await self.ledger.arun(tree.transfer(self.ledger, paths, amount, reason, key))

    def set_limit(self, amount: Amount, *, reason: str = "") -> None:
        """
        Grant *amount* in all, whatever was granted before.

        Below what is spent and held it exhausts the account; holds are honoured.
        """
        self.ledger.run(tree.set_limit(self.ledger, self.path, amount, reason))

    async def aset_limit(self, amount: Amount, *, reason: str = "") -> None:
        """Awaitable twin of `set_limit`."""
        await self.ledger.arun(tree.set_limit(self.ledger, self.path, amount, reason))

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

    def balance(self, unit: str = USD) -> AccountBalance:
        """What this account has of *unit*: granted, spent, held, lent, available."""
        return self.ledger.run(balances_of(self.ledger, self.path, unit))[0]

    async def abalance(self, unit: str = USD) -> AccountBalance:
        """Awaitable twin of `balance`."""
        return (await self.ledger.arun(balances_of(self.ledger, self.path, unit)))[0]

    def report(self) -> Report:
        """Balances and spending by agent and node, here and below."""
        return self.ledger.run(report_of(self.ledger, self.path))

    async def areport(self) -> Report:
        """Awaitable twin of `report`."""
        return await self.ledger.arun(report_of(self.ledger, self.path))

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


class Reservation:
    """
    Money set aside, to be settled or released once.

    As a context manager it settles what was not settled: at what was held when
    the block ends well, and not at all when it raises.

    >>> from langchain_budget import BudgetPool, usd
    >>> pool = BudgetPool("acme", usd(1))
    >>> with pool.reserve(usd("0.40")) as reservation:
    ...     reservation.settle(usd("0.25"))
    >>> print(pool.balance().spent)
    $0.25
    """

    def __init__(self, ledger: Ledger, hold: Hold) -> None:
        self._ledger = ledger
        self.hold = hold
        self._open = True

    @property
    def amounts(self) -> tuple[Amount, ...]:
        """What is set aside."""
        return tuple(Amount(*item) for item in self.hold.amounts.items())

    def settle(self, *amounts: Amount) -> None:
        """Book what was really used; a second settle changes nothing."""
        self._take(self._ledger.run(self._settle(amounts)))

    async def asettle(self, *amounts: Amount) -> None:
        """Awaitable twin of `settle`."""
        self._take(await self._ledger.arun(self._settle(amounts)))

    def release(self) -> None:
        """Give all of it back; after a settle this raises `HoldNotOpen`."""
        self._take_back(self._ledger.run(self._ledger.release(self.hold)))

    async def arelease(self) -> None:
        """Awaitable twin of `release`."""
        self._take_back(await self._ledger.arun(self._ledger.release(self.hold)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._open:
            self.release() if kind else self.settle(*self.amounts)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._open:
            await (self.arelease() if kind else self.asettle(*self.amounts))

    def _settle(self, amounts: tuple[Amount, ...]) -> Any:
        charge = Charge(vector(amounts), Basis.REPORTED, self.hold.labels)
        return self._ledger.settle(self.hold, charge)

    def _take(self, hold: Hold) -> None:
        if hold.status == "released":
            raise HoldNotOpen(hold.id, str(hold.status))
        self._open = False

    def _take_back(self, hold: Hold) -> None:
        self._open = False
        if hold.status not in ("released", "expired"):
            raise HoldNotOpen(hold.id, str(hold.status))


def several(limit: Limits) -> tuple[Amount, ...]:
    """One amount, many or none, as a tuple."""
    if limit is None:
        return ()
    return (limit,) if isinstance(limit, Amount) else tuple(limit)


def path_of(account: Account | str, near: str) -> str:
    """The full path of an account given by itself or by its path below the root."""
    if isinstance(account, Account):
        return account.path
    root = near.partition("/")[0]
    if account == root or account.startswith(f"{root}/"):
        return account
    return join(root, account)


def below(account: Account | str, near: str) -> str:
    """Likewise, but by its path below *near*."""
    if isinstance(account, Account) or account.startswith(near.partition("/")[0] + "/"):
        return path_of(account, near)
    return near if account == near else join(near, account)


def _affordability(refusal: Refusal | None) -> Affordability:
    if refusal is None:
        return Affordability(affordable=True)
    return Affordability(False, str(refused(refusal)), refusal)
