"""How well the costs of tools were estimated: a fold of the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from typing import Any, Final

from langchain_budget.core.amounts import USD, Amount
from langchain_budget.core.postings import Basis, Entry, Note
from langchain_budget.reports.render import html_table, text_table
from langchain_budget.reports.statement import is_inside

TOOL_CALLS: Final = "tool_calls"
"""The unit that tool calls are counted in: `meter("tool_calls")(20)` limits them."""

ESTIMATE: Final = "estimated_usd"
"""The label of a tool call that says what it was expected to cost, in nano-dollars."""

_HEADS = ("tool", "calls", "estimated", "actual", "error", "not reported")
_CHARGES: Final = ("settle", "expire", "supersede")
_NOTHING: Final = Amount(USD, 0)
_SHOWN: Final = Context(prec=9)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEstimate:
    """
    The calls of one tool that have reported what they cost.

    Attributes:
        calls: How many have.
        estimated: What these were expected to cost.
        actual: What they did cost.
        unreported: How many others have not; they were charged what was expected.
    """

    tool: str
    calls: int = 0
    estimated: Amount = _NOTHING
    actual: Amount = _NOTHING
    unreported: int = 0

    @property
    def error(self) -> Decimal | None:
        """
        By what part of the estimate it was too low: `0.25`, or too high: `-0.25`.

        (actual - estimated) / estimated; `None` where nothing was expected.
        """
        if not self.estimated:
            return None
        gap = Decimal((self.actual - self.estimated).value)
        return _SHOWN.divide(gap, Decimal(self.estimated.value))

    def cells(self) -> tuple[str, ...]:
        """One row of a table."""
        error = "-" if self.error is None else f"{self.error:+.1%}"
        amounts = (str(self.estimated), str(self.actual))
        return (self.tool, str(self.calls), *amounts, error, str(self.unreported))


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimation:
    """
    Estimates of tools beside what they reported, for an account and all below it.

    It prints as a table, shows itself in a notebook, and turns into plain values.
    """

    account: str
    tools: Mapping[str, ToolEstimate]

    def __str__(self) -> str:
        return text_table(_HEADS, [each.cells() for each in self.tools.values()])

    def _repr_html_(self) -> str:
        title = f"Estimates of tools of {self.account}"
        return html_table(title, _HEADS, [each.cells() for each in self.tools.values()])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; dollars in whole nano-dollars."""
        return {
            "account": self.account,
            "tools": [_plain(each) for each in self.tools.values()],
        }


class Estimates:
    """
    Sums by tool of the entries that were added, for an account and all below it.

    A call that failed was charged no dollars, and says nothing about the estimate.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._tools: dict[str, ToolEstimate] = {}

    def add(self, entry: Entry) -> None:
        """Add what *entry* says of a tool, if it does."""
        labels = entry.note.labels
        tool, estimate = labels.get("tool", ""), labels.get(ESTIMATE, "")
        charged = entry.kind in _CHARGES and USD in entry.note.amounts
        if charged and estimate.isdecimal() and is_inside(entry.account, self._path):
            seen = self._tools.get(tool) or ToolEstimate(tool=tool)
            self._tools[tool] = _with(seen, Amount(USD, int(estimate)), entry.note)

    def result(self) -> Estimation:
        """The sums so far, in the order of the tools' names."""
        return Estimation(account=self._path, tools=dict(sorted(self._tools.items())))


def _with(seen: ToolEstimate, estimate: Amount, note: Note) -> ToolEstimate:
    """A report that comes after its call was charged as estimated is a difference."""
    if note.basis is Basis.ESTIMATED:
        return replace(seen, unreported=seen.unreported + 1)
    late = note.reason == Basis.ESTIMATED
    actual = Amount(USD, note.amounts[USD])
    return replace(
        seen,
        calls=seen.calls + 1,
        estimated=seen.estimated + estimate,
        actual=seen.actual + actual + (estimate if late else _NOTHING),
        unreported=seen.unreported - late,
    )


def _plain(each: ToolEstimate) -> dict[str, Any]:
    return {
        "tool": each.tool,
        "calls": each.calls,
        "estimated": each.estimated.value,
        "actual": each.actual.value,
        "error": None if each.error is None else str(each.error),
        "unreported": each.unreported,
    }
