"""The talks that admit a call: they reserve, try again where that helps, or refuse."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, TypeGuard

from langchain_budget.core import rules
from langchain_budget.core.amounts import Vector
from langchain_budget.core.edges import unlent
from langchain_budget.core.events import Refused, Reserved, WouldRefuse
from langchain_budget.core.judge import too_large
from langchain_budget.core.outlook import Outlook
from langchain_budget.core.postings import (
    NO_LABELS,
    NOTHING,
    Balance,
    CounterKey,
    Hold,
    Kind,
    Posting,
    Receipt,
    Refusal,
    Status,
)
from langchain_budget.core.rules import MAY_FREE, MOVED_ON, Charge, Order
from langchain_budget.core.traits import priority_of
from langchain_budget.dividing import Dividing, TurnedAway
from langchain_budget.errors import (
    HoldNotOpen,
    StoreError,
    StoreLeftAlone,
    refused,
    unavailable,
)
from langchain_budget.pricing.prices import PriceBook
from langchain_budget.stores._drive import Ask, Pause, Talk
from langchain_budget.stores._queue import POLL_SECONDS
from langchain_budget.stores.base import Store

Answer = Receipt | Refusal

TRIES: Final = 8
"""How often a posting is built anew because an account changed meanwhile."""


class Closing(NamedTuple):
    """A hold to close when there is time; a charge of `None` releases it."""

    hold: Hold
    charge: Charge | None


class _Attempt:
    """What was done so far to get a reserve admitted."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.swept = False
        self.borrowed: dict[str, int] = {}

    def borrow(self, unit: str, short: int) -> None:
        """So much more is lacking."""
        self.borrowed[unit] = self.borrowed.get(unit, 0) + short


class Admission(Dividing):
    """Books on which money is reserved before a call."""

    def __init__(
        self, store: Store, new_id: Callable[[], str], prices: PriceBook
    ) -> None:
        super().__init__(store, new_id, prices)
        self.late: deque[Closing | Callable[[], Talk[object]]] = deque()
        """Left by finalisers, and by settles that the store could not take."""

    def reserve(self, path: str, order: Order) -> Talk[Hold]:
        """
        Set money aside on every account up to the root, or on none.

        Raises:
            BudgetRefused: Nothing was set aside; the error says why.
        """
        try:
            yield from self._check_size(path, order)
            ask = self._patiently if order.wait_seconds else self._attempt
            posting, answer = yield from ask(path, order)
        except StoreError as error:
            raise unavailable(path, error) from error
        except TurnedAway as error:
            raise self._refused(error.refusal, path, order) from None
        if isinstance(answer, Refusal):
            raise self._refused(answer, path, order)
        hold = answer.hold or rules.opened(posting)
        if hold.status is not Status.OPEN:
            raise HoldNotOpen(hold.id, hold.status)
        if self.listeners:
            self._tell_of(hold, posting, answer)
        return hold

    def _tell_of(self, hold: Hold, posting: Posting, receipt: Receipt) -> None:
        """A listener that is cut off, as by `SystemExit`, stops what was held for."""
        try:
            self.tell_of(unlent(posting, receipt), _reserved(hold, receipt.seq))
        except BaseException:
            self.late.append(Closing(hold, None))
            raise

    def _check_size(self, path: str, order: Order) -> Talk[None]:
        refusal = too_large(path, order.amounts, self.per_call)
        if refusal is None:
            return
        if (yield from self.oversize(path, order.amounts)):
            raise self._refused(refusal, path, order)
        self._announce(WouldRefuse, refusal, path, order)

    def oversize(
        self, path: str, amounts: Vector, *, overlooked: bool = True
    ) -> Talk[Refusal | None]:
        """A reason in the call itself; *overlooked* if its account only observes."""
        refusal = too_large(path, amounts, self.per_call)
        if refusal is None or not overlooked:
            return refusal
        self.look_anew(path, NO_LABELS)
        route = yield from self.route(path)
        return None if path in route.observed else refusal

    def _attempt(self, path: str, order: Order) -> Talk[tuple[Posting, Answer]]:
        """Ask once, and again where that helps."""
        route = yield from self.way(path, order)
        now = (yield from self.moment(route)) if route.timed else 0.0
        posting = rules.reserve(route, self.new_id(), order, NOTHING, now)
        answer = yield from self._sent(posting)
        if type(answer) is Refusal:
            return (yield from self._insist(posting, order, answer))
        return posting, answer

    def _patiently(self, path: str, order: Order) -> Talk[tuple[Posting, Answer]]:
        """Ask, wait while others hold what is wanted, and ask when it is one's turn."""
        until = self.ticks() + order.wait_seconds
        rows = (yield from self.way(path, order)).rows
        priority = priority_of(rows)
        account = self.queue.ahead([row.path for row in rows], priority)
        if not account:
            posting, answer = yield from self._attempt(path, order)
            if not _may_yet(answer):
                return posting, answer
            account = answer.account
        place = self.queue.enter(account, priority)
        try:
            while self.ticks() < until:
                yield Pause(place, min(POLL_SECONDS, max(until - self.ticks(), 0.0)))
                if self.queue.is_first(place):
                    posting, answer = yield from self._attempt(path, order)
                    if not _may_yet(answer):
                        return posting, answer
                    self.queue.move(place, answer.account)
            return (yield from self._attempt(path, order))
        finally:
            self.queue.leave(place)

    def judged(self, path: str, order: Order) -> Talk[Refusal | None]:
        """What a reserve would say now, without reserving."""
        try:
            return (yield from self.outlook(path, order, overlooked=True))
        except StoreError as error:
            return unavailable(path, error).refusal

    def outlook(
        self, path: str, order: Order, *, overlooked: bool
    ) -> Talk[Refusal | None]:
        """Likewise; whether it is *overlooked* what accounts say that only observe."""
        yield from self.sweep()
        self.look_anew(path, order.labels)
        size = self.oversize(path, order.amounts, overlooked=overlooked)
        refusal = yield from size
        refusal = refusal or (yield from self.turned_away(path, order.labels))
        if refusal is not None:
            return refusal
        own = yield from self.route(path)
        route = yield from self.prospect(path, order.labels)
        rows = {row.path: row for row in route.rows}
        now = (yield from self.moment(route)) if route.timed else 0.0
        balances = yield Ask("outlook", (tuple(rows),))

        def balance(key: CounterKey) -> Balance:
            known = balances.get(key)
            return known or Balance(rows[key.account].ceiling(key.limit))

        outlook = Outlook(route, own, now, balance)
        return outlook.refusal(order, overlooked=overlooked)

    def _sent(self, posting: Posting) -> Talk[Answer]:
        """Ask for a hold; cut off before it answered, the store may have taken it."""
        try:
            answer: Answer = yield posting
        except StoreLeftAlone:
            raise
        except BaseException:
            self.late.append(Closing(rules.opened(posting), None))
            raise
        return answer

    def _insist(
        self, posting: Posting, order: Order, answer: Answer
    ) -> Talk[tuple[Posting, Answer]]:
        """Try again where it helps: accounts changed, holds are overdue, or borrow."""
        attempt = _Attempt(posting.account)
        for _ in range(TRIES):
            if not isinstance(answer, Refusal):
                return posting, answer
            if not (yield from self._mend(attempt, answer)):
                break
            route = yield from self.way(attempt.path, order)
            now = (yield from self.moment(route)) if route.timed else 0.0
            borrowed = attempt.borrowed
            posting = rules.reserve(route, self.new_id(), order, borrowed, now)
            answer = yield from self._sent(posting)
        if isinstance(answer, Refusal):
            return (yield from self._watch(posting, order, answer))
        return posting, answer

    def _mend(self, attempt: _Attempt, refusal: Refusal) -> Talk[bool]:
        """Do what may help against *refusal*; whether to try again."""
        short = rules.shortfall((yield from self.route(attempt.path)), refusal)
        if refusal.kind is Kind.STALE:
            self.forget()
        elif refusal.kind is Kind.OUTSIDE:
            self.hours.set(float(refusal.detail))
        elif short:
            attempt.borrow(refusal.unit, short)
        elif attempt.swept or refusal.kind not in MAY_FREE:
            return False
        else:
            # Whatever was overdue, somebody else may have given it back by now.
            yield from self.sweep()
            attempt.swept, attempt.borrowed = True, {}
        return True

    def _watch(
        self, posting: Posting, order: Order, refusal: Refusal
    ) -> Talk[tuple[Posting, Answer]]:
        """Book what an account refuses that only observes, and say so."""
        route = yield from self.way(posting.account, order)
        if not rules.overlooks(route, refusal):
            return posting, refusal
        posting = rules.watch(posting, route)
        answer = yield from self._sent(posting)
        if isinstance(answer, Receipt):
            self._announce(WouldRefuse, refusal, posting.account, order)
        elif answer.kind in MOVED_ON:
            yield from self._mend(_Attempt(posting.account), answer)
            return (yield from self._attempt(posting.account, order))
        return posting, answer

    def _refused(self, refusal: Refusal, path: str, order: Order) -> Exception:
        if refusal.kind is Kind.UNPRICED:
            refusal = refusal._replace(detail=order.labels.get("model", ""))
        elif refusal.kind in MOVED_ON:
            why = f"accounts or windows changed {TRIES} times while it was asked"
            refusal = refusal._replace(kind=Kind.STORE, detail=why)
        self._announce(Refused, refusal, path, order)
        return refused(refusal)

    def _announce(
        self, what: type[Refused], refusal: Refusal, path: str, order: Order
    ) -> None:
        if self.listeners:
            event = what(
                account=refusal.account,
                refusal=refusal,
                wanted_by=path,
                labels=order.labels,
            )
            self.listeners.tell([event])


def _may_yet(answer: Answer) -> TypeGuard[Refusal]:
    """Whether holds that are open now may free enough."""
    return isinstance(answer, Refusal) and answer.kind is Kind.CONTENDED


def _reserved(hold: Hold, seq: int) -> Reserved:
    return Reserved(
        account=hold.account,
        seq=seq,
        hold=hold.id,
        amounts=hold.amounts,
        labels=hold.labels,
    )
