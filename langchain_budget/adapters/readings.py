"""What can be read off a budget while it runs and after it has ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from decimal import Decimal
from typing import Any

from langchain_budget.account import Account
from langchain_budget.core import amounts as units
from langchain_budget.core.amounts import Amount
from langchain_budget.reports.report import AccountBalance, Report
from langchain_budget.views import Affordability


class Readings(ABC):
    """The account's own readings, and those that the framework's callbacks have."""

    @property
    @abstractmethod
    def account(self) -> Account:
        """The account that is read."""

    def open(self, name: str, **options: Any) -> Account:
        """A child account, as `Account.open`: for an agent or node of that name."""
        return self.account.open(name, **options)

    def can_afford(self, *wanted: Amount) -> Affordability:
        """Whether *wanted* could be reserved at this moment; advice only."""
        return self.account.can_afford(*wanted)

    def balance(self, unit: str = units.USD) -> AccountBalance:
        """What this budget has of *unit*."""
        return self.account.balance(unit)

    def report(self) -> Report:
        """Balances and spending by agent and node."""
        return self.account.report()

    @property
    def total_tokens(self) -> int:
        """Tokens used, input and output together."""
        return self._spent(units.TOKENS)

    @property
    def prompt_tokens(self) -> int:
        """Input tokens used, cached ones included."""
        return self._spent(units.INPUT_TOKENS)

    @property
    def completion_tokens(self) -> int:
        """Output tokens used, reasoning included."""
        return self._spent(units.OUTPUT_TOKENS)

    @property
    def prompt_tokens_cached(self) -> int:
        """Input tokens that the provider read from its cache."""
        return self._spent("cached_tokens")

    @property
    def reasoning_tokens(self) -> int:
        """Output tokens that were spent on reasoning."""
        return self._spent("reasoning_tokens")

    @property
    def successful_requests(self) -> int:
        """Model calls that were charged."""
        return self._spent(units.CALLS)

    @property
    def total_cost(self) -> Decimal:
        """Dollars spent, exact."""
        return Decimal(self._spent(units.USD)) / units.NANOS

    @property
    def usage_metadata(self) -> dict[str, dict[str, int]]:
        """Input, output and total tokens by model."""
        names = (units.INPUT_TOKENS, units.OUTPUT_TOKENS)
        return {
            model: {name: line.amounts.get(name, 0) for name in names}
            | {"total_tokens": line.amounts.get(units.TOKENS, 0)}
            for (model,), line in self.report().by("model").items()
        }

    def __str__(self) -> str:
        return str(self.report())

    def _repr_html_(self) -> str:
        return self.report()._repr_html_()

    def _spent(self, unit: str) -> int:
        return self.report().spent(unit).value
