"""The shape of whole pools: limits, accounts, limits for each, prices, alerts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from pydantic import Field, model_validator

from langchain_budget.account import Account
from langchain_budget.alerts import Alerts
from langchain_budget.config.fields import Count, Flag, Strict, also
from langchain_budget.config.opened import Config, Opened, store_meant
from langchain_budget.config.pool_fields import (
    AlertRule,
    Amounts,
    Label,
    Limits,
    Marks,
    Metadata,
    MeterName,
    Name,
    Outage,
    Part,
    PoolName,
    Priority,
    Rates,
)
from langchain_budget.core.accounts import limits_of
from langchain_budget.core.amounts import Amount
from langchain_budget.core.dividing import BETWEEN, MOST
from langchain_budget.core.faults import BudgetError, InvalidConfig
from langchain_budget.errors import BudgetExceeded
from langchain_budget.funds import child_of
from langchain_budget.outages.policy import CLOSED
from langchain_budget.pool import BudgetPool
from langchain_budget.pricing.prices import PriceBook, PriceTable, first_price
from langchain_budget.stores.base import Store
from langchain_budget.stores.memory import MemoryStore

NOTE: Final = "in the configuration: "
"""Before the place that an error of opening is about."""


class AccountConfig(Strict):
    """
    An account below a pool or another account; all as in `Account.open`.

    Attributes:
        limits: A cap of its own: a text or several; `limit` means the same.
        carve: What is taken out of the parent for it alone.
        share: Likewise, a part of what the parent has: `30%`.
        warn_at: Shares that are announced.
        priority: From 1 to 10.
        tradeable: Whether budget may be transferred from it and to it.
        enforce: Whether its own limits stop calls.
        metadata: Text by text.
        accounts: Those below it, by name.
    """

    limits: Limits = also("limits", "limit")
    carve: Amounts = ()
    share: Part | None = None
    warn_at: Marks = ()
    priority: Priority | None = None
    tradeable: Flag = True
    enforce: Flag = True
    metadata: Metadata = Field(default_factory=dict)
    accounts: dict[Name, AccountConfig] = Field(default_factory=dict)

    def open(self, name: str, parent: Account, where: str) -> None:
        """Open it below *parent*, and all below it; errors say *where*."""
        with _in(where):
            account = parent.open(
                name,
                limit=self.limits,
                carve=self.carve,
                share=self.share,
                warn_at=self.warn_at,
                priority=self.priority,
                tradeable=self.tradeable,
                enforce=self.enforce,
                metadata=self.metadata,
            )
        for child, config in self.accounts.items():
            config.open(child, account, f"{where}.accounts.{child}")


class EachConfig(Strict):
    """
    Limits for each value of a label; all as in `BudgetPool.limit_each`.

    Attributes:
        limits: What each may spend; `limit` means the same.
        named: Other limits for some values.
        warn_at: Shares that are announced.
        enforce: Whether these limits stop calls.
        most: How many accounts there may be.
        missing: What calls count as, by label, that do not carry it.
    """

    limits: Limits = also("limits", "limit")
    named: dict[str, Limits] = Field(default_factory=dict)
    warn_at: Marks = ()
    enforce: Flag = True
    most: Count = MOST
    missing: Metadata = Field(default_factory=dict)


class PoolConfig(Strict, Config):
    """
    The shape of whole pools: see `docs/configuration.md`.

    Attributes:
        name: What the pool is called in its books.
        limits: What all together may spend: a text or several.
        store: The URL of the store; left out, `LANGCHAIN_BUDGET_STORE` says so.
        on_outage: What becomes of calls while the store does not answer.
        warn_at: Shares of the limits that are announced.
        expected_output: Tokens to hold for an answer that nobody capped.
        meters: Units of your own that limits are in.
        prices: By model, in dollars per million tokens.
        accounts: The tree below it, by name.
        each: Limits for each value of a label; of several labels joined by `+`.
        alerts: Rules, each once, again, or every time.
    """

    name: PoolName
    limits: Limits = also("limits", "limit")
    store: str | None = Field(default=None, repr=False)  # it may have a password
    on_outage: Outage | None = None
    warn_at: Marks = ()
    expected_output: Count | None = None
    meters: tuple[MeterName, ...] = Field(default=(), strict=False)
    prices: dict[str, Rates] = Field(default_factory=dict)
    accounts: dict[Name, AccountConfig] = Field(default_factory=dict)
    each: dict[Label, EachConfig] = Field(default_factory=dict)
    alerts: tuple[AlertRule, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _can_be_opened(self) -> PoolConfig:
        """Try it in books of its own, which nobody sees."""
        _check_slices("", self.limits, self.accounts)
        try:
            self.open(store=MemoryStore())
        except BudgetError as error:
            where = error.__notes__[0].removeprefix(NOTE)
            raise InvalidConfig("", [f"{where}: {_said(error)}"]) from None
        return self

    def open(
        self,
        name: str | None = None,
        *,
        store: Store | str | None = None,
        prices: PriceBook | None = None,
    ) -> Opened:
        """
        The pool with all that is in it, new or as it is there already.

        Args:
            name: Another name for the pool.
            store: Where the books are, whatever the configuration says.
            prices: Prices that are asked before those of the configuration.

        Raises:
            LimitConflict: The store has a pool or account of that name with another
                specification; a note on the error says which it is.
            BudgetExceeded: There is not enough left to carve an account out of.
        """
        for child in self.accounts:
            with _in(f"accounts.{child}"):
                child_of(self.name if name is None else name, child)
        pool = self._pool(name, store, prices)
        for labels, each in self.each.items():
            with _in(f"each.{labels}"):
                pool.limit_each(
                    *labels.split(BETWEEN),
                    limit=each.limits,
                    named=each.named,
                    warn_at=each.warn_at,
                    enforce=each.enforce,
                    most=each.most,
                    missing=each.missing,
                )
        for child, config in self.accounts.items():
            config.open(child, pool, f"accounts.{child}")
        if self.alerts:
            Alerts(pool, [each.rule() for each in self.alerts])
        return Opened(pool)

    def _pool(
        self, name: str | None, store: Store | str | None, prices: PriceBook | None
    ) -> BudgetPool:
        called = self.name if name is None else name
        outage = self.on_outage.policy() if self.on_outage else None
        with _in("on_outage"):
            (outage or CLOSED).check(called, dict(limits_of(*self.limits)))
        extra: dict[str, Any] = {}
        if self.expected_output is not None:
            extra["expected_output"] = self.expected_output
        with _in("limits"):
            return BudgetPool(
                called,
                *self.limits,
                store=store_meant(store, self.store),
                prices=self._prices(prices),
                warn_at=self.warn_at,
                on_outage=outage,
                **extra,
            )

    def _prices(self, own: PriceBook | None) -> PriceBook | None:
        if not self.prices:
            return own
        table = PriceTable({model: each.price() for model, each in self.prices.items()})
        return first_price(own, table) if own else table


def _said(error: BudgetError) -> str:
    """What is wrong, and what to do about it before there is anything."""
    if not isinstance(error, BudgetExceeded):
        return str(error)
    why = str(error).removesuffix(error.remedy)
    return f"{why}Carve less, or raise that limit."


@contextmanager
def _in(where: str) -> Iterator[None]:
    """Errors of opening say which part of the configuration they are about."""
    try:
        yield
    except BudgetError as error:
        error.add_note(f"{NOTE}{where}")
        raise


def _check_slices(
    where: str, limits: Limits, accounts: Mapping[str, AccountConfig]
) -> None:
    """What is carved out of an account cannot be more than it has at first."""
    for limit in limits:
        carved = [
            part.value
            for each in accounts.values()
            for part in each.carve
            if isinstance(limit, Amount) and part.unit == limit.unit
        ]
        if isinstance(limit, Amount) and sum(carved) > limit.value:
            out = Amount(limit.unit, sum(carved))
            msg = f"{where}accounts: {out} are carved out of {limit}: carve less"
            raise ValueError(msg)
    for name, each in accounts.items():
        own = (*each.carve, *each.limits)
        _check_slices(f"{where}accounts.{name}.", own, each.accounts)
