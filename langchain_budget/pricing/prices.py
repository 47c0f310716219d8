"""What a model's tokens cost: one exact price function for estimates and for bills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Context, Decimal, InvalidOperation
from typing import Final, NamedTuple, Protocol, final

from langchain_budget.core.faults import BudgetError
from langchain_budget.pricing.usage import Terms, Usage

Dollars = str | int | Decimal

LARGEST_PRICE: Final = 1_000_000
"""Dollars per million tokens, or per call; o1-pro, the dearest so far, asks 600."""

CACHE_WRITE: Final = Decimal("1.25")
CACHE_WRITE_1H: Final = Decimal(2)
"""Times the input price, where a write's own price is not given.

These are Anthropic's factors, the highest published; most others report no writes.
"""

_DIGITS: Final = 18
"""Decimals kept of a price per million tokens: as many as any catalog has."""
_RATES_IN_A_NANO: Final = 10 ** (_DIGITS + 6 - 9)
_NOTHING: Final = (0,) * 8
_EXACT: Final = Context(prec=60, rounding=ROUND_CEILING)


class InvalidPrice(BudgetError, ValueError):
    """A price that cannot be true: negative, no number, absurd, or free by mistake."""


class InexactPrice(InvalidPrice, TypeError):
    """A price of the wrong type, such as a float or a bool."""


class ModelRef(NamedTuple):
    """A model by the names that LangChain gives; an unknown provider is empty."""

    provider: str
    model: str


@final
@dataclass(frozen=True, slots=True)
class Price:
    """
    What a model asks for a call's tokens.

    >>> price = Price.per_million(input="2.50", output=10, cache_read="1.25")
    >>> price.cost(Usage(input=200, cache_read=800, output=50))
    2000000
    """

    source: str
    """Where the price is from and which version, for the record of each call."""
    _rates: tuple[int, ...]
    """For each bucket of a Usage, in its order, 1e-24 dollars per token."""
    _call: int = 0
    _steps: tuple[tuple[int, Price], ...] = ()
    """Prices of longer prompts, the longest first."""
    _tiers: tuple[tuple[str, Price], ...] = ()

    def __post_init__(self) -> None:
        """Check what was not made by `per_million`."""
        rates = (*self._rates, self._call)
        if len(rates) != len(_NOTHING) + 1 or not all(map(_is_count, rates)):
            msg = f"{rates!r} are no rates: use Price.per_million(...)"
            raise InexactPrice(msg)

    @classmethod
    def per_million(  # noqa: PLR0913 - one for each bucket of a Usage
        cls,
        *,
        input: Dollars,  # noqa: A002 - the bucket's name
        output: Dollars,
        cache_read: Dollars | None = None,
        cache_write: Dollars | None = None,
        cache_write_1h: Dollars | None = None,
        input_audio: Dollars | None = None,
        reasoning: Dollars | None = None,
        output_audio: Dollars | None = None,
        per_call: Dollars = 0,
        source: str = "declared",
    ) -> Price:
        """
        Price tokens in dollars per million, exact to 18 decimals and then rounded up.

        What is not given is never too cheap: cached reads and audio cost what plain
        tokens do, reasoning what output does, cache writes 1.25 and (for an hour) 2
        times the input. `per_call` is in dollars too, whatever a call's tokens.

        Raises:
            InexactPrice: For a float, a bool or any other type.
            InvalidPrice: For what is negative, no number or above `LARGEST_PRICE`,
                and when all is zero: a free model is `Price.free()`.
        """
        plain, out = _dollars(input), _dollars(output)
        write = _or(cache_write, _EXACT.multiply(plain, CACHE_WRITE))
        hour = max(write, _EXACT.multiply(plain, CACHE_WRITE_1H))
        rates = (
            plain,
            _or(cache_read, plain),
            write,
            _or(cache_write_1h, hour),
            _or(input_audio, plain),
            out,
            _or(reasoning, out),
            _or(output_audio, out),
        )
        call = _dollars(per_call)
        if not (plain or out or call):
            msg = "a price of nothing: say Price.free() if the model really is free"
            raise InvalidPrice(msg)
        return cls(source, tuple(map(_rate, rates)), _rate(call.scaleb(6, _EXACT)))

    @classmethod
    def free(cls, source: str = "declared free") -> Price:
        """Price a model that costs nothing, such as one that runs on this machine."""
        return cls(source, _NOTHING)

    def above(self, tokens: int, price: Price) -> Price:
        """
        Ask *price* instead, for the whole call, when its input is above *tokens*.

        Raises:
            InexactPrice: *tokens* is no whole number, or *price* no price.
        """
        if not _is_count(tokens):
            msg = f"above {tokens!r} tokens: give a whole number, zero or more"
            raise InexactPrice(msg)
        check_price(f"above {tokens} tokens", price)
        steps = sorted([*self._steps, (tokens, price)], key=_start, reverse=True)
        return replace(self, _steps=tuple(steps))

    def at_tier(self, tier: str, price: Price) -> Price:
        """
        Ask *price* instead for calls that were served at this service tier.

        Raises:
            InexactPrice: *price* is no price.
        """
        check_price(repr(tier), price)
        return replace(self, _tiers=(*self._tiers, (tier, price)))

    def cost(self, usage: Usage) -> int:
        """
        Nano-dollars of a call, rounded up once.

        A service tier that is not known costs what the dearest known one does.
        """
        if self._steps or usage.tier:
            return self._switch(usage)
        return self._flat(usage)

    def worst(self, terms: Terms) -> Price:
        """
        Ask for each token what the dearest costs that a request may use.

        However its tokens are booked, as many plain ones cost no less by this price.

        >>> price = Price.per_million(input=2, cache_read=1, output=8, reasoning=12)
        >>> price.worst(Terms()).cost(Usage(input=100, output=10))
        320000
        """
        into, out = (max(self._rates[n] for n in each) for each in terms.buckets())
        return replace(
            self,
            _rates=(into,) * 5 + (out,) * 3,
            _steps=tuple((start, each.worst(terms)) for start, each in self._steps),
            _tiers=tuple((tier, each.worst(terms)) for tier, each in self._tiers),
        )

    def _flat(self, usage: Usage) -> int:
        plain, read, write, hour, audio, out, thought, voice, _ = usage
        a, b, c, d, e, f, g, h = self._rates
        asked = plain * a + read * b + write * c + hour * d + audio * e
        asked += out * f + thought * g + voice * h + self._call
        return -(-asked // _RATES_IN_A_NANO)

    def _switch(self, usage: Usage) -> int:
        if usage.tier:
            return self._at_tier(usage.tier, usage._replace(tier=""))
        size = usage.total_input
        step = next((price for start, price in self._steps if size > start), None)
        return step.cost(usage) if step else self._flat(usage)

    def _at_tier(self, tier: str, usage: Usage) -> int:
        known = dict(self._tiers)
        if tier in known:
            return known[tier].cost(usage)
        return max(price.cost(usage) for price in (self, *known.values()))


class PriceBook(Protocol):
    """Whoever knows prices."""

    def price_of(self, model: ModelRef) -> Price | None:
        """Tell the price of a model, or `None` without an opinion."""
        ...


class PriceTable:
    """
    Prices that the user declares, by "model" or "provider:model".

    Names match exactly: a similar name may have quite another price.
    """

    def __init__(
        self, prices: Mapping[str, Price], *, default: Price | None = None
    ) -> None:
        """*default* is for every model that is not listed."""
        given: dict[str, object] = dict(prices)
        if default is not None:
            given["default"] = default
        for name, price in given.items():
            check_price(repr(name), price)
        self._prices = dict(prices)
        self._default = default

    def price_of(self, model: ModelRef) -> Price | None:
        """Look for "provider:model", then for "model", then take the default."""
        found = self._prices.get(f"{model.provider}:{model.model}")
        return found or self._prices.get(model.model, self._default)


def first_price(*books: PriceBook) -> PriceBook:
    """
    Ask one book after the other; the first with an opinion decides.

    Raises:
        InexactPrice: One of *books* is no price book.
    """
    for book in books:
        check_book(book)
    return _First(books)


class _First(NamedTuple):
    books: tuple[PriceBook, ...]

    def price_of(self, model: ModelRef) -> Price | None:
        for book in self.books:
            price = book.price_of(model)
            if price is not None:
                return price
        return None


def check_price(name: str, price: object) -> None:
    """Raise `InexactPrice` for what *name* is said to cost, if it is no price."""
    if type(price) is not Price:
        msg = f"{name}: {price!r} is no Price: use Price.per_million(...)"
        raise InexactPrice(msg)


def check_book(book: object) -> None:
    """Raise `InexactPrice` for what knows no prices."""
    if not callable(getattr(book, "price_of", None)):
        msg = f"{book!r} is no price book: use PriceTable({{model: price, ...}})"
        raise InexactPrice(msg)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _start(step: tuple[int, Price]) -> int:
    return step[0]


def _or(dollars: Dollars | None, otherwise: Decimal) -> Decimal:
    return otherwise if dollars is None else _dollars(dollars)


def _dollars(dollars: Dollars) -> Decimal:
    if isinstance(dollars, bool) or not isinstance(dollars, str | int | Decimal):
        kind = type(dollars).__name__
        msg = f"{dollars!r} is a {kind}: pass a string, a whole number or a Decimal"
        raise InexactPrice(msg)
    try:
        number = Decimal(dollars)
    except InvalidOperation:
        msg = f"{dollars!r} is not a number; write a price like '2.50'"
        raise InvalidPrice(msg) from None
    if not number.is_finite() or number < 0:
        msg = f"{dollars!r}: give a finite price, zero or more"
        raise InvalidPrice(msg)
    if number > LARGEST_PRICE:
        msg = f"{dollars!r} is more than {LARGEST_PRICE:,} dollars per million tokens"
        raise InvalidPrice(msg)
    return number


def _rate(per_million: Decimal) -> int:
    scaled = per_million.scaleb(_DIGITS, _EXACT)
    return int(scaled.to_integral_value(context=_EXACT))
