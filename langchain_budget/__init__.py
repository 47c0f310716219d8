"""A spending limit that LangChain and LangGraph programs cannot break."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_budget.account import Account
from langchain_budget.adapters.callbacks import BudgetCallbackHandler
from langchain_budget.adapters.scope import Scope, budget
from langchain_budget.adapters.weaknesses import (
    LostHandlerWarning,
    OuterMiddlewareWarning,
    StrayThreadWarning,
    TwoHandlersWarning,
    WeakEnforcementWarning,
)
from langchain_budget.core.amounts import (
    Amount,
    calls,
    input_tokens,
    meter,
    output_tokens,
    tokens,
    usd,
)
from langchain_budget.errors import (
    AccountClosed,
    AccountFrozen,
    BookNotEmpty,
    BudgetError,
    BudgetExceeded,
    BudgetRefused,
    CallTooLarge,
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
from langchain_budget.views import Affordability

if TYPE_CHECKING:  # at run time these load when they are asked for: see `_LAZY`
    from langchain_budget.adapters.cache import ResultCache, SharedCache
    from langchain_budget.adapters.degrade import (
        Degrade,
        cheaper,
        fewer_tools,
        shorter,
        with_settings,
    )
    from langchain_budget.adapters.guard import StaticEdgeWarning, budget_guard
    from langchain_budget.adapters.middleware import BudgetMiddleware
    from langchain_budget.adapters.model import budgeted
    from langchain_budget.adapters.model_selection import ModelSelection
    from langchain_budget.adapters.request_middleware import (
        BudgetStatus,
        ContextTrimming,
    )
    from langchain_budget.adapters.retries import HiddenRetriesWarning
    from langchain_budget.adapters.runaway import (
        RunawayGuard,
        RunawayStopped,
        production,
    )
    from langchain_budget.adapters.status import astatus_line, budget_tool, status_line
    from langchain_budget.adapters.tool_calls import OperationTooDear
    from langchain_budget.adapters.tool_reports import (
        aestimation_errors,
        estimation_errors,
        log_costs,
    )
    from langchain_budget.adapters.tools import budgeted_tool
    from langchain_budget.adapters.top_ups import TopUp, TopUpRequest
    from langchain_budget.adapters.trimming import trim_context
    from langchain_budget.alerts import Alerts
    from langchain_budget.core.policies.allocation import Tier
    from langchain_budget.core.policies.thresholds import Rule
    from langchain_budget.pricing.tool_costs import ToolCosts
    from langchain_budget.treasury import Treasury

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
    "BudgetStatus",
    "CallTooLarge",
    "ContextTrimming",
    "Degrade",
    "HiddenRetriesWarning",
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
    "LostHandlerWarning",
    "MemoryStore",
    "MissingExtra",
    "ModelSelection",
    "NotAnAccount",
    "OnOutage",
    "OperationTooDear",
    "OuterMiddlewareWarning",
    "OverAllocated",
    "Price",
    "PriceTable",
    "PriceUnknown",
    "Report",
    "Reservation",
    "ResultCache",
    "Rule",
    "RunawayGuard",
    "RunawayStopped",
    "Scope",
    "SharedCache",
    "StaticEdgeWarning",
    "StoreError",
    "StoreLost",
    "StoreUnavailable",
    "StrayThreadWarning",
    "Tier",
    "ToolCosts",
    "TopUp",
    "TopUpRequest",
    "Treasury",
    "TwoHandlersWarning",
    "UnitMismatch",
    "UnknownAccount",
    "UnknownStore",
    "UnusableStore",
    "WeakEnforcementWarning",
    "aestimation_errors",
    "astatus_line",
    "budget",
    "budget_guard",
    "budget_tool",
    "budgeted",
    "budgeted_tool",
    "calls",
    "cheaper",
    "estimation_errors",
    "fewer_tools",
    "input_tokens",
    "log_costs",
    "meter",
    "output_tokens",
    "production",
    "shorter",
    "status_line",
    "tokens",
    "trim_context",
    "usd",
    "with_settings",
]


_LAZY = {
    "Alerts": "langchain_budget.alerts",
    "BudgetMiddleware": "langchain_budget.adapters.middleware",  # needs an extra
    "BudgetStatus": "langchain_budget.adapters.request_middleware",
    "ContextTrimming": "langchain_budget.adapters.request_middleware",
    "Degrade": "langchain_budget.adapters.degrade",
    "HiddenRetriesWarning": "langchain_budget.adapters.retries",
    "ModelSelection": "langchain_budget.adapters.model_selection",
    "OperationTooDear": "langchain_budget.adapters.tool_calls",
    "ResultCache": "langchain_budget.adapters.cache",
    "Rule": "langchain_budget.core.policies.thresholds",
    "RunawayGuard": "langchain_budget.adapters.runaway",
    "RunawayStopped": "langchain_budget.adapters.runaway",
    "SharedCache": "langchain_budget.adapters.cache",
    "StaticEdgeWarning": "langchain_budget.adapters.guard",
    "Tier": "langchain_budget.core.policies.allocation",
    "ToolCosts": "langchain_budget.pricing.tool_costs",
    "TopUp": "langchain_budget.adapters.top_ups",
    "TopUpRequest": "langchain_budget.adapters.top_ups",
    "Treasury": "langchain_budget.treasury",
    "aestimation_errors": "langchain_budget.adapters.tool_reports",
    "astatus_line": "langchain_budget.adapters.status",
    "budget_guard": "langchain_budget.adapters.guard",  # loads all of langgraph
    "budget_tool": "langchain_budget.adapters.status",
    "budgeted": "langchain_budget.adapters.model",
    "budgeted_tool": "langchain_budget.adapters.tools",
    "cheaper": "langchain_budget.adapters.degrade",
    "estimation_errors": "langchain_budget.adapters.tool_reports",
    "fewer_tools": "langchain_budget.adapters.degrade",
    "log_costs": "langchain_budget.adapters.tool_reports",
    "production": "langchain_budget.adapters.runaway",
    "shorter": "langchain_budget.adapters.degrade",
    "status_line": "langchain_budget.adapters.status",
    "trim_context": "langchain_budget.adapters.trimming",
    "with_settings": "langchain_budget.adapters.degrade",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return __all__
