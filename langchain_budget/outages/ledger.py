"""Books whose store may fail: calls go on without it as far as a policy says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from langchain_budget.core.accounts import Row
from langchain_budget.core.postings import Hold, Kind, Refusal
from langchain_budget.core.rules import Charge, Order
from langchain_budget.errors import (
    BudgetExceeded,
    BudgetRefused,
    StoreError,
    StoreUnavailable,
    unavailable,
)
from langchain_budget.outages.noticing import WatchedLedger
from langchain_budget.stores._drive import Ask, Talk, adrive, drive

_Result = TypeVar("_Result")


class OutageLedger(WatchedLedger):
    """Books that go on without their store as far as a policy says."""

    def run(self, talk: Talk[_Result]) -> _Result:
        """Have *talk* with the store, waiting for its answers."""
        try:
            if self._is_left_alone():
                return drive(talk, self._silence())
            return drive(self._begun(talk), self.store)
        except (BudgetRefused, StoreError) as error:
            self._fell(error)
            raise

    async def arun(self, talk: Talk[_Result]) -> _Result:
        """Have *talk* with the store, awaiting its answers."""
        try:
            if self._is_left_alone():
                return await adrive(talk, self._silence())
            return await adrive(self._begun(talk), self.store)
        except (BudgetRefused, StoreError) as error:
            self._fell(error)
            raise

    def reserve(self, path: str, order: Order) -> Talk[Hold]:
        """Likewise; without the store it is the policy that admits, or refuses."""
        try:
            hold = yield from super().reserve(path, order)
        except StoreUnavailable as refusal:
            self._fell(refusal.__cause__)
            return self._reserved_without(path, order, refusal)
        except BudgetExceeded:
            if self._spare is None or not (yield from self._spare.spared(path)):
                raise
            hold = yield from super().reserve(path, order)
        self._state.wrote()
        if self._state.down or self._spare:
            yield from self._answered(path, order.labels)
        return hold

    def settle(self, hold: Hold, charge: Charge) -> Talk[Hold]:
        """Book what was used, in the books that admitted the call."""
        spare = self._holds.get(hold.id)
        if spare is None:
            closed = yield from super().settle(hold, charge)
            self._state.wrote()
            if self._state.down:
                yield from self._answered(hold.account, hold.labels)
            return closed
        marked = charge._replace(labels={**charge.labels, "outage": "yes"})
        closed = spare.run(spare.settle(hold, marked))
        try:
            yield from self._report()
        except StoreError as error:
            self._fell(error)
        return closed

    def release(self, hold: Hold) -> Talk[Hold]:
        """Give back all of *hold*; one that is closed is left as it is."""
        spare = self._holds.get(hold.id)
        if spare is not None:
            return spare.run(spare.release(hold))
        return (yield from super().release(hold))

    def keep(self, hold: Hold) -> Talk[None]:
        """Let an open hold live on."""
        spare = self._holds.get(hold.id)
        if spare is not None:
            return spare.run(spare.keep(hold))
        return (yield from super().keep(hold))

    def judged(self, path: str, order: Order) -> Talk[Refusal | None]:
        """What a reserve would say now, without reserving."""
        refusal = yield from super().judged(path, order)
        if refusal is None or refusal.kind is not Kind.STORE:
            return refusal
        if not self._state.down:
            self._fell(StoreError(refusal.detail))
        why = self._not_kept(path, order.labels)
        if why:
            return refusal._replace(detail=why)
        place = self._spare and self._spare.place(path)
        if not place:
            return refusal
        return place.ledger.run(place.ledger.judged(place.path, order))

    def open_below(self, path: str) -> Talk[tuple[str, ...]]:
        """The paths of the accounts below *path* that are not closed."""
        found = yield from super().open_below(path)
        self._names[path] = found
        return found

    def names_without(self, path: str, error: StoreError) -> tuple[str, ...]:
        """Those that were known when the store last answered."""
        self._fell(error)
        if self._spare is None:
            raise unavailable(path, error) from error
        return self._names.get(path, ())

    def left_without(self, path: str, error: StoreError) -> Mapping[str, int]:
        """What may be spent without the store."""
        self._fell(error)
        place = self._spare and self._spare.place(path)
        if not place:
            raise unavailable(path, error) from error
        return place.ledger.purse.left()

    def freed(self, path: str) -> Talk[bool]:
        """Return what is kept ready for the account at *path* and all below it."""
        return self._spare is not None and (yield from self._spare.freed(path))

    def retire(self, row: Row) -> Talk[None]:
        """Close one account; a lease of this process is given back, not given up."""
        own = row.is_lease and self._spare
        if not (own and (yield from own.give_back(row.path))):
            yield from super().retire(row)

    def _reserved_without(
        self, path: str, order: Order, refusal: StoreUnavailable
    ) -> Hold:
        why = self._not_kept(path, order.labels)
        if why:
            raise StoreUnavailable(Refusal(Kind.STORE, path, detail=why)) from refusal
        place = self._spare and self._spare.place(path)
        if not place or not self._state.down:
            raise refusal
        marked = order._replace(labels={**order.labels, "outage": "yes"})
        try:
            hold = place.ledger.run(place.ledger.reserve(place.path, marked))
        except BudgetExceeded as short:
            why = f"{self._state.error}; without it this is left: {short.available}"
            raise StoreUnavailable(Refusal(Kind.STORE, path, detail=why)) from short
        self._holds.keep(hold.id, place.ledger)
        self._state.admitted()
        return hold

    def _begun(self, talk: Talk[_Result]) -> Talk[_Result]:
        """The same after what must come first."""
        if self._spare is not None and (self._state.down or self._spare.owes):
            return self._resumed(talk)
        return self._tidied(talk) if self.late else talk

    def _resumed(self, talk: Talk[_Result]) -> Talk[_Result]:
        """If the store answers again, it is told what it does not know yet."""
        try:
            answers = yield from self._answers()
        except BaseException as error:
            # Whoever is cut off here has begun: a charge is left behind, not lost.
            next(talk, None)
            talk.throw(error)
            raise
        if not answers:
            return drive(talk, self._silence())
        return (yield from self._tidied(talk) if self.late else talk)

    def _answers(self) -> Talk[bool]:
        """Whether the store answers; one question is enough to wait for."""
        try:
            if self._state.down:
                yield Ask("now")
                self._rose()
            yield from self._report()
        except StoreError as error:
            self._fell(error)
        return not self._state.down

    def _report(self) -> Talk[None]:
        owes = self._spare is not None and self._spare.owes
        if self._spare is not None and owes and (yield from self._spare.report()):
            self._state.wrote()

    def _answered(self, path: str, labels: Mapping[str, str]) -> Talk[None]:
        """The store has taken something: so it will take what it does not know yet."""
        self._rose()
        if self._spare is not None:
            try:
                yield from self._report()
                usable = not self._not_kept(path, labels)
                yield from self._spare.stand_by(path, usable=usable)
            except StoreError as error:
                self._fell(error)
