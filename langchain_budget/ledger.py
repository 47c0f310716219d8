"""The talks that settle and release, and the drivers of all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from langchain_budget.admission import TRIES, Admission, Closing
from langchain_budget.core import rules
from langchain_budget.core.edges import unlent
from langchain_budget.core.events import (
    Released,
    Settled,
    SettleDeferred,
)
from langchain_budget.core.loans import repaid
from langchain_budget.core.postings import (
    Hold,
    Kind,
    Receipt,
    Refusal,
)
from langchain_budget.core.rolling import rolls
from langchain_budget.core.routes import Route
from langchain_budget.core.rules import (
    HOLD_TTL_SECONDS,
    Charge,
)
from langchain_budget.errors import (
    BudgetRefused,
    HoldNotOpen,
    StoreError,
    StoreReentered,
)
from langchain_budget.reporting import report_of
from langchain_budget.reports.report import Report
from langchain_budget.stores._drive import Ask, Talk, adrive, drive

__all__ = ["Closing", "Ledger"]

_log = logging.getLogger("langchain_budget")
_Result = TypeVar("_Result")


class Ledger(Admission):
    """Books on which money is reserved before a call and settled after it."""

    def run(self, talk: Talk[_Result]) -> _Result:
        """Have *talk* with the store, waiting for its answers."""
        try:
            return drive(self._tidied(talk) if self.late else talk, self.store)
        except BudgetRefused as refusal:
            refusal.came_from(self)
            raise

    async def arun(self, talk: Talk[_Result]) -> _Result:
        """Have *talk* with the store, awaiting its answers."""
        try:
            return await adrive(self._tidied(talk) if self.late else talk, self.store)
        except BudgetRefused as refusal:
            refusal.came_from(self)
            raise

    def report_on(self, path: str) -> Report:
        """Balances and spending of an account and all below it."""
        return self.run(report_of(self, path))

    async def areport_on(self, path: str) -> Report:
        """Awaitable twin of `report_on`."""
        return await self.arun(report_of(self, path))

    def settle(self, hold: Hold, charge: Charge) -> Talk[Hold]:
        """
        Book what was used; never refuses.

        An estimate that was charged before gives way to a reported charge; a
        second reported one changes nothing.
        """
        path = hold.account
        route = self._routes.get(path) or (yield from self.route(path))
        now = (yield from self.now()) if rolls(hold) else 0.0
        posting = rules.settle(hold, charge, route, now)
        answer: Receipt | Refusal | Hold = yield posting
        if type(answer) is Refusal and answer.kind is Kind.STALE:
            route, answer = yield from self.close_anew(
                hold, lambda route: rules.settle(hold, charge, route, now)
            )
        if isinstance(answer, Refusal):
            answer = yield from self._supersede(answer, charge)
            route = yield from self.route(path)
        if isinstance(answer, Hold):
            yield from self._drain_again(route)
            return answer
        if route.draining:
            yield from self.drain_all(route)
        if self.queue:
            self.queue.call()
        if self.listeners:
            told = unlent(posting, answer)
            self.tell_of(told, _settled(hold, charge, answer.seq))
        return rules.closed(hold, charge)

    def release(self, hold: Hold) -> Talk[Hold]:
        """Give back all of *hold*; one that is closed is left as it is."""
        route, answer = yield from self.close_hold(
            hold, lambda route: rules.release(hold, route)
        )
        if isinstance(answer, Refusal):
            yield from self._drain_again(route)
            return answer.hold or hold
        yield from self._repay(hold)
        yield from self.drain_all(route)
        self.queue.call()
        event = Released(
            account=hold.account, seq=answer.seq, hold=hold.id, labels=hold.labels
        )
        self.tell_of(answer, event)
        return rules.closed(hold, None)

    def _repay(self, hold: Hold) -> Talk[None]:
        """Give back what was borrowed for a hold that the store has really seen."""
        posting = repaid(hold)
        if posting.deltas:
            found: Hold | None = yield Ask("hold", (hold.id,))
            if found is not None and found.deltas:
                yield posting

    def keep(self, hold: Hold) -> Talk[None]:
        """Let an open hold live on; if the store fails, its time to live stands."""
        try:
            yield rules.keep(hold, HOLD_TTL_SECONDS)
        except StoreError as error:
            _log.warning("the budget store did not keep hold %s: %r", hold.id, error)

    def close(self, closing: Closing) -> Talk[Hold | None]:
        """Settle or release and never raise; what fails is tried again later."""
        hold, charge = closing
        try:
            if charge is None:
                return (yield from self.release(hold))
            return (yield from self.settle(hold, charge))
        except HoldNotOpen as error:
            _log.warning("a charge of hold %s came too late: %s", hold.id, error)
        except StoreReentered:
            self.late.append(closing)  # a finaliser, which is no place to tell anybody
        except Exception as error:  # noqa: BLE001  # the call is paid: keep its charge
            self._defer(closing, error)
        except BaseException:
            self.late.append(closing)
            raise
        return None

    def finish(self, ending: Callable[[], Talk[object]]) -> Talk[None]:
        """Have a talk that ends something; in a finaliser perhaps with the next one."""
        try:
            yield from ending()
        except StoreReentered:
            self.late.append(ending)

    def _drain_again(self, route: Route) -> Talk[None]:
        """
        Whoever closed the hold may have been cut off before it emptied its slices.

        So may we, if this is the second time that we say so.
        """
        if route.closing:
            self.forget()
            yield from self.drain_all((yield from self.route(route.account)))

    def _supersede(self, refusal: Refusal, charge: Charge) -> Talk[Receipt | Hold]:
        """What a settle does to a hold that was closed before it came."""
        answer: Receipt | Refusal = refusal
        for _ in range(TRIES):
            if not isinstance(answer, Refusal):
                return answer
            hold = answer.hold
            if hold is None:
                raise HoldNotOpen(answer.detail, "unknown, or older than what is kept")
            if not rules.replaces(charge, hold):
                return hold
            now = yield from self.now()
            build = partial(rules.supersede, hold, charge, now=now)
            _, answer = yield from self.close_hold(hold, build)
        msg = f"hold {refusal.hold} changed {TRIES} times while it was charged"
        raise StoreError(msg)

    def _defer(self, closing: Closing, error: Exception) -> None:
        hold = closing.hold
        _log.warning("the budget store did not take hold %s: %r", hold.id, error)
        self.late.append(closing)
        event = SettleDeferred(account=hold.account, hold=hold.id, error=repr(error))
        self.listeners.tell([event])

    def _tidied(self, talk: Talk[_Result]) -> Talk[_Result]:
        """The same after what was left behind was closed."""
        try:
            yield from self._tidy()
        except BaseException as error:
            # Whoever is cut off here has begun: a charge is left behind, not lost.
            next(talk, None)
            talk.throw(error)
            raise
        return (yield from talk)

    def _tidy(self) -> Talk[None]:
        """Close what was left behind, each once, until the store fails again."""
        for _ in range(len(self.late)):
            try:
                left = self.late.popleft()
            except IndexError:
                return
            if isinstance(left, Closing):
                yield from self.close(left)
            else:
                yield from self._finish_late(left)
            if self.late and self.late[-1] is left:
                return

    def _finish_late(self, ending: Callable[[], Talk[object]]) -> Talk[None]:
        """Nobody waits for it any more who could be told that it fails."""
        try:
            yield from self.finish(ending)
        except Exception as error:  # noqa: BLE001  # as above
            _log.warning("what a finaliser left behind was not ended: %s", error)
            if isinstance(error, StoreError):
                self.late.append(ending)
        except BaseException:
            self.late.append(ending)
            raise


def _settled(hold: Hold, charge: Charge, seq: int) -> Settled:
    return Settled(
        account=hold.account,
        seq=seq,
        hold=hold.id,
        amounts=charge.amounts,
        unconfirmed=rules.unconfirmed(hold, charge),
        basis=charge.basis,
        labels=charge.labels,
    )
