"""
Every error of this library.

    BudgetError
    ├── BudgetRefused            no, before anything was spent: .remedy .report()
    │   ├── BudgetExceeded       .account .limit .spent .held .wanted .available
    │   │   └── CallTooLarge     more than a single call may need
    │   ├── AccountFrozen        frozen by hand: thaw it
    │   ├── AccountClosed        closed, or a scope that has ended
    │   ├── PriceUnknown         .model: declare a price
    │   └── StoreUnavailable     the books cannot be reached
    ├── LimitConflict            opened again with other limits
    ├── UnknownAccount           no such account
    ├── HoldNotOpen              settled, released or expired before
    ├── InvalidTransfer          these two cannot trade that
    ├── InvalidLease             (a ValueError) it would not keep some limit
    ├── IdConflict               an id came again with other content
    ├── StoreError               the store failed; always raised from the cause
    │   ├── StoreLeftAlone       it failed a moment ago, and was not asked again yet
    │   │   └── StoreReentered   asked by a finaliser amid a question of its thread
    │   ├── UnusableStore        it cannot keep books: what is wrong, and what to do
    │   └── StoreLost            it came back without its books
    ├── UnknownStore             (a ValueError) no store goes by that name
    ├── InvalidJournal           (a ValueError) a file that cannot be imported
    ├── InvalidInvoice           (a ValueError) a file or table that is no invoice
    ├── InvalidConfig            (a ValueError) .problems, each with where it is
    ├── BookNotEmpty             an import into books that are in use
    ├── MissingExtra             an optional part is not installed
    ├── NotAnAccount             (a TypeError) give a pool or an account
    ├── InvalidAmount            (a ValueError) negative, not finite, not exact
    ├── InvalidName              (a ValueError)
    ├── InvalidPolicy            (a ValueError) a rule that cannot be followed
    │   ├── InvalidPriority      no whole number from 1 to 10
    │   └── OverAllocated        more is given out than there is
    └── UnitMismatch             (a TypeError)

A refusal is also a `GraphBubbleUp` and a `ModelError`: tool nodes, error handlers,
retry and fallback middleware let such an error pass after one check, and a graph
keeps the work of paid siblings, so that it can go on after a top-up.
"""

from __future__ import annotations

from langchain_budget.core.accounts import Spec, show_limits
from langchain_budget.core.amounts import show
from langchain_budget.core.faults import (
    BookNotEmpty,
    BudgetError,
    HoldNotOpen,
    IdConflict,
    InexactAmount,
    InvalidAmount,
    InvalidConfig,
    InvalidInvoice,
    InvalidJournal,
    InvalidLease,
    InvalidName,
    InvalidPolicy,
    InvalidPriority,
    InvalidTransfer,
    MissingExtra,
    NotAnAccount,
    OverAllocated,
    StoreError,
    StoreLeftAlone,
    StoreLost,
    StoreReentered,
    UnitMismatch,
    UnknownStore,
    UnusableStore,
)
from langchain_budget.core.postings import Kind, Refusal
from langchain_budget.refusals import (
    AccountClosed,
    AccountFrozen,
    BudgetExceeded,
    BudgetRefused,
    CallTooLarge,
    PriceUnknown,
    StoreUnavailable,
)

__all__ = [
    "AccountClosed",
    "AccountFrozen",
    "BookNotEmpty",
    "BudgetError",
    "BudgetExceeded",
    "BudgetRefused",
    "CallTooLarge",
    "HoldNotOpen",
    "IdConflict",
    "InexactAmount",
    "InvalidAmount",
    "InvalidConfig",
    "InvalidInvoice",
    "InvalidJournal",
    "InvalidLease",
    "InvalidName",
    "InvalidPolicy",
    "InvalidPriority",
    "InvalidTransfer",
    "LimitConflict",
    "MissingExtra",
    "NotAnAccount",
    "OverAllocated",
    "PriceUnknown",
    "StoreError",
    "StoreLeftAlone",
    "StoreLost",
    "StoreReentered",
    "StoreUnavailable",
    "UnitMismatch",
    "UnknownAccount",
    "UnknownStore",
    "UnusableStore",
    "refused",
]


def unavailable(account: str, error: StoreError) -> StoreUnavailable:
    """What is said where nothing can be admitted because the store fails."""
    return StoreUnavailable(Refusal(Kind.STORE, account, detail=str(error)))


_REFUSALS: dict[Kind, type[BudgetRefused]] = {
    Kind.EXHAUSTED: BudgetExceeded,
    Kind.CONTENDED: BudgetExceeded,
    Kind.TOO_LARGE: CallTooLarge,
    Kind.FROZEN: AccountFrozen,
    Kind.CLOSED: AccountClosed,
    Kind.UNPRICED: PriceUnknown,
    Kind.STORE: StoreUnavailable,
}


def refused(refusal: Refusal) -> BudgetError:
    """The error that says what *refusal* says."""
    if refusal.kind is Kind.UNKNOWN:
        return UnknownAccount(refusal.account)
    if refusal.kind is Kind.CONFLICT:
        return IdConflict(refusal.detail)
    if refusal.kind is Kind.OVERFLOW:
        return too_much(refusal)
    return _REFUSALS[refusal.kind](refusal)


def too_much(refusal: Refusal) -> InvalidAmount:
    """The error for a grant that makes more than can be counted."""
    unit, balance = refusal.unit, refusal.balance
    return InvalidAmount(
        f"account {refusal.account!r} has {show(unit, balance.granted)}: with "
        f"{show(unit, refusal.wanted)} more it would have more than this library "
        f"counts; give less, or no limit"
    )


class LimitConflict(BudgetError, ValueError):
    """An account was opened again with a specification that differs."""

    def __init__(self, account: str, stored: Spec, asked: Spec) -> None:
        super().__init__(account, stored, asked)
        self.account, self.stored, self.asked = account, stored, asked

    def __str__(self) -> str:
        return (
            f"account {self.account!r} is open with {show_limits(self.stored)}; asked "
            f"for {show_limits(self.asked)}. Change it with set_limit, or open it "
            f"with the same specification."
        )


class UnknownAccount(BudgetError, LookupError):
    """No account has that path."""

    def __init__(self, account: str) -> None:
        super().__init__(account)
        self.account = account

    def __str__(self) -> str:
        return f"there is no account {self.account!r}: open it below its parent first"
