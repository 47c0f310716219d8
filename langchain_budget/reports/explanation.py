"""One screen about an account: what binds it, what is left, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from langchain_budget.core.accounts import MARK_SCALE
from langchain_budget.core.amounts import Amount, show
from langchain_budget.core.limits import show_limit
from langchain_budget.core.postings import Hold, Kind, Refusal
from langchain_budget.reports.render import html_table, text_table
from langchain_budget.reports.report import AccountBalance

SHOWN_HOLDS: Final = 5
"""How many of the open holds are listed; all are counted."""

_LIMITS = ("set on", "state", "limit", "spent", "held", "lent", "left", "warns at")
_HOLDS = ("hold", "account", "held", "age", "left", "who")


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldInfo:
    """
    One open hold.

    Attributes:
        amounts: What it holds.
        started: Whether its call has begun: if so, it is charged when it expires.
        age_seconds: Since when it is open, by the store's clock.
        seconds_left: Until it expires.
        labels: Who it is for: `agent`, `node`, `model`.
    """

    id: str
    account: str
    amounts: tuple[Amount, ...]
    started: bool
    age_seconds: float
    seconds_left: float
    labels: Mapping[str, str]

    def cells(self) -> tuple[str, ...]:
        """One row of a table."""
        held = ", ".join(map(str, self.amounts)) or "nothing"
        known = (self.labels.get(each) for each in ("agent", "node", "model"))
        who = " ".join(each for each in known if each)
        times = (f"{self.age_seconds:.0f} s", f"{self.seconds_left:.0f} s")
        return (self.id, self.account, held, *times, who)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; dollars in whole nano-dollars."""
        return {
            "id": self.id,
            "account": self.account,
            "amounts": {each.unit: each.value for each in self.amounts},
            "started": self.started,
            "age_seconds": self.age_seconds,
            "seconds_left": self.seconds_left,
            "labels": dict(self.labels),
        }


def hold_info(hold: Hold, now: float) -> HoldInfo:
    """A hold as people read of it."""
    return HoldInfo(
        id=hold.id,
        account=hold.account,
        amounts=tuple(Amount(*each) for each in hold.amounts.items()),
        started=hold.started,
        age_seconds=now - hold.opened_at,
        seconds_left=hold.expires_at - now,
        labels=dict(hold.labels),
    )


def hold_table(holds: tuple[HoldInfo, ...]) -> str:
    """Open holds as a table."""
    return text_table(_HOLDS, [each.cells() for each in holds])


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    An account and its limits.

    Attributes:
        frozen: Why it is frozen by hand; empty when it is not.
        observed: Whether it was told to watch only; accounts below do so as well.
        marks: The thresholds that are announced, in millionths of each limit.
        balances: One for each of its limits; of a unit that it has spent, if none.
    """

    account: str
    closed: bool = False
    frozen: str = ""
    observed: bool = False
    marks: tuple[int, ...] = ()
    balances: tuple[AccountBalance, ...] = ()

    def state_of(self, balance: AccountBalance | None = None) -> str:
        """How it stands, with one of its limits or as a whole."""
        said = balance.state if balance else "active"
        if self.frozen:
            said = f"frozen: {self.frozen}"
        if self.closed:
            said = "closed"
        return f"{said}, observed" if self.observed else said

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; dollars in whole nano-dollars."""
        return {
            "account": self.account,
            "closed": self.closed,
            "frozen": self.frozen,
            "observed": self.observed,
            "warn_at": [mark / MARK_SCALE for mark in self.marks],
            "limits": [each.as_dict() for each in self.balances],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """
    Why an account can spend what it can.

    Attributes:
        path: The account and those above it that have a say, innermost first.
        affordable: The most of each limited unit that may be reserved now.
        holds: The open holds that take from these limits, largest first.
        asked: What was asked for, if anything.
        refusal: Why that would be refused; `None` when it would be admitted.
        reason: The same in words.
        observed: Whether refusals are only announced, and stop nothing.
        advice: What to do next.
    """

    account: str
    path: tuple[Standing, ...]
    affordable: Mapping[str, Amount]
    holds: tuple[HoldInfo, ...]
    asked: tuple[Amount, ...] = ()
    refusal: Refusal | None = None
    reason: str = ""
    observed: bool = False
    advice: tuple[str, ...] = ()

    @property
    def admitted(self) -> bool:
        """Whether a call would be let through now."""
        return self.refusal is None or self.observed

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; dollars in whole nano-dollars."""
        return {
            "account": self.account,
            "admitted": self.admitted,
            "kind": str(self.refusal.kind) if self.refusal else "",
            "reason": self.reason,
            "asked": {each.unit: each.value for each in self.asked},
            "affordable": {unit: each.value for unit, each in self.affordable.items()},
            "observed": self.observed,
            "path": [each.as_dict() for each in self.path],
            "holds": [each.as_dict() for each in self.holds],
            "advice": list(self.advice),
        }

    def __str__(self) -> str:
        parts = [self.verdict, text_table(_LIMITS, self._limits())]
        if self.holds:
            parts.append(f"{self._held()}\n{hold_table(self.holds[:SHOWN_HOLDS])}")
        return "\n\n".join([*parts, "\n".join(self.advice)])

    def _repr_html_(self) -> str:
        rows = [each.cells() for each in self.holds[:SHOWN_HOLDS]]
        tables = [html_table(self.verdict, _LIMITS, self._limits())]
        if rows:
            tables.append(html_table(self._held(), _HOLDS, rows))
        todo = html_table("", ("what to do",), [(each,) for each in self.advice])
        return "".join([*tables, todo])

    @property
    def verdict(self) -> str:
        """The answer in one line."""
        what = ", ".join(map(str, self.asked)) or "any call"
        if self.refusal is None:
            left = ", ".join(map(str, self.affordable.values())) or "without a limit"
            return f"{self.account} is not blocked: it may reserve up to {left}."
        if self.observed:
            return (
                f"{self.account} only observes; it would refuse {what}: {self.reason}"
            )
        return f"{self.account} is blocked for {what}: {self.reason}"

    def _limits(self) -> list[tuple[str, ...]]:
        return [
            _cells(standing, balance)
            for standing in self.path
            for balance in standing.balances
        ]

    def _held(self) -> str:
        return f"Open holds that take from these limits: {len(self.holds)}"


def _cells(standing: Standing, balance: AccountBalance) -> tuple[str, ...]:
    account, _, *amounts = balance.cells()
    marks = ", ".join(f"{mark * 100 / MARK_SCALE:g}%" for mark in standing.marks)
    return (account, standing.state_of(balance), *amounts, marks)


def nothing_left(refusal: Refusal) -> str:
    """Why nothing at all is admitted, where nobody said how much was wanted."""
    unit, balance = refusal.unit, refusal.balance
    return (
        f"account {refusal.account!r} has {show(unit, balance.available)} left of "
        f"{show_limit(refusal.limit, balance.granted)}"
    )


def advice(
    path: tuple[Standing, ...], refusal: Refusal | None, asked: tuple[Amount, ...]
) -> Iterator[str]:
    """What to do next, in plain words."""
    for standing in path:
        if standing.closed:
            yield f"{standing.account} is closed for good: open another account."
        elif standing.frozen:
            yield f"{standing.account} is frozen ({standing.frozen}): thaw it."
    if refusal is None:
        yield "Nothing needs to be done."
    elif refusal.kind in (Kind.EXHAUSTED, Kind.CONTENDED):
        yield from _about_money(refusal, asked)
    elif refusal.kind is Kind.UNPRICED:
        yield "Declare the price of the model, or limit tokens or calls instead."


def _about_money(refusal: Refusal, asked: tuple[Amount, ...]) -> Iterator[str]:
    unit, balance = refusal.unit, refusal.balance
    lacks = refusal.wanted - (balance.available or 0)
    more = f"{show(unit, lacks)} more" if asked else "more"
    if refusal.kind is Kind.CONTENDED:
        yield (
            f"Wait for open holds: {show(unit, balance.held)} of {refusal.account} is "
            f"held. A hold whose program is gone can be voided."
        )
    if refusal.window:
        limit = show_limit(refusal.limit, balance.granted)
        yield f"Wait: it starts anew with {limit}."
    yield f"Grant {refusal.account} {more}: top up, set its limit, or transfer to it."
