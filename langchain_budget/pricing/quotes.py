"""Ask a price book that may fail, or say what cannot be true."""

from __future__ import annotations

from typing import NamedTuple

from langchain_budget.core.faults import BudgetError
from langchain_budget.pricing.prices import (
    ModelRef,
    Price,
    PriceBook,
    check_book,
    check_price,
)


class Quote(NamedTuple):
    """What a price book says of a model."""

    price: Price | None
    """`None` where it has no opinion, and where it fails."""
    last: Price | None = None
    """What it said before, which settles calls that were admitted at that price."""
    fault: Exception | None = None
    is_new: bool = False
    """Whether nobody was told yet that it fails on this model."""


class PriceBookFailed(BudgetError):
    """
    A price book has raised, or has said what is no price; raised from the cause.

    Attributes:
        model: The model that it was asked about.
        quote: Its answer, without the cause.
    """

    def __init__(self, model: ModelRef, quote: Quote) -> None:
        super().__init__(model, quote)
        self.model, self.quote = model, quote

    def __str__(self) -> str:
        return f"the price book failed on model {self.model.model!r}"


class CheckedBook:
    """
    A price book whose faults stop neither a call that is paid nor its charge.

    Args:
        book: What is asked.

    Raises:
        InexactPrice: *book* is no price book.
    """

    def __init__(self, book: PriceBook) -> None:
        check_book(book)
        self._book = book
        self._last: dict[ModelRef, Price] = {}
        self._failing: set[ModelRef] = set()

    def price_of(self, model: ModelRef) -> Price | None:
        """Tell the price now; of a book that fails, the last that it told."""
        quote = self.quote(model)
        return quote.last if quote.fault else quote.price

    def last(self, model: ModelRef) -> Price | None:
        """Tell the price that the book told last, without asking it."""
        return self._last.get(model)

    def quote(self, model: ModelRef) -> Quote:
        """Tell what the book says now, and what it has said last."""
        try:
            price = self._book.price_of(model)
            if price is not None:
                check_price(f"the price book on {model.model!r}", price)
        except Exception as fault:  # noqa: BLE001  # it is the user's code
            is_new = model not in self._failing
            self._failing.add(model)
            return Quote(None, self._last.get(model), fault, is_new)
        if self._failing:
            self._failing.discard(model)
        if price is None:
            return Quote(None, self._last.get(model))
        self._last[model] = price
        return Quote(price, price)


def checked(book: PriceBook) -> CheckedBook:
    """The same book, checked; raises `InexactPrice` if it is none."""
    return book if isinstance(book, CheckedBook) else CheckedBook(book)
