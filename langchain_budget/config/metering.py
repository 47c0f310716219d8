"""Limits for each agent and each of its tools, by tick and by run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from pydantic import Field

from langchain_budget.config.fields import Cents, Count, Flag, Share, Strict
from langchain_budget.config.gauges import Gauge, Gauges
from langchain_budget.config.opened import Config, Opened, pool_of
from langchain_budget.core.accounts import SEPARATOR, trunk_of
from langchain_budget.core.amounts import CALLS, TOKENS, USD, Amount, Limit
from langchain_budget.core.dividing import value_of, values_of
from langchain_budget.core.windows import Window
from langchain_budget.pool import BudgetPool
from langchain_budget.pricing.prices import PriceBook
from langchain_budget.reports.estimation import TOOL_CALLS
from langchain_budget.reports.statement import UNATTRIBUTED
from langchain_budget.stores.base import Store

WARNING: Final = 800_000
"""Where warnings begin unless a configuration says otherwise: at 80 % (metering)."""

AGENT: Final = "agent"
TOOL: Final = "tool"
AGENT_AND_TOOL: Final = (AGENT, TOOL)
MISSING: Final = {AGENT: UNATTRIBUTED}
"""Calls that name no agent are those of one: nothing is spent without a limit."""

_OVERALL: Final = {
    "total_tokens_per_tick": (TOKENS,),
    "total_tokens_per_run": (TOKENS,),
    "total_cost_cents_per_tick": (USD,),
    "total_cost_cents_per_run": (USD,),
}
_TOOLS: Final = {
    "calls_per_tick": (CALLS, TOOL_CALLS),
    "calls_per_run": (CALLS, TOOL_CALLS),
    "tokens_per_tick": (TOKENS,),
    "tokens_per_run": (TOKENS,),
    "cost_cents_per_tick": (USD,),
    "cost_cents_per_run": (USD,),
}
"""Which units each key limits, in the order in which events are told."""


class Overall(Strict):
    """
    What each agent may use in all; a key that is left out is no limit, 0 is nothing.

    Attributes:
        total_tokens_per_tick: Tokens, input and output together.
        total_tokens_per_run: Likewise, over all ticks of a run.
        total_cost_cents_per_tick: Cents, kept in nano-dollars.
        total_cost_cents_per_run: Likewise.
    """

    total_tokens_per_tick: Count | None = None
    total_tokens_per_run: Count | None = None
    total_cost_cents_per_tick: Cents | None = None
    total_cost_cents_per_run: Cents | None = None


class OfTool(Strict):
    """
    What each agent may use for one tool.

    Attributes:
        calls_per_tick: Model calls that are made inside the tool; and, counted apart,
            calls of the tool by an agent that has a `BudgetMiddleware`.
        calls_per_run: Likewise, over all ticks of a run.
        tokens_per_tick: Tokens of the model calls inside the tool.
        tokens_per_run: Likewise.
        cost_cents_per_tick: Cents: of those model calls, and of the tool itself.
        cost_cents_per_run: Likewise.
    """

    calls_per_tick: Count | None = None
    calls_per_run: Count | None = None
    tokens_per_tick: Count | None = None
    tokens_per_run: Count | None = None
    cost_cents_per_tick: Cents | None = None
    cost_cents_per_run: Cents | None = None


class MeteringConfig(Strict, Config):
    """
    The shape with `limits` and `tool_limits`: see `docs/metering.md`.

    Attributes:
        limits: What each agent may use in all.
        tool_limits: What each agent may use for a tool, by its name.
        warning_threshold_pct: From what share of a limit on every call warns.
        allow_soft_overage: Whether limits are only watched, so that calls go on.
    """

    limits: Overall = Overall()
    tool_limits: dict[str, OfTool] = Field(default_factory=dict)
    warning_threshold_pct: Share = WARNING
    allow_soft_overage: Flag = False

    def open(
        self,
        name: str = "metering",
        *,
        store: Store | str | None = None,
        prices: PriceBook | None = None,
    ) -> Metering:
        """
        A pool in which each agent has these limits.

        Every process says this for itself; the balances are shared.

        Args:
            name: The pool's name.
            store: Where the books are; left out, `LANGCHAIN_BUDGET_STORE` says so.
            prices: Prices of your own, asked before the public catalogue.

        Raises:
            LimitConflict: The store has a pool of that name with limits of its own.
        """
        pool = pool_of(name, store=store, prices=prices)
        enforce = not self.allow_soft_overage
        each = partial(pool.limit_each, enforce=enforce, missing=MISSING)
        overall = [*_limits(self.limits, _OVERALL)]
        if overall:
            each(AGENT, limit=overall)
        tools = {name: [*_limits(of, _TOOLS)] for name, of in self.tool_limits.items()}
        if any(tools.values()):
            each(*AGENT_AND_TOOL, named=tools)
        return Metering(self, pool)


class Metering(Opened):
    """
    A pool whose agents are metered by tick and by run.

    Attributes:
        pool: To be given to handlers, middleware and guards.
        config: What it was made of.
    """

    def __init__(self, config: MeteringConfig, pool: BudgetPool) -> None:
        super().__init__(pool)
        self.config = config
        soft = config.allow_soft_overage
        Gauges(
            pool,
            partial(gauge_of, pool.path),
            mark=config.warning_threshold_pct,
            severity="soft" if soft else "hard_fail",
        )


def _limits(of: Strict, units: Mapping[str, tuple[str, ...]]) -> Iterator[Limit]:
    """What a section says, as limits."""
    for key, names in units.items():
        value = getattr(of, key)
        for unit in names if value is not None else ():
            yield Limit(Amount(unit, value), Window(_span(key)))


def _span(key: str) -> str:
    return key.rpartition("_")[2]


def _keys(units: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[int, str]]:
    """By the names of limits: which key says it, and the how manieth it is."""
    return {
        f"{unit}@{_span(key)}": (place, key)
        for place, (key, names) in enumerate(units.items())
        for unit in names
    }


_KEYS_OF_AGENT: Final = _keys(_OVERALL)
_KEYS_OF_TOOL: Final = _keys(_TOOLS)


def gauge_of(pool: str, account: str, limit: str) -> Gauge | None:
    """The gauge of an account beside the pool, if it is that of an agent or tool."""
    trunk, _, name = account.partition(SEPARATOR)
    if trunk == trunk_of(pool, AGENT) and limit in _KEYS_OF_AGENT:
        place, key = _KEYS_OF_AGENT[limit]
        return Gauge((0, "", place), value_of(name), key)
    if trunk == trunk_of(pool, "+".join(AGENT_AND_TOOL)) and limit in _KEYS_OF_TOOL:
        place, key = _KEYS_OF_TOOL[limit]
        agent, *tools = values_of(name)
        tool = "+".join(tools)
        return Gauge((1, tool, place), agent, f"tool:{tool}.{key}")
    return None
