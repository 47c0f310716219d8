"""Money that a program has set aside, as an object to close it with."""

from __future__ import annotations

from typing import Self

from langchain_budget.core.amounts import Amount, vector
from langchain_budget.core.postings import Basis, Hold, Status
from langchain_budget.core.rules import Charge
from langchain_budget.errors import HoldNotOpen
from langchain_budget.ledger import Closing, Ledger
from langchain_budget.stores._drive import Talk


class Reservation:
    """
    Money set aside, to be settled or released once.

    As a context manager it settles what was not settled: at what was held when
    the block ends well, and not at all when it raises. What the store cannot take
    now is kept, announced as `SettleDeferred` and tried again.

    >>> from langchain_budget import BudgetPool, usd
    >>> pool = BudgetPool("acme", usd(1))
    >>> with pool.reserve(usd("0.40")) as reservation:
    ...     reservation.settle(usd("0.25"))
    >>> print(pool.balance().spent)
    $0.25
    """

    def __init__(self, ledger: Ledger, hold: Hold) -> None:
        self._ledger = ledger
        self._closed = self._spent = False
        self.hold = hold

    def __repr__(self) -> str:
        held = ", ".join(map(str, self.amounts))
        return f"<Reservation of {held} on {self.hold.account!r}>"

    @property
    def amounts(self) -> tuple[Amount, ...]:
        """What is set aside."""
        return tuple(Amount(*item) for item in self.hold.amounts.items())

    def settle(self, *amounts: Amount) -> None:
        """
        Book what was really used; a second settle changes nothing.

        A unit that is left out is booked as it was held: unknown is not zero.

        Raises:
            HoldNotOpen: It was released before.
        """
        self._ledger.run(self._settle(amounts))

    async def asettle(self, *amounts: Amount) -> None:
        """Awaitable twin of `settle`."""
        await self._ledger.arun(self._settle(amounts))

    def release(self) -> None:
        """
        Give all of it back: nothing was used.

        Raises:
            HoldNotOpen: It was settled before.
        """
        self._ledger.run(self._release())

    async def arelease(self) -> None:
        """Awaitable twin of `release`."""
        await self._ledger.arun(self._release())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._closed:
            self._ledger.run(self._leave(kind))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._closed:
            await self._ledger.arun(self._leave(kind))

    def _leave(self, kind: type[BaseException] | None) -> Talk[None]:
        """A settle that raised has spent all the same: only its amount is unknown."""
        return self._release() if kind and not self._spent else self._settle(())

    def _settle(self, amounts: tuple[Amount, ...]) -> Talk[None]:
        self._spent = True
        used = {**self.hold.amounts, **vector(amounts)}
        basis = Basis.REPORTED if amounts else Basis.ESTIMATED
        return self._close(Charge(used, basis, self.hold.labels), {Status.RELEASED})

    def _release(self) -> Talk[None]:
        return self._close(None, {Status.SETTLED})

    def _close(self, charge: Charge | None, wrong: set[Status]) -> Talk[None]:
        hold = yield from self._ledger.close(Closing(self.hold, charge))
        self._closed = True
        if hold is not None and hold.status in wrong:
            raise HoldNotOpen(hold.id, str(hold.status))
