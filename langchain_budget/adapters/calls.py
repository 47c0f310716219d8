"""Model calls that are under way: one hold each, closed on every exit."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

from langchain_core.outputs import LLMResult

from langchain_budget.adapters import charges
from langchain_budget.adapters.batches import Batches
from langchain_budget.adapters.charges import counted
from langchain_budget.adapters.clamp import fitted
from langchain_budget.adapters.context import claimed
from langchain_budget.adapters.exits import again, vetoed_run
from langchain_budget.adapters.growing import give_back, grow
from langchain_budget.adapters.pieces import Piece
from langchain_budget.adapters.requests import Estimator, Request
from langchain_budget.adapters.runs import Runs
from langchain_budget.adapters.settling import (
    broken,
    charge_of,
    included,
    unended,
    unheard,
)
from langchain_budget.adapters.underway import Announcement, Call, UnderWay
from langchain_budget.adapters.usage import with_more
from langchain_budget.core.postings import NOTHING, Hold
from langchain_budget.core.rules import HOLD_TTL_SECONDS, Charge, Order
from langchain_budget.errors import AccountClosed, BudgetExceeded, PriceUnknown
from langchain_budget.ledger import Closing, Ledger
from langchain_budget.stores._drive import Talk

KEEP_SECONDS: Final = HOLD_TTL_SECONDS / 3
"""How often a call that streams says that it is still running."""

_Result = TypeVar("_Result")


class Booking(NamedTuple):
    """Where a call is charged, what it may cost, and what is written about it."""

    ledger: Ledger
    places: tuple[str, ...]
    """The account, preceded by those of steps that were reserved for."""
    request: Request
    labels: Mapping[str, str]
    worst: bool = False
    """Hold the most that it can cost, not what is expected."""
    mend: Callable[[BudgetExceeded], None] | None = None
    """Makes room where something is lacking, or raises."""


class Calls:
    """
    Every call under way in this process, by run.

    All hooks share it, so that several of them on one run and one pool are one
    hold. A run's end, its error, the end of an enclosing run, or the collection of
    its id closes the hold; the time to live is the promise behind them.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        """Seconds that only ever rise: when a streaming call is to be kept open."""
        self.runs = Runs()
        self.under_way = UnderWay()
        """Their table."""
        self._batches = Batches()
        self._under: dict[int, set[int]] = {}
        self._claimed: dict[str, int] = {}
        self._estimators: weakref.WeakKeyDictionary[Ledger, Estimator] = (
            weakref.WeakKeyDictionary()
        )

    def estimator(self, ledger: Ledger) -> Estimator:
        """What sizes requests for these books."""
        found = self._estimators.get(ledger)
        if found is None:
            sizes = Estimator(ledger.expected_output)
            found = self._estimators.setdefault(ledger, sizes)
        return found

    def enter(self, run_id: UUID, call: Call, *, has_siblings: bool = False) -> Call:
        """
        *call*, which is to be begun, or what another hook has made of the same.

        Of a request with several prompts it *has_siblings*.

        Raises:
            BudgetError: Another hook has refused it.
        """
        told = call.announced.told
        if has_siblings and told is not None:
            call.batch = self._batches.of(told, call.ledger)
        return self.under_way.enter(run_id.int, call)

    def is_known(self, run_id: UUID) -> bool:
        """Whether some hook holds for the call, on any books."""
        return bool(self.under_way.of(run_id.int))

    def begin(
        self,
        run_id: UUID,
        parent: UUID | None,
        call: Call,
        booking: Callable[[], Booking],
    ) -> None:
        """
        Hold what a call may cost that was entered.

        Raises:
            BudgetRefused: There is not enough: call its request off.
        """
        key = run_id.int
        for number, _ in self.runs.above(parent):
            self._under.setdefault(number, set()).add(key)
        booked = booking()
        call.request, call.labels = booked.request, booked.labels
        self._adopt(call, key)
        call.hold = call.hold or _reserved(booked)
        call.keep_at = self.clock() + KEEP_SECONDS
        if call.is_off:  # since another hook has refused it meanwhile
            self._settle(call, None)
            if call.announced.refuse is not None:
                raise call.announced.refuse()
            return
        call.lifeline = weakref.ref(run_id, partial(self._lost, key))
        if call.is_left:
            self._settle(call, unended(call))

    def call_off(
        self, announced: Announcement, error: BaseException, owner: object = None
    ) -> None:
        """
        A hook says no to a request: what is held for it is given back.

        If the framework does not stop for that hook, for its *owner* alone.
        """
        if owner is None:
            off = self.under_way.call_off(announced, again(error))
        else:
            off = self.under_way.drop_own(announced, owner)
        for call in off:
            if call.hold is not None:
                # What its enclosing run has charged when it ended is taken back.
                charge = counted(NOTHING, call.labels) if call.closed else None
                self._settle(call, charge)

    def token(self, run_id: UUID, handler: object, piece: Piece) -> None:
        """Output has been streamed, and perhaps usage was reported with it."""
        for call in self.under_way.of(run_id.int, handler):
            if piece.is_event and call.in_tokens:
                continue
            call.in_tokens = not piece.is_event
            call.seen += piece.tokens
            call.usage = with_more(call.usage, piece.usage)
            self.keep(call)
            grow(call, piece)

    def keep(self, call: Call) -> None:
        """The hold of a call that streams for long does not expire."""
        if not call.keep_at:
            call.keep_at = self.clock() + KEEP_SECONDS
        if call.hold is not None and self.clock() >= call.keep_at:
            call.keep_at = self.clock() + KEEP_SECONDS
            call.ledger.run(call.ledger.keep(call.hold))

    def end(self, run_id: UUID, handler: object, result: LLMResult) -> None:
        """The call has ended well: settle at what was reported."""
        for call in self.under_way.take(run_id.int, handler):
            known = call.batch.included(call, result) if call.batch else []
            for each in known:
                self._settle(each, included(each))
            if call not in known:
                charge = charge_of(call, result, self.estimator(call.ledger))
                self._settle(call, charge)

    def fail(self, run_id: UUID, handler: object, error: BaseException) -> None:
        """The call has ended in *error*: settle at what it can have cost."""
        for call in self.under_way.take(run_id.int, handler):
            self._settle(call, broken(call, error))

    def give_up(self, hold: Hold) -> None:
        """The layer that made *hold* is done: so is the call that has claimed it."""
        claimed = self._claimed.pop(hold.id, None)
        for call in self.under_way.of(claimed) if claimed is not None else ():
            if call.hold and call.hold.id == hold.id:
                self._settle(call, unended(call))

    def leave(self, run_id: UUID, error: BaseException | None = None) -> None:
        """
        An enclosing run has ended: calls in it that have not are not waited for.

        A background call that ends later is settled anew at what it reports.
        """
        keys = self._under.pop(run_id.int, None)
        if not keys:
            return
        veto = vetoed_run(error) if error is not None else None
        for key in list(keys):
            for call in self.under_way.entered(key):
                if error is not None and veto is not None and veto.int == key:
                    self.call_off(call.announced, error)
                    continue
                call.is_left = True
                if call.hold is not None:
                    self._settle(call, unended(call))

    def _adopt(self, call: Call, key: int) -> None:
        """Take the hold that an outer layer made for this call, if there is one."""
        offer = claimed(call.ledger)
        if offer is not None:
            self._claimed[offer.hold.id] = key
            call.hold, call.request = offer.hold, offer.request
            call.labels = {**call.labels, **offer.hold.labels}

    def _settle(self, call: Call, charge: Charge | None) -> None:
        if call.closed and charge is None:
            return
        if call.closed and charge is not None and not charge.basis.is_final:
            return
        call.closed = True
        if call.hold is not None:
            call.ledger.run(call.ledger.close(Closing(call.hold, charge)))
        give_back(call)

    def _lost(self, key: int, lifeline: object) -> None:
        """
        A run's id was collected, so nothing will ever report its end.

        This may run anywhere, even inside our own locks: it only leaves a note.
        """
        for call in self.under_way.drop(key, lifeline):
            if call.hold and not call.closed:
                vetoed = call.heard is not None and not call.heard.told
                charge = None if vetoed else unheard(call)
                call.ledger.late.append(Closing(call.hold, charge))
                call.ledger.late.extend(Closing(more, None) for more in call.more)


def _reserved(booking: Booking) -> Hold:
    while True:
        try:
            return booking.ledger.run(
                first_open(booking.places, partial(_hold, booking))
            )
        except BudgetExceeded as refusal:
            if booking.mend is None:
                raise
            booking.mend(refusal)


def _hold(booking: Booking, path: str) -> Talk[Hold]:
    ledger, request = booking.ledger, booking.request
    if request.guessed and not booking.worst:
        request = yield from fitted(ledger, request, booking.labels, path)
    quote = ledger.quote(path, request.model)
    price = quote.price
    worst = charges.held(request, price, request.worst_output)
    expected = worst
    if not booking.worst and request.output_tokens != request.worst_output:
        expected = charges.held(request, price, request.output_tokens)
    order = Order(
        expected,
        worst if worst is not expected else {},
        started=True,
        labels=booking.labels,
        unpriced=price is None,
    )
    try:
        return (yield from ledger.reserve(path, order))
    except PriceUnknown as refusal:
        raise refusal from quote.fault


def first_open(
    places: Sequence[str], attempt: Callable[[str], Talk[_Result]]
) -> Talk[_Result]:
    """
    Do it on the first of *places* that is not closed.

    What was reserved for a step is closed with it, and at its time to live; a call
    that goes on after that is charged like any other.
    """
    for path in places[:-1]:
        try:
            return (yield from attempt(path))
        except AccountClosed as error:
            if error.account not in places[:-1]:
                raise
    return (yield from attempt(places[-1]))


CALLS = Calls(time.monotonic)
"""The calls of this process; every hook meets here."""
