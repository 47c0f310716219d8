"""Exact quantities with a unit; money is a whole number of nano-dollars."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_CEILING, Context, Decimal, InvalidOperation
from functools import total_ordering
from typing import Final, NamedTuple

from langchain_budget.core.faults import (
    InexactAmount,
    InvalidAmount,
    InvalidName,
    UnitMismatch,
    told,
)
from langchain_budget.core.windows import Window, window_of

USD: Final = "usd"
TOKENS: Final = "tokens"
INPUT_TOKENS: Final = "input_tokens"
OUTPUT_TOKENS: Final = "output_tokens"
CALLS: Final = "calls"

NANOS: Final = 1_000_000_000
"""Nano-dollars in a dollar."""

LARGEST: Final = 2**62
"""No single amount is larger: sums of two still fit the 64 bits of every store."""

_ROUND_UP: Final = Context(prec=40, rounding=ROUND_CEILING)
"""Room for every amount; the caller's own decimal context has no say here."""

Vector = Mapping[str, int]
"""Whole numbers by unit: what a call holds or costs, in all units together."""


@total_ordering
class Amount:
    """
    A whole number of a unit: nano-dollars, tokens, calls, or a meter's own unit.

    Made by `usd`, `tokens`, `calls` and their kin. Amounts of one unit add,
    subtract and compare; of two units they raise `UnitMismatch`.

    >>> usd("0.10") + usd("0.20") == usd("0.30")
    True
    >>> print(usd("0.000012"), tokens(1500))
    $0.000012 1,500 tokens
    """

    __slots__ = ("unit", "value")

    unit: str
    value: int

    def __init__(self, unit: str, value: int) -> None:
        if type(value) is not int:
            raise InexactAmount(_inexact(value))
        if abs(value) > LARGEST:
            msg = (
                f"{told(value)} {unit} is more than this library counts: "
                f"give at most {LARGEST:,}, or no limit"
            )
            raise InvalidAmount(msg)
        object.__setattr__(self, "unit", unit)
        object.__setattr__(self, "value", value)

    def __setattr__(self, name: str, value: object) -> None:
        msg = f"an Amount does not change: cannot set {name!r}"
        raise AttributeError(msg)

    def __delattr__(self, name: str) -> None:
        msg = f"an Amount does not change: cannot delete {name!r}"
        raise AttributeError(msg)

    def __reduce__(self) -> tuple[type[Amount], tuple[str, int]]:
        return Amount, (self.unit, self.value)

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.unit, self.value + self._same(other))

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.unit, self.value - self._same(other))

    def __neg__(self) -> Amount:
        return Amount(self.unit, -self.value)

    def __lt__(self, other: Amount) -> bool:
        return self.value < self._same(other)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Amount):
            return NotImplemented
        return (self.unit, self.value) == (other.unit, other.value)

    def __hash__(self) -> int:
        return hash((self.unit, self.value))

    def __bool__(self) -> bool:
        return bool(self.value)

    def __str__(self) -> str:
        return show(self.unit, self.value)

    def __repr__(self) -> str:
        if self.unit == USD:
            return f"usd('{_plain(self.value)}')"
        if self.unit in (TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, CALLS):
            return f"{self.unit}({self.value})"
        return f"meter({self.unit!r})({self.value})"

    def per(self, window: str, zone: str = "UTC") -> Limit:
        """
        This much in each window, instead of in all.

        Args:
            window: `minute`, `hour`, `day`, `week` or `month`; `run` or `tick`, which
                end when the program says so (`pool.advance`); or a length such as
                `30min`, `5h` or `7d`: the time up to now. Of that, what was spent
                leaves in sixty parts, so it counts for up to a sixtieth too long.
            zone: The IANA time zone that days, weeks and months begin in.

        >>> print(usd(2).per("day", "Europe/Berlin"))
        $2.00 per day in Europe/Berlin
        """
        return Limit(self, window_of(window, zone))

    def _same(self, other: object) -> int:
        if not isinstance(other, Amount) or other.unit != self.unit:
            msg = (
                f"{self!r} and {other!r} have different units: "
                f"only amounts of one unit add, subtract and compare"
            )
            raise UnitMismatch(msg)
        return other.value


class Limit(NamedTuple):
    """An amount in each window of a kind; `Amount.per` makes one."""

    amount: Amount
    window: Window

    @property
    def name(self) -> str:
        """What it is called in an account: `usd@day`."""
        return f"{self.amount.unit}@{self.window}"

    def __str__(self) -> str:
        return f"{self.amount} {self.window.words}"


def usd(dollars: str | int | Decimal) -> Amount:
    """
    Dollars, exact to the nano-dollar; what is finer is rounded up.

    Args:
        dollars: A string, whole number or Decimal, zero or more. Never a float:
            `usd(0.1)` would not be a tenth of a dollar.

    Raises:
        InexactAmount: For a float, a bool or any other type.
        InvalidAmount: For what is negative, infinite or no number.

    >>> usd("0.50")
    usd('0.50')
    """
    return Amount(USD, nanos(dollars))


def nanos(dollars: str | int | Decimal) -> int:
    """Whole nano-dollars of a price or a sum, rounded up, zero or more."""
    number = _decimal(dollars)
    if not number.is_finite() or number < 0:
        msg = f"{told(dollars)} dollars: give a finite number, zero or more"
        raise InvalidAmount(msg)
    if number > LARGEST // NANOS:
        msg = (
            f"{told(dollars)} dollars is more than this library counts: "
            f"give at most {LARGEST // NANOS:,}, or no limit"
        )
        raise InvalidAmount(msg)
    exact = _ROUND_UP.multiply(number, NANOS)
    return int(exact.to_integral_value(rounding=ROUND_CEILING))


def _decimal(number: str | int | Decimal) -> Decimal:
    if isinstance(number, bool) or not isinstance(number, str | int | Decimal):
        raise InexactAmount(_inexact(number))
    try:
        return Decimal(number)
    except InvalidOperation:
        msg = f"{number!r} is not a number; write it like usd('0.50')"
        raise InvalidAmount(msg) from None


def _inexact(value: object) -> str:
    kind = type(value).__name__
    return (
        f"{value!r} is a {kind}, which is not exact: "
        f"pass a string, a whole number or a Decimal, like usd('0.50') or tokens(100)"
    )


def _counted(unit: str, count: int) -> Amount:
    if type(count) is not int:
        raise InexactAmount(_inexact(count))
    if count < 0:
        msg = f"{told(count)} {unit}: give a whole number, zero or more"
        raise InvalidAmount(msg)
    return Amount(unit, count)


def tokens(count: int) -> Amount:
    """Tokens of any kind, input and output together."""
    return _counted(TOKENS, count)


def input_tokens(count: int) -> Amount:
    """Tokens that go into a model, cached ones included."""
    return _counted(INPUT_TOKENS, count)


def output_tokens(count: int) -> Amount:
    """Tokens that come out of a model, reasoning included."""
    return _counted(OUTPUT_TOKENS, count)


def calls(count: int) -> Amount:
    """Model calls."""
    return _counted(CALLS, count)


def meter(name: str) -> Callable[[int], Amount]:
    """
    A unit of your own, such as tool calls, images or seconds.

    >>> images = meter("images")
    >>> print(images(3))
    3 images
    """
    if not isinstance(name, str) or not name.replace("_", "").isalnum():
        msg = f"meter name {name!r}: use letters, digits and underscores"
        raise InvalidName(msg)
    if name == USD:
        msg = f"meter name {name!r}: dollars are no meter, write usd('0.50')"
        raise InvalidName(msg)
    return lambda count: _counted(name, count)


def vector(amounts: Iterable[Amount]) -> dict[str, int]:
    """Amounts by unit; two of one unit are a mistake."""
    by_unit: dict[str, int] = {}
    for amount in map(countable, amounts):
        if amount.unit in by_unit:
            msg = f"{amount!r}: the unit {amount.unit!r} is given twice, give it once"
            raise InvalidAmount(msg)
        by_unit[amount.unit] = amount.value
    return by_unit


def countable(amount: object) -> Amount:
    """An amount of nothing or more, such as a limit, a hold or a charge."""
    if not isinstance(amount, Amount):
        msg = f"{amount!r} is no Amount: write usd('0.50') or tokens(100)"
        raise InexactAmount(msg)
    if amount.value < 0:
        msg = f"{amount!r} is below zero: give zero or more"
        raise InvalidAmount(msg)
    return amount


def show(unit: str, value: int | None) -> str:
    """A quantity as people read it; `None` is unlimited."""
    if value is None:
        return "unlimited"
    if unit == USD:
        return f"-${_plain(-value)}" if value < 0 else f"${_plain(value)}"
    return f"{value:,} {unit.replace('_', ' ')}"


def _plain(value: int) -> str:
    """Dollars with two decimals at least, and as many as are needed to be exact."""
    sign = "-" if value < 0 else ""
    whole, fraction = divmod(abs(value), NANOS)
    return f"{sign}{whole}.{f'{fraction:09}'.rstrip('0').ljust(2, '0')}"
