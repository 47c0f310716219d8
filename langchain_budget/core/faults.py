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
