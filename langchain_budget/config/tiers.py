"""Tiers: what each agent may use in a run and in a single call, with some grace."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from importlib import import_module
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from langchain_budget.config.fields import Count, Flag, Number, Strict, exact
from langchain_budget.config.gauges import Gauge, Gauges, Reading
from langchain_budget.config.metering import AGENT, MISSING, WARNING
from langchain_budget.config.opened import Config, Opened, pool_of
from langchain_budget.config.tier_reports import Terms, TierReport, tier_report
from langchain_budget.core.accounts import SEPARATOR, trunk_of
from langchain_budget.core.amounts import TOKENS, tokens
from langchain_budget.core.dividing import value_of
from langchain_budget.core.events import Event, Refused, Settled
from langchain_budget.core.faults import InvalidPolicy
from langchain_budget.core.policies.grace import with_grace
from langchain_budget.core.postings import Kind
from langchain_budget.pool import BudgetPool
from langchain_budget.pricing.catalog import GenaiPrices
from langchain_budget.pricing.prices import Price, PriceBook, PriceTable, first_price
from langchain_budget.reports.statement import UNATTRIBUTED
from langchain_budget.stores.base import Store

PER_ACTION: Final = "max_tokens_per_action"
IN_TOTAL: Final = "max_total_tokens"


def _grace(given: Any) -> str | None:
    """Always percents, also below one: `0.5` is half a percent."""
    percents = exact(given)
    if percents > 100:  # noqa: PLR2004  # percents
        msg = f"{given!r}: give at most 100 percent"
        raise ValueError(msg)
    text = f"{percents.normalize():f}%" if percents else None
    with_grace(0, text)
    return text


class Constraints(Strict):
    """
    What an agent of the tier may use.

    Attributes:
        max_tokens_per_action: Of a single model call, input and output together.
        max_total_tokens: Of a run.
        token_cost_per_1k: Dollars for 1000 tokens of a model whose price nobody
            knows; they are reported, not limited.
        violation_penalty_weight: How much a violation counts: the penalty is this
            times the share by which the total was passed.
        grace_period_percentage: By how many percent both limits may be passed with a
            warning, before calls are refused.
    """

    max_tokens_per_action: Count | None = None
    max_total_tokens: Count | None = None
    token_cost_per_1k: Number | None = None
    violation_penalty_weight: Number = Decimal(1)
    grace_period_percentage: Annotated[str | None, BeforeValidator(_grace)] = None


class Enforcement(Strict):
    """
    What becomes of a violation.

    Attributes:
        hard_fail_on_violation: Whether calls above the grace are refused; otherwise
            they are only announced.
        inject_budget_status: Whether models are told what is left.
        track_token_efficiency: Whether reports have the share of tokens that came
            out as answers.
    """

    hard_fail_on_violation: Flag = True
    inject_budget_status: Flag = False
    track_token_efficiency: Flag = False


class TierConfig(Strict, Config):
    """
    The shape with `budget_constraints` and `enforcement`: see `docs/metering.md`.

    Attributes:
        budget_constraints: What each agent may use.
        enforcement: What becomes of a violation.
    """

    budget_constraints: Constraints = Constraints()
    enforcement: Enforcement = Enforcement()

    def open(
        self,
        name: str = "tier",
        *,
        store: Store | str | None = None,
        prices: PriceBook | None = None,
    ) -> Tier:
        """
        A pool in which each agent is limited by this tier.

        Args:
            name: The pool's name.
            store: Where the books are; left out, `LANGCHAIN_BUDGET_STORE` says so.
            prices: Prices of your own, asked before the public catalogue.
        """
        pool = pool_of(name, store=store, prices=self._prices(prices))
        limits, hard = self.budget_constraints, self.enforcement.hard_fail_on_violation
        total, action = limits.max_total_tokens, limits.max_tokens_per_action
        if total is not None:
            limit = tokens(self.with_grace(total)).per("run")
            pool.limit_each(AGENT, limit=limit, enforce=hard, missing=MISSING)
        if action is not None and hard:
            pool.ledger.per_call = {TOKENS: self.with_grace(action)}
        return Tier(self, pool)

    def with_grace(self, limit: int) -> int:
        """A limit and its grace, in whole units, rounded down."""
        return with_grace(limit, self.budget_constraints.grace_period_percentage)

    def _prices(self, own: PriceBook | None) -> PriceBook | None:
        per_1k = self.budget_constraints.token_cost_per_1k
        if per_1k is None:
            return own
        dear = per_1k * 1000
        price = (
            Price.per_million(input=dear, output=dear, source="token_cost_per_1k")
            if per_1k
            else Price.free("token_cost_per_1k")
        )
        unknown = PriceTable({}, default=price)
        return first_price(*([own] if own else []), GenaiPrices(), unknown)


class Tier(Opened):
    """
    A pool whose agents are limited by a tier.

    Attributes:
        pool: To be given to handlers, middleware and guards.
        config: What it was made of.
    """

    def __init__(self, config: TierConfig, pool: BudgetPool) -> None:
        super().__init__(pool)
        self.config = config
        hard = config.enforcement.hard_fail_on_violation
        self._gauges = Gauges(
            pool,
            self._gauge_of,
            mark=WARNING,
            severity="hard_fail" if hard else "soft",
        )
        pool.subscribe(self._hear)

    def middleware(self) -> list[Any]:
        """
        What `create_agent(middleware=...)` takes: it enforces, and tells what is left.

        Raises:
            MissingExtra: `langchain` is not installed.
        """
        hooks = import_module("langchain_budget.adapters.request_middleware")
        calls = import_module("langchain_budget.adapters.middleware")
        told = self.config.enforcement.inject_budget_status
        status = [hooks.BudgetStatus(self.pool)] if told else []
        return [*status, calls.BudgetMiddleware(self.pool)]

    def report(self) -> TierReport:
        """What each agent has used, by how much it has passed its total, and so on."""
        limits = self.config.budget_constraints
        terms = Terms(
            limits.max_total_tokens,
            limits.violation_penalty_weight,
            self.config.enforcement.track_token_efficiency,
        )
        return tier_report(self.pool.report(), self._spent(), terms)

    def _spent(self) -> dict[str, int]:
        """Tokens of the current run by agent, where they are limited."""
        if self.config.budget_constraints.max_total_tokens is None:
            return {}
        balances = self.pool.account(f":{AGENT}").report().balances
        return {
            value_of(each.account.partition(SEPARATOR)[2]): each.spent.value
            for each in balances
        }

    def _gauge_of(self, account: str, limit: str) -> Gauge | None:
        trunk, _, name = account.partition(SEPARATOR)
        total = self.config.budget_constraints.max_total_tokens
        if total is None or trunk != trunk_of(self.pool.path, AGENT):
            return None
        if limit != f"{TOKENS}@run":
            return None
        grace = self.config.with_grace(total) - total
        return Gauge((0, "", 1), value_of(name), IN_TOTAL, grace)

    def _hear(self, event: Event) -> None:
        """Of single calls: what was charged, and what was refused."""
        action = self.config.budget_constraints.max_tokens_per_action
        if action is None:
            return
        if isinstance(event, Settled):
            self._tell(event, action, event.amounts.get(TOKENS, 0))
        elif isinstance(event, Refused) and event.refusal.kind is Kind.TOO_LARGE:
            self._tell(event, action, 0, event.refusal.wanted)

    def _tell(
        self, event: Settled | Refused, action: int, used: int, wanted: int = 0
    ) -> None:
        most = self.config.with_grace(action)
        agent = event.labels.get(AGENT) or UNATTRIBUTED
        gauge = Gauge((0, "", 0), agent, PER_ACTION, most - action)
        reading = Reading(event.account, TOKENS, used, most, wanted, event.seq)
        if wanted or used > action:
            self._gauges.tell([self._gauges.read(gauge, reading)])


_FIELDS: Final[Mapping[str, type[Strict]]] = {
    "budget_constraints": Constraints,
    "enforcement": Enforcement,
}


def sections_of(given: object) -> dict[str, dict[str, Any]]:
    """What an object with the keys of a tier as attributes says, as a mapping."""
    return {
        section: found
        for section, model in _FIELDS.items()
        if (found := _attributes(given, section, model))
    }


def _attributes(given: object, section: str, model: type[Strict]) -> dict[str, Any]:
    """Of its own, or of one that is called like the section."""
    inner = getattr(given, section, given)
    if isinstance(inner, Mapping):
        return dict(inner)
    names = (name for name in model.model_fields if hasattr(inner, name))
    return {name: getattr(inner, name) for name in names}


_TOKENS: Final = {
    "T0": (2_000, 62_500),
    "T1": (8_000, 250_000),
    "T2": (32_000, 1_000_000),
    "T3": (128_000, 4_000_000),
}
"""Of one call and in total. T2's are given (metering); see `tier` for the others."""


def tier(name: str) -> TierConfig:
    """
    One of four tiers, `"T0"` to `"T3"`.

    The figures of T2 are those of the metering document: 32,000 tokens a call,
    1,000,000 in a run, $0.12 for 1000 tokens, 5 % grace and a penalty weight of 2.5.
    Those of the others are ours: each tier has four times the tokens of the one below,
    and the rest is as in T2.

    Raises:
        InvalidPolicy: There is no such tier.

    >>> tier("T2").budget_constraints.max_total_tokens
    1000000
    """
    found = _TOKENS.get(str(name).upper())
    if found is None:
        msg = f"tier {name!r}: give one of {', '.join(_TOKENS)}"
        raise InvalidPolicy(msg)
    action, total = found
    return TierConfig.model_validate(
        {
            "budget_constraints": {
                PER_ACTION: action,
                IN_TOTAL: total,
                "token_cost_per_1k": Decimal("0.12"),
                "violation_penalty_weight": Decimal("2.5"),
                "grace_period_percentage": 5,
            },
            "enforcement": dict.fromkeys(Enforcement.model_fields, True),
        }
    )
