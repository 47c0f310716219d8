"""The values in a configuration of a pool, each checked where it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    PlainValidator,
    ValidationInfo,
    model_validator,
)

from langchain_budget.config.fields import Flag, Number, Strict, dollars
from langchain_budget.config.limit_texts import parse_amounts, parse_limits
from langchain_budget.core.accounts import check_name, check_root, ratio
from langchain_budget.core.amounts import Amount, Limit, meter
from langchain_budget.core.dividing import BETWEEN
from langchain_budget.core.faults import InvalidAmount
from langchain_budget.core.limits import limits as distinct
from langchain_budget.core.policies.thresholds import Rule, Severity
from langchain_budget.core.traits import check_priority
from langchain_budget.outages.policy import RETRY_SECONDS, STANDBY_SECONDS, OnOutage
from langchain_budget.pricing.prices import Price

METERS = "meters"

_IN_ANY: Final = re.compile(r"\bin any\s+(?![0-9])")
"""Of a piece of the calendar, which is not the time up to now."""


def _meters(info: ValidationInfo) -> tuple[str, ...]:
    return tuple((info.context or {}).get(METERS, ()))


def _limits(given: Any, info: ValidationInfo) -> tuple[Amount | Limit, ...]:
    for each in given if isinstance(given, list | tuple) else (given,):
        if isinstance(each, str) and _IN_ANY.search(each):
            msg = f"{each!r}: write 'in any 24h' or 'in any 7d', or 'per day'"
            raise InvalidAmount(msg)
    found = parse_limits(given, _meters(info))
    distinct(found)
    return found


def _amounts(given: Any, info: ValidationInfo) -> tuple[Amount, ...]:
    found = parse_amounts(given, _meters(info))
    distinct(found)
    return found


def _part(given: Any) -> str:
    ratio(given, percentages=False)
    return str(given)


def _marks(given: Any) -> tuple[str, ...]:
    many = given if isinstance(given, list | tuple) else (given,)
    for each in many:
        ratio(each)
    return tuple(map(str, many))


def _label(given: str) -> str:
    for each in given.split(BETWEEN):
        check_name(each)
    return given


def _meter(given: str) -> str:
    meter(given)
    return given


def _or_closed(given: Any) -> Any:
    return None if given == "closed" else given


def _at(given: Any) -> Any:
    """A share alone is a rule."""
    return given if isinstance(given, Mapping) else {"at": given}


Limits = Annotated[tuple[Amount | Limit, ...], PlainValidator(_limits)]
Amounts = Annotated[tuple[Amount, ...], PlainValidator(_amounts)]
Part = Annotated[str, PlainValidator(_part)]
Marks = Annotated[tuple[str, ...], PlainValidator(_marks)]
Priority = Annotated[int, PlainValidator(check_priority)]
Metadata = dict[str, str]
Name = Annotated[str, AfterValidator(check_name)]
PoolName = Annotated[str, AfterValidator(check_root)]
Label = Annotated[str, AfterValidator(_label)]
MeterName = Annotated[str, AfterValidator(_meter)]
Dollars = Annotated[Any, PlainValidator(dollars)]


class Rates(Strict):
    """
    What a model costs: dollars per million tokens, and per call.

    Attributes:
        free: Whether it costs nothing; then no other key may stand here.
    """

    input: Dollars = None
    output: Dollars = None
    cache_read: Dollars = None
    cache_write: Dollars = None
    cache_write_1h: Dollars = None
    input_audio: Dollars = None
    reasoning: Dollars = None
    output_audio: Dollars = None
    per_call: Dollars = 0
    free: Flag = False

    @model_validator(mode="after")
    def _makes_sense(self) -> Rates:
        self.price()
        return self

    def price(self) -> Price:
        """As a price table takes it."""
        given = {
            name: value
            for name in type(self).model_fields
            if name != "free" and (value := getattr(self, name)) is not None
        }
        if self.free and self.model_fields_set == {"free"}:
            return Price.free()
        if self.free or not {"input", "output"} <= given.keys():
            msg = "give `input` and `output` in dollars per million, or `free: true`"
            raise ValueError(msg)
        return Price.per_million(**given)


class _Outage(Strict):
    """
    What becomes of calls while the store does not answer; see `OnOutage`.

    Attributes:
        open_up_to: Admit so much without it.
        leased: Go on from leases of so much.
        ttl_seconds: How long calls can go on from a lease.
        retry_seconds: How long a store that failed is left alone.
    """

    open_up_to: Amounts = ()
    leased: Amounts = ()
    ttl_seconds: Number | None = None
    retry_seconds: Number | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> _Outage:
        self.policy()
        return self

    def policy(self) -> OnOutage:
        """As a pool takes it."""
        retry = _seconds(self.retry_seconds, RETRY_SECONDS)
        if self.leased and not self.open_up_to:
            ttl = _seconds(self.ttl_seconds, STANDBY_SECONDS)
            return OnOutage.leased(*self.leased, ttl_seconds=ttl, retry_seconds=retry)
        if self.open_up_to and not self.leased and self.ttl_seconds is None:
            return OnOutage.open_up_to(*self.open_up_to, retry_seconds=retry)
        msg = "give 'closed', or one of `open_up_to` and `leased`"
        raise ValueError(msg)


Outage = Annotated[_Outage | None, BeforeValidator(_or_closed)]


def _seconds(given: Any, otherwise: float) -> float:
    return otherwise if given is None else float(given)


class _AlertRule(Strict):
    """A rule for alerts; see `Rule`. A share alone is one as well."""

    at: Any
    metric: Literal["used", "remaining"] = "used"
    op: Literal["", ">=", ">", "<=", "<"] = ""
    severity: Literal["info", "warning", "medium", "critical"] = "warning"
    policy: Literal["once", "rearm", "every"] = "once"
    name: str = ""

    @model_validator(mode="after")
    def _makes_sense(self) -> _AlertRule:
        self.rule()
        return self

    def rule(self) -> Rule:
        """As `Alerts` takes it."""
        return Rule(
            self.at,
            self.metric,
            self.op,
            severity=Severity(self.severity),
            policy=self.policy,
            name=self.name,
        )


AlertRule = Annotated[_AlertRule, BeforeValidator(_at)]
