"""From what a model used to what its hold is settled at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from langchain_budget.adapters.requests import Request
from langchain_budget.core.amounts import (
    CALLS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    TOKENS,
    USD,
    Vector,
)
from langchain_budget.core.postings import Basis
from langchain_budget.core.rules import Charge
from langchain_budget.pricing.prices import ModelRef, Price
from langchain_budget.pricing.quotes import Quote
from langchain_budget.pricing.usage import Usage

CACHED_TOKENS: Final = "cached_tokens"
CACHE_WRITE_TOKENS: Final = "cache_write_tokens"
REASONING_TOKENS: Final = "reasoning_tokens"
AUDIO_TOKENS: Final = "audio_tokens"


class Tariff(NamedTuple):
    """The model as it was asked for, and its price if it is known."""

    model: ModelRef
    price: Price | None
    is_certain: bool = True
    """Whether it is the price now: not one from before, since now none can be told."""


def tariff_of(
    quoted: Callable[[ModelRef], Quote], asked: ModelRef, answered: str = ""
) -> Tariff:
    """
    The price of the model that answered, or else of the one that was asked for.

    A price that the user declared for the model asked for stands. The call is paid:
    where no price can be told any more, the one it was admitted at is charged.
    """
    known = _settled(asked, quoted(asked))
    if not answered or answered == asked.model:
        return known
    model = ModelRef(asked.provider, answered)
    if known.price is not None and known.price.source == "declared":
        return known._replace(model=model)
    found = _settled(model, quoted(model))
    certain = found.is_certain and known.is_certain
    return Tariff(model, found.price or known.price, certain)


def _settled(model: ModelRef, quote: Quote) -> Tariff:
    price, last, fault, _ = quote
    return Tariff(model, price or last, fault is None and (price is last))


def amounts_of(usage: Usage, price: Price | None) -> dict[str, int]:
    """One call's usage in every unit; dollars only where the price is known."""
    amounts = {
        CALLS: 1,
        INPUT_TOKENS: usage.total_input,
        OUTPUT_TOKENS: usage.total_output,
        TOKENS: usage.total,
    }
    if price is not None:
        amounts[USD] = price.cost(usage)
    details = {
        CACHED_TOKENS: usage.cache_read,
        CACHE_WRITE_TOKENS: usage.cache_write + usage.cache_write_1h,
        REASONING_TOKENS: usage.reasoning,
        AUDIO_TOKENS: usage.input_audio + usage.output_audio,
    }
    amounts.update({unit: value for unit, value in details.items() if value})
    return amounts


def held(request: Request, price: Price | None, output: int) -> dict[str, int]:
    """What a call with that much output costs at the service tier asked for."""
    usage = Usage(request.input_tokens, output=output, tier=request.terms.tier)
    return amounts_of(usage, price)


def worst(request: Request, price: Price | None) -> Price | None:
    """The price by which `held` is the most that the call can cost."""
    return price and price.worst(request.terms)


def reported(usage: Usage, tariff: Tariff, labels: Mapping[str, str]) -> Charge:
    """A charge as the provider reports it."""
    amounts, labels = amounts_of(usage, tariff.price), _labelled(labels, tariff)
    if tariff.price is None:
        return Charge(amounts, Basis.UNKNOWN, labels)
    if not tariff.is_certain:
        return Charge(amounts, Basis.ESTIMATED, labels, whole=True)
    return Charge(amounts, Basis.REPORTED, labels)


def from_cache(
    usage: Usage | None, tariff: Tariff, labels: Mapping[str, str]
) -> Charge:
    """An answer out of a cache: nothing, and what it would have cost."""
    avoided = tariff.price.cost(usage) if tariff.price and usage else 0
    return Charge(
        {}, Basis.REPORTED, _labelled(labels, tariff) | {"avoided_usd": str(avoided)}
    )


def estimated(
    request: Request,
    seen: int,
    tariff: Tariff,
    labels: Mapping[str, str],
    *,
    whole: bool = False,
) -> Charge:
    """
    A charge that nobody reported: the input, and the output that was seen.

    When that is *whole*, nothing beyond it is in doubt.
    """
    amounts = held(request, tariff.price, seen)
    return Charge(amounts, Basis.ESTIMATED, _labelled(labels, tariff), whole)


def counted(amounts: Vector, labels: Mapping[str, str]) -> Charge:
    """A charge of something that is counted, not priced."""
    return Charge(amounts, Basis.REPORTED, labels)


def _labelled(labels: Mapping[str, str], tariff: Tariff) -> dict[str, str]:
    source = tariff.price.source if tariff.price else "unknown"
    return {**labels, "model": tariff.model.model, "price": source}
