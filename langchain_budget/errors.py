"""
Every error of this library.

    BudgetError
    ├── BudgetRefused            no, before anything was spent
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

from langchain_core.exceptions import ModelError
from langgraph.errors import GraphBubbleUp

from langchain_budget.core.accounts import Spec, show_limits
from langchain_budget.core.amounts import Amount, show
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
    UnitMismatch,
    UnknownStore,
    UnusableStore,
)
from langchain_budget.core.limits import show_limit, window_in
from langchain_budget.core.postings import Kind, Refusal

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
    "StoreUnavailable",
    "UnitMismatch",
    "UnknownAccount",
    "UnknownStore",
    "UnusableStore",
    "refused",
]


class BudgetRefused(BudgetError, GraphBubbleUp, ModelError):
    """
    No, before anything was spent; nothing in the books has changed.

    Attributes:
        refusal: The store's own answer, with whole numbers.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(self._say(refusal))
        self.refusal = refusal

    def __reduce__(self) -> tuple[type[BudgetRefused], tuple[Refusal]]:
        return type(self), (self.refusal,)

    @property
    def kind(self) -> str:
        """`exhausted contended too_large frozen closed unpriced` or `store`."""
        return str(self.refusal.kind)

    @property
    def account(self) -> str:
        """The path of the account that said no."""
        return self.refusal.account

    def _say(self, refusal: Refusal) -> str:
        return f"account {refusal.account!r} refuses: {refusal.detail}"


class BudgetExceeded(BudgetRefused):
    """What is left does not cover what this call may cost."""

    @property
    def limit(self) -> Amount:
        """What the account was granted in the unit that ran short."""
        return self._amount(self.refusal.balance.granted or 0)

    @property
    def spent(self) -> Amount:
        """What it has spent."""
        return self._amount(self.refusal.balance.spent)

    @property
    def held(self) -> Amount:
        """What open holds set aside."""
        return self._amount(self.refusal.balance.held)

    @property
    def wanted(self) -> Amount:
        """What this call would have set aside."""
        return self._amount(self.refusal.wanted)

    @property
    def available(self) -> Amount:
        """What could have been set aside; below zero after an overrun."""
        return self._amount(self.refusal.balance.available or 0)

    @property
    def window(self) -> str:
        """When the limit starts anew, such as `per day`; empty if it never does."""
        found = window_in(self.refusal.limit)
        return found.words if found else ""

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return _remedy(self.refusal)

    def _amount(self, value: int) -> Amount:
        return Amount(self.refusal.unit, value)

    def _say(self, refusal: Refusal) -> str:
        unit, balance = refusal.unit, refusal.balance
        limit = show_limit(refusal.limit, balance.granted)
        numbers = (
            f"account {refusal.account!r} has {show(unit, balance.available)} left of "
            f"{limit} ({show(unit, balance.spent)} spent, "
            f"{show(unit, balance.held)} held, {show(unit, balance.lent)} lent out); "
            f"this may need {show(unit, refusal.wanted)}"
        )
        return f"{numbers}. {_remedy(refusal)}"


def _remedy(refusal: Refusal) -> str:
    if refusal.kind is Kind.CONTENDED:
        return "Open holds may yet free enough: try again when they settle, or top up."
    if refusal.window:
        return "Wait for its next window, raise it, or cap the output of the call."
    return "Top it up, transfer to it, or cap the output of the call."


class CallTooLarge(BudgetExceeded):
    """One call may need more than a single one is allowed to, whatever is left."""

    def _say(self, refusal: Refusal) -> str:
        unit, most = refusal.unit, refusal.balance.granted
        return (
            f"this call of account {refusal.account!r} may need "
            f"{show(unit, refusal.wanted)}, and a single one at most "
            f"{show(unit, most)}: send less, cap its output, or raise that limit"
        )


class AccountFrozen(BudgetRefused):
    """The account, or one above it, was frozen by hand."""

    def _say(self, refusal: Refusal) -> str:
        why = f" ({refusal.detail})" if refusal.detail else ""
        return f"account {refusal.account!r} is frozen{why}. Thaw it to go on."


class AccountClosed(BudgetRefused):
    """The account was closed, or the scope has ended."""

    def _say(self, refusal: Refusal) -> str:
        if refusal.detail:
            return f"account {refusal.account!r} is closed here: {refusal.detail}."
        return (
            f"account {refusal.account!r} is closed: its scope has ended. Open a new "
            f"one, or wait for tasks before leaving `with budget(...)`."
        )


class PriceUnknown(BudgetRefused):
    """A dollar limit binds, and nobody has said what this model costs."""

    @property
    def model(self) -> str:
        """The model that has no price."""
        return self.refusal.detail

    def _say(self, refusal: Refusal) -> str:
        return (
            f"no price is known for model {refusal.detail!r}, and account "
            f"{refusal.account!r} has a dollar limit. Declare it where that budget is "
            f"made, BudgetPool(...) or budget(...): "
            f"prices=PriceTable({{{refusal.detail!r}: "
            f"Price.per_million(input='0.15', output='0.60')}}), or Price.free(); "
            f"or limit tokens or calls, which need no price."
        )


class StoreUnavailable(BudgetRefused):
    """The books cannot be reached, so nothing is admitted."""

    def _say(self, refusal: Refusal) -> str:
        return (
            f"the budget store of account {refusal.account!r} failed "
            f"({refusal.detail}); nothing is admitted until it answers again."
        )


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
