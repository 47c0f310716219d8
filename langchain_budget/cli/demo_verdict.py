"""Whether the books are right: against the server's count, and by themselves."""

from __future__ import annotations

from typing import NamedTuple

from langchain_budget import Report
from langchain_budget.core.amounts import CALLS, INPUT_TOKENS, OUTPUT_TOKENS
from langchain_budget.testing import Total


class Finding(NamedTuple):
    """One thing that was looked at; `None` is not known."""

    good: bool | None
    text: str


class Verdict(NamedTuple):
    """All that was looked at, beneath the tables."""

    findings: tuple[Finding, ...]

    @property
    def right(self) -> bool:
        """Whether nothing that is known is wrong."""
        return all(each.good is not False for each in self.findings)


def verdict(report: Report, served: Total | None) -> Verdict:
    """Compare the books with what the server counted, and with their own limits."""
    counted = agreement(report, served) if served else unknown(report)
    return Verdict((*counted, held(report), within(report)))


def agreement(report: Report, served: Total) -> tuple[Finding, ...]:
    """Whether calls and tokens are what the server counted, every one of them."""
    sums = report.total.amounts
    books = Total(*(sums.get(unit, 0) for unit in (INPUT_TOKENS, OUTPUT_TOKENS, CALLS)))
    equal = books == served
    counted = (
        f"server counted: {served.calls:,} calls, {served.input_tokens:,} input, "
        f"{served.output_tokens:,} output tokens"
    )
    told = "the books say the same, to the token" if equal else "the books DIFFER"
    return Finding(equal, counted), Finding(equal, told)


def unknown(report: Report) -> tuple[Finding, ...]:
    """What can be said of a server that does not tell what it counted."""
    told = [Finding(None, "server counted: not known here; compare with its own bill")]
    if report.total.estimated:
        calls = f"calls without reported usage, estimated: {report.total.estimated}"
        told.append(Finding(None, calls))
    return tuple(told)


def held(report: Report) -> Finding:
    """Whether every call has been settled."""
    left = [each.account for each in report.balances if each.held]
    told = f"still held: {', '.join(left)}" if left else "nothing is held any more"
    return Finding(not left, told)


def within(report: Report) -> Finding:
    """Whether every account stayed within its limit."""
    over = [
        each.account
        for each in report.balances
        if each.granted is not None and each.spent > each.granted
    ]
    told = f"limit exceeded: {', '.join(over)}" if over else "no limit was exceeded"
    return Finding(not over, told)
