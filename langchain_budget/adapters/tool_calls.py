"""A tool call under way: its hold, what it reports, and how it is closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, NamedTuple, Self, TypeVar

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphInterrupt, ParentCommand

from langchain_budget.adapters.calls import first_open
from langchain_budget.adapters.charges import counted
from langchain_budget.adapters.exits import may_have_cost
from langchain_budget.adapters.payers import Payer, labels_of
from langchain_budget.adapters.tool_results import actual_cost
from langchain_budget.core.amounts import USD, Amount
from langchain_budget.core.events import Refused
from langchain_budget.core.postings import Balance, Basis, Hold, Kind, Refusal
from langchain_budget.core.rules import Charge, Order
from langchain_budget.errors import BudgetExceeded, BudgetRefused, PriceUnknown
from langchain_budget.ledger import Closing, Ledger
from langchain_budget.pricing.quotes import PriceBookFailed
from langchain_budget.pricing.tool_costs import ToolCosts
from langchain_budget.reports.estimation import ESTIMATE, TOOL_CALLS
from langchain_budget.stores._drive import Talk

RUNS_AGAIN: Final = (GraphInterrupt, BudgetRefused)
"""Ends of a tool that will run anew from its first line, and is charged then."""

Params = Mapping[str, object] | str
_Answer = TypeVar("_Answer")


class OperationTooDear(BudgetExceeded):
    """One call of a tool may cost more than a single one is allowed to."""

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return "Raise max_cost, or ask for less."

    def _why(self) -> str:
        return (
            f"one call of {self.refusal.detail!r} may cost {self.wanted}, and at most "
            f"{self.limit} is allowed"
        )


class Desk(NamedTuple):
    """Where tool calls are held for: who pays, and what they are expected to cost."""

    payer: Payer
    costs: ToolCosts
    most: Amount | None = None
    """What a single call may be expected to cost."""

    def __deepcopy__(self, memo: object) -> Self:
        """The same: a copy of a tool spends from the same budget."""
        return self

    def admit(
        self, tool: str, params: Params, config: RunnableConfig
    ) -> Talk[RunningTool]:
        """
        Hold what a call of *tool* is expected to cost.

        Raises:
            BudgetRefused: There is not enough; the tool must not run.
        """
        places, ledger = self.payer.places(config), self.payer.ledger
        labels = labels_of(ledger, config, tool=tool)
        try:
            estimate = self.costs.estimate(tool, params).value
        except PriceBookFailed as failed:
            return (yield from self._admit_unpriced(failed, places, labels))
        labels |= {ESTIMATE: str(estimate)}
        order = Order({TOOL_CALLS: 1, USD: estimate}, started=True, labels=labels)
        if self.most is not None and estimate > self.most.value:
            raise self._too_dear(places[-1], order)
        hold = yield from first_open(places, partial(ledger.reserve, order=order))
        return RunningTool(ledger, hold)

    def _admit_unpriced(
        self, failed: PriceBookFailed, places: Sequence[str], labels: Mapping[str, str]
    ) -> Talk[RunningTool]:
        """Hold for a call of which nobody can say what it costs."""
        path, model, ledger = places[-1], failed.model, self.payer.ledger
        ledger.told(path, model, failed.quote)
        labels = {**labels, "model": model.model}
        order = Order({TOOL_CALLS: 1}, started=True, labels=labels, unpriced=True)
        if self.most is not None:
            refusal = self._refusal(Kind.UNPRICED, path, order, model.model)
            raise PriceUnknown(refusal) from failed.__cause__
        try:
            hold = yield from first_open(places, partial(ledger.reserve, order=order))
        except PriceUnknown as error:
            raise error from failed.__cause__
        return RunningTool(ledger, hold)

    def _too_dear(self, path: str, order: Order) -> OperationTooDear:
        tool = order.labels["tool"]
        return OperationTooDear(self._refusal(Kind.EXHAUSTED, path, order, tool))

    def _refusal(self, kind: Kind, path: str, order: Order, what: str) -> Refusal:
        """What the bound for a single call says, after listeners were told."""
        most = Balance(self.most.value if self.most else None)
        wanted = order.amounts.get(USD, 0)
        refusal = Refusal(kind, path, USD, wanted, most, what)
        event = Refused(
            account=path, refusal=refusal, wanted_by=path, labels=order.labels
        )
        self.payer.ledger.listeners.tell([event])
        return refusal


def count(payer: Payer, tool: str, config: RunnableConfig) -> Talk[None]:
    """Count a call of *tool*, whatever it will cost."""
    ledger = payer.ledger
    labels = labels_of(ledger, config, tool=tool)
    order = Order({TOOL_CALLS: 1}, labels=labels)
    reserve = partial(ledger.reserve, order=order)
    hold = yield from first_open(payer.places(config), reserve)
    yield from ledger.close(Closing(hold, counted(hold.amounts, labels)))


class RunningTool:
    """
    The hold of one tool call, closed on every way out of its block.

    What the tool reports is charged, else what was expected. A call that failed is
    counted, and gets its dollars back; one that was cut off may have cost them.
    """

    def __init__(self, ledger: Ledger, hold: Hold) -> None:
        self._ledger = ledger
        self._hold = hold
        self._last: object = None
        self._cost: Amount | None = None
        self._error: BaseException | None = None
        self._has_run = self._failed = False

    def note(self, result: object) -> None:
        """
        The tool itself has returned, or raised, this.

        It may be told twice of one result; of several attempts it adds up the costs.
        """
        if result is self._last:
            return
        self._last = result
        self._error = result if isinstance(result, BaseException) else None
        self._has_run = self._has_run or self._error is None
        cost = actual_cost(result)
        if cost is not None:
            self._cost = cost if self._cost is None else self._cost + cost

    def answered(self, answer: _Answer) -> _Answer:
        """*answer* is what was made of the result on its way to the caller."""
        if self._cost is None:
            self._cost = actual_cost(answer)
        self._failed = isinstance(answer, ToolMessage) and answer.status == "error"
        return answer

    def __enter__(self) -> Self:
        self._before = running.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, *_: object
    ) -> None:
        self._ledger.run(self._close(error))

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, *_: object
    ) -> None:
        await self._ledger.arun(self._close(error))

    def _close(self, error: BaseException | None) -> Talk[Any]:
        running.reset(self._before)
        if error is not None and not self._has_run:
            self.note(error)
        return self._ledger.close(Closing(self._hold, self._charge()))

    def _charge(self) -> Charge | None:
        hold, cost, error = self._hold, self._cost, self._error
        if cost is not None:
            amounts = {**hold.amounts, USD: cost.value}
            return Charge(amounts, Basis.REPORTED, hold.labels)
        if isinstance(error, RUNS_AGAIN):
            return None
        if self._failed if error is None else not _was_cut_off(error):
            return counted({TOOL_CALLS: 1}, hold.labels)
        basis = Basis.ESTIMATED if USD in hold.amounts else Basis.UNKNOWN
        return Charge(hold.amounts, basis, hold.labels)


def _was_cut_off(error: BaseException) -> bool:
    """Whether the tool may have done all that it costs, and only the answer is lost."""
    left = isinstance(error, ParentCommand) or not isinstance(error, Exception)
    return left or may_have_cost(error)


running: ContextVar[RunningTool | None] = ContextVar("budget_tool", default=None)
"""The tool call that the current thread or task has a hold for."""
