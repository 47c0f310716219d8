"""A streamed answer that becomes longer than was held for: hold more, or cut it off."""

from __future__ import annotations

from typing import Final

from langchain_budget.adapters.charges import amounts_of, held
from langchain_budget.adapters.pieces import Piece, whole
from langchain_budget.adapters.requests import Request
from langchain_budget.adapters.underway import Call
from langchain_budget.core.amounts import OUTPUT_TOKENS, TOKENS, USD
from langchain_budget.core.postings import Hold
from langchain_budget.core.rules import Order
from langchain_budget.errors import BudgetRefused, CallTooLarge
from langchain_budget.ledger import Closing
from langchain_budget.pricing.usage import Usage

STEP: Final = 256
"""Output tokens that are held in addition, at the least."""

_UNITS: Final = frozenset({USD, TOKENS, OUTPUT_TOKENS})


def grow(call: Call, piece: Piece) -> None:
    """
    Hold more for a stream that is longer than expected.

    Not where the most that it can be is held for already, as of an answer that its
    caller has capped: the provider keeps to that. A model's own maximum is rarely held.

    Raises:
        BudgetExceeded: There is not enough; raised out of the stream, it ends it. It
            has what was streamed so far.
    """
    if call.hold is None or call.closed:
        return
    call.room = call.room or _room(call.hold, call.request)
    if call.request.capped and call.room >= call.request.worst_output:
        return
    call.pieces.append(piece.said)
    try:
        _grow(call, call.hold)
    except BudgetRefused as refusal:
        refusal.partial = (whole(call.pieces),)
        raise


def _grow(call: Call, hold: Hold) -> None:
    size = call.request
    if call.ledger.per_call:
        check_size(call, hold)
    if call.seen <= call.room:
        return
    step = max(STEP, size.output_tokens)
    if size.capped:
        step = min(step, size.worst_output - call.room)
    price = call.ledger.prices.price_of(size.model)
    wanted = amounts_of(Usage(input=0, output=step), price)
    amounts = {unit: value for unit, value in wanted.items() if unit in _UNITS}
    order = Order(amounts, labels=call.labels)
    call.more.append(call.ledger.run(call.ledger.reserve(hold.account, order)))
    call.room += step
    if call.closed:  # meanwhile, as on an event loop another handler may end it
        give_back(call)


def _room(hold: Hold, size: Request) -> int:
    """The output that is held for: a guess that did not fit was made smaller."""
    return hold.amounts.get(OUTPUT_TOKENS, size.output_tokens)


def check_size(call: Call, hold: Hold) -> None:
    """Raises when what was streamed is more than a single call may be."""
    price = call.ledger.prices.price_of(call.request.model)
    used = held(call.request, price, call.seen)
    refusal = call.ledger.run(call.ledger.oversize(hold.account, used))
    if refusal is not None:
        raise CallTooLarge(refusal).came_from(call.ledger)


def give_back(call: Call) -> None:
    """What was held in addition; what was used is charged with the call itself."""
    while (more := _taken(call.more)) is not None:
        call.ledger.run(call.ledger.close(Closing(more, None)))


def _taken(holds: list[Hold]) -> Hold | None:
    try:
        return holds.pop()
    except IndexError:  # another thread may be doing the same
        return None
