"""What is left of a budget, in words for people and models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.config import get_config

from langchain_budget.account import Account, account_of, below
from langchain_budget.adapters.attribution import caller_of
from langchain_budget.adapters.context import innermost
from langchain_budget.adapters.finder import finder_of
from langchain_budget.adapters.payers import labels_of, metadata_of
from langchain_budget.core.amounts import (
    CALLS,
    INPUT_TOKENS,
    NANOS,
    OUTPUT_TOKENS,
    TOKENS,
    USD,
    show,
)
from langchain_budget.core.limits import window_in
from langchain_budget.core.postings import NO_LABELS, Balance, CounterKey
from langchain_budget.core.routes import Route
from langchain_budget.errors import StoreError, StoreUnavailable
from langchain_budget.ledger import Ledger
from langchain_budget.stores._drive import Ask, Talk


class Left(NamedTuple):
    """What one limit has left: all that is not spent, calls under way included."""

    unit: str
    left: int
    granted: int
    window: str = ""
    """Such as `per day`; empty for a limit that never starts anew."""

    @property
    def used_percent(self) -> int:
        """Whole percents that are spent; all, if nothing was granted."""
        return (self.granted - self.left) * 100 // self.granted if self.granted else 100

    def __str__(self) -> str:
        """
        Dollars are cut to cents, or to a thousandth of a small limit.

        >>> print(Left("usd", 423_456_789, 1_000_000_000, "per day"))
        $0.42 of $1.00 per day left
        """
        granted = show(self.unit, self.granted)
        left = f"{max(self.left, 0):,}"
        if self.unit == USD:
            step = min(NANOS // 100, 10 ** max(0, len(str(self.granted)) - 3))
            left = show(USD, max(self.left, 0) // step * step)
        return " ".join(filter(None, [left, "of", granted, self.window, "left"]))


def status_line(account: Account) -> str:
    """
    What is left, in a line: of each unit the limit that has the least left.

    The limits of the accounts above count as well.

    >>> from langchain_budget import BudgetPool, calls, usd
    >>> pool = BudgetPool("acme", usd(1), calls(10))
    >>> pool.reserve(usd("0.58"), calls(7)).settle(usd("0.58"), calls(7))
    >>> print(status_line(pool))
    Budget: $0.42 of $1.00 left (58% used); 3 of 10 calls left
    """
    return in_words(account.ledger.run(limits_of(account.ledger, account.path)))


async def astatus_line(account: Account) -> str:
    """Awaitable twin of `status_line`."""
    return in_words(await account.ledger.arun(limits_of(account.ledger, account.path)))


class Charged:
    """
    The account that a running agent or tool is charged to.

    Args:
        pool: A pool or one of its accounts.
        account: The path below *pool*; left out, the account named like the agent,
            or *pool* itself.

    Raises:
        UnknownAccount: There is no such account.
    """

    def __init__(self, pool: Account, account: str | None) -> None:
        self.ledger = account_of(pool).ledger
        path = pool.path if account is None else below(account, pool.path)
        self._account = Account(pool.ledger, path)
        self._named = account is not None
        self.ledger.run(self.ledger.route(path))

    def limits(self) -> Talk[tuple[Left, ...] | None]:
        """Its limits and those above, `None` when the store does not say."""
        try:
            path, labels = self._path(), _labels(self.ledger)
            return (yield from limits_of(self.ledger, path, labels))
        except (StoreError, StoreUnavailable):
            return None

    def _path(self) -> str:
        base = innermost(self._account)
        if self._named:
            return base
        caller = caller_of(_metadata())
        return finder_of(self.ledger).find(self.ledger, base, caller)


def budget_tool(pool: Account, account: str | None = None) -> BaseTool:
    """
    A tool that a model asks how much of the budget is left.

    It costs nothing in a request but its few words of description.

    Args:
        pool: A pool or one of its accounts.
        account: The path below *pool*; left out, the account named like the agent
            that has the tool, or *pool* itself.

    Raises:
        UnknownAccount: There is no such account.

    >>> from langchain_budget import BudgetPool, tokens
    >>> print(budget_tool(BudgetPool("acme", tokens(500))).invoke({}))
    Budget: 500 of 500 tokens left (0% used)
    """
    charged = Charged(pool, account)

    def left() -> str:
        return _answer(charged.ledger.run(charged.limits()))

    async def aleft() -> str:
        return _answer(await charged.ledger.arun(charged.limits()))

    return StructuredTool.from_function(
        left,
        aleft,
        name="check_budget",
        description="How much of your budget is left. Ask before expensive work.",
    )


def limits_of(
    ledger: Ledger, path: str, labels: Mapping[str, str] = NO_LABELS
) -> Talk[tuple[Left, ...]]:
    """
    What the limits of the account and of those above have left, innermost first.

    With *labels* also those of the user or agent that they name.
    """
    way = ledger.prospect(path, labels) if labels else ledger.route(path)
    route = yield from way
    paths = tuple(row.path for row in route.rows)
    now = (yield from ledger.moment(route)) if route.timed else 0.0
    balances: Mapping[CounterKey, Balance] = yield Ask("outlook", (paths,))
    return tuple(_limits(route, balances, now))


def _limits(
    route: Route, balances: Mapping[CounterKey, Balance], now: float
) -> Iterator[Left]:
    rows = {row.path: row for row in route.rows}
    names = (name for row in route.rows for name, _ in row.ceilings)
    for unit in dict.fromkeys(name.partition("@")[0] for name in names):
        for key in (*route.keys(unit), *route.windows(unit, now)):
            untouched = Balance(rows[key.account].ceiling(key.limit))
            balance = balances.get(key) or untouched
            if balance.granted is not None:
                left = balance.granted - balance.spent - balance.lent
                window = window_in(key.limit)
                yield Left(unit, left, balance.granted, window.words if window else "")


def in_words(limits: Iterable[Left]) -> str:
    """A line that says what is left of each unit, dollars first."""
    tightest: dict[str, Left] = {}
    for each in limits:
        known = tightest.setdefault(each.unit, each)
        if each.left < known.left:
            tightest[each.unit] = each
    if not tightest:
        return "Budget: no limit"
    first, *rest = sorted(tightest.values(), key=lambda each: _rank(each.unit))
    said = [f"{first} ({first.used_percent}% used)", *map(str, rest)]
    return f"Budget: {'; '.join(said)}"


def _rank(unit: str) -> int:
    return _ORDER.index(unit) if unit in _ORDER else len(_ORDER)


def _answer(limits: Iterable[Left] | None) -> str:
    return "Budget: not known right now" if limits is None else in_words(limits)


def _labels(ledger: Ledger) -> Mapping[str, str]:
    """Those of the agent that is running; outside of any run, none."""
    return labels_of(ledger, config) if (config := _config()) else NO_LABELS


def _config() -> RunnableConfig | None:
    try:
        return get_config()
    except RuntimeError:
        return None


def _metadata() -> Mapping[str, Any]:
    config = _config()  # none outside of any run
    return metadata_of(config) if config else {}


_ORDER: Final = (USD, TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, CALLS)
