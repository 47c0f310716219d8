"""The errors a program can make; what the world or a budget says is in `errors`."""


class BudgetError(Exception):
    """Every error that this library raises is one of these."""


class InvalidAmount(BudgetError, ValueError):
    """A quantity that cannot be counted: negative, not finite, or not exact."""


class InexactAmount(InvalidAmount, TypeError):
    """A quantity of the wrong type, such as a float or a bool."""


class UnitMismatch(BudgetError, TypeError):
    """Quantities of different units were added or compared."""


class InvalidName(BudgetError, ValueError):
    """An account or meter name that is empty or has a path separator."""


class InvalidJournal(BudgetError, ValueError):
    """A file that is no journal, is damaged, or does not add up."""


class InvalidInvoice(BudgetError, ValueError):
    """An invoice that cannot be read; the message says where and why."""


class BookNotEmpty(BudgetError):
    """A journal can only be imported where there are no books yet."""

    def __init__(self, book: str) -> None:
        super().__init__(book)
        self.book = book

    def __str__(self) -> str:
        return (
            f"there are books of {self.book!r} in that store already: import into an "
            f"empty store, or attach to what is there"
        )
