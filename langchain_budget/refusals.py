"""What a budget says before a call: no, why, and what to do; see `errors`."""

from __future__ import annotations

from typing import Final, Protocol, Self

from langchain_core.exceptions import ModelError
from langchain_core.messages import BaseMessage
from langgraph.errors import GraphBubbleUp

from langchain_budget.core.accounts import root_of
from langchain_budget.core.amounts import Amount, show
from langchain_budget.core.faults import BudgetError
from langchain_budget.core.limits import show_limit, window_in
from langchain_budget.core.postings import Kind, Refusal
from langchain_budget.reports.report import Report


class Books(Protocol):
    """What a refusal asks for a report."""

    def report_on(self, path: str) -> Report: ...
    async def areport_on(self, path: str) -> Report: ...


class BudgetRefused(BudgetError, GraphBubbleUp, ModelError):
    """
    No, before anything was spent; nothing in the books has changed.

    Attributes:
        refusal: The store's own answer, with whole numbers.
        partial: What there was of a result when it was refused: the answer up to where
            a stream was cut off, or the messages of an agent. It is in no text and no
            log, and a copy or pickle of the error does not have it.
    """

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        self.partial: tuple[BaseMessage, ...] = ()
        self._books: Books | None = None
        super().__init__(f"{self._why()}. {self.remedy}")

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

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return "Ask `explain()` of that account for what binds it."

    def report(self) -> Report | None:
        """
        What `report()` of the pool says now, with what others have spent meanwhile.

        It is asked for, not carried: a refusal costs no reading of the books. `None`
        where they are not at hand: in a copy, and in another process.

        Raises:
            StoreError: The books cannot be read.
        """
        if self._books is None:
            return None
        return self._books.report_on(root_of(self.account))

    async def areport(self) -> Report | None:
        """Awaitable twin of `report`."""
        if self._books is None:
            return None
        return await self._books.areport_on(root_of(self.account))

    def came_from(self, books: Books) -> Self:
        """The same, with the books that a report is asked of; the first ones stay."""
        self._books = self._books or books
        return self

    def _why(self) -> str:
        return f"account {self.account!r} refuses: {self.refusal.detail}"


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
        if self.refusal.kind is Kind.CONTENDED:
            return (
                "Open holds may yet free enough: try again when they settle, or top up."
            )
        if self.refusal.window:
            return "Wait for its next window, raise it, or cap the output of the call."
        return "Top it up, transfer to it, or cap the output of the call."

    def _amount(self, value: int) -> Amount:
        return Amount(self.refusal.unit, value)

    def _why(self) -> str:
        unit, balance = self.refusal.unit, self.refusal.balance
        limit = show_limit(self.refusal.limit, balance.granted)
        return (
            f"account {self.account!r} has {show(unit, balance.available)} left of "
            f"{limit} ({show(unit, balance.spent)} spent, "
            f"{show(unit, balance.held)} held, {show(unit, balance.lent)} lent out); "
            f"this may need {show(unit, self.refusal.wanted)}"
        )


class CallTooLarge(BudgetExceeded):
    """One call may need more than a single one is allowed to, whatever is left."""

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return "Send less, cap its output, or raise that limit."

    def _why(self) -> str:
        unit, most = self.refusal.unit, self.refusal.balance.granted
        return (
            f"this call of account {self.account!r} may need "
            f"{show(unit, self.refusal.wanted)}, and a single one at most "
            f"{show(unit, most)}"
        )


class AccountFrozen(BudgetRefused):
    """The account, or one above it, was frozen by hand."""

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return "Thaw it to go on."

    def _why(self) -> str:
        why = f" ({self.refusal.detail})" if self.refusal.detail else ""
        return f"account {self.account!r} is frozen{why}"


_ANOTHER: Final = "take another one, or end all that spends from it before"


class AccountClosed(BudgetRefused):
    """The account was closed, or the scope has ended."""

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if self.refusal.detail:
            advice = self.refusal.detail.partition("; ")[2] or _ANOTHER
            return f"{advice[:1].upper()}{advice[1:]}."
        return "Open a new one, or wait for tasks before leaving `with budget(...)`."

    def _why(self) -> str:
        if self.refusal.detail:
            why = self.refusal.detail.partition("; ")[0]
            return f"account {self.account!r} is closed here: {why}"
        return f"account {self.account!r} is closed: its scope has ended"


class PriceUnknown(BudgetRefused):
    """A dollar limit binds, and nobody has said what this model costs."""

    @property
    def model(self) -> str:
        """The model that has no price."""
        return self.refusal.detail

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return (
            f"Declare it where that budget is made, BudgetPool(...) or budget(...): "
            f"prices=PriceTable({{{self.model!r}: "
            f"Price.per_million(input='0.15', output='0.60')}}), or Price.free(); "
            f"or limit tokens or calls, which need no price."
        )

    def _why(self) -> str:
        return (
            f"no price is known for model {self.model!r}, and account "
            f"{self.account!r} has a dollar limit"
        )


class StoreUnavailable(BudgetRefused):
    """The books cannot be reached, so nothing is admitted."""

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return "Bring the store back, or say with on_outage= what happens meanwhile."

    def _why(self) -> str:
        return (
            f"the budget store of account {self.account!r} failed "
            f"({self.refusal.detail}); nothing is admitted until it answers again"
        )
