"""How long an answer may be so that what is left pays for it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from langchain_budget.adapters.caps import capping
from langchain_budget.adapters.charges import held, worst
from langchain_budget.adapters.requests import Request
from langchain_budget.core.accounts import parent_of
from langchain_budget.core.amounts import OUTPUT_TOKENS, TOKENS, USD, Vector
from langchain_budget.core.postings import NOTHING, Hold
from langchain_budget.core.rules import Order
from langchain_budget.errors import BudgetExceeded, PriceUnknown, StoreError
from langchain_budget.ledger import Ledger
from langchain_budget.pricing.prices import Price
from langchain_budget.stores._drive import Talk
from langchain_budget.views import left_of

SMALLEST_ANSWER: Final = 64
"""
Output tokens below which an answer is not worth its input: refuse instead.

They come on top of what is set aside for thinking.
"""

UNCAPPED_ANSWER: Final = 8_192
"""
Output tokens that a model may answer of which no maximum is known.

As many as the models before 2025 could; more than a model can is an error with most
providers. Whoever needs longer answers caps the model itself, with its `max_tokens`.
"""

_UNITS: Final = (USD, TOKENS, OUTPUT_TOKENS)
"""What an answer uses more of, the longer it is."""


class Clamp(NamedTuple):
    """The most that comes out, and whether the model must be told."""

    output_tokens: int
    told: bool = False
    limits: bool = False
    """Whether something limits it: a stream that becomes longer is ended."""

    def settings(
        self, request: Request, model: Any, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Model settings that cap each answer; none when it needs no capping."""
        if not self.told:
            return {}
        return capping(model, given, self.output_tokens // request.answers)


class Capped(NamedTuple):
    """A hold that covers a call whatever it answers, given its clamp."""

    hold: Hold
    clamp: Clamp


def hold_capped(
    ledger: Ledger,
    request: Request,
    labels: Mapping[str, str],
    wait_seconds: float,
    path: str,
) -> Talk[Capped]:
    """
    Hold the most that the call can cost, its answer capped to what is left.

    Others may hold in between: then it is capped anew, shorter. Whoever waits does so
    for an answer of full length, and takes a shorter one in the end.

    Raises:
        BudgetRefused: Not even a small answer fits.
    """
    quote = ledger.quote(path, request.model)
    price = worst(request, quote.price)
    unpriced = price is None
    order = Order(
        {}, started=True, labels=labels, unpriced=unpriced, wait_seconds=wait_seconds
    )
    try:
        return (yield from _hold_capped(ledger, request, price, order, path))
    except PriceUnknown as refusal:
        raise refusal from quote.fault


def _hold_capped(
    ledger: Ledger, request: Request, price: Price | None, order: Order, path: str
) -> Talk[Capped]:
    left = yield from _left(ledger, path, order.labels)
    if order.wait_seconds:
        whole = clamp_of(request, price, {})
        told = bool(left) and not request.capped
        whole = whole._replace(told=told, limits=bool(left))
        patient = order._replace(amounts=held(request, price, whole.output_tokens))
        with suppress(BudgetExceeded):
            return Capped((yield from ledger.reserve(path, patient)), whole)
        order = order._replace(wait_seconds=0.0)
        left = yield from _left(ledger, path, order.labels)
    clamp = clamp_of(request, price, left)
    while True:
        order = order._replace(amounts=held(request, price, clamp.output_tokens))
        try:
            return Capped((yield from ledger.reserve(path, order)), clamp)
        except BudgetExceeded:
            left = yield from _left(ledger, path, order.labels)
            shorter = clamp_of(request, price, left)
            if shorter.output_tokens >= clamp.output_tokens:
                raise
            clamp = shorter


def fitted(
    ledger: Ledger, request: Request, labels: Mapping[str, str], path: str
) -> Talk[Request]:
    """
    A guess at the answer that does not fit shrinks to what is left.

    Otherwise the first call of a small budget would be refused for an answer that
    nobody expects. Once a model has answered, its sizes are known.
    """
    price = ledger.prices.price_of(request.model)
    left = yield from _left(ledger, path, labels)
    if _fits(request, price, left, request.output_tokens):
        return request
    longest = _longest(request, price, left, request.output_tokens)
    if longest < _smallest(request):
        return request
    return request._replace(output_tokens=longest)


def clamp_of(request: Request, price: Price | None, left: Mapping[str, int]) -> Clamp:
    """
    The longest answer up to the request's own cap that *left* pays for.

    When not even a small answer fits, a small one is asked for, so that the refusal
    names the least that it would have taken.
    """
    most = request.worst_output
    if not request.capped:
        most = max(most, UNCAPPED_ANSWER * request.answers, _smallest(request))
    if _fits(request, price, left, most):
        told = bool(left) and not request.capped
        return Clamp(most, told, limits=bool(left))
    longest = _longest(request, price, left, most)
    most = max(longest, min(_smallest(request), most))
    return Clamp(most, told=True, limits=True)


def _smallest(request: Request) -> int:
    return (request.thinking + SMALLEST_ANSWER) * request.answers


def _longest(
    request: Request, price: Price | None, left: Mapping[str, int], most: int
) -> int:
    """By halving: costs only rise with the length of the answer."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if _fits(request, price, left, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _fits(
    request: Request, price: Price | None, left: Mapping[str, int], output: int
) -> bool:
    wanted = held(request, price, output)
    return all(wanted.get(unit, 0) <= most for unit, most in left.items())


def _left(ledger: Ledger, path: str, labels: Mapping[str, str]) -> Talk[dict[str, int]]:
    """What the account can pay, by limited unit; with what it may borrow."""
    left = yield from _payable(ledger, path, labels)
    for unit, most in (yield from _bounds(ledger, path)).items():
        left[unit] = min(left.get(unit, most), most)
    return left


def _bounds(ledger: Ledger, path: str) -> Talk[Vector]:
    """What a single call may need at most; nothing bounds it that only observes."""
    try:
        watched = ledger.per_call and path in (yield from ledger.route(path)).observed
    except StoreError:
        watched = False
    return NOTHING if watched else ledger.per_call


def _payable(
    ledger: Ledger, path: str, labels: Mapping[str, str]
) -> Talk[dict[str, int]]:
    left = yield from left_of(ledger, path, _UNITS, labels)
    above = parent_of(path)
    try:
        row = (yield from ledger.route(path)).rows[0]
    except StoreError:
        return left
    if above is None or not row.spec.borrows:
        return left
    free = yield from left_of(ledger, above, _UNITS)
    for unit in row.slices & left.keys():
        if unit in free:
            left[unit] += max(0, free[unit])
        else:
            del left[unit]
    return left
