"""A spending limit that LangChain and LangGraph programs cannot break."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_budget.account import Account
from langchain_budget.adapters.callbacks import BudgetCallbackHandler
from langchain_budget.adapters.scope import Scope, budget
from langchain_budget.alerts import Alerts
from langchain_budget.core.amounts import (
    Amount,
    calls,
    input_tokens,
    meter,
    output_tokens,
    tokens,
    usd,
)
from langchain_budget.core.policies.allocation import Tier
from langchain_budget.core.policies.thresholds import Rule
from langchain_budget.errors import (
    AccountClosed,
    AccountFrozen,
    BookNotEmpty,
    BudgetError,
    BudgetExceeded,
    BudgetRefused,
    HoldNotOpen,
    IdConflict,
    InexactAmount,
    InvalidAmount,
    InvalidInvoice,
    InvalidJournal,
    InvalidLease,
    InvalidName,
    InvalidPolicy,
    InvalidPriority,
    InvalidTransfer,
    LimitConflict,
    MissingExtra,
    NotAnAccount,
    OverAllocated,
    PriceUnknown,
    StoreError,
    StoreLost,
    StoreUnavailable,
    UnitMismatch,
    UnknownAccount,
    UnknownStore,
    UnusableStore,
)
from langchain_budget.holds import Reservation
from langchain_budget.outages.policy import OnOutage
from langchain_budget.pool import BudgetPool
from langchain_budget.pricing.prices import Price, PriceTable
from langchain_budget.reports.report import Report
from langchain_budget.stores.memory import MemoryStore
from langchain_budget.treasury import Treasury
from langchain_budget.views import Affordability

if TYPE_CHECKING:  # at run time these load when they are asked for: see `_LAZY`
    from langchain_budget.adapters.guard import StaticEdgeWarning, budget_guard
    from langchain_budget.adapters.middleware import BudgetMiddleware

__all__ = [
    "Account",
    "AccountClosed",
    "AccountFrozen",
    "Affordability",
    "Alerts",
    "Amount",
    "BookNotEmpty",
    "BudgetCallbackHandler",
    "BudgetError",
    "BudgetExceeded",
    "BudgetMiddleware",
    "BudgetPool",
    "BudgetRefused",
    "HoldNotOpen",
    "IdConflict",
    "InexactAmount",
    "InvalidAmount",
    "InvalidInvoice",
    "InvalidJournal",
    "InvalidLease",
    "InvalidName",
    "InvalidPolicy",
    "InvalidPriority",
    "InvalidTransfer",
    "LimitConflict",
    "MemoryStore",
    "MissingExtra",
    "NotAnAccount",
    "OnOutage",
    "OverAllocated",
    "Price",
    "PriceTable",
    "PriceUnknown",
    "Report",
    "Reservation",
    "Rule",
    "Scope",
    "StaticEdgeWarning",
    "StoreError",
    "StoreLost",
    "StoreUnavailable",
    "Tier",
    "Treasury",
    "UnitMismatch",
    "UnknownAccount",
    "UnknownStore",
    "UnusableStore",
    "budget",
    "budget_guard",
    "calls",
    "input_tokens",
    "meter",
    "output_tokens",
    "tokens",
    "usd",
]


_LAZY = {
    "BudgetMiddleware": "langchain_budget.adapters.middleware",  # needs an extra
    "StaticEdgeWarning": "langchain_budget.adapters.guard",
    "budget_guard": "langchain_budget.adapters.guard",  # loads all of langgraph
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return __all__
