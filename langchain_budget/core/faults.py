"""Errors that need to know nothing of accounts; what a budget says is in `errors`."""

from __future__ import annotations

from collections.abc import Sequence


def told(given: object) -> str:
    """
    What was given, for the text of an error; Python writes no endless numbers.

    >>> told("x"), told(10**5000)
    ("'x'", 'a number of very many digits')
    """
    try:
        return repr(given)
    except ValueError:
        return "a number of very many digits"


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


class HoldNotOpen(BudgetError):
    """The hold was settled, released or has expired before."""

    def __init__(self, hold: str, status: str) -> None:
        super().__init__(hold, status)
        self.hold, self.status = hold, status

    def __str__(self) -> str:
        return f"hold {self.hold!r} is {self.status}; it can be closed only once"


class InvalidTransfer(BudgetError, ValueError):
    """These two accounts cannot trade that."""


class InvalidLease(BudgetError, ValueError):
    """Whoever spends from such a lease would pass over some limits."""

    def __init__(self, account: str, missing: Sequence[str]) -> None:
        super().__init__(account, missing)
        self.account, self.missing = account, tuple(missing)

    def __str__(self) -> str:
        if not self.missing:
            return (
                f"account {self.account!r} is leased already, and a lease has none of "
                f"its own: lease from the pool itself, or raise the amounts of this one"
            )
        return (
            f"such a lease of {self.account!r} would pass over the limits of "
            f"{', '.join(self.missing)}. Lease an amount of each unit that is limited "
            f"on the way to the root; accounts with limits below it need leases of "
            f"their own; limits with a window, those of limit_each, and leases, cannot "
            f"be leased"
        )


class IdConflict(BudgetError, ValueError):
    """An id was used before for something else."""

    def __init__(self, posting_id: str) -> None:
        super().__init__(posting_id)
        self.posting_id = posting_id

    def __str__(self) -> str:
        return (
            f"the id {self.posting_id!r} was used before with other content: "
            f"give each top-up or transfer a key of its own"
        )


class NotAnAccount(BudgetError, TypeError):
    """Something stands where a pool or an account of one belongs."""

    def __init__(self, given: object) -> None:
        super().__init__(given)
        self.given = given

    def __str__(self) -> str:
        return (
            f"{self.given!r} is no account: give a BudgetPool, or an Account from "
            f"pool.open(...) or pool.account(...)"
        )


class StoreError(BudgetError):
    """The store failed; the cause is attached."""


class StoreLeftAlone(StoreError):
    """The store has failed a moment ago, and was not asked again yet."""


class StoreReentered(StoreLeftAlone):
    """A finaliser asked in the middle of a question of its own thread."""

    def __str__(self) -> str:
        return (
            "this thread is in the middle of a question to the store, and a finaliser "
            "that the garbage collector runs there cannot ask as well: nothing was "
            "asked. Calls and blocks that end there are closed with the next question; "
            "reserve and read outside of finalisers"
        )


class UnusableStore(StoreError):
    """The store answers, but cannot keep these books; the message says what to do."""


class StoreLost(StoreError):
    """The store came back without the books that it had: nothing is admitted."""

    def __init__(self, book: str, where: str) -> None:
        super().__init__(book, where)
        self.book, self.where = book, where

    def __str__(self) -> str:
        return (
            f"the books of {self.book!r} are gone from {self.where}: it was restarted "
            f"without its data, or emptied. Bring the journal back with "
            f"`langchain-budget import`, or start anew with a new pool object; and "
            f"turn persistence on (for Redis: appendonly yes)"
        )


class UnknownStore(BudgetError, ValueError):
    """No store goes by that name."""


class MissingExtra(BudgetError, ImportError):
    """An optional part of this library is not installed."""

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(extra, module)
        self.extra = extra
        self.module = module

    def __str__(self) -> str:
        return f"this needs {self.module}: pip install 'langchain-budget[{self.extra}]'"


class InvalidConfig(BudgetError, ValueError):
    """
    A configuration that cannot be followed; nothing was opened.

    Attributes:
        source: The file, or what was given instead of one.
        problems: What is wrong, each with where: `accounts.web.limit: ...`.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        super().__init__(source, problems)
        self.source, self.problems = source, tuple(problems)

    def __str__(self) -> str:
        return f"{self.source}: {'; '.join(self.problems)}"


class InvalidPolicy(BudgetError, ValueError):
    """A rule that cannot be followed, or nobody to follow it for."""


class InvalidPriority(InvalidPolicy):
    """A priority that is no whole number from 1 to 10."""

    def __init__(self, priority: object) -> None:
        super().__init__(priority)
        self.priority = priority

    def __str__(self) -> str:
        return (
            f"priority {self.priority!r}: give a whole number from 1 to 10, "
            f"where 10 is the most important"
        )


class OverAllocated(InvalidPolicy):
    """More is given out than there is."""

    def __init__(self, asked: str, total: str) -> None:
        super().__init__(asked, total)
        self.asked, self.total = asked, total

    def __str__(self) -> str:
        return (
            f"{self.asked} is given out, but there is only {self.total}: "
            f"lower some of it, or raise what there is"
        )
